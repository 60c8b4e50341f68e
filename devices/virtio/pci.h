#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "devices/pci/function.h"
#include "devices/virtio/transport_core.h"

namespace arclight::devices::virtio {

/// virtio over PCI (virtio 1.2 section 4.1), as QEMU's: the modern interface in BAR 4, MSI-X in BAR 1, and in a transitional
/// device the legacy interface in BAR 0, I/O ports. Which of the two a driver uses is decided by its first access after a
/// reset.
class Pci final : public pci::Function, public TransportCore {
  public:
    struct Options {
        bool legacy = true;  ///< transitional, where the device type has an identifier for that
        bool modern = true;
        bool express = false;  ///< behind a root port: a PCI Express endpoint
        unsigned vectors = 0;  ///< of MSI-X; 0: one a queue and one for configuration changes
    };
    Pci(const mmu::GuestMemory& memory, std::unique_ptr<Backend> backend, const Options& options);
    ~Pci() override;

    uint32_t config_read(unsigned offset, unsigned size) override;
    void config_write(unsigned offset, uint32_t value, unsigned size) override;
    void quiesce() override { quiesce_core(); }
    void resume() override;

    /// Whether QEMU's device of this type can be transitional.
    static bool has_legacy_interface(uint32_t device_id);

  private:
    static constexpr uint16_t kNoVector = 0xffff;

    struct Registers {
        uint8_t interrupt_status = 0;
        uint32_t device_features_select = 0;
        uint32_t driver_features_select = 0;
        uint16_t queue_select = 0;
        uint16_t config_vector = kNoVector;

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.interrupt_status, self.device_features_select, self.driver_features_select,
                    self.queue_select, self.config_vector);
        }
    };

    // ---- Function
    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size) override;
    void bar_write(unsigned bar, uint64_t offset, uint64_t value, unsigned size) override;
    void reset_device_state() override;
    void control_changed() override;
    void save_device(StateWriter& out) const override;
    StateResult load_device(StateReader& in) override;

    // ---- TransportCore
    void interrupt(Cause cause, unsigned queue) override;
    void reset_registers() override;
    bool dma_allowed() const override { return legacy() || bus_master(); }

    // ---- Registers, with the lock held.
    uint64_t read_common(uint64_t offset, unsigned size);
    void write_common(uint64_t offset, uint64_t value, unsigned size, Lock& held);
    uint64_t read_legacy(uint64_t offset, unsigned size);
    void write_legacy(uint64_t offset, uint64_t value, unsigned size, Lock& held);
    uint8_t take_interrupt_status();
    void choose(Generation generation);
    uint64_t legacy_config() const;
    uint16_t checked_vector(uint64_t vector) const;
    Queue* selected_queue() { return queue(registers_.queue_select); }
    void update_interrupt() { set_interrupt(registers_.interrupt_status != 0 && !msix()->enabled()); }
    bool config_window(uint64_t& offset, unsigned& size) const;

    void add_capabilities();

    const Options options_;
    unsigned config_window_ = 0;  ///< the capability for accesses through configuration space
    Registers registers_;
    std::vector<uint16_t> queue_vectors_;
};

}  // namespace arclight::devices::virtio
