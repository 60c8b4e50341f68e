// The memory slow path: everything the inline TLB compare did not settle.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <utility>

#include "frontend/a64/system/exceptions.h"
#include "frontend/a64/system/hardware_debug.h"
#include "frontend/a64/translate/translator.h"
#include "guestos/machine/board/machine.h"
#include "guestos/machine/cpu/vcpu.h"

namespace arclight::guestos {

using jit::MemoryAccess;
using jit::MemoryKind;
using jit::ir::AtomicKind;
using mmu::kPageMask;
using mmu::kPageSize;

namespace {
constexpr unsigned kLargeBits = 21;
constexpr uint64_t kAheadBytes = 16 * kPageSize;
constexpr uint8_t kFscUnsupportedExclusive = 0b110101;

template <typename T>
T apply(AtomicKind kind, T old, T operand) {
    using S = std::make_signed_t<T>;
    switch (kind) {
        case AtomicKind::Add: return static_cast<T>(old + operand);
        case AtomicKind::Clear: return static_cast<T>(old & ~operand);
        case AtomicKind::Xor: return static_cast<T>(old ^ operand);
        case AtomicKind::Set: return static_cast<T>(old | operand);
        case AtomicKind::MaxS: return static_cast<S>(old) > static_cast<S>(operand) ? old : operand;
        case AtomicKind::MinS: return static_cast<S>(old) < static_cast<S>(operand) ? old : operand;
        case AtomicKind::MaxU: return old > operand ? old : operand;
        case AtomicKind::MinU: return old < operand ? old : operand;
        case AtomicKind::Swap: return operand;
    }
    return old;
}

/// `host` is aligned to T: the alignment check came first.
template <typename T>
uint64_t atomic_rmw(uint8_t* host, AtomicKind kind, uint64_t operand) {
    std::atomic_ref<T> cell(*reinterpret_cast<T*>(host));
    T old = cell.load();
    while (!cell.compare_exchange_weak(old, apply<T>(kind, old, static_cast<T>(operand)))) {
    }
    return old;
}

template <typename T>
uint64_t compare_and_swap(uint8_t* host, uint64_t expected, uint64_t desired) {
    std::atomic_ref<T> cell(*reinterpret_cast<T*>(host));
    T old = static_cast<T>(expected);
    cell.compare_exchange_strong(old, static_cast<T>(desired));
    return old;
}

template <typename F>
uint64_t by_size(unsigned size_log2, F&& f) {
    switch (size_log2) {
        case 0: return f(uint8_t{});
        case 1: return f(uint16_t{});
        case 2: return f(uint32_t{});
        default: return f(uint64_t{});
    }
}

uint64_t extend(uint64_t value, const MemoryAccess& access) {
    const unsigned bits = access.unit_bytes() * 8;
    if (bits == 64 || (access.aux & jit::ir::kMemSigned) == 0) return value;
    return static_cast<uint64_t>(static_cast<int64_t>(value << (64 - bits)) >> (64 - bits));
}

/// Single-copy atomic where the address is aligned (ARM ARM B2.2.1). Not memcpy with a size that only the run
/// knows: it may write a byte twice, and the second time undo what another CPU has stored since.
template <typename T>
void copy_in(uint8_t* bytes, uint8_t* host) {
    T v;
    if ((reinterpret_cast<uintptr_t>(host) & (sizeof(T) - 1)) == 0)
        v = std::atomic_ref(*reinterpret_cast<T*>(host)).load(std::memory_order_relaxed);
    else
        std::memcpy(&v, host, sizeof v);
    std::memcpy(bytes, &v, sizeof v);
}
template <typename T>
void copy_out(uint8_t* host, const uint8_t* bytes) {
    T v;
    std::memcpy(&v, bytes, sizeof v);
    if ((reinterpret_cast<uintptr_t>(host) & (sizeof(T) - 1)) == 0)
        std::atomic_ref(*reinterpret_cast<T*>(host)).store(v, std::memory_order_relaxed);
    else
        std::memcpy(host, &v, sizeof v);
}

/// Vector registers go by doublewords, which is all the atomicity they have.
template <typename F>
void each_unit(const MemoryAccess& access, F&& f) {
    const unsigned step = std::min(access.unit_bytes(), 8u);
    for (unsigned i = 0; i < access.bytes(); i += step)
        by_size(static_cast<unsigned>(std::countr_zero(step)), [&](auto t) {
            f(i, t);
            return 0;
        });
}

/// Between a run of bytes in memory order and access_value[], by the layout in jit/memory_access.h.
void scatter(const MemoryAccess& access, const uint8_t* bytes, uint64_t* values) {
    const unsigned unit = access.unit_bytes(), units = access.is_pair() ? 2 : 1;
    for (unsigned i = 0; i < units; ++i) {
        if (access.is_vector()) {
            uint64_t v[2] = {};
            std::memcpy(v, bytes + i * unit, unit);
            values[2 * i] = v[0], values[2 * i + 1] = v[1];
        } else {
            uint64_t v = 0;
            std::memcpy(&v, bytes + i * unit, unit);
            values[i] = extend(v, access);
        }
    }
}

void gather(const MemoryAccess& access, const uint64_t* values, uint8_t* bytes) {
    const unsigned unit = access.unit_bytes(), units = access.is_pair() ? 2 : 1;
    for (unsigned i = 0; i < units; ++i)
        std::memcpy(bytes + i * unit, values + (access.is_vector() ? 2 * i : i), unit);
}
}  // namespace

bool compare_and_swap_16(uint8_t* host, uint64_t expected[2], const uint64_t desired[2]) {
    bool done;
    // The operand is 16-byte aligned (checked by the caller), which CMPXCHG16B needs.
    asm volatile("lock cmpxchg16b %1"
                 : "=@ccz"(done), "+m"(*reinterpret_cast<unsigned __int128*>(host)), "+a"(expected[0]),
                   "+d"(expected[1])
                 : "b"(desired[0]), "c"(desired[1])
                 : "memory");
    return done;
}

/// Translates one address; on success also enters the page into the soft TLB.
bool Vcpu::translate(uint64_t va, bool write, bool unprivileged, Target& out, uint8_t& fsc, bool& device) {
    const bool privileged = cpu_.el != 0 && !unprivileged;
    const mmu::WalkResult walk =
        walk_to_cache(va, {.kind = write ? mmu::AccessKind::Write : mmu::AccessKind::Read,
                           .privileged = privileged,
                           .pan = cpu_.pan});
    if (!walk.ok()) {
        fsc = walk.fsc();
        machine_.trace_mmu(*this, write ? "write fault" : "read fault", va, cpu_.translation.asid, fsc);
        return false;
    }
    machine_.trace_mmu(*this, write ? "write" : "read", va, cpu_.translation.asid, walk.pa);
    out.pa = walk.pa;
    // The flags first: a page that may be remembered stays where it is until this CPU looks at its requests,
    // but one that may not be may be in the middle of a move, which ends with both.
    if (cpu_.memory.contains(walk.pa, 1)) out.flags = cpu_.memory.page_flags(walk.pa);
    out.host = cpu_.memory.host(walk.pa, 1);
    device = walk.memory == mmu::MemoryType::Device;
    if (out.host != nullptr) {
        if (out.flags != 0 && !enter_intercepted(walk, write, out.flags, fsc)) [[unlikely]]
            return false;
        ++stats_.tlb_fills;
        mmu::SoftTlb* tlb = unprivileged ? state_.user_tlb : state_.tlb;
        tlbs_.fill(tlb, {.va = va,
                         .pa = walk.pa,
                         .host = out.host,
                         .page_bits = walk.page_bits,
                         .readable = walk.readable(privileged, cpu_.pan),
                         .writable = walk.writable(privileged, cpu_.pan) && !is_table(walk.pa) &&
                                     mmu::may_cache_writable(out.flags, write),
                         .non_global = walk.non_global,
                         .may_cache = walk.may_cache() && mmu::may_cache(out.flags) &&
                                      !frontend::a64::watches_page(cpu_, va),
                         .large = large_page(walk, va)});
        if (tlbs_.fastmem() != nullptr && walk.page_bits == mmu::kPageBits)
            fill_ahead(tlb, va, privileged, false);
    }
    return true;
}

/// What the guest has used before at this address, of its first page; false: nothing that fastmem may have.
bool Vcpu::known_mapping(uint64_t va, bool privileged, mmu::SoftTlbSet::Mapping& mapping) {
    if (frontend::a64::watches_page(cpu_, va)) return false;
    mmu::WalkResult walk;
    if (!walk_known(va, {.privileged = privileged, .pan = cpu_.pan, .update = false}, walk)) return false;
    if (!walk.accessed || !cpu_.memory.contains(walk.pa, 1) || cpu_.memory.page_flags(walk.pa) != 0)
        return false;
    mapping = {.va = va,
               .pa = walk.pa,
               .host = cpu_.memory.host(walk.pa, 1),
               .page_bits = walk.page_bits,
               .readable = walk.readable(privileged, cpu_.pan),
               .writable = walk.writable(privileged, cpu_.pan) && !is_table(walk.pa),
               .non_global = walk.non_global,
               .may_cache = walk.may_cache(),
               .large = large_page(walk, va)};
    return true;
}

/// After faults in two pages that follow each other, enters the next ones that the guest has used before.
/// Whatever lies around a single fault is not worth entering: of the pages of a boot one in forty would be
/// used.
void Vcpu::fill_ahead(mmu::SoftTlb* tlb, uint64_t va, bool privileged, bool only_add) {
    const uint64_t here = va & kPageMask, first = here + kPageSize;
    if (std::exchange(last_fault_, here) + kPageSize != here) return;
    last_fault_ = here + kAheadBytes;
    for (uint64_t page = first; page != first + kAheadBytes; page += kPageSize) {
        mmu::SoftTlbSet::Mapping mapping;
        if (!known_mapping(page, privileged, mapping) || mapping.page_bits != mmu::kPageBits) continue;
        if (only_add)
            tlbs_.add_to_fastmem(tlb, mapping);
        else
            tlbs_.fill_fastmem(tlb, mapping);
    }
}

/// Whether the 2 MiB around the address can be entered at once.
bool Vcpu::large_page(const mmu::WalkResult& walk, uint64_t va) const {
    const mmu::TablePages* tables = machine_.table_pages();
    return tlbs_.fastmem() != nullptr && walk.page_bits >= kLargeBits &&
           (tables == nullptr || tables->block_is_free(walk.pa)) &&
           cpu_.memory.contains(walk.pa >> kLargeBits << kLargeBits, uint64_t{1} << kLargeBits) &&
           cpu_.memory.none_intercepted(walk.pa >> kLargeBits << kLargeBits, uint64_t{1} << kLargeBits) &&
           !frontend::a64::watches_page(cpu_, va, kLargeBits);
}

/// Runs inside the virtual machine or, where that cannot be, beside it.
const void* Vcpu::fastmem_fault(const void* host_pc, uint64_t address) {
    Vcpu& self = *running_;
    ++self.stats_.fastmem_faults;
    self.machine_.trace_fastmem_fault(self, host_pc);
    jit::Engine& engine = self.machine_.engine();
    const void* next = engine.fastmem_fault(host_pc);
    return next != nullptr && engine.in_region(host_pc) && self.refill_fastmem(host_pc, address) ? host_pc
                                                                                                 : next;
}

/// Enters the page that a region's access missed, so that it may be tried again. Only what the guest has used
/// before, and what moves nothing else: guest registers are not where anybody could find them, and regions
/// keep what SoftTlb::fastmem_offset has. The rest is for tier 1.
bool Vcpu::refill_fastmem(const void* host_pc, uint64_t address) {
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
        if (!known_mapping(*va, privileged, mapping) || !tlbs_.add_to_fastmem(tlb, mapping)) return false;
        ++stats_.fastmem_refills;
        if (mapping.page_bits == mmu::kPageBits) fill_ahead(tlb, *va, privileged, true);
        return true;
    }
    return false;
}

