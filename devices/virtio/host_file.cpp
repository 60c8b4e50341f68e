#include "devices/virtio/host_file.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace arclight::devices::virtio {

namespace {

constexpr size_t kMaxVectors = 1024;  // IOV_MAX

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
    int count() const { return static_cast<int>(std::min(vectors_.size() - first_, kMaxVectors)); }
    off_t offset() const { return static_cast<off_t>(offset_); }

    void advance(size_t bytes) {
        offset_ += bytes;
        while (!empty() && bytes >= vectors_[first_].iov_len) bytes -= vectors_[first_++].iov_len;
        if (bytes == 0) return;
        vectors_[first_].iov_base = static_cast<uint8_t*>(vectors_[first_].iov_base) + bytes;
        vectors_[first_].iov_len -= bytes;
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

}  // namespace

HostFile::~HostFile() { close(fd_); }

DiskResult HostFile::read(uint64_t offset, DiskBuffers buffers) {
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

DiskResult HostFile::write(uint64_t offset, DiskBuffers buffers) {
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
