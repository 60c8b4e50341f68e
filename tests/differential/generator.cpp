#include "tests/differential/generator.h"

#include <cstdlib>
#include <cstring>
#include <span>

#include "frontend/a64/decode/encoding.h"
#include "tests/differential/memory_operand.h"

namespace arclight::differential {
namespace {

using frontend::a64::encodings;
using frontend::a64::find_encoding;

constexpr uint32_t bits(uint32_t insn, unsigned hi, unsigned lo) {
    return insn >> lo & ((2u << (hi - lo)) - 1);
}
constexpr void put(uint32_t& insn, unsigned hi, unsigned lo, uint32_t value) {
    const uint32_t mask = ((2u << (hi - lo)) - 1) << lo;
    insn = (insn & ~mask) | (value << lo & mask);
}

constexpr uint32_t sysreg(unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2) {
    return op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5;
}
constexpr uint32_t kSysregMask = 0x1fffe0;
constexpr uint32_t kNzcv = sysreg(3, 3, 4, 2, 0), kFpcr = sysreg(3, 3, 4, 4, 0),
                   kFpsr = sysreg(3, 3, 4, 4, 1), kTpidr = sysreg(3, 3, 13, 0, 2);
constexpr uint32_t kFpcrMask = 0x07c80000;  // AHP, DN, FZ, RMode, FZ16
constexpr uint32_t kFpsrMask = 0x0800009f;  // QC and the cumulative flags

uint32_t random_fpcr(Rng& rng) {
    switch (rng.below(4)) {
        case 0:
        case 1: return 0;
        case 2: return static_cast<uint32_t>(rng.next()) & (3u << 22);
        default:
            return static_cast<uint32_t>(rng.next()) & (kFpcrMask | (is_qemu_given() ? kFpcrYounger : 0));
    }
}

struct Exclusion {
    const char* row;
    const char* reason;
};
// Rows that no sequence contains.
constexpr Exclusion kNotGenerated[] = {
    {"SVC", "qemu-user would make a Linux system call, VIXL has none"},
    {"MSR_PAN", "changes PSTATE.PAN, which EL0 cannot and user-mode simulators do not have"},
    {"MSR_SPSel", "changes PSTATE.SP, likewise"},
    {"MSR_DAIFSet", "changes PSTATE.DAIF, likewise"},
    {"MSR_DAIFClr", "changes PSTATE.DAIF, likewise"},
    {"MSR_UAO", "changes PSTATE.UAO, likewise"},
    {"SYSL", "no SYSL instruction is architected at EL0"},
    {"WFET", "its end is a time"},
    {"WFIT", "its end is a time"},
};
constexpr Exclusion kFeaturesNotGenerated[] = {
    {"FEAT_PAuth", "each implementation has codes of its own: tests/baremetal/control_flow.c"},
    {"FEAT_MOPS", "younger than VIXL 5.1 and qemu 7.2: tests/baremetal/recent.c"},
    {"FEAT_LRCPC3", "younger than VIXL 5.1 and qemu 7.2: tests/baremetal/recent.c"},
    {"FEAT_SVE", "state of its own: tests/frontend/a64/sve"},
    {"FEAT_MTE", "memory has no tags in user-mode simulators: tests/baremetal/tags.c"},
    {"FEAT_LSE128", "younger than VIXL 5.1 and qemu 7.2: tests/baremetal/recent.c"},
    {"FEAT_CSSC", "younger than VIXL 5.1 and qemu 7.2: integer_semantics_test.cpp, tests/baremetal/recent.c"},
    {"FEAT_HBC", "younger than VIXL 5.1 and qemu 7.2: B.cond's handler, tests/baremetal/recent.c"},
};

constexpr Exclusion kNotCompleted[] = {
    {"HVC", "UNDEFINED at EL0, and compared as that"},
    {"SMC", "UNDEFINED at EL0, and compared as that"},
    {"ERET", "UNDEFINED at EL0, and compared as that"},
    {"DCPS", "UNDEFINED outside Debug state, and compared as that"},
    {"HLT", "UNDEFINED while halting debug is off, and compared as that"},
    {"BRK", "ends a sequence"},
};

const char* reason_for(std::span<const Exclusion> list, const char* row) {
    for (const Exclusion& e : list)
        if (std::strcmp(e.row, row) == 0) return e.reason;
    return nullptr;
}

}  // namespace

bool is_qemu_given() { return std::getenv("ARCLIGHT_QEMU_AARCH64") != nullptr; }
const char* qemu_program() { return is_qemu_given() ? std::getenv("ARCLIGHT_QEMU_AARCH64") : "qemu-aarch64"; }

const char* why_not_generated(const char* row_name) {
    if (const char* reason = reason_for(kNotGenerated, row_name)) return reason;
    for (const frontend::a64::Encoding& e : encodings())
        if (std::strcmp(e.name, row_name) == 0) {
            const auto& feature = frontend::a64::kFeatures[static_cast<size_t>(e.feature)];
            const bool scalable =
                feature.id == frontend::a64::IdRegister::Zfr0;  // SVE2 and what comes with it
            return reason_for(kFeaturesNotGenerated, scalable ? "FEAT_SVE" : feature.title);
        }
    return nullptr;
}
const char* why_not_completed(const char* row_name) { return reason_for(kNotCompleted, row_name); }

uint32_t random_word(Rng& rng, int row, const std::vector<unsigned>& pool) {
    const char* p = encodings()[static_cast<size_t>(row)].pattern;
    uint32_t word = encodings()[static_cast<size_t>(row)].value;
    const bool ones = rng.chance(70);  // should-be-one bits mostly are
    for (unsigned i = 0; i < 32;) {
        if (p[i] == '0' || p[i] == '1') {
            ++i;
            continue;
        }
        unsigned j = i;
        while (j < 32 && p[j] == p[i]) ++j;
        const unsigned width = j - i;
        const uint32_t max = width == 32 ? ~0u : (1u << width) - 1;
        uint32_t value = static_cast<uint32_t>(rng.next()) & max;
        if (p[i] == '-') {
            if (ones) value = max;
        } else if (width == 5) {
            if (rng.chance(75)) value = pool[rng.below(pool.size())];
        } else if (width > 1) {
            switch (rng.below(8)) {
                case 0: value = 0; break;
                case 1: value = max; break;
                case 2: value = 1u << (width - 1); break;
                case 3: value = max >> 1; break;
                case 4: value = 1; break;
                default: break;
            }
        }
        word |= value << (32 - j);
        i = j;
    }
    return word;
}

void random_state(Rng& rng, DiffState& s) {
    std::memset(&s, 0, sizeof s);
    for (uint64_t& x : s.x) x = interesting_x(rng);
    s.sp = DIFF_ARENA_VA + 16 * rng.below(DIFF_ARENA_BYTES / 16);
    s.tpidr = rng.next();
    s.nzcv = static_cast<uint32_t>(rng.next()) & 0xf0000000;
    s.fpcr = random_fpcr(rng);
    s.fpsr = rng.chance(80) ? 0 : static_cast<uint32_t>(rng.next()) & kFpsrMask;
    for (auto& v : s.v) interesting_v(rng, v);
    if (rng.chance(30)) {  // equal and opposite operands, cancellation
        for (unsigned i = 0; i < 6; ++i) {
            const unsigned from = static_cast<unsigned>(rng.below(32)),
                           to = static_cast<unsigned>(rng.below(32));
            std::memcpy(s.v[to], s.v[from], 16);
            const uint64_t flip =
                rng.pick<uint64_t>({0, uint64_t{1} << 63, 0x8000000080000000, 1, 0x100000001});
            s.v[to][0] ^= flip;
            s.v[to][1] ^= flip;
        }
    }
}

std::optional<unsigned> SequenceBuilder::find_fresh(unsigned not_this) {
    const unsigned start = static_cast<unsigned>(rng_.below(31));
    for (unsigned i = 0; i < 31; ++i) {
        const unsigned r = (start + i) % 31;
        if (fresh(r) && r != not_this) return r;
    }
    return {};
}

void SequenceBuilder::assign(unsigned reg, uint64_t value) {
    (reg == 31 ? case_.initial.sp : case_.initial.x[reg]) = value;
    known_[reg] = value;
    touch(reg);
}

bool SequenceBuilder::fix_memory(uint32_t& word) {
    auto m = memory_operand(word);
    if (!m) return !is_load_store(word) || rng_.chance(30);  // an unallocated form: fine, but not too often
    if (m->unpredictable) return false;
    using Mode = MemoryOperand::Mode;
    if (m->mode == Mode::None) return true;

    const unsigned align = m->alignment > 1 ? m->alignment : (rng_.chance(50) ? m->bytes & -m->bytes : 1);
    const uint64_t last = DIFF_ARENA_BYTES - m->bytes;
    uint64_t at;
    if (is_dc_zva(word))
        at = rng_.below(DIFF_ARENA_BYTES);
    else if (rng_.chance(15))
        at = DIFF_ARENA_BYTES / 2 - rng_.below(m->bytes + 1);  // about the page boundary
    else
        at = rng_.below(last + 1);
    at = at / align * align;
    // Now and then an access that faults as a whole: the state must be as it was before the instruction. Not
    // where qemu 7.2 is wrong: it lets LDAPR be misaligned (D17.2 AlignmentEnforced, AccType_ORDERED) and
    // reports a DC ZVA that faults at the PC of an earlier instruction.
    const bool is_ldapr = (word & 0x3ffffc00) == 0x38bfc000;
    unsigned wrong = 0;
    if (rng_.chance(3) && !is_dc_zva(word)) wrong = m->alignment > 1 && !is_ldapr && rng_.chance(60) ? 1 : 2;
    if (wrong == 1) at = (at | 1) & (DIFF_ARENA_BYTES - 1 - 32);
    if (wrong == 2) at += DIFF_ARENA_BYTES + 0x10000;

    if (m->mode == Mode::Literal) {
        const uint64_t va = DIFF_ARENA_VA + at / 4 * 4;
        if (va + m->bytes > DIFF_ARENA_VA + DIFF_ARENA_BYTES) return false;
        put(word, 23, 5, static_cast<uint32_t>((va - pc()) / 4));
        return true;
    }

    const bool dc = is_dc_zva(word);
    const unsigned base_lo = dc ? 0 : 5;
    auto in_arena = [&](uint64_t va) {
        if (wrong == 1) return va - DIFF_ARENA_VA <= last && va % m->alignment != 0;
        if (wrong == 2)
            return va - DIFF_ARENA_VA - DIFF_ARENA_BYTES - 0x10000 <= last && va % m->alignment == 0;
        if (dc) return va - DIFF_ARENA_VA < DIFF_ARENA_BYTES;
        return va - DIFF_ARENA_VA <= last && va % m->alignment == 0;
    };

    // The index register first: the base then makes up for any value of it.
    uint64_t offset = static_cast<uint64_t>(m->offset);
    const bool indexed = m->mode == Mode::RegisterOffset || m->mode == Mode::PostRegister;
    if (indexed) {
        if (m->index == m->base || (m->index != 31 && !fresh(m->index) && !known_[m->index])) {
            m->index = find_fresh(m->base).value_or(31);
            if (m->mode == Mode::PostRegister && m->index == 31) return false;
            put(word, 20, 16, m->index);
        }
        uint64_t value = 0;
        if (m->index != 31) {
            if (fresh(m->index)) assign(m->index, interesting_x(rng_));
            value = *known_[m->index];
        }
        switch (m->extend & 7) {
            case 2: offset = value & 0xffffffff; break;
            case 6: offset = static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(value))); break;
            case 3:
            case 7: offset = value; break;
            default: offset = 0; break;  // UNDEFINED
        }
        offset <<= m->shift;
    }
    const bool offset_before = m->mode != Mode::PostImmediate && m->mode != Mode::PostRegister;
    const uint64_t before = offset_before ? offset : 0;

    if (dc && m->base == 31) m->base = 30;
    // A known base that serves as it is keeps its register; else one not used yet gets the right value.
    if (!(known_[m->base] && in_arena(*known_[m->base] + before))) {
        if (!fresh(m->base)) {
            const auto other = find_fresh(indexed ? m->index : 32);
            if (!other) return false;
            m->base = *other;
        }
        uint64_t base = DIFF_ARENA_VA + at - before;
        if (m->base == 31 && base % 16 != 0) {
            base = base / 16 * 16;
            if (!in_arena(base + before)) return false;
        }
        assign(m->base, base);
    }
    if (m->base == 31 && *known_[31] % 16 != 0) return false;
    put(word, base_lo + 4, base_lo, m->base);
    const auto final_operand = memory_operand(word);
    return final_operand && !final_operand->unpredictable;
}

