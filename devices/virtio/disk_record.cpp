#include "devices/virtio/disk_record.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace arclight::devices::virtio {

std::expected<std::unique_ptr<RecordingStorage>, std::string> RecordingStorage::create(
    const std::string& record, std::unique_ptr<DiskStorage> below) {
    const int fd = open(record.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return std::unexpected(fmt::format("cannot write the record '{}': {}", record, std::strerror(errno)));
    return std::unique_ptr<RecordingStorage>(new RecordingStorage(fd, std::move(below)));
}

DiskResult RecordingStorage::append(Kind kind, uint64_t offset, uint64_t length, std::span<uint8_t> bytes) {
    std::array<uint64_t, 3> header = {static_cast<uint64_t>(kind), offset, length};
    const std::array<std::span<uint8_t>, 2> buffers = {
        std::span(reinterpret_cast<uint8_t*>(header.data()), sizeof header), bytes};
    const DiskResult written = record_.write(end_, buffers);
    if (written) end_ += sizeof header + bytes.size();
    return written;
}

DiskResult RecordingStorage::write(uint64_t offset, DiskBuffers buffers) {
    // One copy for both: the guest may write to its buffers meanwhile.
    std::vector<uint8_t> copy;
    for (const auto& buffer : buffers) copy.insert(copy.end(), buffer.begin(), buffer.end());
    const std::span<uint8_t> bytes = copy;
    if (auto written = append(Kind::Write, offset, bytes.size(), bytes); !written) return written;
    return below_->write(offset, {&bytes, 1});
}

DiskResult RecordingStorage::zero(uint64_t offset, uint64_t length, bool may_unmap) {
    const DiskResult zeroed = below_->zero(offset, length, may_unmap);
    return zeroed ? append(Kind::Zero, offset, length, {}) : zeroed;
}

DiskResult RecordingStorage::flush() {
    const DiskResult flushed = below_->flush();
    return flushed ? append(Kind::Flush, 0, 0, {}) : flushed;
}

}  // namespace arclight::devices::virtio
