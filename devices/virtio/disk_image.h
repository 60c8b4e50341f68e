#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "devices/state.h"
#include "devices/virtio/disk_storage.h"
#include "devices/virtio/image_format.h"
#include "devices/virtio/image_lock.h"
#include "mmu/result.h"

namespace arclight::devices::virtio {

/// A raw disk image. With snapshot, it is only read, and writes go to an anonymous overlay.
class DiskImage {
  public:
    static constexpr unsigned kSectorSize = 512;
    static constexpr uint32_t kMaxRangeSectors = 1u << 22;  ///< of one discard or write of zeros: 2 GiB

    /// A write of zeros becomes what the host has for that.
    enum class DetectZeroes : uint8_t { Off, On, Unmap };

    struct Options {
        bool readonly = false;
        bool snapshot = false;
        /// Whether the user said that the image is raw. If not, an image whose content says something else is not
        /// opened, and the guest cannot make it one: another program would take its content for that format.
        bool raw = false;
        ImageLocking locking = ImageLocking::Auto;
        bool unmap = true;  ///< what the guest discards, the host gets back
        DetectZeroes detect_zeroes = DetectZeroes::Off;
        bool direct = false;  ///< past the host's cache (O_DIRECT)
        bool ring = false;    ///< several requests at once, by io_uring, where the host has it
        bool flushes = true;  ///< false: flushes do nothing, and a power cut may lose anything
        std::string
            record;  ///< for tests: a file for what is written (devices/virtio/disk_record.h); empty: none
    };
    /// A file or block device. An error is one line for the user.
    static Result<DiskImage> open(const std::string& path, const Options& options);
    /// Over another storage of `length` bytes, which keeps the image's format and its locks itself. An error is one line
    /// for the user.
    static Result<DiskImage> over(std::string name, std::unique_ptr<DiskStorage> storage, uint64_t length,
                                  Options options);
    /// Over any storage of `length` bytes, without an overlay.
    DiskImage(std::string name, std::unique_ptr<DiskStorage> storage, uint64_t length,
              const Options& options);
    DiskImage(DiskImage&& other) = default;
    DiskImage& operator=(DiskImage&&) = delete;

    const std::string& name() const { return name_; }
    uint64_t size() const { return size_; }  ///< bytes, a multiple of the sector size
    /// As the file is; less than size() if its last sector is not whole. That reads as zeros beyond the file's end, and the
    /// file grows when it is written.
    uint64_t length() const { return length_; }
    bool readonly() const { return readonly_; }
    /// What ring asked for and the host refused, for the user; empty: nothing.
    const std::string& ring_error() const { return ring_error_; }

    /// Ranges must lie inside size() and be whole sectors.
    DiskResult read(uint64_t offset, DiskBuffers buffers);
    DiskResult write(uint64_t offset, DiskBuffers buffers);
    /// The same for several, in any order.
    void run(std::span<DiskTransfer> transfers);
    /// Once one has failed all fail, with EIO: nobody knows what the host still has of the writes before it.
    DiskResult flush();
    DiskResult discard(uint64_t offset, uint64_t length);
    DiskResult write_zeroes(uint64_t offset, uint64_t length, bool may_unmap);

    /// Whether a flush has failed, and the clusters of a snapshot's overlay. Nothing in flight.
    void save(StateWriter& out) const;
    /// Into an image with an overlay if and only if the saved one had one. An error may leave some clusters
    /// changed.
    StateResult load(StateReader& in);

  private:
    static constexpr uint64_t kClusterSize = 64 * 1024;

    bool overlay_has(uint64_t cluster) const { return (present_[cluster / 64] >> (cluster % 64) & 1) != 0; }
    DiskResult prepare_cluster(uint64_t cluster);
    template <typename Piece>
    static DiskResult for_each_piece(uint64_t offset, DiskBuffers buffers, Piece&& piece);
    Result<void> add_overlay();
    bool writes_zeros(DiskBuffers buffers) const;
    DiskResult write_checked(uint64_t offset, DiskBuffers buffers);

    bool guards(uint64_t offset, DiskBuffers buffers) const;

    std::string name_;
    std::string ring_error_;
    std::unique_ptr<DiskStorage> storage_;
    std::unique_ptr<DiskStorage> overlay_;  // snapshot only
    uint64_t length_;
    uint64_t size_;
    bool readonly_;
    bool guarded_;  // may not become another format
    bool unmap_;
    DetectZeroes detect_zeroes_;
    bool flushes_;
    bool flush_failed_ = false;
    std::vector<uint64_t> present_;  // clusters the overlay holds, one bit each
};

}  // namespace arclight::devices::virtio