bool SequenceBuilder::is_possible_target(uint64_t va) const {
    // User space has address tagging, whose effect on the PC is the machine's business, not translated
    // code's.
    if (va % 4 != 0 || va >> 47 != 0) return false;
    if (case_.in_slot(va)) return va > pc();
    return va < DIFF_CODE_VA || va >= DIFF_ARENA_VA + DIFF_ARENA_BYTES;
}

bool SequenceBuilder::fix_branch(uint32_t& word) {
    struct Form {
        uint32_t mask, value;
        unsigned hi, lo;
    };
    static constexpr Form kForms[] = {
        {0x7c000000, 0x14000000, 25, 0},  // B, BL
        {0xfe000000, 0x54000000, 23, 5},  // B.cond
        {0x7e000000, 0x34000000, 23, 5},  // CBZ, CBNZ
        {0x7e000000, 0x36000000, 18, 5},  // TBZ, TBNZ
    };
    const uint64_t here = pc();
    auto inside = [&] {
        const uint64_t next = case_.words.size() + 1;
        return case_.code_va() + 4 * (next + rng_.below(length_ > next ? length_ - next + 1 : 1));
    };
    for (const Form& f : kForms) {
        if ((word & f.mask) != f.value) continue;
        if (rng_.chance(75)) put(word, f.hi, f.lo, static_cast<uint32_t>((inside() - here) >> 2));
        const unsigned width = f.hi - f.lo + 1;
        const int64_t offset =
            static_cast<int64_t>(uint64_t{bits(word, f.hi, f.lo)} << (64 - width)) >> (64 - width) << 2;
        return is_possible_target(here + static_cast<uint64_t>(offset));
    }
    if ((word & 0xff9ffc1f) == 0xd61f0000) {  // BR, BLR, RET
        unsigned n = bits(word, 9, 5);
        if (known_[n] && is_possible_target(*known_[n])) return n != 31;
        if (n == 31 || !fresh(n)) {
            const auto other = find_fresh(32);
            if (!other) return false;
            n = *other;
        }
        assign(n, rng_.chance(80) ? inside() : DIFF_CODE_VA - 4 * (1 + rng_.below(1000)));
        put(word, 9, 5, n);
        return is_possible_target(*known_[n]);
    }
    // HLT #0xf000 is a semihosting call to qemu; BRK as such ends the case; all others are one exception.
    return word != 0xd45e0000;
}

