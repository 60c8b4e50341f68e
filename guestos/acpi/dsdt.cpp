#include <fmt/format.h>

#include "devices/pl061.h"
#include "guestos/acpi/tables.h"

namespace arclight::guestos::acpi {

namespace {

using namespace aml;
namespace layout = devices::layout;

constexpr uint32_t gsi(unsigned spi) { return layout::kFirstSpiIntid + spi; }
constexpr bool kLevel = false;

Bytes hardware(std::string_view id, uint64_t unique) {
    return join({name("_HID", string(id)), name("_UID", integer(unique))});
}

Bytes processors(unsigned cpus) {
    Bytes all;
    for (unsigned cpu = 0; cpu < cpus; ++cpu)
        append(all, device(fmt::format("C{:03X}", cpu), hardware("ACPI0007", cpu)));
    return all;
}

Bytes serial_port() {
    return device("COM0", join({hardware("ARMH0011", 0),
                                name("_CRS", resources({memory32(layout::kUart.base, layout::kUart.size),
                                                        interrupt(gsi(layout::kSpiUart), kLevel)}))}));
}

Bytes firmware_configuration() {
    constexpr uint64_t kPresentEnabledFunctioning = 0xb;
    return device("FWCF",
                  join({name("_HID", string("QEMU0002")), name("_STA", integer(kPresentEnabledFunctioning)),
                        name("_CCA", integer(1)),
                        name("_CRS", resources({memory32(layout::kFwCfg.base, layout::kFwCfg.size)}))}));
}

Bytes virtio_slots() {
    Bytes all;
    for (unsigned slot = 0; slot < layout::kVirtioSlots; ++slot)
        append(all,
               device(fmt::format("VR{:02X}", slot),
                      join({hardware("LNRO0005", slot), name("_CCA", integer(1)),
                            name("_CRS",
                                 resources({memory32(layout::virtio_slot_base(slot), layout::kVirtioSlotSize),
                                            interrupt(gsi(layout::kSpiVirtio + slot), kLevel)}))})));
    return all;
}

/// The power key is a line of the GPIO: its edge runs _EVT's method, which tells the power button.
Bytes power_button() {
    constexpr uint64_t kPressed = 0x80;
    const Bytes gpio =
        device("GPO0", join({hardware("ARMH0061", 0),
                             name("_CRS", resources({memory32(layout::kGpio.base, layout::kGpio.size),
                                                     interrupt(gsi(layout::kSpiGpio), kLevel)})),
                             name("_AEI", resources({gpio_interrupt(devices::Pl061::kPowerKey, "GPO0")})),
                             method(fmt::format("_E{:02X}", devices::Pl061::kPowerKey), 0, false,
                                    notify("PWRB", kPressed))}));
    return join({gpio, device("PWRB", hardware("PNP0C0C", 0))});
}

/// PCI Firmware Specification 3.0 section 4.5.1: the operating system may have all that it asks for but LTR.
Bytes capabilities() {
    constexpr uint64_t kUnknownRevision = 8, kUnknownUuid = 4, kMasked = 16, kGranted = 0x1f;
    const Bytes cdw1 = name("CDW1"), cdw2 = name("CDW2"), cdw3 = name("CDW3"), ctrl = name("CTRL");
    const Bytes known = join({
        create_dword_field(argument(3), 4, "CDW2"),
        create_dword_field(argument(3), 8, "CDW3"),
        store(cdw2, name("SUPP")),
        store(cdw3, ctrl),
        bit_and(ctrl, integer(kGranted), ctrl),
        if_then(logical_not(equal(argument(1), integer(1))), bit_or(cdw1, integer(kUnknownRevision), cdw1)),
        if_then(logical_not(equal(cdw3, ctrl)), bit_or(cdw1, integer(kMasked), cdw1)),
        store(ctrl, cdw3),
        return_value(argument(3)),
    });
    return method(
        "_OSC", 4, false,
        join({create_dword_field(argument(3), 0, "CDW1"),
              if_then(equal(argument(0), uuid("33db4d5b-1ff7-401c-9657-7441c03dd766")), known),
              otherwise(join({bit_or(cdw1, integer(kUnknownUuid), cdw1), return_value(argument(3))}))}));
}

Bytes host_bridge(const PciWindows& pci) {
    constexpr unsigned kSlots = 32, kPins = 4;
    // Pins go around from slot to slot, as with PCI bridges; straight to the GIC, without link devices.
    std::vector<Bytes> routes;
    for (unsigned slot = 0; slot < kSlots; ++slot)
        for (unsigned pin = 0; pin < kPins; ++pin)
            routes.push_back(package({integer(uint64_t{slot} << 16 | 0xffff), integer(pin), integer(0),
                                      integer(gsi(pci.first_spi + (slot + pin) % kPins))}));
    const Bytes no_functions = buffer({0}), functions_0 = buffer({1});
    const Bytes labelling =
        method("_DSM", 4, false,
               join({if_then(equal(argument(0), uuid("e5c937d0-3553-4d7a-9117-ea4d19c3434d")),
                             if_then(equal(argument(2), integer(0)), return_value(functions_0))),
                     return_value(no_functions)}));
    const Bytes reserved =
        device("RES0", join({name("_HID", eisa_id("PNP0C02")),
                             name("_CRS", resources({memory_window64(pci.ecam.base, pci.ecam.size)}))}));
    return device(
        "PCI0",
        join({name("_HID", eisa_id("PNP0A08")), name("_CID", eisa_id("PNP0A03")), name("_SEG", integer(0)),
              name("_BBN", integer(0)), name("_UID", integer(0)), name("_CCA", integer(1)),
              name("_PRT", package(routes)), method("_CBA", 0, false, return_value(integer(pci.ecam.base))),
              name("_CRS",
                   resources({bus_numbers(0, 255), memory_window32(pci.memory32.base, pci.memory32.size),
                              port_window(0, pci.ports.size, pci.ports.base),
                              memory_window64(pci.memory64.base, pci.memory64.size)})),
              name("SUPP", integer(0)), name("CTRL", integer(0)), capabilities(), labelling, reserved}));
}

/// The default guest's /init finds its registers by the address, which is the device's _UID.
Bytes exit_status(const layout::Range& range) {
    return device("EXST", join({hardware("ARCL0001", range.base),
                                name("_CRS", resources({memory32(range.base, range.size)}))}));
}

}  // namespace

Bytes make_dsdt(const Board& board) {
    Bytes body = join({processors(board.cpus), serial_port(), firmware_configuration(), virtio_slots()});
    if (board.pci) append(body, host_bridge(*board.pci));
    append(body, power_button());
    if (board.exit_status) append(body, exit_status(*board.exit_status));
    return scope("\\_SB", body);
}

}  // namespace arclight::guestos::acpi
