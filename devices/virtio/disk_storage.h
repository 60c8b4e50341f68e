#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string_view>

namespace arclight::devices::virtio {

/// Why a request on a disk failed.
struct DiskError {
    enum class Kind : uint8_t {
        Request,
        Refused,       ///< it would have made the image one of `format`
        Flush,         ///< earlier writes may be lost
        EarlierFlush,  ///< a flush before this one has failed
    };
    int number;  ///< errno
    Kind kind = Kind::Request;
    std::string_view format = {};
};
using DiskResult = std::expected<void, DiskError>;
using DiskBuffers = std::span<const std::span<uint8_t>>;

/// A read or a write, of several that are carried out at once.
struct DiskTransfer {
    bool write = false;
    uint64_t offset = 0;
    DiskBuffers buffers = {};
    DiskResult result = {};
};

/// Where the bytes of an image are: a file of the host, or what a test puts in its place. One thread at a time.
class DiskStorage {
  public:
    virtual ~DiskStorage() = default;

    virtual DiskResult read(uint64_t offset, DiskBuffers buffers) = 0;
    virtual DiskResult write(uint64_t offset, DiskBuffers buffers) = 0;
    /// In any order, since none has been acknowledged before.
    virtual void run(std::span<DiskTransfer> transfers) {
        for (DiskTransfer& one : transfers)
            one.result = one.write ? write(one.offset, one.buffers) : read(one.offset, one.buffers);
    }
    /// All writes, zeros and discards that have returned before are durable. What fails may have lost them.
    virtual DiskResult flush() = 0;
    /// A hint: where it cannot be followed, it is done.
    virtual DiskResult discard(uint64_t offset, uint64_t length) = 0;
    /// An error does not mean that writing zeros would fail.
    virtual DiskResult zero(uint64_t offset, uint64_t length, bool may_unmap) = 0;
};

}  // namespace arclight::devices::virtio
