// A client of the 9P server, without a transport, and a directory for it.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "devices/virtio/9p_server.h"

namespace arclight::devices::test {

namespace p9 = virtio::p9;
using Type = p9::Type;

/// outside/ holds share/, which is what the guest gets, and what the guest must not reach.
struct SharedDirectory {
    SharedDirectory() {
        char name[] = "/tmp/arclight-9p-XXXXXX";
        outside = mkdtemp(name);
        share = outside + "/share";
        std::filesystem::create_directory(share);
        write(outside + "/secret", "secret");
    }
    ~SharedDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(outside, ignored);
    }
    static void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
    static std::string read(const std::string& path) {
        std::ifstream in(path);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    std::string outside, share;
};

/// The fields of a message, one after the other.
class Message {
  public:
    explicit Message(Type type) {
        u32(0);
        u8(static_cast<uint8_t>(type));
        u16(1);
    }
    Message& u8(uint8_t value) { return integer(value); }
    Message& u16(uint16_t value) { return integer(value); }
    Message& u32(uint32_t value) { return integer(value); }
    Message& u64(uint64_t value) { return integer(value); }
    Message& text(const std::string& value) {
        u16(static_cast<uint16_t>(value.size()));
        bytes.insert(bytes.end(), value.begin(), value.end());
        return *this;
    }
    std::vector<uint8_t> bytes;

  private:
    template <typename T>
    Message& integer(T value) {
        const auto* from = reinterpret_cast<const uint8_t*>(&value);
        bytes.insert(bytes.end(), from, from + sizeof value);
        return *this;
    }
};

struct Reply {
    int error = 0;                ///< Rlerror's
    std::vector<uint8_t> fields;  ///< behind the header
    std::string data;             ///< of an Rread

    template <typename T>
    T at(size_t offset) const {
        T value{};
        if (offset + sizeof value <= fields.size()) std::memcpy(&value, fields.data() + offset, sizeof value);
        return value;
    }
};

class Client {
  public:
    explicit Client(const std::string& directory, p9::Server::Options options = {})
        : server(p9::Folder::open(directory).value(), std::move(options)) {
        EXPECT_EQ(call(Message(Type::Version).u32(1 << 20).text("9P2000.L")).error, 0);
        EXPECT_EQ(call(Message(Type::Attach).u32(0).u32(~0u).text("").text("").u32(0)).error, 0);
    }

    Reply call(const Message& message, const std::string& data = {}, uint64_t limit = 1 << 20) {
        std::vector<uint8_t> sent(data.begin(), data.end()), room(1 << 16), reply;
        const std::span<uint8_t> data_buffer(sent), room_buffer(room);
        const uint32_t direct =
            server.serve(message.bytes, {&data_buffer, 1}, {&room_buffer, 1}, limit, reply);
        Reply result;
        EXPECT_GE(reply.size(), p9::kHeaderSize);
        uint32_t size = 0;
        std::memcpy(&size, reply.data(), sizeof size);
        EXPECT_EQ(size, reply.size() + direct);
        EXPECT_LE(size, limit);
        result.fields.assign(reply.begin() + p9::kHeaderSize, reply.end());
        result.data.assign(room.begin(), room.begin() + direct);
        if (reply[4] == static_cast<uint8_t>(Type::Error) + 1)
            result.error = result.at<int>(0);
        else
            EXPECT_EQ(reply[4], message.bytes[4] + 1);
        return result;
    }