/// Would a read at the current EL have the same fault?
bool Vcpu::read_faults(uint64_t va, uint8_t fsc) {
    return walk(va, {.privileged = cpu_.el != 0, .pan = cpu_.pan, .update = false}).fsc() == fsc;
}

/// Brings the guest registers up to date; the address of the instruction whose slow path returns to host_pc.
uint64_t Vcpu::recover_pc(const void* host_pc) {
    const std::optional<uint32_t> offset = machine_.engine().recover(host_pc, state_);
    return state_.page_base + offset.value_or(state_.insn_offset);
}

void Vcpu::raise_data_abort(const void* host_pc, uint64_t va, uint8_t fsc, bool write) {
    ++stats_.data_aborts;
    frontend::a64::take_data_abort(cpu_, va, fsc, write, recover_pc(host_pc));
    leave_redirected();
}

void Vcpu::raise_sp_alignment(const void* host_pc) {
    frontend::a64::take_sp_alignment(cpu_, recover_pc(host_pc));
    leave_redirected();
}

/// After all faults but external ones (D1.3.5.5). True: taken.
bool Vcpu::raise_watchpoint(const MemoryAccess& access, uint64_t va, const void* host_pc) {
    const auto hit = frontend::a64::watchpoint_hit(
        cpu_, {va, access.bytes(), access.reads(), access.writes(), access.is_unprivileged()});
    if (!hit) return false;
    frontend::a64::take_watchpoint(cpu_, hit->far, hit->write, recover_pc(host_pc));
    leave_redirected();
    return true;
}

