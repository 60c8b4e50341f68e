#include "devices/virtio/host_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "devices/virtio/queue.h"

namespace arclight::devices::virtio {

namespace {

constexpr size_t kMaxVectors = 1024;      // IOV_MAX
constexpr size_t kDirectAlignment = 512;  // of addresses, offsets and lengths

// The part of the buffers that a loop of preadv or pwritev has not done yet.
class Remaining {
  public:
    Remaining(uint64_t offset, DiskBuffers buffers) : offset_(offset) {
        vectors_.reserve(buffers.size());
        for (const auto& buffer : buffers)
            if (!buffer.empty()) vectors_.push_back({buffer.data(), buffer.size()});
    }
    bool empty() const { return first_ == vectors_.size(); }
    iovec* vectors() { return &vectors_[first_]; }
    bool fits() const { return vectors_.size() - first_ <= kMaxVectors; }
    int count() const { return static_cast<int>(std::min(vectors_.size() - first_, kMaxVectors)); }
    off_t offset() const { return static_cast<off_t>(offset_); }

    void advance(size_t bytes) {
        offset_ += bytes;
        while (!empty() && bytes >= vectors_[first_].iov_len) bytes -= vectors_[first_++].iov_len;
        if (bytes == 0) return;
        vectors_[first_].iov_base = static_cast<uint8_t*>(vectors_[first_].iov_base) + bytes;
        vectors_[first_].iov_len -= bytes;
    }
    uint64_t size() const {
        uint64_t bytes = 0;
        for (size_t i = first_; i < vectors_.size(); i++) bytes += vectors_[i].iov_len;
        return bytes;
    }
    void fill_with_zeros() {
        for (; !empty(); first_++) std::memset(vectors_[first_].iov_base, 0, vectors_[first_].iov_len);
    }

