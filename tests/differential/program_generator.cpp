#include "tests/differential/program_generator.h"

#include <algorithm>

#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/translate/translator.h"
#include "tests/differential/compare.h"
#include "tests/differential/generator.h"
#include "tests/differential/memory_operand.h"

namespace arclight::differential {
namespace {

using frontend::a64::encodings;
using frontend::a64::find_encoding;

// Registers that the skeleton of a program owns.
enum : unsigned {
    kCallCounter = 24,
    kInner = 25,
    kOuter = 26,
    kScratch = 27,
    kBase = 28,
    kAddress = 29,
    kLink = 30
};
constexpr unsigned kFirstReserved = kCallCounter;

constexpr uint32_t bits(uint32_t insn, unsigned hi, unsigned lo) {
    return insn >> lo & ((2u << (hi - lo)) - 1);
}
constexpr void put(uint32_t& insn, unsigned hi, unsigned lo, uint32_t value) {
    const uint32_t mask = ((2u << (hi - lo)) - 1) << lo;
    insn = (insn & ~mask) | (value << lo & mask);
}

// The few instructions of the skeleton.
constexpr uint32_t movz(unsigned d, uint32_t imm16, unsigned hw = 0) {
    return 0xd2800000 | hw << 21 | imm16 << 5 | d;
}
constexpr uint32_t subs_1(unsigned d) { return 0xf1000400 | d << 5 | d; }
constexpr uint32_t sub_1(unsigned d) { return 0xd1000400 | d << 5 | d; }
constexpr uint32_t add_reg(unsigned d, unsigned n, unsigned m) { return 0x8b000000 | m << 16 | n << 5 | d; }
constexpr uint32_t and_0xfff(unsigned d, unsigned n) { return 0x92402c00 | n << 5 | d; }
constexpr uint32_t and_0xff0(unsigned d, unsigned n) { return 0x927c1c00 | n << 5 | d; }
constexpr uint32_t branch(int words) { return 0x14000000 | (static_cast<uint32_t>(words) & 0x3ffffff); }
constexpr uint32_t bl(int words) { return 0x94000000 | (static_cast<uint32_t>(words) & 0x3ffffff); }
constexpr uint32_t b_cond(unsigned cond, int words) {
    return 0x54000000 | (static_cast<uint32_t>(words) & 0x7ffff) << 5 | cond;
}
constexpr uint32_t cbnz(unsigned t, int words) {
    return 0xb5000000 | (static_cast<uint32_t>(words) & 0x7ffff) << 5 | t;
}
constexpr uint32_t adr(unsigned d, int words) {
    return 0x10000000 | (static_cast<uint32_t>(words) & 0x7ffff) << 5 | d;
}
constexpr uint32_t br(unsigned n) { return 0xd61f0000 | n << 5; }
constexpr uint32_t blr(unsigned n) { return 0xd63f0000 | n << 5; }
constexpr uint32_t kRet = 0xd65f03c0, kPushLink = 0xf81f0ffe,
                   kPopLink = 0xf84107fe;  // STR, LDR x30 with 16 bytes

/// Such a word would only end the program early; that the right words are UNDEFINED is what sequences are
/// for.
bool is_undefined(uint32_t word) {
    jit::ir::Block block;
    frontend::a64::translate_block(block, {&word, 1}, 0, 0, 1);
    for (const jit::ir::Inst& i : block.insts)
        if (i.op == jit::ir::Op::ExitRuntime &&
            static_cast<uint32_t>(i.imm) == static_cast<uint32_t>(jit::ExitReason::Undefined))
            return true;
    return false;
}

class ProgramBuilder {
  public:
    ProgramBuilder(Rng& rng, Case& out) : rng_(rng), case_(out) {}

    void build() {
        random_state(rng_, case_.initial);
        // Half of the programs are made of what VIXL can run too.
        for_vixl_ = rng_.chance(50);
        if (for_vixl_) case_.initial.fpcr = 0;
        case_.initial.x[kBase] = DIFF_ARENA_VA + 2048;
        case_.initial.sp = DIFF_ARENA_VA + DIFF_ARENA_BYTES - 64;
        pool_ = {31, 0};
        for (unsigned i = 0; i < 12; ++i) pool_.push_back(static_cast<unsigned>(rng_.below(32)));

        const unsigned parts = 2 + static_cast<unsigned>(rng_.below(4));
        for (unsigned i = 0; i < parts; ++i) loop(0);
        const size_t to_end = size();
        emit(branch(0));
        functions();
        words()[to_end] = branch(static_cast<int>(size() - to_end));
        // What follows is BRK.
        case_.code_offset = case_.slot_offset;
        case_.initial.pc = case_.code_va();
        case_.row = kProgramRow;
    }