void Vcpu::access_ram(const MemoryAccess& access, uint64_t va, uint8_t* host) {
    uint64_t* values = state_.access_value;
    const unsigned size = jit::ir::mem_size_log2(access.aux);
    switch (access.kind) {
        case MemoryKind::LoadEx:
        case MemoryKind::LoadExPair:
            std::atomic_thread_fence(std::memory_order_seq_cst);
            state_.exclusive_addr = va;
            state_.exclusive_value[0] = state_.exclusive_value[1] = 0;
            if (access.bytes() == 16) {
                // A torn pair would make the store fail, never succeed wrongly; but the pair is single-copy
                // atomic.
                uint64_t pair[2] = {};
                const uint64_t same[2] = {};
                compare_and_swap_16(host, pair, same);
                std::memcpy(state_.exclusive_value, pair, 16);
            } else {
                const uint64_t v = by_size(std::countr_zero(access.bytes()), [&](auto t) -> uint64_t {
                    return std::atomic_ref(*reinterpret_cast<decltype(t)*>(host)).load();
                });
                state_.exclusive_value[0] = v;
            }
            scatter(access, reinterpret_cast<const uint8_t*>(state_.exclusive_value), values);
            return;
        case MemoryKind::StoreEx:
        case MemoryKind::StoreExPair: {
            uint64_t desired[2] = {};
            gather(access, values, reinterpret_cast<uint8_t*>(desired));
            bool stored = false;
            if (state_.exclusive_addr == va) {
                uint64_t expected[2] = {state_.exclusive_value[0], state_.exclusive_value[1]};
                if (access.bytes() == 16)
                    stored = compare_and_swap_16(host, expected, desired);
                else
                    stored = by_size(std::countr_zero(access.bytes()), [&](auto t) -> uint64_t {
                                 using T = decltype(t);
                                 return compare_and_swap<T>(host, expected[0], desired[0]) ==
                                        static_cast<T>(expected[0]);
                             }) != 0;
            }
            state_.exclusive_addr = jit::kNoExclusive;
            values[0] = stored ? 0 : 1;
            return;
        }
        case MemoryKind::AtomicRmw:
            values[0] = by_size(
                size, [&](auto t) { return atomic_rmw<decltype(t)>(host, access.atomic, values[0]); });
            return;
        case MemoryKind::Cas:
            values[0] = by_size(
                size, [&](auto t) { return compare_and_swap<decltype(t)>(host, values[0], values[1]); });
            return;
        case MemoryKind::ZeroBlock: std::memset(host, 0, 64); return;
        default: break;
    }
    uint8_t bytes[32];
    if (access.reads()) {
        each_unit(access, [&](unsigned i, auto t) { copy_in<decltype(t)>(bytes + i, host + i); });
        scatter(access, bytes, values);
    } else {
        gather(access, values, bytes);
        each_unit(access, [&](unsigned i, auto t) { copy_out<decltype(t)>(host + i, bytes + i); });
        if (access.aux & jit::ir::kMemRelease) std::atomic_thread_fence(std::memory_order_seq_cst);
    }
}

