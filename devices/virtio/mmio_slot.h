#pragma once

#include <cstdint>
#include <memory>

#include "devices/bus.h"
#include "devices/irq.h"
#include "devices/state.h"
#include "devices/virtio/transport_core.h"

namespace arclight::devices::virtio {

/// A virtio-mmio slot: the registers that both versions have at the same offsets (virtio 1.2 sections 4.2.2 and 4.2.4), the
/// configuration space, the interrupt. A slot without a backend reads as device id 0.
class MmioSlot : public Device, public Stateful, public TransportCore {
  public:
    uint64_t read(uint64_t offset, unsigned size) final;
    void write(uint64_t offset, uint64_t value, unsigned size) final;
    void reset() override;
    void add_to_device_tree(FdtWriter& fdt) const final;

    void quiesce() final { quiesce_core(); }
    void resume() final;
    void save(StateWriter& out) const final;
    StateResult load(StateReader& in) final;

  protected:
    MmioSlot(Generation generation, unsigned slot, const mmu::GuestMemory& memory, IrqLine line,
             std::unique_ptr<Backend> backend);

    // ---- What a version has of its own, with the lock held and a backend. Offsets below the configuration space.
    virtual uint32_t read_own(uint64_t offset) const = 0;
    virtual void write_own(uint64_t offset, uint32_t value) = 0;
    virtual void reset_own() = 0;
    /// Inside the slot's section. load_own() keeps what it reads until commit_own(), with the lock held.
    virtual void save_own(StateWriter&) const {}
    virtual void load_own(StateReader&) {}
    virtual void commit_own() {}

    /// What QueueSel selects; null: there is no such queue.
    Queue* selected_queue() { return queue(registers_.queue_select); }
    const Queue* selected_queue() const { return queue(registers_.queue_select); }
    uint32_t queue_select() const { return registers_.queue_select; }

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

    void interrupt(Cause cause, unsigned queue) final;
    void reset_registers() final;
    uint32_t read_register(uint64_t offset) const;
    void write_register(uint64_t offset, uint32_t value, Lock& held);
    void update() { line_.set(registers_.interrupt_status != 0); }
    const char* section() const;

    const unsigned slot_;
    IrqLine line_;
    Registers registers_;  // under lock()
};

}  // namespace arclight::devices::virtio
