// What LightV's control needs of a machine; guestos/machine implements it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "devices/bus.h"
#include "devices/guest_clock.h"
#include "devices/irq.h"
#include "devices/pl011.h"
#include "mmu/guest_memory.h"
#include "mmu/page_overlay.h"
#include "mmu/walk.h"

namespace arclight::devices::virtio {
class SharedDisk;
}

namespace arclight::guestos {

/// Any thread but a virtual CPU's.
class MachineAccess {
  public:
    virtual ~MachineAccess() = default;

    virtual const mmu::GuestMemory& memory() const = 0;
    virtual mmu::PageOverlay& page_overlay() = 0;
    /// Returns when no CPU has anything of these pages in a soft TLB or fastmem any more, nor, with `content`,
    /// in translated code.
    virtual void forget_pages(std::span<const uint64_t> pages, bool content) = 0;

    /// `unsaved` is asked before the machine's state is saved, on the thread that saves it. It says in one line why that would
    /// leave something out, or nothing. Null: nobody to ask.
    virtual void ask_before_saves(std::function<std::optional<std::string>()> unsaved) = 0;

    virtual devices::GuestClock& clock() = 0;
    virtual devices::Bus& bus() = 0;
    virtual devices::Pl011& uart() = 0;
    /// The UART's interrupt, for another device in its place.
    virtual devices::IrqLine uart_line() = 0;

    // ---- CPUs, by index
    virtual unsigned cpus() const = 0;
    virtual bool cpu_powered_off(unsigned cpu) const = 0;
    /// What the CPU translates with at some moment of the call.
    virtual mmu::TranslationRegs cpu_translation(unsigned cpu) const = 0;
    /// VBAR_EL1
    virtual uint64_t cpu_vectors(unsigned cpu) const = 0;

    struct Process {
        std::optional<mmu::TranslationRegs> translation;  ///< none: it did not run
        bool kernel_tells = false;                        ///< CONTEXTIDR_EL1 was not always 0
    };
    /// Waits for a thread with this number (not 0) in CONTEXTIDR_EL1 to run at EL0. One caller at a time.
    virtual Process wait_for_process(uint32_t id, std::chrono::milliseconds limit) = 0;

    /// As lightv::Machine's.
    virtual void forget_code(std::span<const uint64_t> pages, bool content, bool fetches) = 0;

    /// Disks whose images can be chosen, in the order of the devices.
    virtual std::span<devices::virtio::SharedDisk* const> shared_disks() const = 0;
};

}  // namespace arclight::guestos