/// A plain access whose bytes lie in two pages.
void Vcpu::access_split(const MemoryAccess& access, uint8_t* first, unsigned first_bytes, uint8_t* second) {
    uint8_t bytes[32];
    const unsigned n = access.bytes();
    if (access.reads()) {
        std::memcpy(bytes, first, first_bytes);
        std::memcpy(bytes + first_bytes, second, n - first_bytes);
        scatter(access, bytes, state_.access_value);
    } else {
        gather(access, state_.access_value, bytes);
        std::memcpy(first, bytes, first_bytes);
        std::memcpy(second, bytes + first_bytes, n - first_bytes);
    }
}

/// False: nothing answers at pa.
bool Vcpu::access_device(const MemoryAccess& access, uint64_t pa) {
    ++stats_.mmio;
    uint8_t bytes[64] = {};
    const unsigned n = access.bytes();
    // A device sees one access a unit; vector registers arrive as doublewords.
    const unsigned step = std::min(access.unit_bytes(), 8u);
    if (access.reads()) {
        for (unsigned i = 0; i < n; i += step) {
            uint64_t v = 0;
            if (!machine_.bus().read(pa + i, step, v)) return false;
            std::memcpy(bytes + i, &v, step);
        }
        scatter(access, bytes, state_.access_value);
        return true;
    }
    gather(access, state_.access_value, bytes);
    for (unsigned i = 0; i < n; i += step) {
        uint64_t v = 0;
        std::memcpy(&v, bytes + i, step);
        if (!machine_.bus().write(pa + i, step, v)) return false;
    }
    return true;
}

