#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <utility>

#include "devices/virtio/disk_storage.h"
#include "devices/virtio/host_file.h"

namespace arclight::devices::virtio {

/// For tests of what a power cut leaves: hands everything on to another storage, and writes what changes it to a file,
/// one after the other. A record is `kind`, `offset` and `length`, 64 bits each in the host's byte order, and behind a
/// write its bytes. A write is in the record before it is carried out, a flush after it has succeeded.
class RecordingStorage final : public DiskStorage {
  public:
    enum class Kind : uint64_t { Write = 1, Zero = 2, Flush = 3 };

    /// Empties the file.
    static std::expected<std::unique_ptr<RecordingStorage>, std::string> create(
        const std::string& record, std::unique_ptr<DiskStorage> below);

    DiskResult read(uint64_t offset, DiskBuffers buffers) override { return below_->read(offset, buffers); }
    DiskResult write(uint64_t offset, DiskBuffers buffers) override;
    DiskResult flush() override;
    /// Not recorded: what is discarded has any content.
    DiskResult discard(uint64_t offset, uint64_t length) override { return below_->discard(offset, length); }
    DiskResult zero(uint64_t offset, uint64_t length, bool may_unmap) override;

  private:
    RecordingStorage(int fd, std::unique_ptr<DiskStorage> below) : record_(fd, 0), below_(std::move(below)) {}
    DiskResult append(Kind kind, uint64_t offset, uint64_t length, std::span<uint8_t> bytes);

    HostFile record_;
    uint64_t end_ = 0;
    std::unique_ptr<DiskStorage> below_;
};

}  // namespace arclight::devices::virtio
