#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <vector>

#include "devices/state.h"

namespace arclight::devices::virtio {

/// A raw disk image file. With snapshot, the file is only read, and writes go to an anonymous overlay.
class DiskImage {
  public:
    static constexpr unsigned kSectorSize = 512;

    static std::expected<DiskImage, std::string> open(const std::string& path, bool readonly, bool snapshot);
    DiskImage(DiskImage&& other) noexcept;
    DiskImage& operator=(DiskImage&&) = delete;
    ~DiskImage();

    uint64_t size() const { return size_; }  // bytes, a multiple of the sector size
    bool readonly() const { return readonly_; }

    /// Ranges must lie inside size(). False: the host refused.
    bool read(uint64_t offset, std::span<const std::span<uint8_t>> buffers);
    bool write(uint64_t offset, std::span<const std::span<uint8_t>> buffers);
    bool flush();
    bool discard(uint64_t offset, uint64_t length);
    bool write_zeroes(uint64_t offset, uint64_t length, bool may_unmap);

    /// The clusters of a snapshot's overlay; nothing of a disk without one. Nothing in flight.
    void save(StateWriter& out) const;
    /// Into an image with an overlay if and only if the saved one had one. An error may leave some clusters
    /// changed.
    StateResult load(StateReader& in);

  private:
    static constexpr uint64_t kClusterSize = 64 * 1024;

    DiskImage() = default;
    bool overlay_has(uint64_t cluster) const { return (present_[cluster / 64] >> (cluster % 64) & 1) != 0; }
    bool prepare_cluster(uint64_t cluster);
    template <typename Piece>
    static bool for_each_piece(uint64_t offset, std::span<const std::span<uint8_t>> buffers, Piece&& piece);

    int file_ = -1;
    int overlay_ = -1;  // snapshot only
    uint64_t size_ = 0;
    bool readonly_ = false;
    std::vector<uint64_t> present_;  // clusters the overlay holds, one bit each
};

}  // namespace arclight::devices::virtio
