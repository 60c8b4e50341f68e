// A virtual CPU's accesses to pages that the page overlay intercepts.
#include <algorithm>

#include "guestos/machine/cpu/memory_path.h"
#include "guestos/machine/cpu/memory_semantics.h"
#include "guestos/machine/cpu/overlay_access.h"
#include "host/memory_fault.h"

namespace arclight::guestos {

using jit::MemoryAccess;
using mmu::kPageMask;
using mmu::kPageSize;
using mmu::PageOverlay;
using Kind = mmu::AccessEvent::Kind;
namespace page_flag = mmu::page_flag;

/// Before the page may be remembered in a soft TLB. False: refused.
bool MemoryPath::enter_intercepted(const mmu::WalkResult& walk, bool write, uint8_t flags, uint8_t& fsc) {
    fsc = overlay_fault(flags, write ? Kind::Write : Kind::Read, walk.level);
    if (fsc != 0) return false;
    if ((flags & page_flag::kTracked) != 0)
        core_.context.overlay.mark(walk.pa, PageOverlay::kAccessed | (write ? PageOverlay::kDirty : 0));
    return true;
}

/// Finds anew what lies behind the page and asks its watcher. The caller holds PageOverlay::Access from
/// before until the access is done. False: refused.
bool MemoryPath::recheck_intercepted(Kind kind, Target& target, uint64_t va, unsigned bytes,
                                     uint8_t& fsc) const {
    target.host = cpu_.memory.host(target.pa, 1);
    const uint8_t flags = cpu_.memory.page_flags(target.pa);
    fsc = overlay_fault(flags, kind, 3);
    if (fsc == 0 && (flags & page_flag::kWatched) != 0 &&
        !core_.context.overlay.watch({kind, core_.options.index, target.pa, va, state_.page_base, bytes}))
        fsc = mmu::kFscSynchronousExternal;
    return fsc == 0;
}

MemoryPath::Outcome MemoryPath::access_intercepted(const MemoryAccess& access, uint64_t va, Target first,
                                                   unsigned first_bytes, Target second) {
    const bool write = access.writes(), split = first_bytes < access.bytes();
    const unsigned second_bytes = access.bytes() - first_bytes;
    const Kind kind = write ? Kind::Write : Kind::Read;
    const uint64_t next = (va & kPageMask) + kPageSize;
    if (split && second.host == nullptr) return data_abort(next, mmu::kFscSynchronousExternal, write);
    uint64_t where = state_.access_addr;
    uint8_t fsc = 0;
    bool done = false;
    const auto act = [&] {
        const PageOverlay::Access guard(core_.context.overlay);
        if (!recheck_intercepted(kind, first, va, first_bytes, fsc)) return;
        if (split) {
            where = next;
            if (!recheck_intercepted(kind, second, next, second_bytes, fsc)) return;
        }
        done = host::touch([&] {
            if (split)
                access_host_split(state_, access, first.host, first_bytes, second.host);
            else
                access_host(state_, access, va, first.host);
        });
        if (split && !done && !is_there(first.host)) where = va;
    };
    // What follows a store to a table waits for other CPUs, which must not be behind this lock.
    if (write)
        pager_.store_to_ram(first.pa, first_bytes, second.pa, second_bytes, act);
    else
        act();
    if (fsc != 0) return data_abort(where, fsc, write);
    // ESR_EL1.WnR: a read would fail as well (D19.2.37).
    const bool rmw = access.kind == jit::MemoryKind::AtomicRmw || access.kind == jit::MemoryKind::Cas;
    return touched(done, where, write && !rmw);
}

}  // namespace arclight::guestos