bool SequenceBuilder::fix_system(uint32_t& word) {
    const unsigned op0 = bits(word, 20, 19);
    const unsigned t = bits(word, 4, 0);
    if (op0 == 0) return true;  // hints, barriers
    if (op0 == 1) {
        static constexpr uint32_t kHarmless[] = {
            sysreg(1, 3, 7, 4, 1),   // DC ZVA
            sysreg(1, 3, 7, 10, 1),  // DC CVAC
            sysreg(1, 3, 7, 11, 1),  // DC CVAU
            sysreg(1, 3, 7, 14, 1),  // DC CIVAC
            sysreg(1, 3, 7, 5, 1),   // IC IVAU
        };
        const uint32_t which = rng_.chance(60) ? kHarmless[0] : kHarmless[rng_.below(5)];
        word = (word & ~kSysregMask) | which;
        if (which == kHarmless[0]) return fix_memory(word);
        uint32_t probe = (word & ~kSysregMask) | kHarmless[0];  // any address in the arena
        if (!fix_memory(probe)) return false;
        put(word, 4, 0, probe & 31);
        return true;
    }
    const uint32_t reg = rng_.pick({kNzcv, kFpcr, kFpsr, kTpidr});
    word = (word & ~kSysregMask) | reg;
    const bool read = bits(word, 21, 21);
    if (read || (reg != kFpcr && reg != kFpsr)) return true;
    // Only bits that this CPU has: qemu's Cortex-A76 keeps AArch32's NZCV in FPSR.
    if (t == 31) return true;
    if (!fresh(t)) {
        const auto other = find_fresh(32);
        put(word, 4, 0, other.value_or(31));
        if (!other) return true;
    }
    const uint64_t value = reg == kFpcr ? random_fpcr(rng_) : rng_.next() & kFpsrMask;
    const unsigned chosen = bits(word, 4, 0);
    assign(chosen, value);
    return true;
}

