#pragma once

#include <cstdint>
#include <vector>

#include "devices/vhost_user/connection.h"

namespace arclight::devices::vhost_user {

/// The host's kernel as who serves a device's rings (Linux's drivers/vhost): what its vhost devices have in common. Each file serves two
/// rings, those after the ones of the file before. It reads guest memory where this process has it.
class KernelConnection : public Connection {
  public:
    using Ioctl = int (*)(int file, unsigned long request, void* argument);
    static int system_ioctl(int file, unsigned long request, void* argument);
    static constexpr unsigned kRings = 2;  ///< of a file

    ~KernelConnection() override;

    uint64_t features() const override { return features_; }
    unsigned queue_limit() const override { return kRings * static_cast<unsigned>(files_.size()); }
    std::span<const uint8_t> config() const override { return {}; }
    Result<void> set_up(uint64_t features, const SharedRam& ram, const mmu::GuestMemory& memory) override;
    Result<void> start_ring(unsigned index, const Ring& ring, int kick, int call, int error) override;
    Result<uint16_t> stop_ring(unsigned index) override;

  protected:
    /// `files`: of the vhost device, which become the connection's. `call`: the system's ioctl(), or a test's.
    KernelConnection(std::vector<int> files, Ioctl call);
    /// This process's memory is what addresses mean from now on. Fills features(): those of `wanted` that the kernel has.
    Result<void> take_files(uint64_t wanted);
    Result<void> say(int file, unsigned long request, void* argument, const char* what);
    int file_of(unsigned ring) const { return files_[ring / kRings]; }
    static uint32_t index_in_file(unsigned ring) { return ring % kRings; }
    const std::vector<int>& files() const { return files_; }

  private:
    uint64_t user_address(uint64_t pa) const;

    const std::vector<int> files_;
    const Ioctl call_;
    uint64_t features_ = 0;
    const mmu::GuestMemory* memory_ = nullptr;
};

}  // namespace arclight::devices::vhost_user
