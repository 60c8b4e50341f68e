#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "devices/bus.h"
#include "devices/pci/config_space.h"
#include "devices/pci/msix.h"
#include "devices/state.h"

namespace arclight::devices::pci {

class HostBridge;
class RootPort;

/// What the header says of a function.
struct Identity {
    uint16_t vendor = 0, device = 0;
    uint8_t revision = 0;
    uint16_t class_code = 0;  ///< base class << 8 | sub-class
    uint16_t subsystem_vendor = 0, subsystem = 0;
    uint8_t header_type = 0;
    uint8_t interrupt_pin = 0;  ///< 1: INTA
};

enum class BarKind : uint8_t { None, Ports, Memory32, Memory64, Memory64Prefetchable };

/// A function of a PCI device: configuration space, base address registers (BARs) with windows on the bus, INTx and MSI-X.
/// What derives from it has the registers behind the BARs.
///
/// Lock order: the bridge's lock, under which configuration space is accessed, comes before the device's own; the device
/// never calls what takes it. set_interrupt(), msix() and bus_master() are for any thread.
class Function : public Stateful {
  public:
    explicit Function(const Identity& identity);

    // ---- For the bridge, with its lock held.
    virtual uint32_t config_read(unsigned offset, unsigned size);
    virtual void config_write(unsigned offset, uint32_t value, unsigned size);
    /// As by power-on: configuration space and the device. The device's lock is not held.
    void reset();
    /// BARs go where their registers and the bridges above say. Two passes over all functions, so that windows can change places.
    void unmap_moved(devices::Bus& bus);
    void map_moved(devices::Bus& bus);
    /// Called once.
    void plugged(HostBridge& bridge, const RootPort* parent, unsigned devfn);
    /// Function 0 of a device that has others.
    void set_multifunction();
    /// Bus mastering of the root port has been switched.
    void parent_changed() { control_changed(); }

    /// Device << 3 | function number.
    unsigned devfn() const { return devfn_; }
    /// Of the four at the host bridge, the line that the interrupt pin is wired to.
    unsigned interrupt_line() const { return interrupt_line_; }
    bool interrupt_asserted() const { return interrupt_ && !interrupt_disabled_; }
    bool bus_master() const;
    /// Null: it is not one.
    virtual RootPort* as_root_port() { return nullptr; }
    /// "pci-" and its place, once it is plugged in.
    const std::string& name() const { return name_; }

    /// A new or quiesced function. The windows follow in resume().
    void resume() override;
    void save(StateWriter& out) const final;
    StateResult load(StateReader& in) final;

  protected:
    ConfigSpace& config() { return config_; }
    const ConfigSpace& config() const { return config_; }
    uint16_t command() const { return static_cast<uint16_t>(config_.get(kRegCommand, 2)); }

    // ---- In the constructor.
    /// `size`: a power of two, 16 at least, of ports 8. Memory64 takes the next number too.
    void add_bar(unsigned number, BarKind kind, uint64_t size);
    /// BAR `number` becomes the table's; accesses to it do not reach bar_read() and bar_write().
    void add_msix(unsigned number, unsigned vectors);
    /// The table and the pending bits are in BARs of the device's own, which passes accesses to msix() on; its capability is there
    /// already.
    void use_msix(unsigned capability, unsigned vectors);
    /// A PCI Express capability (PCI Express Base Specification 3.0 section 7.8) of this port type.
    unsigned add_express_capability(uint8_t port_type);
    /// Configuration space is as it is after a reset.
    void finish_config() { config_.remember(); }

    virtual uint64_t bar_read(unsigned /*bar*/, uint64_t /*offset*/, unsigned /*size*/) {
        return ~uint64_t{0};
    }
    virtual void bar_write(unsigned /*bar*/, uint64_t /*offset*/, uint64_t /*value*/, unsigned /*size*/) {}
    /// Called once, as plugged(); the configuration may still be changed, and finish_config() called again.
    virtual void placed(bool /*behind_root_port*/) {}
    /// The device's part of a reset.
    virtual void reset_device_state() {}
    /// Bus mastering or MSI-X has been switched.
    virtual void control_changed() {}
    /// Within the function's section.
    virtual void save_device(StateWriter&) const {}
    virtual StateResult load_device(StateReader&) { return {}; }
    /// Configuration space has been loaded.
    virtual void config_loaded() {}

    /// A message-signalled interrupt, if the function may master the bus.
    void send_message(uint64_t address, uint32_t data);
    /// The level of the interrupt pin.
    void set_interrupt(bool level);
    /// Null: the function has none.
    Msix* msix() const { return msix_.get(); }
    HostBridge* bridge() const { return bridge_; }

  private:
    class Bar final : public Device {
      public:
        uint64_t read(uint64_t offset, unsigned size) override;
        void write(uint64_t offset, uint64_t value, unsigned size) override;

        Function* function = nullptr;
        unsigned number = 0;
        BarKind kind = BarKind::None;
        uint64_t size = 0;
        devices::Bus::Mapping* window = nullptr;
    };

    /// Where on the bus the window belongs, or Mapping::kNowhere.
    uint64_t wanted(const Bar& bar) const;
    Msix::Send sender();
    void read_command();
    void take_up_control();

    ConfigSpace config_;
    std::array<Bar, 6> bars_;
    std::unique_ptr<Msix> msix_;
    unsigned msix_bar_ = ~0u;
    unsigned msix_capability_ = 0;
    HostBridge* bridge_ = nullptr;
    const RootPort* parent_ = nullptr;
    unsigned devfn_ = 0;
    unsigned interrupt_line_ = 0;
    std::string name_ = "pci";
    std::atomic<bool> interrupt_{false};
    std::atomic<bool> interrupt_disabled_{false};
    std::atomic<bool> bus_master_{false};
};

}  // namespace arclight::devices::pci
