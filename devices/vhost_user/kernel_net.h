#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "devices/vhost_user/kernel.h"

namespace arclight::devices::vhost_user {

inline constexpr const char* kVhostNet = "/dev/vhost-net";

/// The host's kernel between a network adapter's rings and a tap device (Linux's drivers/vhost/net.c): frames do not pass through this
/// process. Each pair of rings has a queue of the tap device and a file of the vhost device's. Queues of pairs that are not in use
/// are detached from the interface, so that no frame comes on them.
class KernelNet final : public KernelConnection {
  public:
    /// Of kVhostNet and of the tap device, as many; all become the connection's, with an error too.
    struct Files {
        std::vector<int> vhost, tap;
        bool header =
            false;  ///< frames of the tap device have a virtio::NetHeader, and leave checksums and segmentation out
    };
    /// `call`: the system's ioctl(), or a test's.
    static Result<std::shared_ptr<Connection>> open(Files files, uint64_t wanted, Ioctl call = system_ioctl);
    ~KernelNet() override;

    uint64_t features() const override;
    Result<void> set_up(uint64_t features, const SharedRam& ram, const mmu::GuestMemory& memory) override;
    Result<void> begin(std::span<const unsigned> rings) override;
    Result<void> enable_ring(unsigned index, bool on) override;
    /// The kernel touches no ring and no buffer when it returns.
    Result<void> end() override;
    bool has_state() const override { return false; }

  private:
    KernelNet(Files files, Ioctl call);
    Result<void> set_backend(unsigned ring, bool on);
    Result<void> attach(unsigned pair, bool on);

    const std::vector<int> taps_;
    const bool header_;
    std::vector<bool> attached_;  ///< by pairs
    std::vector<bool> served_;    ///< by rings
};

}  // namespace arclight::devices::vhost_user
