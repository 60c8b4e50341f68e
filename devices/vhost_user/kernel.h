#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "devices/vhost_user/connection.h"

namespace arclight::devices::vhost_user {

inline constexpr const char* kVhostVsock = "/dev/vhost-vsock";

/// The host's kernel as the end of a guest's sockets (Linux's drivers/vhost/vsock.c): its programs reach the guest by AF_VSOCK. It reads
/// guest memory where this process has it.
class KernelVsock final : public Connection {
  public:
    using Ioctl = int (*)(int file, unsigned long request, void* argument);

    /// `file`: kVhostVsock, which becomes the connection's. `call`: the system's ioctl(), or a test's.
    static Result<std::shared_ptr<Connection>> open(int file, uint64_t cid, uint64_t wanted,
                                                    Ioctl call = system_ioctl);
    ~KernelVsock() override;

    uint64_t features() const override { return features_; }
    unsigned queue_limit() const override { return 2; }
    std::span<const uint8_t> config() const override { return config_; }
    Result<void> set_up(uint64_t features, const SharedRam& ram, const mmu::GuestMemory& memory) override;
    Result<void> start_ring(unsigned index, const Ring& ring, int kick, int call, int error) override;
    Result<void> begin(std::span<const unsigned> rings) override;
    Result<void> end() override;
    Result<uint16_t> stop_ring(unsigned index) override;

  private:
    KernelVsock(int file, uint64_t cid, Ioctl call);
    static int system_ioctl(int file, unsigned long request, void* argument);
    Result<void> say(unsigned long request, void* argument, const char* what);
    uint64_t user_address(uint64_t pa) const;

    const int file_;
    const Ioctl call_;
    uint64_t features_ = 0;
    std::vector<uint8_t> config_;  ///< the guest's CID
    const mmu::GuestMemory* memory_ = nullptr;
};

}  // namespace arclight::devices::vhost_user
