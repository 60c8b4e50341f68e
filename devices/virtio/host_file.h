#pragma once

#include "devices/virtio/disk_storage.h"

namespace arclight::devices::virtio {

/// A file or block device of the host.
class HostFile final : public DiskStorage {
  public:
    /// Takes over the descriptor. What is read from `length` on is zero as long as the file does not reach there; a
    /// file that has become shorter than that is an error.
    HostFile(int fd, uint64_t length) : fd_(fd), length_(length) {}
    ~HostFile() override;
    HostFile(const HostFile&) = delete;
    HostFile& operator=(const HostFile&) = delete;

    DiskResult read(uint64_t offset, DiskBuffers buffers) override;
    DiskResult write(uint64_t offset, DiskBuffers buffers) override;
    DiskResult flush() override;
    DiskResult discard(uint64_t offset, uint64_t length) override;
    DiskResult zero(uint64_t offset, uint64_t length, bool may_unmap) override;

  private:
    const int fd_;
    const uint64_t length_;
};

}  // namespace arclight::devices::virtio
