#include "devices/vhost_user/kernel_vsock.h"

#include <cstring>

#include "devices/vhost_user/kernel_requests.h"

namespace arclight::devices::vhost_user {

KernelVsock::KernelVsock(int file, uint64_t cid, Ioctl call)
    : KernelConnection({file}, call), config_(sizeof cid) {
    std::memcpy(config_.data(), &cid, sizeof cid);
}

Result<std::shared_ptr<Connection>> KernelVsock::open(int file, uint64_t cid, uint64_t wanted, Ioctl call) {
    std::shared_ptr<KernelVsock> vsock(new KernelVsock(file, cid, call));
    if (auto done = vsock->take_files(wanted); !done) return std::unexpected(done.error());
    if (auto done = vsock->say(file, kernel::kSetGuestCid, &cid, "give the guest this CID"); !done)
        return std::unexpected(done.error());
    return vsock;
}

Result<void> KernelVsock::set_running(int running, const char* what) {
    return say(files().front(), kernel::kSetRunning, &running, what);
}

Result<void> KernelVsock::begin(std::span<const unsigned>) { return set_running(1, "begin"); }

Result<void> KernelVsock::end() { return set_running(0, "stop"); }

}  // namespace arclight::devices::vhost_user
