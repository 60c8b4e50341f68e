#include "devices/virtio/disk_image.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "devices/virtio/disk_record.h"
#include "devices/virtio/host_file.h"
#include "devices/virtio/queue.h"
#include "host/memory_fault.h"

namespace arclight::devices::virtio {

namespace {

static_assert(kImageProbeSize == DiskImage::kSectorSize,
              "requests contain what is probed whole or not at all");

// The parts of the buffers from `from` on, `length` bytes at most.
std::vector<std::span<uint8_t>> slice(DiskBuffers buffers, uint64_t from, uint64_t length) {
    std::vector<std::span<uint8_t>> parts;
    for (const auto& buffer : buffers) {
        const uint64_t skip = std::min<uint64_t>(from, buffer.size());
        const uint64_t take = std::min<uint64_t>(length, buffer.size() - skip);
        if (take != 0) parts.push_back(buffer.subspan(skip, take));
        from -= skip;
        length -= take;
    }
    return parts;
}

uint64_t total_size(DiskBuffers buffers) {
    uint64_t total = 0;
    for (const auto& buffer : buffers) total += buffer.size();
    return total;
}

std::expected<const ImageFormat*, DiskError> probe(DiskStorage& storage, uint64_t length) {
    std::array<uint8_t, kImageProbeSize> first{}, last{};
    const uint64_t size = std::min<uint64_t>(length, kImageProbeSize);
    const std::span<uint8_t> start = std::span(first).first(size), end = std::span(last).first(size);
    if (auto read = storage.read(0, {&start, 1}); !read) return std::unexpected(read.error());
    if (auto read = storage.read(length - size, {&end, 1}); !read) return std::unexpected(read.error());
    return probe_image_format(start, end);
}

// O_EXCL on a block device: the kernel lets in one such opener, of which a mounted file system is one.
Result<int> open_file(const std::string& path, bool writes, bool direct, ImageLocking locking) {
    struct stat info {};
    const bool block_device = stat(path.c_str(), &info) == 0 && S_ISBLK(info.st_mode);
    const bool exclusive = block_device && writes && locking != ImageLocking::Off;
    const int fd = ::open(path.c_str(), (writes ? O_RDWR : O_RDONLY) | (exclusive ? O_EXCL : 0) |
                                            (direct ? O_DIRECT : 0) | O_CLOEXEC);
    if (fd >= 0) return fd;
    if (exclusive && errno == EBUSY) return std::unexpected("the block device is mounted or in use");
    return failure("cannot open: {}", std::strerror(errno));
}

}  // namespace

Result<DiskImage> DiskImage::open(const std::string& path, const Options& options) {
    const auto refused = [&](std::string_view why) { return failure("disk image '{}': {}", path, why); };
    const auto failed = [&](const char* what) {
        return refused(fmt::format("{}: {}", what, std::strerror(errno)));
    };
    const bool writes = !options.readonly && !options.snapshot;
    const auto fd = open_file(path, writes, options.direct, options.locking);
    if (!fd) return refused(fd.error());
    struct stat info {};
    const bool known = fstat(*fd, &info) == 0;
    const off_t end = lseek(*fd, 0, SEEK_END);
    const auto length = static_cast<uint64_t>(std::max<off_t>(end, 0));
    auto file = std::make_unique<HostFile>(*fd, length, options.direct);  // closes the descriptor
    std::string ring_error;
    if (options.ring)
        if (const int error = file->use_ring(); error != 0) ring_error = std::strerror(error);
    std::unique_ptr<DiskStorage> storage = std::move(file);
    if (!known) return failed("cannot stat");
    if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode)) return refused("not a file or block device");
    if (end < 0) return failed("cannot seek");
    if (length == 0) return refused("is empty");

    const ImageUse use = {.writes = writes, .grows = writes && length % kSectorSize != 0};
    if (const auto locked = lock_image(*fd, use, options.locking); !locked) return refused(locked.error());
    if (S_ISBLK(info.st_mode) && options.locking != ImageLocking::Off) {
        const std::string where =
            mounted_for_writing(major(info.st_rdev), minor(info.st_rdev), "/proc/self/mountinfo");
        if (!where.empty()) return refused(fmt::format("the block device is mounted at {}", where));
    }
    if (!options.raw) {
        const auto format = probe(*storage, length);
        if (!format) return refused(fmt::format("cannot read: {}", std::strerror(format.error().number)));
        if (*format != nullptr && (*format)->compressed)
            return refused(fmt::format("is compressed ({}): unpack it, or say format=raw to use it as it is",
                                       (*format)->name));
        if (*format != nullptr)
            return refused(
                fmt::format("is {}, not raw: convert it (qemu-img convert -O raw), or say format=raw to "
                            "use it as it is",
                            (*format)->name));
    }
    if (!options.record.empty()) {
        auto recording = RecordingStorage::create(options.record, std::move(storage));
        if (!recording) return refused(recording.error());
        storage = std::move(*recording);
    }
    DiskImage image(path, std::move(storage), length, options);
    image.ring_error_ = std::move(ring_error);
    if (options.snapshot && !options.readonly)
        if (const auto added = image.add_overlay(); !added) return std::unexpected(added.error());
    return image;
}

