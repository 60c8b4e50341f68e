#pragma once

#include <memory>
#include <string>

#include "devices/virtio/disk_storage.h"
#include "devices/virtio/io_ring.h"

namespace arclight::devices::virtio {

/// A file or block device of the host.
class HostFile final : public DiskStorage {
  public:
    /// Takes over the descriptor. What is read from `length` on is zero as long as the file does not reach there; a
    /// file that has become shorter than that is an error.
    /// `direct`: the descriptor is opened with O_DIRECT; see direct_io_possible().
    HostFile(int fd, uint64_t length, bool direct = false) : fd_(fd), length_(length), direct_(direct) {}
    ~HostFile() override;
    HostFile(const HostFile&) = delete;
    HostFile& operator=(const HostFile&) = delete;

    /// From now on several transfers are carried out at once, by io_uring. An errno: they are not; 0: they are.
    int use_ring();

    DiskResult read(uint64_t offset, DiskBuffers buffers) override;
    DiskResult write(uint64_t offset, DiskBuffers buffers) override;
    void run(std::span<DiskTransfer> transfers) override;
    DiskResult flush() override;
    DiskResult discard(uint64_t offset, uint64_t length) override;
    DiskResult zero(uint64_t offset, uint64_t length, bool may_unmap) override;

  private:
    /// Calls transfer(buffers), with buffers that O_DIRECT takes.
    template <typename Transfer>
    DiskResult with_aligned(DiskBuffers buffers, bool write, Transfer&& transfer) const;
    DiskResult read_all(uint64_t offset, DiskBuffers buffers) const;
    DiskResult write_all(uint64_t offset, DiskBuffers buffers) const;

    const int fd_;
    const uint64_t length_;
    const bool direct_;
    std::unique_ptr<IoRing> ring_;
};

/// Whether a file can be read and written past the host's cache in units of a sector.
bool direct_io_possible(const std::string& path);

}  // namespace arclight::devices::virtio
