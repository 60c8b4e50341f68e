#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <mutex>

#include "devices/bus.h"
#include "devices/gic_common.h"
#include "devices/irq.h"
#include "devices/state.h"

namespace arclight::devices {

/// GICv2 (ARM IHI 0048B) as QEMU's virt board has it: no security extensions, so both groups and every
/// priority bit are visible. The accessing CPU is devices::current_cpu().
class GicV2 final : public InterruptController, public Stateful {
  public:
    GicV2(unsigned cpus, CpuInterruptSink& sink);

    void map(Bus& bus);
    Device& distributor() { return distributor_; }
    Device& cpu_interface() { return cpu_interface_; }

    void set_spi(unsigned spi, bool level) override;
    void set_ppi(unsigned cpu, unsigned ppi, bool level) override;
    void reset() override;

    /// Drives the CPUs' interrupt inputs anew.
    void resume() override;
    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

  private:
    static constexpr std::array<uint8_t, 2> kMinimumBinaryPoint{0, 1};  // with eight priority bits

    class Distributor final : public Device {
      public:
        explicit Distributor(GicV2& gic) : gic_(gic) {}
        uint64_t read(uint64_t offset, unsigned size) override;
        void write(uint64_t offset, uint64_t value, unsigned size) override;
        void reset() override { gic_.reset(); }
        void add_to_device_tree(FdtWriter& fdt) const override;

      private:
        GicV2& gic_;
    };
    class CpuInterface final : public Device {
      public:
        explicit CpuInterface(GicV2& gic) : gic_(gic) {}
        uint64_t read(uint64_t offset, unsigned size) override;
        void write(uint64_t offset, uint64_t value, unsigned size) override;

      private:
        GicV2& gic_;
    };

    struct Cpu {
        IrqBank bank;                           // SGIs and PPIs; SGI pending bits mirror sgi_sources
        std::array<uint8_t, 16> sgi_sources{};  // which CPUs have each SGI pending here
        uint32_t control = 0;                   // GICC_CTLR
        uint8_t priority_mask = 0;
        std::array<uint8_t, 2> binary_point{};
        std::array<ActivePriorities, 2> active_priorities{};
        GicCandidate best;  // follows from the rest
        bool irq = false;   // as the sink was told
        bool fiq = false;

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.bank, self.sgi_sources, self.control, self.priority_mask, self.binary_point,
                    self.active_priorities);
        }
    };
    struct State {
        uint32_t control = 0;                      // GICD_CTLR
        std::array<IrqBank, kGicBanks> spi_banks;  // [0] unused
        std::array<uint8_t, kGicIntids> targets{};
        std::array<Cpu, layout::kMaxCpusGicV2> cpus;

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.control, self.spi_banks, self.targets, self.cpus);
        }
    };

    uint32_t distributor_read(unsigned cpu, uint64_t offset) const;
    void distributor_write(unsigned cpu, uint64_t offset, uint32_t value, uint32_t mask);
    uint32_t interface_read(unsigned cpu, uint64_t offset);
    void interface_write(unsigned cpu, uint64_t offset, uint32_t value, uint32_t mask);

    unsigned accessing_cpu() const;
    uint32_t all_cpus() const { return (1u << cpu_count_) - 1; }
    IrqBank& bank_at(unsigned cpu, unsigned index) {
        return index == 0 ? state_.cpus[cpu].bank : state_.spi_banks[index];
    }
    const IrqBank& bank_at(unsigned cpu, unsigned index) const {
        return index == 0 ? state_.cpus[cpu].bank : state_.spi_banks[index];
    }
    bool targets(unsigned cpu, unsigned intid) const;
    uint8_t running_priority(const Cpu& cpu) const;
    uint8_t group_priority_mask(const Cpu& cpu, bool group1) const;
    bool signalled(const Cpu& cpu) const;
    static bool unmasked(const Cpu& cpu) { return cpu.best.valid() && cpu.best.priority < cpu.priority_mask; }
    void update(unsigned cpu);
    void update_for(unsigned cpu, unsigned intid);
    void update_all();
    void drive(unsigned cpu);

    static void set_sgi_sources(Cpu& cpu, unsigned sgi, uint8_t sources);
    unsigned lowest_source(const Cpu& cpu, unsigned intid) const;
    void send_sgi(unsigned cpu, uint32_t value);
    // The alias registers (AIAR, AEOIR, AHPPIR) look at group 1 only.
    uint32_t highest_pending(unsigned cpu, bool alias) const;
    uint32_t acknowledge(unsigned cpu, bool alias);
    void end_of_interrupt(unsigned cpu, uint32_t value, bool alias);
    void deactivate(unsigned cpu, uint32_t value);

    CpuInterruptSink& sink_;
    const unsigned cpu_count_;
    Distributor distributor_{*this};
    CpuInterface cpu_interface_{*this};

    mutable std::mutex lock_;
    State state_;
};

}  // namespace arclight::devices
