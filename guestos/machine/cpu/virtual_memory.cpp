#include "guestos/machine/cpu/virtual_memory.h"

#include <algorithm>
#include <cstring>

#include "host/memory_fault.h"
#include "mmu/walk.h"

namespace arclight::guestos {

using mmu::kPageMask;

namespace {
/// False: the guest's memory is gone (host/memory_fault.h).
bool copy(uint8_t* to, const uint8_t* from, uint64_t bytes) {
    return host::touch([=] { std::memcpy(to, from, bytes); });
}
}  // namespace

template <typename Access>
bool VirtualMemory::for_each_page(uint64_t va, uint64_t bytes, mmu::AccessKind kind, Access&& access) {
    const frontend::a64::Cpu& cpu = core_.cpu;
    for (uint64_t done = 0; done < bytes;) {
        const uint64_t at = va + done;
        const uint64_t step = std::min(bytes - done, mmu::kPageSize - (at & kPageMask));
        // A TLBI of another CPU waits until the page is no longer used.
        const HeldTranslations::Walking walking(core_.held);
        const auto walk = mmu::walk(cpu.translation, core_.context.memory, at,
                                    {.kind = kind, .privileged = cpu.el != 0, .pan = cpu.pan});
        const bool writes = kind == mmu::AccessKind::Write;
        if (!walk.ok() || (writes && !core_.context.memory.contains(walk.pa, step)) ||
            !access(walk.pa, done, step))
            return false;
        done += step;
    }
    return true;
}

bool VirtualMemory::read(uint64_t va, std::span<uint8_t> to) {
    const mmu::GuestMemory& memory = core_.context.memory;
    const auto dma = memory.dma();
    bool there = true;
    return for_each_page(va, to.size(), mmu::AccessKind::Read,
                         [&](uint64_t pa, uint64_t offset, uint64_t bytes) {
                             // A program in flash has its strings there.
                             if (!memory.contains(pa, bytes)) {
                                 const uint8_t* const flash = memory.readable(pa, bytes);
                                 return flash != nullptr && copy(to.data() + offset, flash, bytes);
                             }
                             return memory.pieces(pa, bytes, false, [&](const uint8_t* host, uint64_t n) {
                                 there &= copy(to.data() + offset, host, n);
                                 offset += n;
                             }) && there;
                         });
}

bool VirtualMemory::write(uint64_t va, std::span<const uint8_t> from) {
    const mmu::GuestMemory& memory = core_.context.memory;
    const auto dma = memory.dma();
    bool there = true;
    const auto store = [&](uint64_t pa, uint64_t offset, uint64_t bytes) {
        return memory.pieces(pa, bytes, true, [&](uint8_t* host, uint64_t n) {
            there &= copy(host, from.data() + offset, n);
            offset += n;
        }) && there;
    };
    return for_each_page(va, from.size(), mmu::AccessKind::Write,
                         [&](uint64_t pa, uint64_t offset, uint64_t bytes) {
                             if (!pager_.is_table(pa)) return store(pa, offset, bytes);
                             // Stores to translation tables are told in units of a descriptor at most.
                             constexpr uint64_t kUnit = 8;
                             bool stored = true;
                             while (stored && bytes != 0) {
                                 const uint64_t n = std::min(bytes, kUnit - (pa & (kUnit - 1)));
                                 pager_.store_to_ram(pa, static_cast<unsigned>(n), 0, 0,
                                                     [&] { stored = store(pa, offset, n); });
                                 pa += n, offset += n, bytes -= n;
                             }
                             return stored;
                         });
}

bool VirtualMemory::writable(uint64_t va, uint64_t bytes) {
    const mmu::GuestMemory& memory = core_.context.memory;
    const auto dma = memory.dma();
    return for_each_page(va, bytes, mmu::AccessKind::Write, [&](uint64_t pa, uint64_t, uint64_t) {
        const uint8_t* host = memory.host(pa, 1);
        uint8_t byte;
        return host != nullptr && copy(&byte, host, 1);
    });
}

}  // namespace arclight::guestos
