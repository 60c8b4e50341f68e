// One virtual CPU: the architectural CPU, its soft TLBs, and the loop that runs translated code for it.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "backend/accelerator.h"
#include "devices/bus.h"
#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/environment.h"
#include "guestos/machine/cpu/cross_cpu_work.h"
#include "guestos/machine/cpu/guest_spin.h"
#include "guestos/machine/cpu/held_translations.h"
#include "jit/engine/engine.h"
#include "jit/memory_access.h"
#include "mmu/soft_tlb_set.h"
#include "mmu/table_pages.h"

namespace arclight::guestos {

class Machine;

/// Counted by the owning thread, read by anybody: slightly stale.
struct VcpuStats {
    uint64_t exits[16] = {};  ///< by jit::ExitReason
    uint64_t memory_slow = 0, tlb_fills = 0, tlb_recalls = 0, mmio = 0, data_aborts = 0,
             instruction_aborts = 0;
    uint64_t fastmem_faults = 0, fastmem_refills = 0, device_sites = 0, el_switches = 0;
    // Traditional shadow paging: stores to tables, those that undid translations, pages found to be tables
    // and no longer so, invalidations that had nothing to do.
    uint64_t table_writes = 0, table_synchronisations = 0, tables_protected = 0, tables_left = 0;
    uint64_t tlbi_ignored = 0;
    uint64_t interrupts = 0, lookups_direct = 0, lookups_indirect = 0, tlbi = 0, ic = 0, halts = 0;
    uint64_t tlbi_kinds[4] = {};  ///< by mmu::TlbiRequest::Kind
};

class Vcpu final : public frontend::a64::Environment, private CrossCpuWork::Performer {
  public:
    Vcpu(Machine& machine, unsigned index);
    ~Vcpu() override;
    Vcpu(const Vcpu&) = delete;
    Vcpu& operator=(const Vcpu&) = delete;

    /// The thread's function: waits to be powered on, runs, until the machine stops.
    void thread_main();

    // ---- From any thread
    void power_on(uint64_t entry, uint64_t x0);  ///< no effect unless powered_off()
    bool powered_off() const { return power_ == Power::Off; }
    void set_irq_line(bool irq, bool fiq);
    /// Makes the CPU look at its requests before it goes on.
    void kick();
    void signal_event();  ///< SEV
    void stop_waiting();  ///< wakes it, halted or powered off, to see that the machine stops
    bool halted() const { return halted_; }
    const std::atomic<bool>& waits() const { return halted_; }
    /// What other CPUs want of it, and it of them.
    CrossCpuWork& work() { return work_; }
    const HeldTranslations& held() const { return held_; }
    /// On its own thread, outside of translated code: while it exists the CPU counts as halted, and looks at
    /// what others want before it runs guest code again.
    class Halt {
      public:
        explicit Halt(Vcpu& vcpu) : vcpu_(vcpu) {
            vcpu_.work_.leave();
            vcpu_.halted_ = true;
        }
        ~Halt() {
            vcpu_.halted_ = false;
            vcpu_.work_.enter();
        }
        Halt(const Halt&) = delete;
        Halt& operator=(const Halt&) = delete;

      private:
        Vcpu& vcpu_;
    };
    /// On its own thread: after the code cache was emptied.
    void forget_code();

    /// Power off, on this CPU's own thread: takes effect after the current instruction.
    void request_power_off() { power_off_requested_ = true; }

    unsigned index() const { return index_; }
    const VcpuStats& stats() const { return stats_; }
    const mmu::ShadowStats& shadow_stats() const { return tlbs_.shadow_stats(); }
    const mmu::FastmemSet* fastmem() const { return tlbs_.fastmem(); }
    /// For backend::KvmAccelerator.
    static const void* fastmem_fault(const void* host_pc, uint64_t address);
    frontend::a64::Cpu& cpu() { return cpu_; }
    const frontend::a64::Cpu& cpu() const { return cpu_; }
    mmu::SoftTlbSet& tlbs() { return tlbs_; }

