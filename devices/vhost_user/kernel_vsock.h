#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "devices/vhost_user/kernel.h"

namespace arclight::devices::vhost_user {

inline constexpr const char* kVhostVsock = "/dev/vhost-vsock";

/// The host's kernel as the end of a guest's sockets (Linux's drivers/vhost/vsock.c): its programs reach the guest by AF_VSOCK.
class KernelVsock final : public KernelConnection {
  public:
    /// `file`: kVhostVsock, which becomes the connection's. `call`: the system's ioctl(), or a test's.
    static Result<std::shared_ptr<Connection>> open(int file, uint64_t cid, uint64_t wanted,
                                                    Ioctl call = system_ioctl);

    std::span<const uint8_t> config() const override { return config_; }
    Result<void> begin(std::span<const unsigned> rings) override;
    Result<void> end() override;

  private:
    KernelVsock(int file, uint64_t cid, Ioctl call);
    Result<void> set_running(int running, const char* what);

    std::vector<uint8_t> config_;  ///< the guest's CID
};

}  // namespace arclight::devices::vhost_user
