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

int KernelConnection::system_ioctl(int file, unsigned long request, void* argument) {
    return ioctl(file, request, argument);
}

KernelConnection::KernelConnection(std::vector<int> files, Ioctl call)
    : files_(std::move(files)), call_(call) {}

KernelConnection::~KernelConnection() {
    for (const int file : files_) close(file);
}

Result<void> KernelConnection::say(int file, unsigned long request, void* argument, const char* what) {
    if (call_(file, request, argument) >= 0) return {};
    return failure("the host's kernel does not {}: {}", what, std::strerror(errno));
}

Result<void> KernelConnection::take_files(uint64_t wanted) {
    features_ = wanted;
    for (const int file : files_) {
        if (auto done = say(file, kernel::kSetOwner, nullptr, "take this process"); !done) return done;
        uint64_t offered = 0;
        if (auto done = say(file, kernel::kGetFeatures, &offered, "tell its features"); !done) return done;
        if ((offered & virtio::kFeatureVersion1) == 0)
            return failure("the host's kernel knows virtio 0.9 only");
        features_ &= offered;
    }
    return {};
}

Result<void> KernelConnection::set_up(uint64_t features, const SharedRam&, const mmu::GuestMemory& memory) {
    memory_ = &memory;
    MemoryTable table{.regions = 1,
                      .padding = 0,
                      .guest_address = memory.base(),
                      .size = memory.size(),
                      .user_address = reinterpret_cast<uintptr_t>(memory.host_base()),
                      .offset = 0};
    for (const int file : files_) {
        if (auto done = say(file, kernel::kSetFeatures, &features, "take the driver's features"); !done)
            return done;
        if (auto done = say(file, kernel::kSetMemTable, &table, "take the guest's memory"); !done)
            return done;
    }
    return {};
}

/// Rings are where the transport has found them to be: in RAM.
uint64_t KernelConnection::user_address(uint64_t pa) const {
    return reinterpret_cast<uintptr_t>(memory_->host_base()) + (pa - memory_->base());
}

Result<void> KernelConnection::start_ring(unsigned index, const Ring& ring, int kick, int call, int error) {
    const uint32_t own = index_in_file(index);
    VringState entries{own, ring.entries}, base{own, ring.next_available};
    VringAddress address{.index = own,
                         .flags = 0,
                         .descriptors = user_address(ring.descriptors),
                         .used = user_address(ring.used),
                         .available = user_address(ring.available),
                         .log = 0};
    kernel::VringFile kick_file{own, kick}, call_file{own, call}, error_file{own, error};
    for (const auto& [request, argument] :
         std::initializer_list<std::pair<unsigned long, void*>>{{kernel::kSetVringNum, &entries},
                                                                {kernel::kSetVringBase, &base},
                                                                {kernel::kSetVringAddr, &address},
                                                                {kernel::kSetVringCall, &call_file},
                                                                {kernel::kSetVringErr, &error_file},
                                                                {kernel::kSetVringKick, &kick_file}})
        if (auto done = say(file_of(index), request, argument, "take a queue"); !done) return done;
    return {};
}

Result<uint16_t> KernelConnection::stop_ring(unsigned index) {
    VringState state{index_in_file(index), 0};
    if (auto done = say(file_of(index), kernel::kGetVringBase, &state, "give a queue back"); !done)
        return std::unexpected(done.error());
    return static_cast<uint16_t>(state.value);
}

}  // namespace arclight::devices::vhost_user
