#include "devices/vhost_user/kernel_net.h"

#include <linux/if.h>
#include <linux/if_tun.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "devices/vhost_user/kernel_requests.h"
#include "devices/virtio/net_features.h"
#include "devices/virtio/transport.h"

namespace arclight::devices::vhost_user {

namespace {

/// Those that the tap device carries out: what its frames' headers say (virtio 1.2 section 5.1.3).
constexpr uint64_t kTapFeatures = virtio::kNetFeatureChecksum | virtio::kNetFeatureGuestChecksum |
                                  virtio::kNetFeatureGuestTcp4 | virtio::kNetFeatureGuestTcp6 |
                                  virtio::kNetFeatureHostTcp4 | virtio::kNetFeatureHostTcp6;

/// Headers have the number of a frame's buffers, or not (5.1.6).
constexpr int kHeaderBytes = 12, kLegacyHeaderBytes = 10;

}  // namespace

KernelNet::KernelNet(Files files, Ioctl call)
    : KernelConnection(std::move(files.vhost), call),
      taps_(std::move(files.tap)),
      header_(files.header),
      attached_(taps_.size(), true),
      served_(queue_limit()) {}

KernelNet::~KernelNet() {
    for (const int tap : taps_) close(tap);
}

Result<std::shared_ptr<Connection>> KernelNet::open(Files files, uint64_t wanted, Ioctl call) {
    std::shared_ptr<KernelNet> net(new KernelNet(std::move(files), call));
    if (net->files().size() != net->taps_.size())
        return failure("{} queues of the interface, and {} files of {}", net->taps_.size(),
                       net->files().size(), kVhostNet);
    const uint64_t header = net->header_ ? 0 : kernel::kNetHeader;
    if (auto done = net->take_files(wanted | header); !done) return std::unexpected(done.error());
    if ((net->KernelConnection::features() & header) != header)
        return failure("the host's kernel makes no headers");
    return net;
}

uint64_t KernelNet::features() const {
    return (KernelConnection::features() & ~kernel::kNetHeader) | (header_ ? kTapFeatures : 0) |
           (taps_.size() > 1 ? virtio::kNetFeaturePairs : 0);
}

Result<void> KernelNet::set_up(uint64_t features, const SharedRam& ram, const mmu::GuestMemory& memory) {
    const auto has = [&](uint64_t feature) { return (features & feature) != 0; };
    if (header_) {
        // Both are the whole interface's; its first queue is never detached.
        int bytes =
            has(virtio::kFeatureVersion1 | virtio::kNetFeatureMergeable) ? kHeaderBytes : kLegacyHeaderBytes;
        if (auto done = say(taps_.front(), TUNSETVNETHDRSZ, &bytes, "take the driver's headers"); !done)
            return done;
        unsigned offloads = 0;
        if (has(virtio::kNetFeatureGuestChecksum)) {
            offloads |= TUN_F_CSUM;
            if (has(virtio::kNetFeatureGuestTcp4)) offloads |= TUN_F_TSO4;
            if (has(virtio::kNetFeatureGuestTcp6)) offloads |= TUN_F_TSO6;
        }
        if (auto done = say(taps_.front(), TUNSETOFFLOAD, reinterpret_cast<void*>(uintptr_t{offloads}),
                            "leave to the guest what it takes");
            !done)
            return done;
    }
    const uint64_t kernels = (features & KernelConnection::features()) | (header_ ? 0 : kernel::kNetHeader);
    return KernelConnection::set_up(kernels, ram, memory);
}

Result<void> KernelNet::set_backend(unsigned ring, bool on) {
    kernel::VringFile file{index_in_file(ring), on ? taps_[ring / kRings] : -1};
    if (auto done =
            say(file_of(ring), kernel::kNetSetBackend, &file, on ? "serve a queue" : "leave a queue alone");
        !done)
        return done;
    served_[ring] = on;
    return {};
}

Result<void> KernelNet::attach(unsigned pair, bool on) {
    // An interface with one queue knows no other state.
    if (attached_[pair] == on || taps_.size() == 1) return {};
    ifreq request{};
    request.ifr_flags = static_cast<short>(on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE);
    if (auto done = say(taps_[pair], TUNSETQUEUE, &request, "attach or detach the interface's queue"); !done)
        return done;
    attached_[pair] = on;
    return {};
}

// A queue that is detached cannot be served.
Result<void> KernelNet::enable_ring(unsigned index, bool on) {
    const unsigned pair = index / kRings;
    if (on) {
        if (auto done = attach(pair, true); !done) return done;
    }
    if (served_[index] != on) {
        if (auto done = set_backend(index, on); !done) return done;
    }
    const bool in_use = served_[kRings * pair] || served_[kRings * pair + 1];
    return in_use || pair == 0 ? Result<void>() : attach(pair, false);
}

Result<void> KernelNet::begin(std::span<const unsigned> rings) {
    for (unsigned ring = 0; ring < served_.size(); ++ring)
        if (auto done = enable_ring(ring, std::ranges::find(rings, ring) != rings.end()); !done) return done;
    return {};
}

// All are tried: what cannot be stopped must not keep the others going.
Result<void> KernelNet::end() {
    Result<void> first;
    for (unsigned ring = 0; ring < served_.size(); ++ring) {
        if (!served_[ring]) continue;
        auto done = set_backend(ring, false);
        if (!done && first) first = std::move(done);
    }
    return first;
}

}  // namespace arclight::devices::vhost_user
