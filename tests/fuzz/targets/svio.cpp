// A front end of a device thread's interface that says whatever the input says, with a guest whose rings hold whatever the input has put
// there; beside it one that is good, which goes on.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "devices/svio/network.h"
#include "devices/vhost_user/back_end.h"
#include "devices/virtio/transport.h"
#include "host/send_files.h"
#include "tests/devices/test_ram.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices;
using vhost_user::BackEnd, vhost_user::Request;

constexpr size_t kRam = 1 << 16;
constexpr uint64_t kBase = 0x10000;

/// One end of an interface, with the socket of its front end.
struct Front {
    Front(svio::Network& network, int epoll) : port(std::move(*network.make_port({}))) {
        std::array<int, 2> pair{};
        require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0, "a pair of sockets");
        socket = pair[0];
        back = std::make_unique<BackEnd>(pair[1], port->device(), epoll, 0);
        port->connect(back.get());
    }
    ~Front() {
        port->connect(nullptr);
        back.reset();
        close(socket);
    }
    void say(uint32_t request, std::span<const uint8_t> payload, std::span<const int> files,
             uint32_t flags = vhost_user::kVersion) {
        const vhost_user::Header header{request, flags, static_cast<uint32_t>(payload.size())};
        std::vector<uint8_t> all(sizeof header + payload.size());
        std::memcpy(all.data(), &header, sizeof header);
        std::ranges::copy(payload, all.begin() + sizeof header);
        (void)host::send_with_files(socket, all, files, MSG_DONTWAIT);
    }
    template <typename T>
    void say(Request request, const T& payload, std::span<const int> files = {}) {
        say(static_cast<uint32_t>(request), {reinterpret_cast<const uint8_t*>(&payload), sizeof payload},
            files);
    }
    /// False: the connection is over.
    bool serve() {
        if (!alive) return false;
        const auto served = back->serve();
        if (back->take_changed()) port->connect(back.get());
        alive = served && *served;
        if (!served) require_one_line(served.error());
        if (!alive) port->connect(nullptr);
        std::array<uint8_t, 4096> answers{};
        (void)recv(socket, answers.data(), answers.size(), MSG_DONTWAIT);
        return alive;
    }
    void work() {
        port->deliver_waiting();
        if (port->waiting()) {
            const auto done = port->serve();
            require(done.messages <= svio::NetPort::kBatch, "a batch has its limit");
        }
        port->signal();
        port->arm();
        port->disarm();
    }
    void start(const test::TestRam& ram, int event) {
        say(Request::SetFeatures, svio_features());
        say(Request::SetMemTable, vhost_user::MemoryTable{1, 0, kBase, kRam, kBase, 0}, {{ram.file()}});
        for (uint32_t ring = 0; ring < 2; ++ring) {
            const uint64_t at = kBase + ring * 0x1000;
            say(Request::SetVringNum, vhost_user::VringState{ring, 16});
            say(Request::SetVringAddr, vhost_user::VringAddress{ring, 0, at, at + 0x400, at + 0x200, 0});
            say(Request::SetVringKick, uint64_t{ring}, {{event}});
            say(Request::SetVringCall, uint64_t{ring}, {{event}});
            say(Request::SetVringEnable, vhost_user::VringState{ring, 1});
            serve();
        }
    }
    uint64_t svio_features() const {
        return (port->device().features | virtio::kFeatureVersion1 | virtio::kFeatureIndirect |
                virtio::kFeatureEventIndex | vhost_user::kFeatureProtocol) &
               ~withheld;
    }

    std::unique_ptr<svio::Port> port;
    std::unique_ptr<BackEnd> back;
    int socket = -1;
    bool alive = true;
    uint64_t withheld = 0;
};

/// A driver's step: descriptors, and one more request.
void touch_ring(test::TestRam& ram, Input& in) {
    const size_t ring = (in.u8() & 1) * size_t{0x1000};
    const unsigned index = in.below(16);
    struct {
        uint64_t address;
        uint32_t length;
        uint16_t flags, next;
    } descriptor{kBase + 0x4000 + (in.u8() << 7), in.u8() * 16u, static_cast<uint16_t>(in.u8() & 7),
                 static_cast<uint16_t>(in.u8() & 17)};
    if (const uint8_t odd = in.u8(); odd < 16) descriptor.address = in.u64() >> (odd & 7) * 8;
    std::memcpy(ram.data() + ring + index * sizeof descriptor, &descriptor, sizeof descriptor);
    uint16_t available = 0;
    std::memcpy(&available, ram.data() + ring + 0x202, sizeof available);
    const auto head = static_cast<uint16_t>(index);
    std::memcpy(ram.data() + ring + 0x204 + available % 16 * 2, &head, sizeof head);
    available = static_cast<uint16_t>(available + (in.u8() < 8 ? in.u8() : 1));
    std::memcpy(ram.data() + ring + 0x202, &available, sizeof available);
    const auto bytes = in.bytes(in.u8() & 63);
    std::ranges::copy(bytes, ram.data() + 0x4000 + (in.u8() << 7));
}

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    const int epoll = epoll_create1(EPOLL_CLOEXEC), event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    {
        svio::Network network(in.flag() ? svio::Network::Mode::Switch : svio::Network::Mode::Echo);
        test::TestRam ram(kRam), good_ram(kRam);
        Front front(network, epoll), good(network, epoll);
        good.start(good_ram, event);
        front.withheld = in.flag() ? in.u32() : 0;
        if (in.flag()) front.start(ram, event);
        for (unsigned steps = 0; steps < 200 && !in.empty(); ++steps) {
            switch (in.below(4)) {
                case 0: {
                    const uint32_t request = in.u8() & 31, flags = vhost_user::kVersion | (in.u8() & 8);
                    std::array<int, 2> files{in.flag() ? ram.file() : event, event};
                    const uint8_t count = in.below(3);
                    const auto payload = in.bytes(in.u8() & 127);
                    front.say(request, payload, std::span(files).first(count), flags);
                    break;
                }
                case 1: touch_ring(ram, in); break;
                case 2: touch_ring(good_ram, in); break;
                default:
                    front.serve();
                    front.work();
                    good.work();
                    break;
            }
        }
        front.serve();
        front.work();
        require(good.serve(), "another front end's connection is none of its business");
    }
    close(event);
    close(epoll);
}

const Registered registered({.name = "svio", .run = run, .max_size = 1024, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