Result<DiskImage> DiskImage::over(std::string name, std::unique_ptr<DiskStorage> storage, uint64_t length,
                                  Options options) {
    if (length == 0) return failure("disk image '{}': is empty", name);
    options.raw = true;
    if (!options.record.empty()) {
        auto recording = RecordingStorage::create(options.record, std::move(storage));
        if (!recording) return failure("disk image '{}': {}", name, recording.error());
        storage = std::move(*recording);
    }
    DiskImage image(std::move(name), std::move(storage), length, options);
    if (options.snapshot && !options.readonly)
        if (const auto added = image.add_overlay(); !added) return std::unexpected(added.error());
    return image;
}

Result<void> DiskImage::add_overlay() {
    const int overlay = memfd_create("arclight-snapshot", MFD_CLOEXEC);
    if (overlay < 0)
        return failure("disk image '{}': cannot create the snapshot: {}", name_, std::strerror(errno));
    overlay_ = std::make_unique<HostFile>(overlay, 0);
    present_.resize(size_ / kClusterSize / 64 + 1);
    return {};
}

DiskImage::DiskImage(std::string name, std::unique_ptr<DiskStorage> storage, uint64_t length,
                     const Options& options)
    : name_(std::move(name)),
      storage_(std::move(storage)),
      length_(length),
      size_((length + kSectorSize - 1) / kSectorSize * kSectorSize),
      readonly_(options.readonly),
      guarded_(!options.raw && !options.snapshot),
      unmap_(options.unmap),
      detect_zeroes_(options.detect_zeroes),
      flushes_(options.flushes) {}

// Calls piece(cluster, offset, bytes) for each part of the buffers that lies in one cluster.
template <typename Piece>
DiskResult DiskImage::for_each_piece(uint64_t offset, DiskBuffers buffers, Piece&& piece) {
    for (std::span<uint8_t> rest : buffers) {
        while (!rest.empty()) {
            const size_t count = std::min<uint64_t>(rest.size(), kClusterSize - offset % kClusterSize);
            if (auto done = piece(offset / kClusterSize, offset, rest.first(count)); !done) return done;
            offset += count;
            rest = rest.subspan(count);
        }
    }
    return {};
}

DiskResult DiskImage::read(uint64_t offset, DiskBuffers buffers) {
    if (overlay_ == nullptr) return storage_->read(offset, buffers);
    return for_each_piece(offset, buffers, [&](uint64_t cluster, uint64_t at, std::span<uint8_t> bytes) {
        return (overlay_has(cluster) ? overlay_ : storage_)->read(at, {&bytes, 1});
    });
}

// A cluster written in part gets the rest from the file.
DiskResult DiskImage::prepare_cluster(uint64_t cluster) {
    const uint64_t start = cluster * kClusterSize;
    std::vector<uint8_t> copy(std::min(kClusterSize, size_ - start));
    std::span<uint8_t> bytes = copy;
    const DiskResult read = storage_->read(start, {&bytes, 1});
    return read ? overlay_->write(start, {&bytes, 1}) : read;
}

// The guest may change its buffers after they were looked at; what it then reads is its own doing.
bool DiskImage::writes_zeros(DiskBuffers buffers) const {
    for (const auto& buffer : buffers) {
        bool zeros = buffer.empty();
        // A byte is zero, and each is as the one before it.
        const bool there = zeros || host::touch([&] {
                               zeros = buffer[0] == 0 &&
                                       std::memcmp(buffer.data(), buffer.data() + 1, buffer.size() - 1) == 0;
                           });
        if (!there || !zeros) return false;
    }
    return true;
}

DiskResult DiskImage::write(uint64_t offset, DiskBuffers buffers) {
    if (detect_zeroes_ != DetectZeroes::Off && overlay_ == nullptr && writes_zeros(buffers) &&
        storage_->zero(offset, total_size(buffers), unmap_ && detect_zeroes_ == DetectZeroes::Unmap))
        return {};
    if (overlay_ == nullptr) return write_checked(offset, buffers);
    return for_each_piece(offset, buffers,
                          [&](uint64_t cluster, uint64_t at, std::span<uint8_t> bytes) -> DiskResult {
                              if (!overlay_has(cluster) && bytes.size() != kClusterSize) {
                                  if (auto prepared = prepare_cluster(cluster); !prepared) return prepared;
                              }
                              if (auto written = overlay_->write(at, {&bytes, 1}); !written) return written;
                              present_[cluster / 64] |= 1ull << (cluster % 64);
                              return {};
                          });
}

// Whether the write could make the image one of another format.
bool DiskImage::guards(uint64_t offset, DiskBuffers buffers) const {
    return guarded_ && (offset == 0 || offset + total_size(buffers) == size_);
}

void DiskImage::run(std::span<DiskTransfer> transfers) {
    if (overlay_ == nullptr && detect_zeroes_ == DetectZeroes::Off &&
        std::ranges::none_of(transfers, [&](const DiskTransfer& one) {
            return one.write && guards(one.offset, one.buffers);
        })) {
        storage_->run(transfers);
        return;
    }
    for (DiskTransfer& one : transfers)
        one.result = one.write ? write(one.offset, one.buffers) : read(one.offset, one.buffers);
}

