#include "devices/vhost_user/kernel.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <utility>

#include "devices/vhost_user/kernel_requests.h"
#include "devices/virtio/transport.h"

namespace arclight::devices::vhost_user {

int KernelVsock::system_ioctl(int file, unsigned long request, void* argument) {
    return ioctl(file, request, argument);
}

KernelVsock::KernelVsock(int file, uint64_t cid, Ioctl call) : file_(file), call_(call), config_(sizeof cid) {
    std::memcpy(config_.data(), &cid, sizeof cid);
}

KernelVsock::~KernelVsock() { close(file_); }

Result<void> KernelVsock::say(unsigned long request, void* argument, const char* what) {
    if (call_(file_, request, argument) >= 0) return {};
    return failure("the host's kernel does not {}: {}", what, std::strerror(errno));
}

Result<std::shared_ptr<Connection>> KernelVsock::open(int file, uint64_t cid, uint64_t wanted, Ioctl call) {
    std::shared_ptr<KernelVsock> vsock(new KernelVsock(file, cid, call));
    if (auto done = vsock->say(kernel::kSetOwner, nullptr, "take this process"); !done)
        return std::unexpected(done.error());
    uint64_t offered = 0;
    if (auto done = vsock->say(kernel::kGetFeatures, &offered, "tell its features"); !done)
        return std::unexpected(done.error());
    if ((offered & virtio::kFeatureVersion1) == 0) return failure("the host's kernel knows virtio 0.9 only");
    vsock->features_ = offered & wanted;
    if (auto done = vsock->say(kernel::kSetGuestCid, &cid, "give the guest this CID"); !done)
        return std::unexpected(done.error());
    return vsock;
}

Result<void> KernelVsock::set_up(uint64_t features, const SharedRam&, const mmu::GuestMemory& memory) {
    memory_ = &memory;
    if (auto done = say(kernel::kSetFeatures, &features, "take the driver's features"); !done) return done;
    MemoryTable table{.regions = 1,
                      .padding = 0,
                      .guest_address = memory.base(),
                      .size = memory.size(),
                      .user_address = reinterpret_cast<uintptr_t>(memory.host_base()),
                      .offset = 0};
    return say(kernel::kSetMemTable, &table, "take the guest's memory");
}

/// Rings are where the transport has found them to be: in RAM.
uint64_t KernelVsock::user_address(uint64_t pa) const {
    return reinterpret_cast<uintptr_t>(memory_->host_base()) + (pa - memory_->base());
}

Result<void> KernelVsock::start_ring(unsigned index, const Ring& ring, int kick, int call, int error) {
    VringState entries{index, ring.entries}, base{index, ring.next_available};
    VringAddress address{.index = index,
                         .flags = 0,
                         .descriptors = user_address(ring.descriptors),
                         .used = user_address(ring.used),
                         .available = user_address(ring.available),
                         .log = 0};
    kernel::VringFile kick_file{index, kick}, call_file{index, call}, error_file{index, error};
    const char* const what = "take a queue";
    for (const auto& [request, argument] :
         std::initializer_list<std::pair<unsigned long, void*>>{{kernel::kSetVringNum, &entries},
                                                                {kernel::kSetVringBase, &base},
                                                                {kernel::kSetVringAddr, &address},
                                                                {kernel::kSetVringCall, &call_file},
                                                                {kernel::kSetVringErr, &error_file},
                                                                {kernel::kSetVringKick, &kick_file}})
        if (auto done = say(request, argument, what); !done) return done;
    return {};
}

Result<void> KernelVsock::begin(std::span<const unsigned>) {
    int running = 1;
    return say(kernel::kSetRunning, &running, "begin");
}

Result<void> KernelVsock::end() {
    int running = 0;
    return say(kernel::kSetRunning, &running, "stop");
}

Result<uint16_t> KernelVsock::stop_ring(unsigned index) {
    VringState state{index, 0};
    if (auto done = say(kernel::kGetVringBase, &state, "give a queue back"); !done)
        return std::unexpected(done.error());
    return static_cast<uint16_t>(state.value);
}

}  // namespace arclight::devices::vhost_user
