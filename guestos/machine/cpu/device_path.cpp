// Accesses to devices by a translation that an earlier one found: no walk, no search of the bus.
#include "frontend/a64/system/hardware_debug.h"
#include "frontend/a64/translate/translator.h"
#include "guestos/machine/board/machine.h"
#include "guestos/machine/cpu/vcpu.h"

namespace arclight::guestos {

using jit::MemoryAccess;
using jit::MemoryKind;

Vcpu::DevicePage& Vcpu::device_page(uint64_t va) {
    return device_pages_[(va >> mmu::kPageBits) * 0x9e37'79b9'7f4a'7c15 >> (64 - kDevicePagesLog2)];
}

/// The walk for this access found a device. What happens on other paths for the other kinds of accesses
/// happens there still.
void Vcpu::remember_device(const MemoryAccess& access, uint64_t va, uint64_t pa) {
    if ((access.kind != MemoryKind::Load && access.kind != MemoryKind::Store) || access.is_unprivileged() ||
        frontend::a64::watches_page(cpu_, va))
        return;
    DevicePage& page = device_page(va);
    const uint64_t start = va & mmu::kPageMask;
    if (page.va != start || page.tlb != state_.tlb || page.changes != translation_changes_)
        page = {.va = start, .pa = pa & mmu::kPageMask, .tlb = state_.tlb, .changes = translation_changes_};
    (access.writes() ? page.writable : page.readable) = true;
    page.bus_epoch = machine_.bus().epoch();
    page.mapping = machine_.bus().lookup(pa, access.bytes());
}

/// Carries out a plain access if an earlier one of its kind was to the same page and nothing has changed
/// since.
bool Vcpu::access_known_device(const MemoryAccess& access, uint64_t va) {
    const bool write = access.kind == MemoryKind::Store;
    if (!write && access.kind != MemoryKind::Load) return false;
    const DevicePage& page = device_page(va);
    const unsigned bytes = access.unit_bytes();
    if (page.va != (va & mmu::kPageMask) || page.tlb != state_.tlb || page.changes != translation_changes_ ||
        !(write ? page.writable : page.readable) || (va & (bytes - 1)) != 0 || access.is_unprivileged() ||
        access.misaligns_stack(va))
        return false;
    const uint64_t pa = page.pa | (va & ~mmu::kPageMask);
    if (page.mapping == nullptr || page.bus_epoch != machine_.bus().epoch() ||
        !page.mapping->contains(pa, bytes) || !page.mapping->answers())
        return false;
    // With fastmem an instruction that is not known to access devices is to become one that is.
    if ((state_.translation_flags & frontend::a64::translation_flag::kFastmem) != 0 &&
        (access.aux & jit::ir::kMemDevice) == 0)
        return false;
    ++stats_.mmio;
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
