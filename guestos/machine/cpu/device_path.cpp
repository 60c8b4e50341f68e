#include "guestos/machine/cpu/device_path.h"

#include <algorithm>
#include <cstring>

#include "guestos/machine/cpu/memory_semantics.h"

namespace arclight::guestos {

using jit::MemoryAccess;
using jit::MemoryKind;

bool DevicePath::access(const MemoryAccess& access, uint64_t pa) {
    ++core_.stats.mmio;
    devices::Bus& bus = core_.context.bus;
    uint8_t bytes[64] = {};
    const unsigned n = access.bytes();
    // A device sees one access a unit; vector registers arrive as doublewords.
    const unsigned step = std::min(access.unit_bytes(), 8u);
    if (access.reads()) {
        for (unsigned i = 0; i < n; i += step) {
            uint64_t v = 0;
            if (!bus.read(pa + i, step, v)) return false;
            std::memcpy(bytes + i, &v, step);
        }
        scatter(access, bytes, state_.access_value);
        return true;
    }
    gather(access, state_.access_value, bytes);
    for (unsigned i = 0; i < n; i += step) {
        uint64_t v = 0;
        std::memcpy(&v, bytes + i, step);
        if (!bus.write(pa + i, step, v)) return false;
    }
    return true;
}

void DevicePath::remember(const MemoryAccess& access, uint64_t va, uint64_t pa) {
    if ((access.kind != MemoryKind::Load && access.kind != MemoryKind::Store) || access.is_unprivileged() ||
        core_.watches_page(va))
        return;
    Page& page = page_of(va);
    const uint64_t start = va & mmu::kPageMask;
    if (page.va != start || page.tlb != state_.tlb || page.changes != translation_changes_)
        page = {.va = start, .pa = pa & mmu::kPageMask, .tlb = state_.tlb, .changes = translation_changes_};
    (access.writes() ? page.writable : page.readable) = true;
    page.bus_epoch = core_.context.bus.epoch();
    page.mapping = core_.context.bus.lookup(pa, access.bytes());
}

bool DevicePath::access_remembered(const MemoryAccess& access, uint64_t va) {
    const bool write = access.kind == MemoryKind::Store;
    if (!write && access.kind != MemoryKind::Load) return false;
    const Page& page = page_of(va);
    const unsigned bytes = access.unit_bytes();
    if (page.va != (va & mmu::kPageMask) || page.tlb != state_.tlb || page.changes != translation_changes_ ||
        !(write ? page.writable : page.readable) || (va & (bytes - 1)) != 0 || access.is_unprivileged() ||
        access.misaligns_stack(va))
        return false;
    const uint64_t pa = page.pa | (va & ~mmu::kPageMask);
    if (page.mapping == nullptr || page.bus_epoch != core_.context.bus.epoch() ||
        !page.mapping->contains(pa, bytes) || !page.mapping->answers())
        return false;
    // With fastmem an instruction that is not known to access devices is to become one that is.
    if (core_.has_fastmem() && (access.aux & jit::ir::kMemDevice) == 0) return false;
    ++core_.stats.mmio;
    uint64_t& value = state_.access_value[0];
    if (write) {
        page.mapping->write(pa, bytes, bytes == 8 ? value : value & ((uint64_t{1} << bytes * 8) - 1));
        return true;
    }
    value = page.mapping->read(pa, bytes);
    const unsigned unused = 64 - bytes * 8;
    value = (access.aux & jit::ir::kMemSigned) != 0
                ? static_cast<uint64_t>(static_cast<int64_t>(value << unused) >> unused)
                : value << unused >> unused;
    return true;
}

}  // namespace arclight::guestos