bool SequenceBuilder::fix(uint32_t& word, int row) {
    bool good;
    if (is_load_store(word))
        good = fix_memory(word);
    else if ((word & 0xffc00000) == 0xd5000000)
        good = fix_system(word);
    else if ((word & 0x1c000000) == 0x14000000)
        good = fix_branch(word);
    else
        good = true;
    return good && (row == kAnyWordRow || find_encoding(word) == row);
}

void SequenceBuilder::note_effects(uint32_t word) {
    const auto m = memory_operand(word);
    if (m) {
        for (unsigned r = 0; r < 31; ++r) {
            if ((m->gpr_read | m->gpr_written) >> r & 1) touch(r);
            if (m->gpr_written >> r & 1) known_[r].reset();
        }
        if (m->writes_back()) {
            if (branched_) {
                clobber(m->base);  // perhaps skipped
            } else {
                const uint64_t step = m->mode == MemoryOperand::Mode::PostRegister
                                          ? *known_[m->index]
                                          : static_cast<uint64_t>(m->offset);
                if (known_[m->base]) *known_[m->base] += step;
            }
        }
        return;
    }
    if (is_load_store(word)) return;
    for (const unsigned lo : {5u, 10u, 16u}) touch(bits(word, lo + 4, lo));
    const unsigned d = bits(word, 4, 0);
    clobber(d);
    if ((word & 0x1c000000) == 0x14000000 && (word & 0xff000000) != 0xd5000000) {
        branched_ = true;
        clobber(30);
    }
}