  private:
    std::vector<iovec> vectors_;
    size_t first_ = 0;
    uint64_t offset_;
};

DiskResult host_error() { return std::unexpected(DiskError{errno}); }

bool aligned(DiskBuffers buffers) {
    return std::ranges::all_of(buffers, [](const std::span<uint8_t>& buffer) {
        return (reinterpret_cast<uintptr_t>(buffer.data()) | buffer.size()) % kDirectAlignment == 0;
    });
}

}  // namespace

bool direct_io_possible(const std::string& path) {
    struct statx about {};
    if (statx(AT_FDCWD, path.c_str(), 0, STATX_DIOALIGN, &about) != 0) return false;
    const auto fits = [](uint32_t alignment) { return alignment != 0 && alignment <= kDirectAlignment; };
    return (about.stx_mask & STATX_DIOALIGN) != 0 && fits(about.stx_dio_mem_align) &&
           fits(about.stx_dio_offset_align);
}

HostFile::~HostFile() {
    ring_.reset();
    close(fd_);
}

int HostFile::use_ring() {
    auto ring = IoRing::open(fd_);
    if (!ring) return ring.error();
    ring_ = std::move(*ring);
    return 0;
}

template <typename Transfer>
DiskResult HostFile::with_aligned(DiskBuffers buffers, bool write, Transfer&& transfer) const {
    if (!direct_ || aligned(buffers)) return transfer(buffers);
    uint64_t bytes = 0;
    for (const auto& buffer : buffers) bytes += buffer.size();
    const uint64_t room = (bytes + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment;
    const std::unique_ptr<uint8_t, decltype(&std::free)> copy(
        static_cast<uint8_t*>(std::aligned_alloc(kDirectAlignment, room)), &std::free);
    if (copy == nullptr) return std::unexpected(DiskError{ENOMEM});
    const std::span<uint8_t> all(copy.get(), bytes);
    if (write && gather(buffers, all) != bytes) return std::unexpected(DiskError{EFAULT});
    const DiskResult done = transfer(DiskBuffers(&all, 1));
    if (done && !write && scatter(all, buffers) != bytes) return std::unexpected(DiskError{EFAULT});
    return done;
}

DiskResult HostFile::read(uint64_t offset, DiskBuffers buffers) {
    return with_aligned(buffers, false, [&](DiskBuffers to) { return read_all(offset, to); });
}

DiskResult HostFile::write(uint64_t offset, DiskBuffers buffers) {
    return with_aligned(buffers, true, [&](DiskBuffers from) { return write_all(offset, from); });
}

// Writes into the host's cache do not wait for the disk, and some file systems would hand each to a thread of the kernel's.
void HostFile::run(std::span<DiskTransfer> transfers) {
    const auto queued = [&](const DiskTransfer& one) {
        return (direct_ || !one.write) && (!direct_ || aligned(one.buffers));
    };
    if (ring_ == nullptr || std::ranges::count_if(transfers, queued) < 2) {
        DiskStorage::run(transfers);
        return;
    }
    std::vector<Remaining> rest;
    std::vector<IoRing::Transfer> ring;
    std::vector<DiskTransfer*> owners;
    rest.reserve(transfers.size());
    for (DiskTransfer& one : transfers) {
        if (!queued(one)) continue;
        Remaining& remaining = rest.emplace_back(one.offset, one.buffers);
        if (remaining.empty() || !remaining.fits()) {
            rest.pop_back();
            continue;
        }
        ring.push_back({.write = one.write,
                        .offset = one.offset,
                        .vectors = remaining.vectors(),
                        .count = static_cast<unsigned>(remaining.count())});
        owners.push_back(&one);
    }
    ring_->run(ring);
    // What the ring has not done, or done in part, is done here.
    for (DiskTransfer& one : transfers) {
        const auto owner = std::ranges::find(owners, &one);
        if (owner != owners.end()) {
            const auto i = static_cast<size_t>(owner - owners.begin());
            const int64_t done = ring[i].done;
            if (done >= 0 && static_cast<uint64_t>(done) == rest[i].size()) continue;
            if (done < 0 && done != -EINTR && done != -EAGAIN) {
                one.result = std::unexpected(DiskError{static_cast<int>(-done)});
                continue;
            }
        }
        one.result = one.write ? write(one.offset, one.buffers) : read(one.offset, one.buffers);
    }
}

DiskResult HostFile::read_all(uint64_t offset, DiskBuffers buffers) const {
    for (Remaining rest(offset, buffers); !rest.empty();) {
        const ssize_t got = preadv(fd_, rest.vectors(), rest.count(), rest.offset());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return host_error();
        if (got == 0) {
            if (static_cast<uint64_t>(rest.offset()) < length_) return std::unexpected(DiskError{EIO});
            rest.fill_with_zeros();
            break;
        }
        rest.advance(static_cast<size_t>(got));
    }
    return {};
}

DiskResult HostFile::write_all(uint64_t offset, DiskBuffers buffers) const {
    for (Remaining rest(offset, buffers); !rest.empty();) {
        const ssize_t put = pwritev(fd_, rest.vectors(), rest.count(), rest.offset());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return host_error();
        if (put == 0) return std::unexpected(DiskError{EIO});
        rest.advance(static_cast<size_t>(put));
    }
    return {};
}

DiskResult HostFile::flush() {
    if (fdatasync(fd_) == 0) return {};
    const DiskResult failed = host_error();
    // Linux marks the pages that it could not write as clean. Without them in its cache, what is read from now on
    // is what the disk holds.
    posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);
    return failed;
}

DiskResult HostFile::discard(uint64_t offset, uint64_t length) {
    const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    if (fallocate(fd_, mode, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0) return {};
    return errno == EOPNOTSUPP ? DiskResult() : host_error();
}

DiskResult HostFile::zero(uint64_t offset, uint64_t length, bool may_unmap) {
    const int mode = may_unmap ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : FALLOC_FL_ZERO_RANGE;
    if (fallocate(fd_, mode, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0) return {};
    return host_error();
}

}  // namespace arclight::devices::virtio
