// Disks that another process serves: the client's side of NBD, and what it makes of a server that lies. The words of drives that
// change how an image is written.
#include "devices/virtio/nbd.h"

#include <endian.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "devices/virtio/disk_image.h"

namespace arclight::devices::virtio {
namespace {

constexpr uint64_t kSize = 1 << 20;

/// A server of one export in memory, as simple as can be. What it says can be changed.
class Server {
  public:
    std::vector<uint8_t> content = std::vector<uint8_t>(kSize);
    std::vector<std::string> log;
    uint16_t flags = 1 | 4 | 32 | 64;
    uint64_t size = kSize;
    uint32_t option_type_error = 0;
    uint64_t greeting = 0x4e42444d41474943;
    std::atomic<uint32_t> error = 0;                ///< of all requests
    std::function<void(uint8_t (&reply)[16])> lie;  ///< changes a reply
    bool hang_up = false;                           ///< instead of a reply

    int start() {
        int pair[2];
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        socket_ = pair[1];
        thread_ = std::thread([this] {
            serve();
            close(socket_);
        });
        return pair[0];
    }
    ~Server() {
        if (thread_.joinable()) thread_.join();
    }

  private:
    void put(const void* data, size_t bytes) const {
        EXPECT_GE(send(socket_, data, bytes, MSG_NOSIGNAL), -1);
    }
    template <typename T>
    void put(T value) const {
        put(&value, sizeof value);
    }
    bool get(void* data, size_t bytes) const {
        return recv(socket_, data, bytes, MSG_WAITALL) == static_cast<ssize_t>(bytes);
    }
    void serve() {
        put(htobe64(greeting));
        put(htobe64(uint64_t{0x49484156454f5054}));
        put(htobe16(3));
        uint8_t hello[4 + 16 + 6];
        if (!get(hello, sizeof hello)) return;
        const auto reply = [&](uint32_t type, uint32_t length) {
            put(htobe64(uint64_t{0x3e889045565a9}));
            put(htobe32(7));
            put(htobe32(type));
            put(htobe32(length));
        };
        if (option_type_error != 0) return reply(option_type_error, 0);
        reply(3, 12);
        put(htobe16(0));
        put(htobe64(size));
        put(htobe16(flags));
        reply(1, 0);
        struct [[gnu::packed]] {
            uint32_t magic;
            uint16_t flags, command;
            uint64_t cookie, offset;
            uint32_t length;
        } request;
        while (get(&request, sizeof request)) {
            const uint64_t offset = be64toh(request.offset);
            const uint32_t length = be32toh(request.length);
            const uint16_t command = be16toh(request.command);
            log.push_back(std::to_string(command) + " " + std::to_string(offset) + "+" +
                          std::to_string(length) + (request.flags != 0 ? " flagged" : ""));
            std::vector<uint8_t> data(length);
            if (command == 1 && !get(data.data(), length)) return;
            if (hang_up) return;
            if (command == 1) std::ranges::copy(data, content.begin() + static_cast<ptrdiff_t>(offset));
            uint8_t answer[16];
            const uint32_t failed = error;  // the client may change it once it has the answer
            const uint32_t magic = htobe32(0x67446698), status = htobe32(failed);
            std::memcpy(answer, &magic, 4);
            std::memcpy(answer + 4, &status, 4);
            std::memcpy(answer + 8, &request.cookie, 8);
            if (lie) lie(answer);
            put(answer, sizeof answer);
            if (command == 0 && failed == 0) put(&content[offset], length);
        }
    }