void SequenceBuilder::pair_with_exclusive_load(uint32_t store) {
    const unsigned n = bits(store, 9, 5);
    uint32_t load = store | 1u << 22;
    put(load, 20, 16, 31);
    for (unsigned tries = 0; tries < 20; ++tries) {
        const unsigned t = pool_[rng_.below(pool_.size())], t2 = static_cast<unsigned>(rng_.below(32));
        put(load, 4, 0, t);
        if (bits(load, 21, 21)) put(load, 14, 10, t2);
        const auto m = memory_operand(load);
        if (t == n || t2 == n || !m || m->unpredictable) continue;
        case_.words.push_back(load);
        note_effects(load);
        return;
    }
}

/// A word that no row was asked for: that what is not allocated is UNDEFINED, and that no row is missing.
/// Branches and system instructions apart, a word can do no harm once its memory operand is in order.
uint32_t any_word(Rng& rng) {
    for (;;) {
        const auto word = static_cast<uint32_t>(rng.next());
        if ((word & 0x1c000000) != 0x14000000) return word;
    }
}

bool SequenceBuilder::append(int row) {
    const bool any = row == kAnyWordRow;
    for (unsigned tries = 0; tries < 40; ++tries) {
        const int r = row != kMixedRow ? row : static_cast<int>(rng_.below(encodings().size()));
        if (!any && why_not_generated(encodings()[static_cast<size_t>(r)].name)) continue;
        uint32_t word = any ? any_word(rng_) : random_word(rng_, r, pool_);
        const int found = find_encoding(word);
        if (!any && found != r) continue;
        if (any && found >= 0 && why_not_generated(encodings()[static_cast<size_t>(found)].name)) continue;
        // Mostly instructions that are allocated in full, or every long sequence would end at its second
        // word.
        if (!any && rng_.chance(tries < 30 ? 93 : 50) && looks_unallocated(word)) continue;
        const auto touched = touched_;
        const auto known = known_;
        const DiffState initial = case_.initial;
        if (!fix(word, r)) {
            touched_ = touched, known_ = known, case_.initial = initial;
            continue;
        }
        const auto m = memory_operand(word);
        if (m && m->is_exclusive_store && rng_.chance(80)) {
            pair_with_exclusive_load(word);
            // The load may have destroyed what the store's address needs.
            if (!known_[m->base]) return true;
        }
        case_.words.push_back(word);
        note_effects(word);
        return true;
    }
    return false;
}

