// FEAT_MOPS: copies and sets of memory, as far as the soft TLB knows both pages at the host's speed. What it does not know is
// accessed a few bytes at a time on the slow path, which enters the page or raises what there is to raise. The registers say
// after each step how much is left, so that any exception or interrupt may come between two.
#include <algorithm>
#include <bit>
#include <cstring>

#include "frontend/a64/system/exceptions.h"
#include "guestos/machine/cpu/memory_path.h"
#include "guestos/machine/cpu/page_room.h"
#include "host/memory_fault.h"

namespace arclight::guestos {

namespace a64 = frontend::a64;
using a64::BlockKind;
using a64::BlockOperation;
using a64::BlockStage;
using jit::MemoryAccess;
using jit::MemoryKind;

namespace {
/// The most that the prologues leave of a size.
constexpr uint64_t kMaxSet = ~uint64_t{0} >> 1, kMaxCopied = 0x007f'ffff'ffff'ffff;

/// The prologue of CPY: a copy to higher addresses of what overlaps goes from the end. Tags do not count.
bool goes_forward(uint64_t from, uint64_t to, uint64_t size) {
    constexpr uint64_t kAddress = (uint64_t{1} << 56) - 1;
    return !((from & kAddress) < (to & kAddress) && ((from + size) & kAddress) > (to & kAddress));
}

/// How many of `left` bytes from `va` on, or in front of it, are in one page.
uint64_t in_page(uint64_t va, uint64_t left, bool forward) { return std::min(left, page_room(va, forward)); }

/// The largest power of two up to 16 that divides all three.
unsigned step_log2(uint64_t a, uint64_t b, uint64_t left) {
    constexpr uint64_t kMaxStep = 16;
    const uint64_t fits = std::min(kMaxStep, std::bit_floor(left));
    return static_cast<unsigned>(std::countr_zero(a | b | fits));
}
}  // namespace

/// Where the soft TLB has va for reading or writing, or null. So many bytes are in its page; with allocation tags that differ, null too.
uint8_t* MemoryPath::cached(uint64_t va, uint64_t bytes, bool write, bool unprivileged) const {
    bool checked = false;
    uint8_t* const host = cached_page(va, write, unprivileged, checked);
    if (!checked) return host;
    const mmu::SoftTlb& tlb = unprivileged ? *state_.user_tlb : *state_.tlb;
    const uint64_t pa = tlb.entries[mmu::tlb_index(va)].pa | (va & ~mmu::kPageMask);
    return tags_match(pa, bytes, a64::tag_of(va)) ? host : nullptr;
}

/// The same, whatever allocation tags there are; `checked`: they are to be compared.
uint8_t* MemoryPath::cached_page(uint64_t va, bool write, bool unprivileged, bool& checked) const {
    const mmu::SoftTlb& tlb = unprivileged ? *state_.user_tlb : *state_.tlb;
    const mmu::TlbEntry& e = tlb.entries[mmu::tlb_index(va)];
    const uint64_t tag = write ? e.write_tag : e.read_tag;
    if (tag == mmu::checked_tag(va)) {
        checked = true;
        return reinterpret_cast<uint8_t*>((e.addend + mmu::without_address_tag(va)) &
                                          mmu::mask_if_equal(tag, mmu::checked_tag(va)));
    }
    if (tag != (va & mmu::kPageMask)) return nullptr;
    return reinterpret_cast<uint8_t*>((e.addend + va) & mmu::mask_if_equal(tag, va & mmu::kPageMask));
}

/// 1 << log2 bytes from `from` (of a set: the value) to `to`. False: an exception was taken.
bool MemoryPath::block_step(const BlockOperation& op, uint64_t from, uint64_t to, unsigned log2,
                            uint64_t value) {
    const auto access = [&](MemoryKind kind, uint64_t va, bool unprivileged) {
        const MemoryAccess a{.kind = kind,
                             .aux = log2 | (unprivileged && cpu_.el != 0 ? jit::ir::kMemUnprivileged : 0)};
        state_.access_addr = va;
        const Outcome outcome = finish(a, nullptr);
        if (outcome.kind != Outcome::Kind::Done) raise(outcome, core_.helper_pc());
        return outcome.kind == Outcome::Kind::Done;
    };
    if (op.kind == BlockKind::Set)
        state_.access_value[0] = state_.access_value[1] = (value & 0xff) * 0x0101'0101'0101'0101;
    else if (!access(MemoryKind::LoadV, from, op.reads_unprivileged()))
        return false;
    return access(MemoryKind::StoreV, to, op.writes_unprivileged());
}

void MemoryPath::block_operation(const BlockOperation& op) {
    uint64_t* const x = state_.x;
    uint64_t &to = x[op.destination], &size = x[op.size];
    const bool set = op.kind == BlockKind::Set;
    const uint64_t value = set && op.source != 31 ? x[op.source] : 0;
    if (op.stage == BlockStage::Prologue) {
        size = std::min(size, op.kind == BlockKind::Copy ? kMaxCopied : kMaxSet);
        state_.flags = 0;
        if (op.kind == BlockKind::Copy && !goes_forward(x[op.source], to, size)) return;
        to += size;
        if (!set) x[op.source] += size;
        size = -size;
        return;
    }
    constexpr uint32_t kCarry = 1u << 29;
    if ((jit::nzcv_from_flags(state_.flags) & kCarry) != 0) {  // of option B
        a64::take_block_operation(cpu_, op, core_.helper_pc());
        return core_.exit_redirected();
    }
    const bool forward = op.kind != BlockKind::Copy || static_cast<int64_t>(size) < 0;
    const bool as_el0[2] = {op.reads_unprivileged() && cpu_.el != 0,
                            op.writes_unprivileged() && cpu_.el != 0};
    while (size != 0) {
        if (state_.interrupt.load(std::memory_order_relaxed) != 0)
            return core_.exit_translated_code(jit::ExitReason::Interrupt, core_.helper_pc());
        const uint64_t left = forward ? -size : size;
        // The next bytes begin there, or end there.
        const uint64_t at = to + size, from_at = set ? 0 : x[op.source] + size;
        uint64_t n = in_page(at, left, forward);
        if (!set) n = in_page(from_at, n, forward);
        const uint64_t start = forward ? at : at - n, from_start = forward ? from_at : from_at - n;
        uint8_t* const host = cached(start, n, true, as_el0[1]);
        const uint8_t* const from = set ? host : cached(from_start, n, false, as_el0[0]);
        bool done = false;
        if (host != nullptr && from != nullptr)
            done = host::touch([&] {
                if (set)
                    std::memset(host, static_cast<int>(value & 0xff), n);
                else
                    std::memmove(host, from, n);
            });
        if (!done) {
            const unsigned log2 = step_log2(at, from_at, left);
            n = uint64_t{1} << log2;
            if (!block_step(op, forward ? from_at : from_at - n, forward ? at : at - n, log2, value)) return;
        }
        size = forward ? size + n : size - n;
    }
}

}  // namespace arclight::guestos
