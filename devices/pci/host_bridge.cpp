#include "devices/pci/host_bridge.h"

#include <algorithm>
#include <span>

#include "devices/fdt_writer.h"
#include "devices/register_access.h"

namespace arclight::devices::pci {

namespace {

constexpr uint64_t kFunctionSize = ConfigSpace::kSize;  // of ECAM
constexpr unsigned kPins = 4;

// QEMU's gpex-root.
constexpr Identity kIdentity{.vendor = 0x1b36,
                             .device = 0x0008,
                             .class_code = 0x0600,
                             .subsystem_vendor = 0x1af4,
                             .subsystem = 0x1100};

class OwnFunction final : public Function {
  public:
    OwnFunction() : Function(kIdentity) { finish_config(); }
};

}  // namespace

HostBridge::HostBridge(devices::Bus& bus, const std::array<IrqLine, 4>& lines, MsiTarget* msi)
    : bus_(bus), msi_(msi), own_(std::make_unique<OwnFunction>()), lines_(lines) {
    plug(*own_, 0);
}

HostBridge::~HostBridge() = default;

void HostBridge::map() {
    bus_.map(layout::kPciEcam.base, layout::kPciEcam.size, *this, "pcie-ecam");
    // What nothing answers on the PCI bus reads as ones and is no error to the CPU, as with QEMU.
    for (const layout::Range& window : {layout::kPciMemory32, layout::kPciPorts, layout::kPciMemory64})
        bus_.add_open_range(window);
}

bool HostBridge::plug(Function& function, unsigned devfn) {
    if (devfn >= root_bus_.size() || root_bus_[devfn] != nullptr) return false;
    root_bus_[devfn] = &function;
    functions_.push_back(&function);
    function.plugged(*this, nullptr, devfn);
    // Whichever of the device's functions came first.
    Function* const first = root_bus_[devfn & ~7u];
    const auto others = std::span(root_bus_).subspan((devfn & ~7u) + 1, 7);
    if (first != nullptr &&
        std::ranges::any_of(others, [](const Function* other) { return other != nullptr; }))
        first->set_multifunction();
    return true;
}

bool HostBridge::plug(RootPort& port, unsigned devfn) {
    if (!plug(static_cast<Function&>(port), devfn)) return false;
    ports_.push_back(&port);
    return true;
}

bool HostBridge::plug_below(RootPort& port, Function& function) {
    if (port.child() != nullptr) return false;
    port.set_child(function);
    functions_.push_back(&function);
    function.plugged(*this, &port, 0);
    return true;
}

unsigned HostBridge::free_slot() const {
    unsigned slot = 0;
    while (slot < kSlots && root_bus_[slot * 8] != nullptr) slot++;
    return slot;
}

// ---- for functions

void HostBridge::remap() {
    for (Function* function : functions_) function->unmap_moved(bus_);
    for (Function* function : functions_) function->map_moved(bus_);
}

// The level is a function of what all functions say, so whoever comes last leaves it right.
void HostBridge::drive(unsigned line, bool refresh) {
    const std::lock_guard guard(interrupt_lock_);
    bool level = false;
    for (const Function* function : functions_)
        level |= function->interrupt_line() == line && function->interrupt_asserted();
    if (refresh)
        lines_[line].refresh(level);
    else
        lines_[line].set(level);
}

void HostBridge::update_interrupt(unsigned line) { drive(line, false); }

void HostBridge::message(uint32_t requester, uint64_t address, uint32_t data) {
    if (msi_ != nullptr) msi_->message(requester, address, data);
}

void HostBridge::resumed(Function& function) {
    {
        const std::lock_guard guard(lock_);
        remap();
    }
    drive(function.interrupt_line(), true);
}

// ---- ECAM

// Bus in 27:20, device in 19:15, function in 14:12.
Function* HostBridge::find(uint64_t offset) const {
    const auto number = static_cast<unsigned>(offset >> 20);
    const unsigned devfn = offset >> 12 & 0xff;
    if (number == 0) return root_bus_[devfn];
    for (const RootPort* port : ports_)
        if (port->has_bus(number)) return devfn == 0 && number == port->secondary() ? port->child() : nullptr;
    return nullptr;
}

uint64_t HostBridge::read(uint64_t offset, unsigned size) {
    const std::lock_guard guard(lock_);
    const unsigned step = offset % size != 0 ? 1 : std::min(size, 4u);
    uint64_t value = 0;
    for (unsigned done = 0; done < size && done < sizeof value; done += step) {
        const uint64_t at = offset + done;
        Function* const function = find(at);
        const uint64_t part =
            function != nullptr ? function->config_read(at % kFunctionSize, step) : access_mask(step);
        value |= part << (done * 8);
    }
    return value;
}

void HostBridge::write(uint64_t offset, uint64_t value, unsigned size) {
    const std::lock_guard guard(lock_);
    const unsigned step = offset % size != 0 ? 1 : std::min(size, 4u);
    for (unsigned done = 0; done < size; done += step) {
        const uint64_t at = offset + done;
        Function* const function = find(at);
        if (function != nullptr)
            function->config_write(at % kFunctionSize,
                                   static_cast<uint32_t>(value >> (done * 8) & access_mask(step)), step);
    }
}

void HostBridge::reset() {
    const std::lock_guard guard(lock_);
    for (Function* function : functions_) function->reset();
    remap();
}

void HostBridge::add_to_device_tree(FdtWriter& fdt) const {
    constexpr uint32_t kPorts = 0x0100'0000, kMemory32 = 0x0200'0000, kMemory64 = 0x0300'0000;
    constexpr uint32_t kSpi = 0, kLevelHigh = 4;
    const auto upper = [](uint64_t value) { return static_cast<uint32_t>(value >> 32); };
    const auto lower = [](uint64_t value) { return static_cast<uint32_t>(value); };
    fdt.begin_node("pcie@10000000");
    fdt.property_string("compatible", "pci-host-ecam-generic");
    fdt.property_string("device_type", "pci");
    fdt.property_u32("#address-cells", 3);
    fdt.property_u32("#size-cells", 2);
    fdt.property_u32("linux,pci-domain", 0);
    fdt.property_cells("bus-range", {0, static_cast<uint32_t>(layout::kPciEcam.size >> 20) - 1});
    fdt.property("dma-coherent");
    // Requester identifiers are the MSI controller's device identifiers.
    fdt.property_cells("msi-map", {0, layout::kPhandleMsi, 0, 0x1'0000});
    fdt.property_u64s("reg", {layout::kPciEcam.base, layout::kPciEcam.size});
    std::vector<uint32_t> ranges;
    const auto add_range = [&](uint32_t space, uint64_t pci, const layout::Range& range) {
        for (const uint32_t cell : {space, upper(pci), lower(pci), upper(range.base), lower(range.base),
                                    upper(range.size), lower(range.size)})
            ranges.push_back(cell);
    };
    add_range(kPorts, 0, layout::kPciPorts);
    add_range(kMemory32, layout::kPciMemory32.base, layout::kPciMemory32);
    add_range(kMemory64, layout::kPciMemory64.base, layout::kPciMemory64);
    fdt.property_cells("ranges", ranges);
    fdt.property_u32("#interrupt-cells", 1);
    // Four devices differ; the mask leaves the others to be like one of them.
    std::vector<uint32_t> map;
    for (uint32_t device = 0; device < kPins; device++) {
        for (uint32_t pin = 0; pin < kPins; pin++) {
            const uint32_t spi = layout::kSpiPci + (device + pin) % kPins;
            for (const uint32_t cell :
                 {device << 11, 0u, 0u, pin + 1, layout::kPhandleGic, 0u, 0u, kSpi, spi, kLevelHigh})
                map.push_back(cell);
        }
    }
    fdt.property_cells("interrupt-map", map);
    fdt.property_cells("interrupt-map-mask", {(kPins - 1) << 11, 0, 0, 7});
    fdt.end_node();
}

}  // namespace arclight::devices::pci
