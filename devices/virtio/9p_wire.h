// Messages of 9P2000.L: little-endian integers, and strings with a 16-bit length. The protocol is that of Linux's 9p file
// system, as the diod project describes it.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace arclight::devices::virtio::p9 {

/// A request's type; its reply's is one more.
enum class Type : uint8_t {
    Error = 6,  ///< of replies only
    Statfs = 8,
    Lopen = 12,
    Lcreate = 14,
    Symlink = 16,
    Mknod = 18,
    Rename = 20,
    Readlink = 22,
    Getattr = 24,
    Setattr = 26,
    Xattrwalk = 30,
    Xattrcreate = 32,
    Readdir = 40,
    Fsync = 50,
    Lock = 52,
    Getlock = 54,
    Link = 70,
    Mkdir = 72,
    Renameat = 74,
    Unlinkat = 76,
    Version = 100,
    Auth = 102,
    Attach = 104,
    Flush = 108,
    Walk = 110,
    Read = 116,
    Write = 118,
    Clunk = 120,
    Remove = 122,
};

/// size[4] type[1] tag[2]
constexpr size_t kHeaderSize = 7;
/// Rread's header and count[4], which the data follows; Rreaddir's too.
constexpr size_t kReadReplySize = kHeaderSize + 4;
/// Twrite's header and fid[4] offset[8] count[4], which the data follows.
constexpr size_t kWriteRequestSize = kHeaderSize + 16;
/// What the protocol allows for headers of reads and writes (P9_IOHDRSZ): the rest of a message is data.
constexpr uint32_t kIoHeaderSize = 24;
constexpr uint32_t kMinMessage = 4096;
constexpr uint32_t kMaxMessage = 4u << 20;
constexpr unsigned kMaxWalk = 16;  ///< names in one Twalk

struct Qid {
    static constexpr uint8_t kDirectory = 0x80, kSymlink = 0x02;
    uint8_t type = 0;
    uint32_t version = 0;
    uint64_t path = 0;
};

/// Takes fields from a message, which is a copy of the guest's. What is not there reads as zero, and ok() says so.
class Reader {
  public:
    explicit Reader(std::span<const uint8_t> message) : rest_(message) {}

    uint8_t u8() { return integer<uint8_t>(); }
    uint16_t u16() { return integer<uint16_t>(); }
    uint32_t u32() { return integer<uint32_t>(); }
    uint64_t u64() { return integer<uint64_t>(); }
    /// Inside the message. A NUL, which no name of the host's can have, makes the message wrong.
    std::string_view text();
    bool ok() const { return ok_; }

  private:
    template <typename T>
    T integer() {
        T value{};
        if (rest_.size() < sizeof value) {
            ok_ = false;
            rest_ = {};
            return value;
        }
        std::memcpy(&value, rest_.data(), sizeof value);
        rest_ = rest_.subspan(sizeof value);
        return value;
    }

    std::span<const uint8_t> rest_;
    bool ok_ = true;
};

/// Appends fields to a message.
class Writer {
  public:
    explicit Writer(std::vector<uint8_t>& out) : out_(out) {}

    void u8(uint8_t value) { out_.push_back(value); }
    void u16(uint16_t value) { integer(value); }
    void u32(uint32_t value) { integer(value); }
    void u64(uint64_t value) { integer(value); }
    /// Of at most 65535 bytes.
    void text(std::string_view value);
    void qid(const Qid& qid);
    void bytes(std::span<const uint8_t> value) { out_.insert(out_.end(), value.begin(), value.end()); }
    size_t size() const { return out_.size(); }
    /// Replace an integer that was written before.
    void set_u16(size_t at, uint16_t value) { std::memcpy(out_.data() + at, &value, sizeof value); }
    void set_u32(size_t at, uint32_t value) { std::memcpy(out_.data() + at, &value, sizeof value); }

  private:
    template <typename T>
    void integer(T value) {
        const size_t at = out_.size();
        out_.resize(at + sizeof value);
        std::memcpy(out_.data() + at, &value, sizeof value);
    }

    std::vector<uint8_t>& out_;
};

}  // namespace arclight::devices::virtio::p9