    /// From the root, one part a step; the error of the part that fails.
    int walk(uint32_t fid, const std::string& path) { return walk(0, fid, path); }
    int walk(uint32_t from, uint32_t fid, const std::string& path) {
        call(Message(Type::Clunk).u32(fid));
        int error = call(Message(Type::Walk).u32(from).u32(fid).u16(0)).error;
        for (size_t at = 0; at < path.size() && error == 0;) {
            const size_t end = std::min(path.find('/', at), path.size());
            error = call(Message(Type::Walk).u32(fid).u32(fid).u16(1).text(path.substr(at, end - at))).error;
            at = end + 1;
        }
        return error;
    }
    int open(uint32_t fid, uint32_t flags = 0) {
        return call(Message(Type::Lopen).u32(fid).u32(flags)).error;
    }
    std::string read(uint32_t fid, uint64_t offset = 0, uint32_t count = 65536) {
        const Reply reply = call(Message(Type::Read).u32(fid).u64(offset).u32(count));
        EXPECT_EQ(reply.error, 0);
        return reply.data;
    }
    int write(uint32_t fid, const std::string& text, uint64_t offset = 0) {
        return call(Message(Type::Write).u32(fid).u64(offset).u32(static_cast<uint32_t>(text.size())), text)
            .error;
    }
    /// In the directory of fid 0, or another's.
    int create(uint32_t fid, const std::string& name, uint32_t flags = 1, uint32_t directory = 0) {
        call(Message(Type::Clunk).u32(fid));
        const int error = call(Message(Type::Walk).u32(directory).u32(fid).u16(0)).error;
        if (error != 0) return error;
        return call(Message(Type::Lcreate).u32(fid).text(name).u32(flags).u32(0644).u32(0)).error;
    }
    int mkdir(const std::string& name, uint32_t directory = 0) {
        return call(Message(Type::Mkdir).u32(directory).text(name).u32(0755).u32(0)).error;
    }
    int symlink(const std::string& name, const std::string& target) {
        return call(Message(Type::Symlink).u32(0).text(name).text(target).u32(0)).error;
    }
    int mknod(const std::string& name, uint32_t mode) {
        return call(Message(Type::Mknod).u32(0).text(name).u32(mode).u32(1).u32(3).u32(0)).error;
    }
    int rename(uint32_t from, const std::string& name, uint32_t to, const std::string& new_name) {
        return call(Message(Type::Renameat).u32(from).text(name).u32(to).text(new_name)).error;
    }
    int unlink(const std::string& name, uint32_t flags = 0, uint32_t directory = 0) {
        return call(Message(Type::Unlinkat).u32(directory).text(name).u32(flags)).error;
    }
    struct Attributes {
        int error;
        uint8_t type;
        uint64_t path;
        uint32_t mode, uid, gid;
        uint64_t links, device, size;
    };
    Attributes attributes(uint32_t fid) {
        const Reply r = call(Message(Type::Getattr).u32(fid).u64(0x7ff));
        return {r.error,
                r.at<uint8_t>(8),
                r.at<uint64_t>(13),
                r.at<uint32_t>(21),
                r.at<uint32_t>(25),
                r.at<uint32_t>(29),
                r.at<uint64_t>(33),
                r.at<uint64_t>(41),
                r.at<uint64_t>(49)};
    }
    int set_mode(uint32_t fid, uint32_t mode) {
        return call(Message(Type::Setattr)
                        .u32(fid)
                        .u32(1)
                        .u32(mode)
                        .u32(0)
                        .u32(0)
                        .u64(0)
                        .u64(0)
                        .u64(0)
                        .u64(0)
                        .u64(0))
            .error;
    }
    int set_size(uint32_t fid, uint64_t size) {
        return call(Message(Type::Setattr)
                        .u32(fid)
                        .u32(8)
                        .u32(0)
                        .u32(0)
                        .u32(0)
                        .u64(size)
                        .u64(0)
                        .u64(0)
                        .u64(0)
                        .u64(0))
            .error;
    }
    std::vector<std::string> list(uint32_t fid, uint32_t count = 4096) {
        std::vector<std::string> names;
        uint64_t offset = 0;
        for (;;) {
            const Reply reply = call(Message(Type::Readdir).u32(fid).u64(offset).u32(count));
            EXPECT_EQ(reply.error, 0);
            const auto bytes = reply.at<uint32_t>(0);
            EXPECT_LE(bytes, count);
            if (bytes == 0 || reply.error != 0) return names;
            for (size_t at = 4; at < 4 + bytes;) {
                offset = reply.at<uint64_t>(at + 13);
                const auto length = reply.at<uint16_t>(at + 22);
                names.emplace_back(reply.fields.begin() + static_cast<ptrdiff_t>(at + 24),
                                   reply.fields.begin() + static_cast<ptrdiff_t>(at + 24 + length));
                at += 24 + length;
            }
        }
    }
    int set_xattr(uint32_t fid, const std::string& name, const std::string& value, uint32_t flags = 0) {
        constexpr uint32_t kFid = 900;
        call(Message(Type::Walk).u32(fid).u32(kFid).u16(0));
        int error = call(Message(Type::Xattrcreate).u32(kFid).text(name).u64(value.size()).u32(flags)).error;
        if (error == 0 && !value.empty()) error = write(kFid, value);
        const int clunked = call(Message(Type::Clunk).u32(kFid)).error;
        return error != 0 ? error : clunked;
    }
    /// "error N" for one.
    std::string get_xattr(uint32_t fid, const std::string& name) {
        constexpr uint32_t kFid = 901;
        const Reply reply = call(Message(Type::Xattrwalk).u32(fid).u32(kFid).text(name));
        if (reply.error != 0) return "error " + std::to_string(reply.error);
        std::string value = read(kFid);
        EXPECT_EQ(value.size(), reply.at<uint64_t>(0));
        call(Message(Type::Clunk).u32(kFid));
        return value;
    }

    p9::Server server;
};

}  // namespace arclight::devices::test
