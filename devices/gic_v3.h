#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <mutex>
#include <vector>

#include "devices/bus.h"
#include "devices/gic_common.h"
#include "devices/gic_lpi.h"
#include "devices/irq.h"
#include "devices/state.h"
#include "mmu/guest_memory.h"

namespace arclight::devices {

/// GICv3 (ARM IHI 0069) as QEMU's virt board has it without EL3 and EL2: affinity routing always on, one
/// security state (GICD_CTLR.DS reads as one). CPUs have the affinities of
/// layout::affinity_of(). GICD_TYPER.RSS is zero: SGIs reach Aff0 0 to 15 of an Aff1.
class GicV3 final : public InterruptController, public Stateful {
  public:
    /// `lpi_memory`: where LPIs have their tables; null: there are no LPIs.
    GicV3(unsigned cpus, CpuInterruptSink& sink, const mmu::GuestMemory* lpi_memory = nullptr);

    void map(Bus& bus);
    unsigned cpu_count() const { return cpu_count_; }
    Device& distributor() { return distributor_; }
    Device& redistributors() { return redistributors_; }

    void set_spi(unsigned spi, bool level) override;
    void set_ppi(unsigned cpu, unsigned ppi, bool level) override;
    void reset() override;

    // ---- LPIs, for an ITS. What is not there is ignored: a CPU, an INTID, LPIs of a CPU that has not enabled them.
    /// At once: CPUs are told, else with the next lpis_changed().
    void set_lpi(unsigned cpu, uint32_t intid, bool pending, bool at_once);
    void move_lpi(unsigned from, unsigned to, uint32_t intid);
    void move_all_lpis(unsigned from, unsigned to);
    /// Configuration tables or what is pending may have changed.
    void lpis_changed();

    /// Drives the CPUs' interrupt inputs anew.
    void resume() override;
    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

    /// The CPU interface, ICC_*_EL1. The encoding is op0 << 14 | op1 << 11 | CRn << 7 | CRm << 3 | op2.
    /// False: no such register, or not readable or writable (the CPU takes UNDEFINED).
    bool read_sysreg(unsigned cpu, uint32_t encoding, uint64_t& value);
    bool write_sysreg(unsigned cpu, uint32_t encoding, uint64_t value);

  private:
    static constexpr std::array<uint8_t, 2> kMinimumBinaryPoint{2, 3};  // with five priority bits

    class Distributor final : public Device {
      public:
        explicit Distributor(GicV3& gic) : gic_(gic) {}
        uint64_t read(uint64_t offset, unsigned size) override;
        void write(uint64_t offset, uint64_t value, unsigned size) override;
        void reset() override { gic_.reset(); }
        void add_to_device_tree(FdtWriter& fdt) const override;

      private:
        GicV3& gic_;
    };
    class Redistributors final : public Device {
      public:
        explicit Redistributors(GicV3& gic) : gic_(gic) {}
        uint64_t read(uint64_t offset, unsigned size) override;
        void write(uint64_t offset, uint64_t value, unsigned size) override;

      private:
        GicV3& gic_;
    };

    struct Cpu {
        IrqBank bank;  // SGIs and PPIs
        uint32_t waker = 0;

        uint8_t priority_mask = 0;
        bool end_of_interrupt_mode =
            false;  // ICC_CTLR_EL1.EOImode: priority drop and deactivation are separate
        bool common_binary_point = false;  // ICC_CTLR_EL1.CBPR
        std::array<uint8_t, 2> binary_point{};
        std::array<bool, 2> group_enabled{};
        std::array<ActivePriorities, 2> active_priorities{};

        GicCandidate best;  // most urgent deliverable interrupt, whatever the mask and running priority say
        bool irq = false;   // as the sink was told
        bool fiq = false;

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.bank, self.waker, self.priority_mask, self.end_of_interrupt_mode,
                    self.common_binary_point, self.binary_point, self.group_enabled, self.active_priorities);
        }
    };
    struct State {
        std::array<bool, 2> group_enabled{};       // GICD_CTLR
        std::array<IrqBank, kGicBanks> spi_banks;  // [0] unused
        std::array<uint64_t, kGicIntids> router{};
        std::vector<Cpu> cpus;

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.group_enabled, self.spi_banks, self.router);
            archive.list(self.cpus, layout::kMaxCpus);
        }
    };

    enum class LpiRegister : uint8_t { Configuration, Table };
    static uint32_t lpi_register(const Lpis& lpis, LpiRegister reg, bool upper);
    static void write_lpi_register(Lpis& lpis, LpiRegister reg, bool upper, uint32_t value, uint32_t mask);
    void enable_lpis(Lpis& lpis, bool enable);
    void consider_lpis(unsigned cpu);
    void save_lpis(StateWriter& out) const;
    StateResult load_lpis(StateReader& in, std::vector<Lpis>& loaded) const;

    uint32_t distributor_read(uint64_t offset) const;
    void distributor_write(uint64_t offset, uint32_t value, uint32_t mask);
    uint32_t redistributor_read(unsigned cpu, uint64_t offset) const;
    void redistributor_write(unsigned cpu, uint64_t offset, uint32_t value, uint32_t mask);

    IrqBank& bank_of(unsigned cpu, unsigned intid);
    uint8_t running_priority(const Cpu& cpu) const;
    uint8_t group_priority_mask(const Cpu& cpu, bool group1) const;
    bool signalled(const Cpu& cpu) const;
    bool participates(const Cpu& cpu, bool group1) const;
    int target_of(unsigned intid, bool group1) const;
    void consider(Cpu& cpu, const IrqBank& bank, unsigned bit, unsigned intid) const;

    void update(unsigned cpu);
    void update_all();
    void select(unsigned cpu);
    void drive(unsigned cpu);

    uint32_t acknowledge(unsigned cpu, bool group1);
    void end_of_interrupt(unsigned cpu, bool group1, uint32_t intid);
    void deactivate(unsigned cpu, uint32_t intid);
    uint32_t highest_pending(const Cpu& cpu, bool group1) const;
    void send_sgi(unsigned cpu, uint64_t value, bool group1);

    CpuInterruptSink& sink_;
    const unsigned cpu_count_;
    Distributor distributor_{*this};
    Redistributors redistributors_{*this};

    mutable std::mutex lock_;
    State state_;
    const mmu::GuestMemory* const lpi_memory_;
    std::vector<Lpis> lpis_;  // a CPU each
    unsigned one_of_n_ = 0;   // how many SPIs have IROUTER.Interrupt_Routing_Mode set: follows from state_
};

}  // namespace arclight::devices
