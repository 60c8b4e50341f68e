#include "devices/virtio/io_ring.h"

#include <liburing.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace arclight::devices::virtio {

struct IoRing::Ring {
    io_uring ring{};
    bool made = false;
    bool broken = false;  // the kernel refuses what it has taken before
    ~Ring() {
        if (made) io_uring_queue_exit(&ring);
    }
};

IoRing::IoRing(std::unique_ptr<Ring> ring) : ring_(std::move(ring)) {}
IoRing::~IoRing() = default;

std::expected<std::unique_ptr<IoRing>, int> IoRing::open(int fd) {
    auto ring = std::make_unique<Ring>();
    int error =
        io_uring_queue_init(kEntries, &ring->ring, IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN);
    // Kernels before 5.19 do not know the second flag.
    if (error == -EINVAL) error = io_uring_queue_init(kEntries, &ring->ring, IORING_SETUP_R_DISABLED);
    if (error < 0) return std::unexpected(-error);
    ring->made = true;
    if (error = io_uring_register_files(&ring->ring, &fd, 1); error < 0) return std::unexpected(-error);
    std::array<io_uring_restriction, 4> allowed{};
    allowed[0].opcode = allowed[1].opcode = IORING_RESTRICTION_SQE_OP;
    allowed[0].sqe_op = IORING_OP_READV;
    allowed[1].sqe_op = IORING_OP_WRITEV;
    allowed[2].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    allowed[3].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
    allowed[2].sqe_flags = allowed[3].sqe_flags = IOSQE_FIXED_FILE;
    // Debian 12's liburing does not export what makes these calls.
    const auto call = [&](unsigned what, const void* argument, size_t count) {
        return syscall(SYS_io_uring_register, ring->ring.ring_fd, what, argument, count) == 0;
    };
    if (!call(IORING_REGISTER_RESTRICTIONS, allowed.data(), allowed.size()) ||
        !call(IORING_REGISTER_ENABLE_RINGS, nullptr, 0))
        return std::unexpected(errno);
    return std::unique_ptr<IoRing>(new IoRing(std::move(ring)));
}

void IoRing::run(std::span<Transfer> transfers) {
    io_uring* const ring = &ring_->ring;
    for (Transfer& transfer : transfers) transfer.done = -EAGAIN;
    for (std::span<Transfer> rest = transfers; !rest.empty() && !ring_->broken;) {
        const std::span<Transfer> now = rest.first(std::min<size_t>(rest.size(), kEntries));
        rest = rest.subspan(now.size());
        for (Transfer& transfer : now) {
            io_uring_sqe* const entry = io_uring_get_sqe(ring);
            const auto* vectors = static_cast<const iovec*>(transfer.vectors);
            if (transfer.write)
                io_uring_prep_writev(entry, 0, vectors, transfer.count, transfer.offset);
            else
                io_uring_prep_readv(entry, 0, vectors, transfer.count, transfer.offset);
            io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE);
            io_uring_sqe_set_data(entry, &transfer);
        }
        // What is in flight uses the guest's memory and the vectors: it is waited for, whatever happens.
        size_t waiting = now.size();
        while (waiting != 0) {
            const int entered = io_uring_submit_and_wait(ring, static_cast<unsigned>(waiting));
            if (entered < 0 && entered != -EINTR && entered != -EAGAIN && entered != -EBUSY) {
                ring_->broken = true;
                break;
            }
            io_uring_cqe* entry = nullptr;
            while (io_uring_peek_cqe(ring, &entry) == 0) {
                static_cast<Transfer*>(io_uring_cqe_get_data(entry))->done = entry->res;
                io_uring_cqe_seen(ring, entry);
                waiting--;
            }
        }
    }
}

}  // namespace arclight::devices::virtio