  private:
    std::vector<uint32_t>& words() { return case_.words; }
    size_t size() const { return case_.words.size(); }
    void emit(uint32_t word) { case_.words.push_back(word); }
    static int distance(size_t from, size_t to) { return static_cast<int>(to) - static_cast<int>(from); }
    bool room() const { return size() < kProgramSlots * kSlotWords - 260; }

    void loop(unsigned depth) {
        const unsigned counter = depth == 0 ? kOuter : kInner;
        emit(movz(counter, 2 + static_cast<uint32_t>(rng_.below(depth == 0 ? 40 : 25))));
        const size_t top = size();
        const unsigned pieces = 2 + static_cast<unsigned>(rng_.below(5));
        for (unsigned i = 0; i < pieces && room(); ++i) piece(depth);
        if (rng_.chance(50)) {
            emit(subs_1(counter));
            emit(b_cond(1, distance(size(), top)));
        } else {
            emit(sub_1(counter));
            emit(cbnz(counter, distance(size(), top)));
        }
    }

    void piece(unsigned depth) {
        switch (rng_.below(10)) {
            case 0:
                if (depth == 0) return loop(1);
                return straight(4);
            case 1: return skip();
            case 2: return call();
            case 3: return computed_jump();
            case 4: return atomic_loop();
            case 5: return change_fpcr();
            default: return straight(1 + static_cast<unsigned>(rng_.below(8)));
        }
    }

    void straight(unsigned count) {
        for (unsigned i = 0; i < count && room(); ++i) random_instruction();
    }

    /// A conditional branch over a few instructions.
    void skip() {
        const size_t at = size();
        emit(0);
        straight(1 + static_cast<unsigned>(rng_.below(5)));
        const auto over = static_cast<uint32_t>(distance(at, size()));
        const auto t = static_cast<uint32_t>(rng_.below(kFirstReserved));
        switch (rng_.below(3)) {
            case 0:
                words()[at] = b_cond(static_cast<unsigned>(rng_.below(15)), static_cast<int>(over));
                break;
            case 1:
                words()[at] = 0x34000000 | static_cast<uint32_t>(rng_.below(2)) << 31 |
                              static_cast<uint32_t>(rng_.below(2)) << 24 | over << 5 | t;
                break;
            default: {
                const auto bit = static_cast<uint32_t>(rng_.below(64));
                words()[at] = 0x36000000 | bit >> 5 << 31 | static_cast<uint32_t>(rng_.below(2)) << 24 |
                              (bit & 31) << 19 | over << 5 | t;
            }
        }
    }

    void call() {
        const unsigned f = static_cast<unsigned>(rng_.below(kFunctions));
        calls_.push_back({size(), f});
        if (rng_.chance(30)) {
            emit(adr(kScratch, 0));
            emit(blr(kScratch));
        } else {
            emit(bl(0));
        }
    }

    /// One of four places, by the low bits of a register.
    void computed_jump() {
        const auto n = static_cast<uint32_t>(rng_.below(kFirstReserved));
        emit(0x92400400 | n << 5 | kScratch);  // AND scratch, xn, #3
        emit(adr(kAddress, 3));                // the first place
        emit(0x8b000000 | kScratch << 16 | 3 << 10 | kAddress << 5 |
             kAddress);  // ADD address, address, scratch, LSL #3
        emit(br(kAddress));
        for (unsigned i = 0; i < 4; ++i) {
            const auto d = static_cast<unsigned>(rng_.below(kFirstReserved));
            emit(0x91000400 | i << 10 | d << 5 | d);  // ADD xd, xd, #(i + 1)
            emit(branch(static_cast<int>(7 - 2 * i)));
        }
    }

    /// Load-exclusive, add, store-exclusive, again if it failed: the form every spinlock has.
    void atomic_loop() {
        const auto n = static_cast<uint32_t>(rng_.below(kFirstReserved));
        const auto size_bits = static_cast<uint32_t>(rng_.below(4)) << 30;
        const auto d = static_cast<uint32_t>(rng_.below(kFirstReserved));
        emit(and_0xff0(kAddress, n));
        emit(add_reg(kAddress, kAddress, kBase));
        if (for_vixl_) {
            emit(0x38200000 | size_bits | d << 16 | kAddress << 5 | d);  // LDADD
            return;
        }
        emit(0x085ffc00 | size_bits | kAddress << 5 | d);                          // LDAXR
        emit(0x91000400 | d << 5 | d);                                             // ADD xd, xd, #1
        emit(0x0800fc00 | size_bits | kScratch << 16 | kAddress << 5 | d);         // STLXR
        emit(0x35000000 | (static_cast<uint32_t>(-3) & 0x7ffff) << 5 | kScratch);  // CBNZ
    }