/// An access across two pages that the soft TLB has both, such as those of a stack frame that a page's end
/// cuts: a loop may do nothing else. What must be looked at each time is not there.
bool Vcpu::access_across(const MemoryAccess& access, uint64_t va) {
    const mmu::SoftTlb& tlb = access.is_unprivileged() ? *state_.user_tlb : *state_.tlb;
    const uint64_t next = (va & kPageMask) + kPageSize;
    const auto find = [&](uint64_t at) -> uint8_t* {
        const mmu::TlbEntry& e = tlb.entries[mmu::tlb_index(at)];
        const uint64_t tag = access.writes() ? e.write_tag : e.read_tag;
        return tag == (at & kPageMask) ? reinterpret_cast<uint8_t*>(e.addend + at) : nullptr;
    };
    uint8_t *first = find(va), *second = find(next);
    if (first == nullptr || second == nullptr) return false;
    access_split(access, first, static_cast<unsigned>(next - va), second);
    return true;
}

void Vcpu::memory_slow(uint64_t descriptor, const void* host_pc) {
    ++stats_.memory_slow;
    const MemoryAccess access = MemoryAccess::unpack(descriptor);
    if (access_known_device(access, state_.access_addr)) return;
    const bool write = access.writes();
    const bool unprivileged = access.is_unprivileged();
    // DC ZVA names its block by any address in it, and a fault reports that one (FAR_EL1, D19.2.40).
    const uint64_t given = state_.access_addr;
    const uint64_t va = access.kind == MemoryKind::ZeroBlock ? given & ~uint64_t{63} : given;
    const unsigned bytes = access.bytes();

    if (access.misaligns_stack(given)) return raise_sp_alignment(host_pc);
    const unsigned alignment = access.must_be_aligned() ? bytes
                               : state_.translation_flags & frontend::a64::translation_flag::kAlignCheck
                                   ? access.unit_bytes()
                                   : 1;
    // ESR_EL1.WnR: an atomic's fault counts as a read's if a read would have had it (D19.2.37, and
    // TranslateAddressForAtomicAccess for alignment).
    const bool rmw = access.kind == MemoryKind::AtomicRmw || access.kind == MemoryKind::Cas;
    if ((va & (alignment - 1)) != 0) return raise_data_abort(host_pc, va, mmu::kFscAlignment, write && !rmw);

    const bool exclusive_or_atomic = access.kind >= MemoryKind::LoadEx && access.kind <= MemoryKind::Cas;
    const uint64_t next = (va & kPageMask) + kPageSize, room = next - va;
    if (bytes > room && !exclusive_or_atomic && access_across(access, va)) return;
    if (bytes <= room) {
        mmu::SoftTlb* tlb = unprivileged ? state_.user_tlb : state_.tlb;
        if (uint8_t* host = tlbs_.victim_hit(tlb, va, write)) {
            ++stats_.tlb_recalls;
            return access_ram(access, va, host);
        }
    }
    Target target;
    uint8_t fsc = 0;
    bool device = false;
    if (!translate(va, write, unprivileged, target, fsc, device))
        return raise_data_abort(host_pc, given, fsc, write && !(rmw && read_faults(va, fsc)));
    // Device memory wants aligned accesses, and none of DC ZVA (ARM ARM B2.7.2).
    if (device && ((va & (access.unit_bytes() - 1)) != 0 || access.kind == MemoryKind::ZeroBlock))
        return raise_data_abort(host_pc, given, mmu::kFscAlignment, write);
    Target second;
    const uint64_t waits = table_waits_;
    if (bytes > room && !translate(next, write, unprivileged, second, fsc, device))
        return raise_data_abort(host_pc, next, fsc, write);
    // The second walk let other CPUs change what the first one found: from the beginning.
    if (table_waits_ != waits) return memory_slow(descriptor, host_pc);
    if (raise_watchpoint(access, va, host_pc)) return;
    if (target.host == nullptr) {
        if (exclusive_or_atomic) return raise_data_abort(host_pc, va, kFscUnsupportedExclusive, write);
        if (access.kind == MemoryKind::ZeroBlock || !access_device(access, target.pa))
            return raise_data_abort(host_pc, given, mmu::kFscSynchronousExternal, write);
        remember_device(access, va, target.pa);
        // With fastmem every access would fault first.
        if ((state_.translation_flags & frontend::a64::translation_flag::kFastmem) != 0 &&
            (access.aux & jit::ir::kMemDevice) == 0 && machine_.engine().mark_device(host_pc)) {
            ++stats_.device_sites;
            clear_all_jumps();
        }
        return;
    }
    if ((target.flags | second.flags) != 0) [[unlikely]]
        return access_intercepted(access, va, host_pc, target,
                                  static_cast<unsigned>(std::min<uint64_t>(bytes, room)), second);
    if (bytes <= room) {
        if (!write) return access_ram(access, va, target.host);
        return store_to_ram(target.pa, bytes, 0, 0, [&] { access_ram(access, va, target.host); });
    }
    if (second.host == nullptr) return raise_data_abort(host_pc, next, mmu::kFscSynchronousExternal, write);
    const auto first_bytes = static_cast<unsigned>(room);
    if (!write) return access_split(access, target.host, first_bytes, second.host);
    store_to_ram(target.pa, first_bytes, second.pa, bytes - first_bytes,
                 [&] { access_split(access, target.host, first_bytes, second.host); });
}

}  // namespace arclight::guestos
