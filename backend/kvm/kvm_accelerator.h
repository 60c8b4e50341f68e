// Translated code inside a KVM virtual machine, on page tables of this project's own with EPT or NPT beneath.
#pragma once

#include <memory>
#include <vector>

#include "backend/accelerator.h"
#include "backend/kvm/address_reservation.h"
#include "backend/kvm/processor_thread.h"

namespace arclight::backend {

/// Moves each virtual CPU's thread into a KVM virtual machine (README.md beside this file).
class KvmAccelerator final : public Accelerator {
  public:
    struct Options {
        unsigned cpus = 1;
        bool native_ring0 = false;  ///< as kvm::Probe found it
        bool fastmem = false;
        kvm::FastmemFaultFn fastmem_fault = nullptr;
        /// For the page tables of fastmem, per CPU; less where there are more than eight.
        size_t table_bytes = size_t{64} << 20;
    };

    static Result<std::unique_ptr<KvmAccelerator>> create(const jit::CodeBuffer& code,
                                                          const Options& options);
    ~KvmAccelerator() override;

    Result<void> run_thread(unsigned cpu, const std::function<void()>& body) override;
    mmu::HostTables* host_tables(unsigned cpu) override;
    const char* name() const override { return "kvm"; }
    bool in_virtual_machine() const override { return true; }
    bool on_interrupted(void (*what)(uint64_t pc)) override {
        for (auto& thread : threads_) thread->on_interrupted(what);
        return true;
    }
    void leave_once(unsigned cpu) override { threads_[cpu]->leave_once(); }
    AcceleratorCounts counts() const override;
    AcceleratorCounts hypervisor_counts() const override;

  private:
    class Tables;
    KvmAccelerator(kvm::VirtualMachine vm, const jit::CodeBuffer& code, const Options& options);

    const Options options_;
    kvm::VirtualMachine vm_;
    std::shared_ptr<const kvm::AddressReservation> reservation_;  ///< for fastmem
    kvm::Arena arena_;
    kvm::ProcessMap process_;
    std::vector<std::unique_ptr<kvm::ProcessorThread>> threads_;
    std::vector<std::unique_ptr<Tables>> tables_;
};

}  // namespace arclight::backend