    void change_fpcr() {
        if (for_vixl_ || rng_.chance(60)) return straight(3);
        emit(movz(kScratch, static_cast<uint32_t>(rng_.next()) & 0x07c0, 1));  // AHP, DN, FZ, RMode
        emit(0xd51b4400 | kScratch);                                           // MSR FPCR
        if (rng_.chance(50))
            emit(0xd53b4420 | static_cast<uint32_t>(rng_.below(kFirstReserved)));  // MRS FPSR
    }

    void functions() {
        for (unsigned f = 0; f < kFunctions; ++f) {
            const size_t start = size();
            for (const Call& c : calls_) {
                if (c.function != f) continue;
                uint32_t& word = words()[c.at];
                word = word >> 31 != 0 ? bl(distance(c.at, start)) : adr(kScratch, distance(c.at, start));
            }
            emit(kPushLink);
            for (unsigned i = 0; i < 3 + rng_.below(8); ++i) random_instruction();
            emit(kPopLink);
            emit(kRet);
        }
    }

    /// Anything of the table that is no branch and no system instruction, made safe.
    void random_instruction() {
        for (unsigned tries = 0; tries < 200; ++tries) {
            const auto row = static_cast<int>(rng_.below(encodings().size()));
            uint32_t word = random_word(rng_, row, pool_);
            if ((word & 0x1c000000) == 0x14000000) continue;
            const bool vector = (word >> 25 & 7) == 7;
            const auto m = memory_operand(word);
            if (is_load_store(word)) {
                if (!m || !fix_memory(word, *m)) continue;
            } else if (!vector || writes_general_register(word)) {
                if (bits(word, 4, 0) >= kFirstReserved)
                    put(word, 4, 0, static_cast<uint32_t>(rng_.below(kFirstReserved)));
            }
            if (find_encoding(word) != row || is_undefined(word) || word_limit("qemu", word) ||
                why_not_generated(encodings()[static_cast<size_t>(row)].name))
                continue;
            if (for_vixl_ && word_limit("vixl", word)) continue;
            if (m) emit_address(*m);
            emit(word);
            return;
        }
    }

    /// Conservative: UMOV, SMOV and the conversions to integers.
    static bool writes_general_register(uint32_t w) {
        return (w & 0x9fe08400) == 0x0e000400 || (w & 0x5f200000) == 0x1e200000 ||
               (w & 0x5f200000) == 0x1e000000;
    }

    bool fix_memory(uint32_t& word, const MemoryOperand& m) {
        using Mode = MemoryOperand::Mode;
        if (m.mode == Mode::RegisterOffset || m.mode == Mode::Literal || m.mode == Mode::None) return false;
        if (m.is_exclusive_store || m.offset > 1024 || m.offset < -1024) return false;
        put(word, 9, 5, kAddress);
        const auto now = memory_operand(word);
        if (!now || now->unpredictable) return false;
        // CASP names pairs of registers.
        return ((now->gpr_written | now->gpr_read) >> kFirstReserved) == 0;
    }

    void emit_address(const MemoryOperand& m) {
        const auto n = static_cast<unsigned>(rng_.below(kFirstReserved));
        emit(m.alignment > 1 || rng_.chance(50) ? and_0xff0(kAddress, n) : and_0xfff(kAddress, n));
        emit(add_reg(kAddress, kAddress, kBase));
    }

    static constexpr unsigned kFunctions = 4;
    struct Call {
        size_t at;
        unsigned function;
    };

    Rng& rng_;
    Case& case_;
    std::vector<unsigned> pool_;
    std::vector<Call> calls_;
    bool for_vixl_ = false;
};

}  // namespace

void generate_programs(Batch& batch, uint64_t seed, uint64_t first, unsigned count) {
    generate_arena(batch, seed);
    batch.cases.clear();
    for (uint64_t k = first; k < first + count; ++k) {
        Rng rng = Rng::for_item(~seed, k);
        Case c;
        c.index = k;
        c.slot_offset = static_cast<uint32_t>(k % kProgramsPerBatch) * kProgramSlots * kSlotWords * 4;
        c.slot_bytes = kProgramSlots * kSlotWords * 4;
        ProgramBuilder(rng, c).build();
        batch.cases.push_back(std::move(c));
    }
}

}  // namespace arclight::differential