// What is probed is copied first, and the copy is written: the guest may write to its buffers meanwhile.
DiskResult DiskImage::write_checked(uint64_t offset, DiskBuffers buffers) {
    const uint64_t bytes = guarded_ ? total_size(buffers) : 0;
    if (bytes == 0) return storage_->write(offset, buffers);
    const bool has_first = offset == 0, has_last = offset + bytes == size_;
    if (!has_first && !has_last) return storage_->write(offset, buffers);

    std::array<uint8_t, kSectorSize> first{}, last{};
    const auto copy = [&](std::span<uint8_t> to, uint64_t from) {
        return gather(slice(buffers, from, to.size()), to) == to.size();
    };
    const bool same = has_first && bytes == kSectorSize;
    if (has_first && !copy(first, 0)) return std::unexpected(DiskError{EFAULT});
    if (has_last && same) last = first;
    if (has_last && !same && !copy(last, bytes - kSectorSize)) return std::unexpected(DiskError{EFAULT});
    const ImageFormat* const format = probe_image_format(first, last);
    if (format != nullptr && !format->compressed)
        return std::unexpected(DiskError{EPERM, DiskError::Kind::Refused, format->name});

    const uint64_t middle = has_first ? kSectorSize : 0;
    const uint64_t after_middle = has_last && !same ? bytes - kSectorSize : bytes;
    std::vector<std::span<uint8_t>> checked;
    if (has_first) checked.emplace_back(first);
    std::ranges::copy(slice(buffers, middle, after_middle - middle), std::back_inserter(checked));
    if (has_last && !same) checked.emplace_back(last);
    return storage_->write(offset, checked);
}

DiskResult DiskImage::flush() {
    if (overlay_ != nullptr || readonly_ || !flushes_) return {};
    if (flush_failed_) return std::unexpected(DiskError{EIO, DiskError::Kind::EarlierFlush});
    const DiskResult flushed = storage_->flush();
    if (flushed) return {};
    flush_failed_ = true;
    return std::unexpected(DiskError{flushed.error().number, DiskError::Kind::Flush});
}

DiskResult DiskImage::discard(uint64_t offset, uint64_t length) {
    return overlay_ != nullptr || !unmap_ ? DiskResult() : storage_->discard(offset, length);
}

DiskResult DiskImage::write_zeroes(uint64_t offset, uint64_t length, bool may_unmap) {
    if (overlay_ == nullptr && storage_->zero(offset, length, may_unmap && unmap_)) return {};
    std::vector<uint8_t> zeroes(std::min(length, kClusterSize));
    while (length != 0) {
        const std::span<uint8_t> bytes(zeroes.data(), std::min(length, kClusterSize));
        if (auto written = write(offset, {&bytes, 1}); !written) return written;
        offset += bytes.size();
        length -= bytes.size();
    }
    return {};
}

void DiskImage::save(StateWriter& out) const {
    const bool overlay = overlay_ != nullptr;
    uint64_t clusters = 0;
    for (const uint64_t word : present_) clusters += static_cast<uint64_t>(std::popcount(word));
    out(flush_failed_, overlay, clusters);
    std::vector<uint8_t> content(kClusterSize);
    for (uint64_t cluster = 0; clusters != 0; cluster++) {
        if (!overlay_has(cluster)) continue;
        const uint64_t start = cluster * kClusterSize;
        std::span<uint8_t> bytes(content.data(), std::min(kClusterSize, size_ - start));
        if (!overlay_->read(start, {&bytes, 1})) out.fail("cannot read the snapshot of a disk");
        out(cluster);
        out.bytes(bytes);
        clusters--;
    }
}

StateResult DiskImage::load(StateReader& in) {
    bool flush_failed = false, overlay = false;
    uint64_t clusters = 0;
    in(flush_failed, overlay, clusters);
    // One without can go on with one: it is empty.
    in.require(!overlay || overlay_ != nullptr, "a disk with snapshot there, and without one here");
    if (in.ok()) flush_failed_ = flush_failed;
    if (in.ok() && overlay_ != nullptr) std::ranges::fill(present_, uint64_t{0});
    std::vector<uint8_t> content;
    for (; clusters != 0 && in.ok(); clusters--) {
        uint64_t cluster = 0;
        in(cluster);
        in.bytes(content, kClusterSize);
        in.require(overlay && cluster < (size_ + kClusterSize - 1) / kClusterSize,
                   "a cluster outside the disk");
        if (!in.ok()) break;
        const uint64_t start = cluster * kClusterSize;
        in.require(content.size() == std::min(kClusterSize, size_ - start), "a cluster of another size");
        std::span<uint8_t> bytes = content;
        if (in.ok() && !overlay_->write(start, {&bytes, 1})) in.fail("cannot write the snapshot");
        if (in.ok()) present_[cluster / 64] |= 1ull << (cluster % 64);
    }
    return in.result();
}

}  // namespace arclight::devices::virtio
