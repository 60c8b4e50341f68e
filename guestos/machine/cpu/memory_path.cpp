#include "guestos/machine/cpu/memory_path.h"

#include <algorithm>
#include <utility>

#include "frontend/a64/system/exceptions.h"
#include "frontend/a64/translation_flags.h"
#include "guestos/machine/cpu/memory_semantics.h"
#include "host/memory_fault.h"

namespace arclight::guestos {

namespace a64 = frontend::a64;
using jit::MemoryAccess;
using jit::MemoryKind;
using mmu::kPageMask;
using mmu::kPageSize;

namespace {
constexpr unsigned kLargeBits = 21;
constexpr uint64_t kAheadBytes = 16 * kPageSize;
constexpr uint8_t kFscUnsupportedExclusive = 0b110101;
}  // namespace

void MemoryPath::slow_path(uint64_t descriptor, const void* host_pc) {
    ++stats_.memory_slow;
    const MemoryAccess access = MemoryAccess::unpack(descriptor);
    if (devices_.access_remembered(access, state_.access_addr)) return note_device(access, host_pc);
    const Outcome outcome = finish(access, host_pc);
    faulted_ = false;
    if (outcome.kind != Outcome::Kind::Done) raise(outcome, recover_pc(host_pc));
}

/// An access is begun anew where others changed what it found.
template <typename F>
MemoryPath::Outcome MemoryPath::until_done(F&& act) {
    unsigned withheld = 0;
    for (;;) {
        const uint64_t waits = pager_.waits();
        const Outcome outcome = act();
        if (outcome.kind != Outcome::Kind::Retry) return outcome;
        if (pager_.waits() == waits && ++withheld > host::kMaxWithheld)
            return data_abort(state_.access_addr, mmu::kFscSynchronousExternal, false);
    }
}

template <typename F>
MemoryPath::Outcome MemoryPath::carry_out_pair(uint64_t va, uint32_t aux, F&& act) {
    const MemoryAccess access{.kind = MemoryKind::Cas,
                              .aux = (jit::ir::mem_size_log2(aux) + 1) | (aux & jit::ir::kMemUnchecked)};
    const unsigned bytes = access.bytes();
    if ((va & (bytes - 1)) != 0 && !may_be_misaligned(access, va))
        return data_abort(va, mmu::kFscAlignment, false);
    Target target;
    uint8_t fsc = 0;
    if (!translate(va, true, false, target, fsc)) return data_abort(va, fsc, !read_faults(va, fsc));
    if (target.tagged)
        if (const auto wrong = check_tags(access, va, bytes, target.pa)) return *wrong;
    if (const auto hit = watchpoint({va, bytes, true, true, false})) return *hit;
    if (target.device_memory && (va & (bytes - 1)) != 0) return data_abort(va, mmu::kFscAlignment, false);
    if (target.host == nullptr) return data_abort(va, kFscUnsupportedExclusive, true);
    uint8_t refused = 0;
    bool done = false;
    pager_.store_to_ram(target.pa, bytes, 0, 0, [&] {
        std::optional<mmu::PageOverlay::Access> guard;
        if (target.flags != 0) [[unlikely]] {
            guard.emplace(core_.context.overlay);
            if (!recheck_intercepted(mmu::AccessEvent::Kind::Write, target, va, bytes, refused)) return;
        }
        done = host::touch([&] { act(target.host); });
    });
    return refused != 0 ? data_abort(va, refused, true) : touched(done, va, false);
}

void MemoryPath::compare_and_swap_pair(uint64_t va, uint32_t aux) {
    uint64_t* values = state_.access_value;
    const auto doublewords = [values](uint8_t* host) {
        uint64_t expected[2] = {values[0], values[1]};
        compare_and_swap_16(host, expected, values + 2);
        values[0] = expected[0], values[1] = expected[1];
    };
    const auto words = [values](uint8_t* host) {
        const auto join = [](uint64_t lo, uint64_t hi) { return (lo & 0xffff'ffff) | hi << 32; };
        const uint64_t old = compare_and_swap_8(host, join(values[0], values[1]), join(values[2], values[3]));
        values[0] = old & 0xffff'ffff, values[1] = old >> 32;
    };
    const Outcome outcome = until_done([&] {
        return jit::ir::mem_size_log2(aux) == 3 ? carry_out_pair(va, aux, doublewords)
                                                : carry_out_pair(va, aux, words);
    });
    if (outcome.kind != Outcome::Kind::Done) raise(outcome, core_.helper_pc());
}

void MemoryPath::atomic_pair(uint64_t va, jit::ir::AtomicKind kind, uint32_t aux) {
    const auto act = [&](uint8_t* host) {
        const uint64_t operand[2] = {state_.access_value[0], state_.access_value[1]};
        jit::atomic_rmw_16(host, kind, operand, state_.access_value);
    };
    const Outcome outcome = until_done([&] { return carry_out_pair(va, aux | 3, act); });
    if (outcome.kind != Outcome::Kind::Done) raise(outcome, core_.helper_pc());
}

MemoryPath::Outcome MemoryPath::finish(const MemoryAccess& access, const void* host_pc) {
    return until_done([&] { return carry_out(access, host_pc); });
}

void MemoryPath::raise(const Outcome& outcome, uint64_t pc) {
    switch (outcome.kind) {
        case Outcome::Kind::Done:
        case Outcome::Kind::Retry: return;
        case Outcome::Kind::DataAbort:
            ++stats_.data_aborts;
            a64::take_data_abort(cpu_, outcome.far, outcome.fsc, outcome.write, pc);
            break;
        case Outcome::Kind::Watchpoint: a64::take_watchpoint(cpu_, outcome.far, outcome.write, pc); break;
        case Outcome::Kind::SpAlignment: a64::take_sp_alignment(cpu_, pc); break;
        case Outcome::Kind::PointerAuthentication:
            a64::take_pointer_authentication(cpu_, outcome.fsc, pc);
            break;
        case Outcome::Kind::ScalableTrap: a64::take_sve_trap(cpu_, pc); break;
        case Outcome::Kind::Debugger: return core_.exit_translated_code(jit::ExitReason::Stop, pc);
    }
    core_.exit_redirected();
}

/// Brings the guest registers up to date; the address of the instruction whose slow path returns to host_pc.
uint64_t MemoryPath::recover_pc(const void* host_pc) {
    const std::optional<uint32_t> offset = core_.context.engine.recover(host_pc, state_);
    return state_.page_base + offset.value_or(state_.insn_offset);
}

/// Comes after all faults but external ones (D1.3.5.5). The debugger's before the guest's: its exception comes when the
/// debugger lets the instruction go on.
std::optional<MemoryPath::Outcome> MemoryPath::watchpoint(const a64::WatchedAccess& access) {
    if (const DebugPoints* debug = core_.context.debug; debug != nullptr) [[unlikely]] {
        debug_hit_ = debug->hit(access.va, access.bytes, access.reads, access.writes);
        if (debug_hit_) return Outcome{.kind = Outcome::Kind::Debugger};
    }
    const auto hit = a64::watchpoint_hit(cpu_, access);
    if (!hit) return std::nullopt;
    return Outcome{.kind = Outcome::Kind::Watchpoint, .write = hit->write, .far = hit->far};
}

/// Would a read at the current EL have the same fault?
bool MemoryPath::read_faults(uint64_t va, uint8_t fsc) {
    return pager_.walk(va, {.privileged = cpu_.el != 0, .pan = cpu_.pan, .update = false}).fsc() == fsc;
}

/// FEAT_LSE2 (AArch64.UnalignedAccessFaults): exclusives, atomics and ordered accesses within 16 aligned bytes of normal memory,
/// and the ordered ones anywhere with SCTLR_EL1.nAA. All are here but those in SCTLR_EL1.A's hands, with aligned ones as an
/// exception: emitted code lets nothing else through.
bool MemoryPath::may_be_misaligned(const MemoryAccess& access, uint64_t va) const {
    constexpr uint64_t kSctlrM = 1, kSctlrA = 2, kBytes = 16;
    const uint64_t sctlr = cpu_.translation.sctlr;
    if (!cpu_.config.features.has(a64::Feature::Lse2) || (sctlr & (kSctlrM | kSctlrA)) != kSctlrM)
        return false;
    if ((va & (kBytes - 1)) + access.bytes() <= kBytes) return true;
    const bool plain = access.kind == MemoryKind::Load || access.kind == MemoryKind::Store;
    return plain && (sctlr & a64::kSctlrNaa) != 0;
}

MemoryPath::Outcome MemoryPath::carry_out(const MemoryAccess& access, const void* host_pc) {
    const bool write = access.writes();
    const bool unprivileged = access.is_unprivileged();
    // DC ZVA names its block by any address in it, and a fault reports that one (FAR_EL1, D19.2.40).
    const uint64_t given = state_.access_addr;
    const uint64_t va = access.kind == MemoryKind::ZeroBlock ? given & ~uint64_t{63} : given;
    const unsigned bytes = access.bytes();

    if (access.kind == MemoryKind::CheckZero) {
        if (access.aux == jit::ir::kCheckScalableTrap) return {.kind = Outcome::Kind::ScalableTrap};
        return {.kind = Outcome::Kind::PointerAuthentication, .fsc = static_cast<uint8_t>(access.aux)};
    }
    if (access.misaligns_stack(given)) return {.kind = Outcome::Kind::SpAlignment};
    // With SCTLR_ELx.A, too: the frontend marks what it concerns. LD1 of bytes, one access here, has no
    // alignment.
    const unsigned alignment = access.must_be_aligned() ? bytes : 1;
    // ESR_EL1.WnR: an atomic's fault counts as a read's if a read would have had it (D19.2.37, and
    // TranslateAddressForAtomicAccess for alignment).
    const bool rmw = access.kind == MemoryKind::AtomicRmw || access.kind == MemoryKind::Cas;
    if ((va & (alignment - 1)) != 0 && !may_be_misaligned(access, va))
        return data_abort(va, mmu::kFscAlignment, write && !rmw);

    const bool exclusive_or_atomic = access.kind >= MemoryKind::LoadEx && access.kind <= MemoryKind::Cas;
    const uint64_t next = (va & kPageMask) + kPageSize, room = next - va;
    const bool split = bytes > room;
    if (split) {
        if (!exclusive_or_atomic && access_across(access, va)) return {};
    } else if (uint8_t* host = tlbs_.victim_hit(unprivileged ? state_.user_tlb : state_.tlb, va, write)) {
        ++stats_.tlb_recalls;
        return touched(host::touch([&] { access_host(state_, access, va, host); }), given, write && !rmw);
    } else if (const TaggedPage* page = tagged_page(va, write, unprivileged);
               page != nullptr &&
               (tlbs_.tag_bias() == 0 || checked_entry(va, write, unprivileged) != nullptr)) {
        if (const auto wrong = check_tags(access, va, bytes, page->pa + (va & ~kPageMask))) return *wrong;
        note_checked(access, host_pc);
        uint8_t* const host = page->host + (va & ~kPageMask);
        return touched(host::touch([&] { access_host(state_, access, va, host); }), given, write && !rmw);
    }
    Target target;
    uint8_t fsc = 0;
    if (!translate(va, write, unprivileged, target, fsc))
        return data_abort(given, fsc, write && !(rmw && read_faults(va, fsc)));
    // Device memory wants aligned accesses, and none of DC ZVA (ARM ARM B2.7.2).
    if (target.device_memory &&
        ((va & (access.unit_bytes() - 1)) != 0 || access.kind == MemoryKind::ZeroBlock))
        return data_abort(given, mmu::kFscAlignment, write);
    Target second;
    const uint64_t waits = pager_.waits();
    if (split && !translate(next, write, unprivileged, second, fsc)) return data_abort(next, fsc, write);
    // The second walk let other CPUs change what the first one found: from the beginning.
    if (pager_.waits() != waits) return {.kind = Outcome::Kind::Retry};
    if (target.tagged || second.tagged) {
        const auto first_part = static_cast<unsigned>(split ? room : bytes);
        if (target.tagged)
            if (const auto wrong = check_tags(access, va, first_part, target.pa)) return *wrong;
        if (second.tagged)
            if (const auto wrong = check_tags(access, next, bytes - first_part, second.pa)) return *wrong;
        note_checked(access, host_pc);
    }
    if (const auto hit = watchpoint({va, bytes, access.reads(), access.writes(), unprivileged})) return *hit;
    if (target.host == nullptr) return access_device(access, va, target.pa, host_pc);

    if (host_pc != nullptr && core_.has_fastmem() && (va & state_.address_tag) != 0) [[unlikely]]
        note_tag(va, host_pc);
    const auto first_bytes = static_cast<unsigned>(split ? room : bytes);
    if ((target.flags | second.flags) != 0) [[unlikely]]
        return access_intercepted(access, va, target, first_bytes, second);
    if (split && second.host == nullptr) return data_abort(next, mmu::kFscSynchronousExternal, write);
    bool done = false;
    const auto act = [&] {
        done = host::touch([&] {
            if (split)
                access_host_split(state_, access, target.host, first_bytes, second.host);
            else
                access_host(state_, access, va, target.host);
        });
    };
    if (!write) {
        act();
    } else if (pager_.store_to_ram(target.pa, first_bytes, second.pa, bytes - first_bytes, act)) {
        // At once, for the next store to it would miss.
        mmu::SoftTlbSet::Mapping mapping;
        if (known_mapping(va, cpu_.el != 0 && !unprivileged, cpu_.pan, mapping))
            tlbs_.fill(unprivileged ? state_.user_tlb : state_.tlb, mapping);
    }
    return touched(done, split && is_there(target.host) ? next : given, write && !rmw);
}

/// With the tag in it every access would fault first.
void MemoryPath::note_tag(uint64_t va, const void* host_pc) {
    const bool lower_half = (va >> 55 & 1) == 0;
    if (!lower_half || !core_.context.engine.mark_tagged(host_pc)) return;
    ++stats_.tagged_sites;
    core_.clear_all_jumps();
}

/// A device has answered.
void MemoryPath::note_device(const MemoryAccess& access, const void* host_pc) {
    if ((access.aux & jit::ir::kMemDevice) != 0) ++stats_.device_calls;
    if (core_.options.record_sites && host_pc != nullptr) [[unlikely]]
        core_.context.engine.record_device(host_pc);
}

bool MemoryPath::is_there(const uint8_t* host) {
    return host::touch([host] { (void)*static_cast<const volatile uint8_t*>(host); });
}

MemoryPath::Outcome MemoryPath::access_device(const MemoryAccess& access, uint64_t va, uint64_t pa,
                                              const void* host_pc) {
    if (access.kind >= MemoryKind::LoadEx && access.kind <= MemoryKind::Cas)
        return data_abort(va, kFscUnsupportedExclusive, access.writes());
    if (access.kind == MemoryKind::ZeroBlock || !devices_.access(access, pa))
        return data_abort(state_.access_addr, mmu::kFscSynchronousExternal, access.writes());
    devices_.remember(access, va, pa);
    note_device(access, host_pc);
    // With fastmem every access would fault first.
    if (host_pc != nullptr && core_.has_fastmem() && (access.aux & jit::ir::kMemDevice) == 0 &&
        core_.context.engine.mark_device(host_pc)) {
        ++stats_.device_sites;
        core_.clear_all_jumps();
    }
    return {};
}

/// An access across two pages that the soft TLB has both, such as those of a stack frame that a page's end
/// cuts: a loop may do nothing else. What must be looked at each time is not there. False, too, if the memory is gone.
bool MemoryPath::access_across(const MemoryAccess& access, uint64_t va) {
    // What the soft TLB has may have been unmapped, and is to be mapped again.
    if (tlbs_.has_fastmem_on_demand() && core_.has_fastmem()) return false;
    const mmu::SoftTlb& tlb = access.is_unprivileged() ? *state_.user_tlb : *state_.tlb;
    const uint64_t next = (va & kPageMask) + kPageSize;
    const auto find = [&](uint64_t at) -> uint8_t* {
        const mmu::TlbEntry& e = tlb.entries[mmu::tlb_index(at)];
        const uint64_t tag = access.writes() ? e.write_tag : e.read_tag;
        if (tag != (at & kPageMask)) return nullptr;
        return reinterpret_cast<uint8_t*>((e.addend + at) & mmu::mask_if_equal(tag, at & kPageMask));
    };
    uint8_t *first = find(va), *second = find(next);
    if (first == nullptr || second == nullptr) return false;
    return host::touch(
        [&] { access_host_split(state_, access, first, static_cast<unsigned>(next - va), second); });
}

// ---- Translation

/// Translates one address; on success also enters the page into the soft TLB.
bool MemoryPath::translate(uint64_t va, bool write, bool unprivileged, Target& out, uint8_t& fsc) {
    const bool privileged = cpu_.el != 0 && !unprivileged;
    const mmu::WalkResult walk =
        pager_.walk_to_cache(va, {.kind = write ? mmu::AccessKind::Write : mmu::AccessKind::Read,
                                  .privileged = privileged,
                                  .pan = cpu_.pan});
    mmu::SoftTlb* tlb = unprivileged ? state_.user_tlb : state_.tlb;
    if (!walk.ok()) {
        count_missing(tlb, va, write);
        fsc = walk.fsc();
        core_.context.trace.mmu(cpu_, write ? "write fault" : "read fault", va, cpu_.translation.asid, fsc);
        return false;
    }
    core_.context.trace.mmu(cpu_, write ? "write" : "read", va, cpu_.translation.asid, walk.pa);
    out.pa = walk.pa;
    // The flags first: a page that may be remembered stays where it is until this CPU looks at its requests,
    // but one that may not be may be in the middle of a move, which ends with both.
    if (cpu_.memory.contains(walk.pa, 1)) out.flags = cpu_.memory.page_flags(walk.pa);
    out.host = cpu_.memory.host(walk.pa, 1);
    out.device_memory = walk.memory == mmu::MemoryType::Device;
    if (out.host == nullptr) return true;
    if (out.flags != 0 && !enter_intercepted(walk, write, out.flags, fsc)) [[unlikely]]
        return false;
    ++stats_.tlb_fills;
    const bool large = large_page(walk, va), checked = tags_are_checked(walk, va, privileged);
    // Translated code finds tags by the address that it accesses.
    const bool in_place =
        tlbs_.tag_bias() != 0 && out.host == cpu_.memory.host_base() + (walk.pa - cpu_.memory.base());
    out.tagged = walk.tagged;
    if (walk.tagged) remember_tagged(tlb, va, walk, out, privileged);
    if (!write || !pager_.is_table(walk.pa)) count_missing(tlb, va, write);
    // In the order of addresses, so that neighbours become one mapping.
    const bool direct = core_.has_fastmem() && tlbs_.has_fastmem_on_demand(), around = direct && !large;
    const uint64_t here = va & kPageMask, before = here & ~(kAheadBytes - 1);
    if (around) add_range(tlb, before, here, privileged);
    tlbs_.fill(
        tlb,
        {.va = va,
         .pa = walk.pa,
         .host = out.host,
         .page_bits = walk.page_bits,
         .readable = walk.readable(privileged, cpu_.pan),
         .writable = walk.writable(privileged, cpu_.pan) && !pager_.is_table(walk.pa) &&
                     mmu::may_cache_writable(out.flags, write),
         .non_global = walk.non_global,
         // Of memory that is gone, no region may get at it without a look here, where an abort is precise.
         .may_cache = walk.may_cache() && mmu::may_cache(out.flags) && !core_.watches_page(va) &&
                      (!checked || in_place) && (!host::memory_was_lost() || is_there(out.host)),
         .intercepted = out.flags != 0,
         .large = large,
         .checked = checked});
    if (!core_.has_fastmem()) return true;
    if (direct) {
        if (around) add_range(tlb, here + kPageSize, before + kAheadBytes, privileged);
        tlbs_.complete_fastmem();
    } else if (!mmu::is_block(walk.page_bits) && !walk.contiguous) {
        fill_ahead(tlb, va, privileged, false);
    } else if (!large) {
        fill_around(tlb, va, privileged);
    }
    return true;
}

/// What the guest has used before at this address, of its first page; false: nothing that fastmem may have.
bool MemoryPath::known_mapping(uint64_t va, bool privileged, bool pan, mmu::SoftTlbSet::Mapping& mapping) {
    if (core_.watches_page(va)) return false;
    mmu::WalkResult walk;
    if (!pager_.walk_known(va, {.privileged = privileged, .pan = pan, .update = false}, walk)) return false;
    if (!walk.accessed || !cpu_.memory.contains(walk.pa, 1) || cpu_.memory.page_flags(walk.pa) != 0 ||
        tags_are_checked(walk, va, privileged))
        return false;
    mapping = {.va = va,
               .pa = walk.pa,
               .host = cpu_.memory.host(walk.pa, 1),
               .page_bits = walk.page_bits,
               .readable = walk.readable(privileged, pan),
               .writable = walk.writable(privileged, pan) && !pager_.is_table(walk.pa),
               .non_global = walk.non_global,
               .may_cache = walk.may_cache() && !host::memory_was_lost(),
               .large = large_page(walk, va)};
    return true;
}

/// After faults in two pages that follow each other, enters the next ones that the guest has used before.
/// Whatever lies around a single fault is not worth entering: of the pages of a boot one in forty would be
/// used.
void MemoryPath::fill_ahead(mmu::SoftTlb* tlb, uint64_t va, bool privileged, bool only_add) {
    const uint64_t here = va & kPageMask, first = here + kPageSize;
    if (std::exchange(last_fault_, here) + kPageSize != here) return;
    last_fault_ = here + kAheadBytes;
    for (uint64_t page = first; page != first + kAheadBytes; page += kPageSize) {
        mmu::SoftTlbSet::Mapping mapping;
        if (!known_mapping(page, privileged, cpu_.pan, mapping) || mmu::is_block(mapping.page_bits)) continue;
        if (only_add)
            tlbs_.add_to_fastmem(tlb, mapping);
        else
            tlbs_.fill_fastmem(tlb, mapping);
    }
}

/// The shadow lacks what this access needs: an exit of the policy, or a fault that is resolved inside. Not if the slow path
/// was taken for another reason.
void MemoryPath::count_missing(mmu::SoftTlb* tlb, uint64_t va, bool write) {
    if (core_.has_fastmem()) {
        if (!std::exchange(faulted_, false)) return;
    } else {
        const mmu::TlbEntry& e = tlb->entries[mmu::tlb_index(va)];
        if ((write ? e.write_tag : e.read_tag) == (va & kPageMask)) return;
    }
    if (core_.options.shadow.policy == mmu::ShadowPolicy::Asp && tlbs_.enter_table(tlb, va))
        ++stats_.last_level_faults;
    else
        core_.shadow_exit(mmu::ShadowExit::Translation);
}

// ---- Synchronisation

void MemoryPath::rewrite(const mmu::SoftTlbSet::Leaf& leaf) {
    // Of other address spaces the tables are not at hand: what they lose is found when they run.
    if (!tlbs_.is_of(leaf.tlb, core_.root())) return;
    mmu::SoftTlbSet::Mapping mapping;
    if (known_mapping(leaf.va, leaf.el != 0, leaf.pan, mapping)) tlbs_.rewrite(leaf, mapping);
}

void MemoryPath::rewrite_leaves() {
    for (const auto& leaf : tlbs_.take_dropped_leaves()) rewrite(leaf);
}

void MemoryPath::synchronise(mmu::SoftTlb* tlb) {
    for (const auto& leaf : tlbs_.take_unsynchronised_leaves(tlb)) rewrite(leaf);
}

void MemoryPath::synchronise_tables() {
    pager_.synchronise();
    rewrite_leaves();
}

/// The pages around one of a larger mapping of the guest's that the host's tables cannot have as one: 16 adjacent entries that
/// the guest calls contiguous, or a block that shares its 2 MiB with what must be told apart.
void MemoryPath::fill_around(mmu::SoftTlb* tlb, uint64_t va, bool privileged) {
    const uint64_t here = va & kPageMask, first = here & ~(kAheadBytes - 1);
    for (uint64_t page = first; page != first + kAheadBytes; page += kPageSize) {
        mmu::SoftTlbSet::Mapping mapping;
        if (page != here && known_mapping(page, privileged, cpu_.pan, mapping))
            tlbs_.fill_fastmem(tlb, mapping);
    }
}

/// The pages of a range that the guest has used before and that are not mapped.
void MemoryPath::add_range(mmu::SoftTlb* tlb, uint64_t from, uint64_t to, bool privileged) {
    for (uint64_t page = from; page != to; page += kPageSize) {
        mmu::SoftTlbSet::Mapping mapping;
        if (known_mapping(page, privileged, cpu_.pan, mapping)) tlbs_.add_to_fastmem(tlb, mapping);
    }
}

/// Whether the 2 MiB around the address can be entered at once.
bool MemoryPath::large_page(const mmu::WalkResult& walk, uint64_t va) const {
    const uint64_t block = walk.pa >> kLargeBits << kLargeBits, size = uint64_t{1} << kLargeBits;
    return core_.has_fastmem() && walk.page_bits >= kLargeBits && pager_.block_is_free(walk.pa) &&
           cpu_.memory.contains(block, size) && cpu_.memory.none_intercepted(block, size) &&
           !core_.watches_page(va, kLargeBits);
}

/// Enters the page that a region's access missed, so that it may be tried again. Only what the guest has used
/// before, and what moves nothing else: guest registers are not where anybody could find them, and regions
/// keep what SoftTlb::fastmem_offset has. The rest is for tier 1.
bool MemoryPath::refill_fastmem(const void* host_pc, uint64_t address) {
    // It was no use the last time, or the address is not this fault's.
    if (std::exchange(last_refill_, {host_pc, address}) == std::pair(host_pc, address)) {
        last_refill_ = {};
        return false;
    }
    for (mmu::SoftTlb* tlb : {state_.tlb, state_.user_tlb}) {
        const auto va = tlbs_.fastmem_address(tlb, address);
        if (!va) continue;
        const bool privileged = cpu_.el != 0 && tlb == state_.tlb;
        mmu::SoftTlbSet::Mapping mapping;
        if (!known_mapping(*va, privileged, cpu_.pan, mapping)) return false;
        count_missing(tlb, *va, false);
        if (!tlbs_.add_to_fastmem(tlb, mapping)) return false;
        ++stats_.fastmem_refills;
        if (!mmu::is_block(mapping.page_bits)) fill_ahead(tlb, *va, privileged, true);
        tlbs_.complete_fastmem();
        return true;
    }
    return false;
}

}  // namespace arclight::guestos
