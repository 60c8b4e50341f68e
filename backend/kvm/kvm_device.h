// The KVM API (Linux Documentation/virt/kvm/api.rst) as objects that own their descriptors.
#pragma once

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace arclight::backend::kvm {

/// An error is one line for the user.
template <typename T>
using Result = std::expected<T, std::string>;

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
    kvm_sregs& sregs() { return run_->s.regs.sregs; }

  private:
    FileDescriptor fd_;
    kvm_run* run_;
    size_t run_bytes_;
};

class VirtualMachine {
  public:
    static constexpr const char* kDevice = "/dev/kvm";

    /// Opens the device and makes an empty machine; says what is missing if that does not work. Of the memory
    /// slots that KVM has it takes no more than these.
    static Result<VirtualMachine> create(const char* device_path = kDevice, unsigned most_slots = ~0u);

    /// The general registers and the system registers travel in the shared page.
    Result<Processor> create_processor();
    /// Guest physical [gpa, gpa + bytes) is this process's memory at `host`, mapped there or not.
    Result<void> add_memory(uint64_t gpa, uint64_t host, uint64_t bytes);
    unsigned most_memory_slots() const { return most_slots_; }
    /// Guest physical addresses are below 2^this.
    unsigned physical_bits() const { return physical_bits_; }

    bool has_xsave() const { return has_xsave_; }

  private:
    VirtualMachine() = default;
    void read_cpuid();
    bool has_xsave_ = false;
    FileDescriptor device_, vm_;
    unsigned slots_ = 0, most_slots_ = 0, physical_bits_ = 36, processors_ = 0;

    size_t run_bytes_ = 0;
};

}  // namespace arclight::backend::kvm
