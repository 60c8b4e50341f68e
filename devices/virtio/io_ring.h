#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <span>

#include "devices/virtio/disk_storage.h"

namespace arclight::devices::virtio {

/// Reads and writes of one file by the kernel's io_uring: several at once, with one system call. The ring can do nothing else and on no
/// other file (restrictions of IORING_REGISTER_RESTRICTIONS), whoever gets hold of it. One thread at a time.
class IoRing {
  public:
    static constexpr unsigned kEntries = 64;  ///< requests in flight at most

    /// The descriptor stays the caller's and outlives the ring. An errno: the kernel has no io_uring, or none for this process.
    static std::expected<std::unique_ptr<IoRing>, int> open(int fd);
    ~IoRing();
    IoRing(const IoRing&) = delete;
    IoRing& operator=(const IoRing&) = delete;

    struct Transfer {
        bool write = false;
        uint64_t offset = 0;
        const void* vectors = nullptr;  ///< an array of iovec
        unsigned count = 0;             ///< of them
        int64_t done = 0;               ///< bytes, or a negative errno
    };
    /// Carries out all of them, in any order, and returns when the last one is done. Less than what was asked for may be done, as with
    /// preadv().
    void run(std::span<Transfer> transfers);

  private:
    struct Ring;
    explicit IoRing(std::unique_ptr<Ring> ring);
    std::unique_ptr<Ring> ring_;
};

}  // namespace arclight::devices::virtio
