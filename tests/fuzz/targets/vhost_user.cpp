// A vhost-user daemon that says whatever the input says, from the first answer on and by itself.
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "devices/vhost_user/connection.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices::vhost_user;

constexpr size_t kConfig = 60;

/// An answer as it is to be, but for what the input changes.
void answer(std::vector<uint8_t>& out, Request request, Input& in) {
    const size_t size = request == Request::GetConfig ? sizeof(ConfigHeader) + kConfig : 8;
    Header header{static_cast<uint32_t>(request), kVersion | kReply, static_cast<uint32_t>(size)};
    std::vector<uint8_t> payload(size);
    if (request == Request::GetConfig) payload[4] = kConfig;
    switch (in.u8() & 15) {
        case 0: header.request = in.u8(); break;
        case 1: header.flags = in.u32(); break;
        case 2: header.size = in.u32(); break;
        case 3: header.size = in.u8(), payload.resize(header.size); break;
        case 4: payload[in.u8() % payload.size()] = in.u8(); break;
        default: break;
    }
    if (request == Request::GetFeatures) {
        const uint64_t features = in.u32() | uint64_t{in.u8()} << 32;
        if (payload.size() >= sizeof features) std::memcpy(payload.data(), &features, sizeof features);
    } else if (request == Request::GetProtocolFeatures && !payload.empty()) {
        payload[0] = in.u8();
        if (payload.size() > 1) payload[1] = in.u8();
    } else if (request == Request::GetQueueNum && !payload.empty()) {
        payload[0] = in.u8();
    }
    const auto* const raw = reinterpret_cast<const uint8_t*>(&header);
    out.insert(out.end(), raw, raw + sizeof header);
    out.insert(out.end(), payload.begin(), payload.end());
}

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    std::array<int, 2> pair{};
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0, "a pair of sockets");
    // All answers are there before the questions, and then the end.
    std::vector<uint8_t> said;
    const uint8_t acknowledges = in.u8();
    answer(said, Request::GetFeatures, in);
    answer(said, Request::GetProtocolFeatures, in);
    for (const Request request :
         {Request::GetQueueNum, Request::SetOwner, Request::SetBackendReqFd, Request::GetConfig,
          Request::SetFeatures, Request::SetMemTable, Request::SetVringNum, Request::SetVringBase,
          Request::SetVringAddr, Request::SetVringCall, Request::SetVringErr, Request::SetVringKick,
          Request::SetVringEnable, Request::SetVringEnable, Request::GetVringBase})
        if ((acknowledges & 1u << (static_cast<unsigned>(request) & 7)) != 0) answer(said, request, in);
    const auto more = in.bytes(in.u8());
    said.insert(said.end(), more.begin(), more.end());
    require(send(pair[1], said.data(), said.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(said.size()),
            "room for all answers");
    shutdown(pair[1], SHUT_WR);
    const auto opened = DaemonConnection::open(pair[0], ~uint64_t{0}, kConfig, std::chrono::milliseconds(50));
    if (opened) {
        Connection& connection = **opened;
        require(connection.config().size() == kConfig, "a configuration of the size that was asked for");
        require(connection.queue_limit() <= kVringIndexMask, "queues that a message can name");
        std::array<uint8_t, 4096> ram{};
        const mmu::GuestMemory memory(ram.data(), 0, ram.size());
        const unsigned ring = 0;
        bool good = connection.set_up(1, {pair[1], 0, ram.size()}, memory).has_value();
        good = good &&
               connection.start_ring(ring, {8, 0, 1024, 2048, 0}, pair[1], pair[1], pair[1]).has_value() &&
               connection.begin({&ring, 1}).has_value() && connection.enable_ring(ring, false).has_value() &&
               connection.end().has_value() && connection.stop_ring(ring).has_value();
        const auto served = connection.serve();
        require(!served || good, "a connection that is broken stays so");
    } else {
        require(!opened.error().empty() && opened.error().find('\n') == std::string::npos, "one line");
    }
    close(pair[1]);
}

const Registered registered({.name = "vhost_user", .run = run, .max_size = 256, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