    // ---- frontend::a64::Environment
    void context_changed() override;
    void translation_changed() override;
    void tlbi(const mmu::TlbiRequest& request, bool broadcast) override;
    void ic_ivau(uint64_t va, uint64_t pa) override;
    void ic_iallu(bool broadcast) override;
    void interrupts_unmasked() override;
    uint64_t pending_interrupts() override { return (irq_line_ ? 1u << 7 : 0) | (fiq_line_ ? 1u << 6 : 0); }
    bool icc_read(uint32_t encoding, uint64_t& value) override;
    bool icc_write(uint32_t encoding, uint64_t value) override;
    uint64_t timer_read(uint32_t encoding) override;
    void timer_write(uint32_t encoding, uint64_t value) override;
    uint64_t counter() override;
    uint64_t counter_frequency() override;
    uint64_t hvc(uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3) override;
    uint32_t current_instruction() override;

  private:
    friend struct RuntimeHelpers;  // the functions behind RuntimeTable, runtime_helpers.cpp

    using Request = CrossCpuWork::Request;
    enum class Power : uint8_t { Off, On };

    void fill_runtime_table();
    void run();
    void handle_exit(jit::ExitReason reason);
    bool take_pending_interrupt();
    bool interrupt_deliverable() const;
    void wait_for_interrupt();
    void finish_step(uint64_t pc_before);

    // Requests of other CPUs
    void carry_out(std::span<const Request> requests) override;
    /// To all other CPUs, which wait_for_broadcasts() waits for.
    void broadcast(const Request& request);
    /// Returns once the other CPUs have carried out what this one has broadcast (DSB).
    void wait_for_broadcasts();
    void forget_translations();
    /// Guest code waits in a loop for another CPU (YIELD, WFE).
    void spin_once(bool wfe);

    // Code
    void clear_all_jumps();  ///< of all CPUs: blocks were forgotten
    const void* code_at(uint64_t pc);
    const void* linked_code_at(uint64_t pc, uint32_t site);
    bool steps_through(uint64_t pc) const;
    bool find_fetch(uint64_t pc, uint64_t& pa, uint8_t* fault_code = nullptr);

    // Shadow policies: vcpu_shadow.cpp
    mmu::Root root() const {
        const mmu::TranslationRegs& t = cpu_.translation;
        return {t.asid, t.half[0].table, t.half[1].table};
    }
    mmu::WalkResult walk(uint64_t va, const mmu::Access& access, mmu::WalkPath* path = nullptr);
    mmu::WalkResult walk_to_cache(uint64_t va, const mmu::Access& access);
    bool walk_known(uint64_t va, const mmu::Access& access, mmu::WalkResult& walk);
    uint64_t root_of(uint64_t va) const { return cpu_.translation.half[va >> 55 & 1].table; }
    void protect_tables(const mmu::WalkPath& path, uint64_t va);
    void drop_derived(const std::vector<mmu::Derived>& derived);
    bool is_table(uint64_t pa) const;
    /// `store()`, of `bytes` at pa and, across the end of its page, `more` at next_pa.
    template <typename Store>
    void store_to_ram(uint64_t pa, unsigned bytes, uint64_t next_pa, unsigned more, Store store) {
        if (!is_table(pa) && (more == 0 || !is_table(next_pa))) return store();
        finish_table_write(table_pages().write(pa, bytes, next_pa, more, store));
    }
    mmu::TablePages& table_pages();
    void finish_table_write(const mmu::TablePages::Write& write);

