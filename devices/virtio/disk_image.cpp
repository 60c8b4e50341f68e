#include "devices/virtio/disk_image.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

namespace arclight::devices::virtio {

namespace {

// Carries out preadv or pwritev until all is done; false on an error or end of file.
template <typename Call>
bool transfer_all(uint64_t offset, std::span<const std::span<uint8_t>> buffers, Call&& call) {
    constexpr size_t kMaxVectors = 1024;  // IOV_MAX
    std::vector<iovec> vectors;
    vectors.reserve(buffers.size());
    for (const auto& buffer : buffers) {
        if (!buffer.empty()) vectors.push_back({buffer.data(), buffer.size()});
    }
    size_t first = 0;
    while (first < vectors.size()) {
        const auto count = static_cast<int>(std::min(vectors.size() - first, kMaxVectors));
        const ssize_t result = call(&vectors[first], count, static_cast<off_t>(offset));
        if (result < 0 && errno == EINTR) continue;
        if (result <= 0) return false;
        offset += static_cast<uint64_t>(result);
        auto left = static_cast<size_t>(result);
        while (first < vectors.size() && left >= vectors[first].iov_len) left -= vectors[first++].iov_len;
        if (left != 0) {
            vectors[first].iov_base = static_cast<uint8_t*>(vectors[first].iov_base) + left;
            vectors[first].iov_len -= left;
        }
    }
    return true;
}

bool read_file(int fd, uint64_t offset, std::span<const std::span<uint8_t>> buffers) {
    return transfer_all(offset, buffers, [fd](iovec* v, int n, off_t at) { return preadv(fd, v, n, at); });
}

bool write_file(int fd, uint64_t offset, std::span<const std::span<uint8_t>> buffers) {
    return transfer_all(offset, buffers, [fd](iovec* v, int n, off_t at) { return pwritev(fd, v, n, at); });
}

}  // namespace

std::expected<DiskImage, std::string> DiskImage::open(const std::string& path, bool readonly, bool snapshot) {
    const auto failed = [&](const char* what) {
        return std::unexpected(fmt::format("disk image '{}': {}: {}", path, what, std::strerror(errno)));
    };
    const bool writes_file = !readonly && !snapshot;
    DiskImage image;
    image.readonly_ = readonly;
    image.file_ = ::open(path.c_str(), (writes_file ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (image.file_ < 0) return failed("cannot open");
    struct stat info {};
    if (fstat(image.file_, &info) != 0) return failed("cannot stat");
    if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode)) {
        return std::unexpected(fmt::format("disk image '{}': not a file or block device", path));
    }
    // Two guests writing one file system destroy it. File systems without locks are let pass.
    if (flock(image.file_, (writes_file ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return std::unexpected(fmt::format("disk image '{}': in use by another process", path));
    }
    const off_t end = lseek(image.file_, 0, SEEK_END);
    if (end < 0) return failed("cannot seek");
    image.size_ = static_cast<uint64_t>(end) / kSectorSize * kSectorSize;
    if (image.size_ == 0) {
        return std::unexpected(
            fmt::format("disk image '{}': smaller than a sector of {} bytes", path, kSectorSize));
    }
    if (snapshot && !readonly) {
        image.overlay_ = memfd_create("arclight-snapshot", MFD_CLOEXEC);
        if (image.overlay_ < 0) return failed("cannot create the snapshot");
        image.present_.resize(image.size_ / kClusterSize / 64 + 1);
    }
    return image;
}

DiskImage::DiskImage(DiskImage&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      overlay_(std::exchange(other.overlay_, -1)),
      size_(other.size_),
      readonly_(other.readonly_),
      present_(std::move(other.present_)) {}

DiskImage::~DiskImage() {
    if (file_ >= 0) close(file_);
    if (overlay_ >= 0) close(overlay_);
}

// Calls piece(cluster, offset, bytes) for each part of the buffers that lies in one cluster.
template <typename Piece>
bool DiskImage::for_each_piece(uint64_t offset, std::span<const std::span<uint8_t>> buffers, Piece&& piece) {
    for (std::span<uint8_t> rest : buffers) {
        while (!rest.empty()) {
            const size_t count = std::min<uint64_t>(rest.size(), kClusterSize - offset % kClusterSize);
            if (!piece(offset / kClusterSize, offset, rest.first(count))) return false;
            offset += count;
            rest = rest.subspan(count);
        }
    }
    return true;
}

bool DiskImage::read(uint64_t offset, std::span<const std::span<uint8_t>> buffers) {
    if (overlay_ < 0) return read_file(file_, offset, buffers);
    return for_each_piece(offset, buffers, [&](uint64_t cluster, uint64_t at, std::span<uint8_t> bytes) {
        return read_file(overlay_has(cluster) ? overlay_ : file_, at, {&bytes, 1});
    });
}

// A cluster written in part gets the rest from the file.
bool DiskImage::prepare_cluster(uint64_t cluster) {
    const uint64_t start = cluster * kClusterSize;
    std::vector<uint8_t> copy(std::min(kClusterSize, size_ - start));
    std::span<uint8_t> bytes = copy;
    return read_file(file_, start, {&bytes, 1}) && write_file(overlay_, start, {&bytes, 1});
}

bool DiskImage::write(uint64_t offset, std::span<const std::span<uint8_t>> buffers) {
    if (overlay_ < 0) return write_file(file_, offset, buffers);
    return for_each_piece(offset, buffers, [&](uint64_t cluster, uint64_t at, std::span<uint8_t> bytes) {
        if (!overlay_has(cluster) && bytes.size() != kClusterSize && !prepare_cluster(cluster)) return false;
        if (!write_file(overlay_, at, {&bytes, 1})) return false;
        present_[cluster / 64] |= 1ull << (cluster % 64);
        return true;
    });
}

bool DiskImage::flush() { return overlay_ >= 0 || readonly_ || fdatasync(file_) == 0; }

// A hint: what cannot be discarded stays.
bool DiskImage::discard(uint64_t offset, uint64_t length) {
    if (overlay_ >= 0) return true;
    const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    return fallocate(file_, mode, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0 ||
           errno == EOPNOTSUPP;
}

bool DiskImage::write_zeroes(uint64_t offset, uint64_t length, bool may_unmap) {
    if (overlay_ < 0) {
        const int mode = may_unmap ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : FALLOC_FL_ZERO_RANGE;
        if (fallocate(file_, mode, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0) return true;
    }
    std::vector<uint8_t> zeroes(kClusterSize);
    while (length != 0) {
        std::span<uint8_t> bytes(zeroes.data(), std::min(length, kClusterSize));
        if (!write(offset, {&bytes, 1})) return false;
        offset += bytes.size();
        length -= bytes.size();
    }
    return true;
}

void DiskImage::save(StateWriter& out) const {
    const bool overlay = overlay_ >= 0;
    uint64_t clusters = 0;
    for (const uint64_t word : present_) clusters += static_cast<uint64_t>(std::popcount(word));
    out(overlay, clusters);
    std::vector<uint8_t> content(kClusterSize);
    for (uint64_t cluster = 0; clusters != 0; cluster++) {
        if (!overlay_has(cluster)) continue;
        const uint64_t start = cluster * kClusterSize;
        std::span<uint8_t> bytes(content.data(), std::min(kClusterSize, size_ - start));
        if (!read_file(overlay_, start, {&bytes, 1})) out.fail("cannot read the snapshot of a disk");
        out(cluster);
        out.bytes(bytes);
        clusters--;
    }
}

StateResult DiskImage::load(StateReader& in) {
    bool overlay = false;
    uint64_t clusters = 0;
    in(overlay, clusters);
    in.require(overlay == (overlay_ >= 0), "a disk with snapshot there or here only");
    if (in.ok() && overlay) std::ranges::fill(present_, uint64_t{0});
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
        if (in.ok() && !write_file(overlay_, start, {&bytes, 1})) in.fail("cannot write the snapshot");
        if (in.ok()) present_[cluster / 64] |= 1ull << (cluster % 64);
    }
    return in.result();
}

}  // namespace arclight::devices::virtio
