#pragma once

#include <cstdint>
#include <memory>

#include "devices/bus.h"
#include "devices/irq.h"
#include "devices/state.h"
#include "devices/virtio/transport_core.h"

namespace arclight::devices::virtio {

/// virtio over MMIO, version 2 (virtio 1.2 section 4.2). A slot without a backend reads as device id 0.
class Mmio final : public Device, public Stateful, public TransportCore {
  public:
    Mmio(unsigned slot, const mmu::GuestMemory& memory, IrqLine line,
         std::unique_ptr<Backend> backend = nullptr);
    ~Mmio() override;

    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, uint64_t value, unsigned size) override;
    void reset() override;
    void add_to_device_tree(FdtWriter& fdt) const override;

    void quiesce() override { quiesce_core(); }
    void resume() override;
    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

  private:
    struct Registers {
        uint32_t interrupt_status = 0;
        uint32_t device_features_select = 0;
        uint32_t driver_features_select = 0;
        uint32_t queue_select = 0;

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.interrupt_status, self.device_features_select, self.driver_features_select,
                    self.queue_select);
        }
    };

    void interrupt(Cause cause, unsigned queue) override;
    void reset_registers() override;
    uint32_t read_register(uint64_t offset) const;
    void write_register(uint64_t offset, uint32_t value, Lock& held);
    void update() { line_.set(registers_.interrupt_status != 0); }

    const unsigned slot_;
    IrqLine line_;
    Registers registers_;  // under lock()
};

}  // namespace arclight::devices::virtio