    int socket_ = -1;
    std::thread thread_;
};

TEST(Nbd, DisksAreReadAndWritten) {
    Server server;
    auto connection = NbdConnection::open(server.start());
    ASSERT_TRUE(connection.has_value()) << connection.error();
    EXPECT_EQ((*connection)->size(), kSize);
    EXPECT_FALSE((*connection)->readonly());
    {
        auto image = DiskImage::over("disk", std::make_unique<NbdStorage>(*connection), kSize, {});
        ASSERT_TRUE(image.has_value());
        std::vector<uint8_t> first(700, 'a'), second(324, 'b'), got(1024);
        const std::span<uint8_t> parts[] = {first, second}, whole[] = {got};
        ASSERT_TRUE(image->write(4096, parts).has_value());
        ASSERT_TRUE(image->read(4096, whole).has_value());
        EXPECT_EQ(got[699], 'a');
        EXPECT_EQ(got[700], 'b');
        EXPECT_TRUE(image->flush().has_value());
        EXPECT_TRUE(image->discard(0, 512).has_value());
        EXPECT_TRUE(image->write_zeroes(512, 512, true).has_value());
        EXPECT_TRUE(image->write_zeroes(512, 512, false).has_value());
    }
    connection->reset();
    EXPECT_EQ(server.content[4096], 'a');
    EXPECT_EQ(server.log, (std::vector<std::string>{"1 4096+1024", "0 4096+1024", "3 0+0", "4 0+512",
                                                    "6 512+512", "6 512+512 flagged"}));
}

TEST(Nbd, ErrorsAreTheServers) {
    Server server;
    auto connection = NbdConnection::open(server.start());
    ASSERT_TRUE(connection.has_value());
    std::vector<uint8_t> bytes(512);
    server.error = ENOSPC;
    EXPECT_EQ((*connection)->write(0, bytes).error().number, ENOSPC);
    server.error = EIO;
    EXPECT_EQ((*connection)->read(0, bytes).error().number, EIO);
    server.error = 0;
    EXPECT_TRUE((*connection)->read(0, bytes).has_value()) << "the connection goes on";
    connection->reset();
}

TEST(Nbd, ServersThatLieAreLeft) {
    for (int which = 0; which < 4; which++) {
        Server server;
        if (which == 0) server.hang_up = true;
        if (which == 1) server.lie = [](uint8_t(&reply)[16]) { reply[0] ^= 1; };
        if (which == 2) server.lie = [](uint8_t(&reply)[16]) { reply[8] ^= 1; };
        if (which == 3)
            server.lie = [](uint8_t(&reply)[16]) { reply[7] = 5; };  // an error, and data nevertheless
        auto connection = NbdConnection::open(server.start());
        ASSERT_TRUE(connection.has_value());
        std::vector<uint8_t> bytes(512);
        EXPECT_EQ((*connection)->read(0, bytes).error().number, EIO) << which;
        EXPECT_EQ((*connection)->read(0, bytes).error().number, EIO) << which;
        EXPECT_EQ((*connection)->flush().error().number, EIO) << which;
        connection->reset();
    }
}

TEST(Nbd, ServersThatAreNoneAreRefused) {
    const auto error_of = [](const std::function<void(Server&)>& change) {
        Server server;
        change(server);
        const auto connection = NbdConnection::open(server.start());
        return connection ? std::string() : connection.error();
    };
    EXPECT_EQ(error_of([](Server& s) { s.greeting = 1; }), "its server does not speak NBD");
    EXPECT_EQ(error_of([](Server& s) { s.option_type_error = 1u << 31 | 6; }),
              "its server has no such export");
    EXPECT_EQ(error_of([](Server& s) { s.size = ~uint64_t{0}; }), "its server does not speak NBD");
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    close(pair[1]);
    EXPECT_EQ(NbdConnection::open(pair[0]).error(), "its server has ended");
}

TEST(Nbd, WhatTheServerCannotIsLeftOut) {
    Server server;
    server.flags = 1 | 2;
    auto connection = NbdConnection::open(server.start());
    ASSERT_TRUE(connection.has_value());
    EXPECT_TRUE((*connection)->readonly());
    EXPECT_TRUE((*connection)->flush().has_value());
    EXPECT_TRUE((*connection)->discard(0, 512).has_value());
    EXPECT_FALSE((*connection)->zero(0, 512, true).has_value());
    connection->reset();
    EXPECT_TRUE(server.log.empty());
}

// ---- words of drives

struct Calls {
    std::vector<std::string> made;
};
struct Recorder final : DiskStorage {
    explicit Recorder(Calls& calls) : calls(calls) {}
    DiskResult read(uint64_t, DiskBuffers) override { return {}; }
    DiskResult write(uint64_t, DiskBuffers) override { return note("write"); }
    DiskResult flush() override { return note("flush"); }
    DiskResult discard(uint64_t, uint64_t) override { return note("discard"); }
    DiskResult zero(uint64_t, uint64_t, bool may_unmap) override {
        return note(may_unmap ? "hole" : "zeros");
    }
    DiskResult note(const char* what) {
        calls.made.emplace_back(what);
        return {};
    }
    Calls& calls;
};

std::vector<std::string> calls_with(const DiskImage::Options& options) {
    Calls calls;
    auto image = DiskImage::over("disk", std::make_unique<Recorder>(calls), kSize, options);
    EXPECT_TRUE(image.has_value());
    std::vector<uint8_t> zeros(1024), data(1024);
    data.back() = 1;
    std::span<uint8_t> buffer = zeros;
    EXPECT_TRUE(image->write(0, {&buffer, 1}).has_value());
    buffer = data;
    EXPECT_TRUE(image->write(0, {&buffer, 1}).has_value());
    EXPECT_TRUE(image->discard(0, 512).has_value());
    EXPECT_TRUE(image->write_zeroes(0, 512, true).has_value());
    EXPECT_TRUE(image->flush().has_value());
    return calls.made;
}

TEST(DiskWords, SayWhatBecomesOfWrites) {
    using Zeroes = DiskImage::DetectZeroes;
    using Made = std::vector<std::string>;
    EXPECT_EQ(calls_with({}), (Made{"write", "write", "discard", "hole", "flush"}));
    EXPECT_EQ(calls_with({.unmap = false}), (Made{"write", "write", "zeros", "flush"}));
    EXPECT_EQ(calls_with({.detect_zeroes = Zeroes::On}),
              (Made{"zeros", "write", "discard", "hole", "flush"}));
    EXPECT_EQ(calls_with({.detect_zeroes = Zeroes::Unmap}),
              (Made{"hole", "write", "discard", "hole", "flush"}));
    EXPECT_EQ(calls_with({.unmap = false, .detect_zeroes = Zeroes::Unmap}),
              (Made{"zeros", "write", "zeros", "flush"}));
    EXPECT_EQ(calls_with({.flushes = false}), (Made{"write", "write", "discard", "hole"}));
}

}  // namespace
}  // namespace arclight::devices::virtio