    // Memory: vcpu_memory.cpp
    struct Target {
        uint8_t* host = nullptr;  ///< null: a device at pa
        uint64_t pa = 0;
        uint8_t flags = 0;  ///< mmu::page_flag
    };
    void memory_slow(uint64_t descriptor, const void* host_pc);
    bool translate(uint64_t va, bool write, bool unprivileged, Target& out, uint8_t& fsc, bool& device);
    bool known_mapping(uint64_t va, bool privileged, mmu::SoftTlbSet::Mapping& mapping);
    void fill_ahead(mmu::SoftTlb* tlb, uint64_t va, bool privileged, bool only_add);
    bool refill_fastmem(const void* host_pc, uint64_t address);
    bool large_page(const mmu::WalkResult& walk, uint64_t va) const;
    bool read_faults(uint64_t va, uint8_t fsc);
    void access_ram(const jit::MemoryAccess& access, uint64_t va, uint8_t* host);
    bool access_device(const jit::MemoryAccess& access, uint64_t pa);
    bool access_across(const jit::MemoryAccess& access, uint64_t va);
    void access_split(const jit::MemoryAccess& access, uint8_t* first, unsigned first_bytes, uint8_t* second);
    void access_intercepted(const jit::MemoryAccess& access, uint64_t va, const void* host_pc, Target first,
                            unsigned first_bytes, Target second);
    bool settle_intercepted(std::optional<mmu::PageOverlay::Access>& guard, Target& target, uint64_t va,
                            unsigned bytes, uint8_t& fsc);
    bool enter_intercepted(const mmu::WalkResult& walk, bool write, uint8_t flags, uint8_t& fsc);
    bool fetch_intercepted(const mmu::WalkResult& walk, uint64_t pc, uint8_t* fault_code);
    uint64_t recover_pc(const void* host_pc);
    void raise_sp_alignment(const void* host_pc);
    bool raise_watchpoint(const jit::MemoryAccess& access, uint64_t va, const void* host_pc);
    void raise_data_abort(const void* host_pc, uint64_t va, uint8_t fsc, bool write);

    // Devices: vcpu_device.cpp
    void remember_device(const jit::MemoryAccess& access, uint64_t va, uint64_t pa);
    bool access_known_device(const jit::MemoryAccess& access, uint64_t va);

    uint64_t helper_pc() const { return state_.page_base + state_.insn_offset; }
    /// Leaves translated code after the current helper, to go on at `pc`.
    void leave(jit::ExitReason reason, uint64_t pc);
    void leave_redirected() { leave(jit::ExitReason::Redirect, state_.pc); }

    Machine& machine_;
    const unsigned index_;
    jit::GuestState& state_;
    frontend::a64::Cpu cpu_;
    mmu::SoftTlbSet tlbs_;
    VcpuStats stats_;

    struct FetchEntry {
        uint64_t va_page = 1;
        const mmu::SoftTlb* tlb = nullptr;
        uint32_t epoch = 0;
        uint64_t pa_page = 0;
    };
    static constexpr size_t kFetchEntries = 256;
    std::array<FetchEntry, kFetchEntries> fetch_{};

    struct DevicePage {
        uint64_t va = 1, pa = 0;
        const mmu::SoftTlb* tlb = nullptr;
        uint64_t changes = 0;
        uint32_t bus_epoch = 0;  ///< in which the mapping was found
        bool readable = false, writable = false;
        devices::Bus::Mapping* mapping = nullptr;  ///< what was accessed last
    };
    static constexpr unsigned kDevicePagesLog2 = 4;
    DevicePage& device_page(uint64_t va);
    std::array<DevicePage, 1 << kDevicePagesLog2> device_pages_{};
    std::array<uint64_t, 3> tables_{};
    void note_tables();
    uint64_t translation_changes_ =
        0;  ///< moments when an address may have got another meaning in its soft TLB

    std::atomic<uint64_t> passes_{0};  ///< odd while in translated code
    std::vector<uint32_t> region_epochs_;

    std::atomic<bool> irq_line_{false}, fiq_line_{false};

    CrossCpuWork work_;
    HeldTranslations held_;
    GuestSpin spin_;        ///< of guest code
    GuestSpin table_spin_;  ///< of protect_tables()
    unsigned last_el_ = 1;
    static thread_local Vcpu* running_;  ///< on this thread
    std::pair<const void*, uint64_t> last_refill_{};
    uint64_t last_fault_ = 0;   ///< page; where fill_ahead() stopped
    uint64_t table_waits_ = 0;  ///< requests were carried out in a walk, so often

    std::mutex wait_lock_;
    std::condition_variable wait_;
    std::atomic<bool> halted_{false};  ///< not in guest code and will look at requests before it is again
    std::atomic<Power> power_{Power::Off};
    bool power_off_requested_ = false;
    uint64_t entry_ = 0, entry_x0_ = 0;
};

}  // namespace arclight::guestos
