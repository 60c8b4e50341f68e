// A virtual CPU's accesses to pages that the page overlay targets.
#include <algorithm>

#include "guestos/machine/board/machine.h"
#include "guestos/machine/cpu/vcpu.h"

namespace arclight::guestos {

using jit::MemoryAccess;
using mmu::kPageMask;
using mmu::kPageSize;
using mmu::PageOverlay;
using Kind = mmu::AccessEvent::Kind;
namespace page_flag = mmu::page_flag;

namespace {
/// The fault status of an access that is refused; else 0.
uint8_t refuses(uint8_t flags, Kind kind, unsigned level) {
    uint8_t refused = page_flag::kNoRead;
    if (kind == Kind::Write) refused |= page_flag::kNoWrite;
    if (kind == Kind::Fetch) refused |= page_flag::kNoExecute;
    if ((flags & refused) == 0) return 0;
    return (flags & page_flag::kPermission) != 0 ? fault_status_code(mmu::FaultKind::Permission, level)
                                                 : mmu::kFscSynchronousExternal;
}
}  // namespace

/// Before the page may be remembered in a soft TLB. False: refused.
bool Vcpu::enter_intercepted(const mmu::WalkResult& walk, bool write, uint8_t flags, uint8_t& fsc) {
    fsc = refuses(flags, write ? Kind::Write : Kind::Read, walk.level);
    if (fsc != 0) return false;
    if ((flags & page_flag::kTracked) != 0)
        cpu_.memory.overlay().mark(walk.pa, PageOverlay::kAccessed | (write ? PageOverlay::kDirty : 0));
    return true;
}

/// What lies behind the pages is settled anew, with a lock against changes until the access is done.
void Vcpu::access_intercepted(const MemoryAccess& access, uint64_t va, const void* host_pc, Target first,
                              unsigned first_bytes, Target second) {
    const bool write = access.writes(), split = first_bytes < access.bytes();
    const Kind kind = write ? Kind::Write : Kind::Read;
    const uint64_t next = (va & kPageMask) + kPageSize;
    if (split && second.host == nullptr)
        return raise_data_abort(host_pc, next, mmu::kFscSynchronousExternal, write);
    uint64_t where = va;
    uint8_t fsc = 0;
    const auto act = [&] {
        const PageOverlay& stage = machine_.page_overlay();
        const PageOverlay::Access guard(stage);
        const auto settle = [&](Target& target, uint64_t address, unsigned bytes) {
            target.host = cpu_.memory.host(target.pa, 1);
            const uint8_t flags = cpu_.memory.page_flags(target.pa);
            where = address;
            fsc = refuses(flags, kind, 3);
            if (fsc == 0 && (flags & page_flag::kWatched) != 0 &&
                !stage.watch({kind, index_, target.pa, address, state_.page_base, bytes}))
                fsc = mmu::kFscSynchronousExternal;
            return fsc == 0;
        };
        if (settle(first, va, first_bytes) &&
            (!split || settle(second, next, access.bytes() - first_bytes))) {
            if (split)
                access_split(access, first.host, first_bytes, second.host);
            else
                access_ram(access, va, first.host);
        }
    };
    // What follows a store to a table waits for other CPUs, which must not be behind this lock.
    if (write)
        store_to_ram(first.pa, first_bytes, second.pa, access.bytes() - first_bytes, act);
    else
        act();
    if (fsc != 0) raise_data_abort(host_pc, where, fsc, write);
}

/// For an access that reads and writes: `guard` is to be held until it is done. False: refused.
bool Vcpu::settle_intercepted(std::optional<PageOverlay::Access>& guard, Target& target, uint64_t va,
                              unsigned bytes, uint8_t& fsc) {
    const PageOverlay& stage = machine_.page_overlay();
    guard.emplace(stage);
    target.host = cpu_.memory.host(target.pa, 1);
    const uint8_t flags = cpu_.memory.page_flags(target.pa);
    fsc = refuses(flags, Kind::Write, 3);
    if (fsc == 0 && (flags & page_flag::kWatched) != 0 &&
        !stage.watch({Kind::Write, index_, target.pa, va, state_.page_base, bytes}))
        fsc = mmu::kFscSynchronousExternal;
    if (fsc != 0) guard.reset();
    return fsc == 0;
}

/// False: refused.
bool Vcpu::fetch_intercepted(const mmu::WalkResult& walk, uint64_t pc, uint8_t* fault_code) {
    const uint8_t flags = cpu_.memory.page_flags(walk.pa);
    uint8_t refused = refuses(flags, Kind::Fetch, walk.level);
    if (refused == 0 && (flags & page_flag::kWatched) != 0) {
        const PageOverlay::Access guard(machine_.page_overlay());
        if (!machine_.page_overlay().watch({Kind::Fetch, index_, walk.pa, pc, pc & kPageMask, 4}))
            refused = mmu::kFscSynchronousExternal;
    }
    if (refused == 0 && (flags & page_flag::kTracked) != 0)
        cpu_.memory.overlay().mark(walk.pa, PageOverlay::kAccessed);
    if (refused != 0 && fault_code != nullptr) *fault_code = refused;
    return refused == 0;
}

}  // namespace arclight::guestos