void SequenceBuilder::build(int row) {
    random_state(rng_, case_.initial);
    pool_ = {31, 0};
    for (unsigned i = 0; i < 5; ++i) pool_.push_back(static_cast<unsigned>(rng_.below(32)));
    static constexpr unsigned kLengths[] = {1, 1, 1, 2, 2, 3, 4, 6, 8, 10};
    length_ = row == kAnyWordRow ? 2 : kLengths[rng_.below(10)];
    case_.code_offset = case_.slot_offset + 4 * static_cast<uint32_t>(rng_.below(kSlotWords - 24));
    case_.row = row;
    for (unsigned i = 0; i < length_; ++i)
        if (!append(row)) break;
    case_.initial.pc = case_.code_va();
}

void generate_arena(Batch& batch, uint64_t seed) {
    // Not by batch: --case must find the same contents.
    Rng rng(seed ^ 0xa7e4a);
    for (unsigned i = 0; i < DIFF_ARENA_BYTES; i += 16) {
        uint64_t v[2];
        interesting_v(rng, v);
        std::memcpy(batch.arena + i, v, 16);
    }
}

void generate_batch(Batch& batch, uint64_t seed, uint64_t first, unsigned count, int only_row) {
    generate_arena(batch, seed);
    const unsigned rows = static_cast<unsigned>(encodings().size());
    batch.cases.clear();
    batch.cases.reserve(count);
    for (uint64_t k = first; k < first + count; ++k) {
        Rng rng = Rng::for_item(seed, k);
        Case c;
        c.index = k;
        c.slot_offset = static_cast<uint32_t>(k % kSlots) * kSlotWords * 4;
        int row = only_row;
        if (row < 0)
            row = k % 10 == 9  ? kAnyWordRow
                  : k % 5 == 4 ? kMixedRow
                               : static_cast<int>((k * 2654435761u + seed) % rows);
        if (row >= 0 && why_not_generated(encodings()[static_cast<size_t>(row)].name)) row = kMixedRow;
        SequenceBuilder(rng, c).build(row);
        batch.cases.push_back(std::move(c));
    }
}

}  // namespace arclight::differential
