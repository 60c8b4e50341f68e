// The KVM API (Linux Documentation/virt/kvm/api.rst) as objects that own their descriptors.
#pragma once

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "mmu/result.h"

namespace arclight::backend::kvm {

/// Owns a file descriptor; -1: none.
class FileDescriptor {
  public:
    FileDescriptor() = default;
    explicit FileDescriptor(int fd) : fd_(fd) {}
    FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    FileDescriptor& operator=(FileDescriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~FileDescriptor();
    int get() const { return fd_; }

  private:
    int fd_ = -1;
};

/// One virtual processor and the page it shares with the kernel.
class Processor {
  public:
    Processor(FileDescriptor fd, kvm_run* run, size_t run_bytes)
        : fd_(std::move(fd)), run_(run), run_bytes_(run_bytes) {}
    Processor(Processor&& other) noexcept;
    ~Processor();

    int fd() const { return fd_.get(); }
    kvm_run& run() { return *run_; }
    kvm_regs& regs() { return run_->s.regs.regs; }
    /// Written to it only: KVM tells general registers alone.
    kvm_sregs& sregs() { return run_->s.regs.sregs; }
    /// SYSCALL goes to `entry` in ring 0 with these selectors (STAR, SDM vol. 3, 5.8.8), and masks all flags.
    Result<void> set_system_call(uint64_t entry, uint16_t kernel_code, uint16_t user_base);

  private:
    FileDescriptor fd_;
    kvm_run* run_;
    size_t run_bytes_;
};

/// An empty machine and its memory slots. Not synchronised.
class VirtualMachine {
  public:
    static constexpr const char* kDevice = "/dev/kvm";

    /// Opens the device and makes an empty machine. The error names what the host lacks. Uses at most
    /// `max_slots` memory slots.
    static Result<VirtualMachine> create(const char* device_path = kDevice, unsigned max_slots = ~0u);

    /// Registers are exchanged in the shared page (KVM_CAP_SYNC_REGS).
    Result<Processor> create_processor();
    /// Backs guest physical [gpa, gpa + bytes) by this process's memory at `host`, whether or not it is
    /// mapped yet.
    Result<void> add_memory(uint64_t gpa, uint64_t host, uint64_t bytes);
    unsigned max_memory_slots() const { return max_slots_; }
    /// Width of a guest physical address.
    unsigned physical_bits() const { return physical_bits_; }

    /// The bits of CR4 without which code of the process, compiled or chosen for this host, would fault inside: XSAVE,
    /// RDFSBASE, RDPKRU.
    uint64_t cr4_features() const { return cr4_features_; }

    /// For tests: as on a host before Linux 5.16, which knows no offset of the time-stamp counter.
    void set_clock_by_value() { clock_by_value_ = true; }

  private:
    VirtualMachine() = default;
    void set_clock(int processor) const;
    bool clock_by_value_ = false;
    Result<void> read_cpuid();
    uint64_t cr4_features_ = 0;
    uint64_t xcr0_features_ = 0;  ///< state components that KVM can give
    FileDescriptor device_, vm_;
    unsigned slots_ = 0, max_slots_ = 0, physical_bits_ = 36, processors_ = 0;

    size_t run_bytes_ = 0;
};

}  // namespace arclight::backend::kvm
