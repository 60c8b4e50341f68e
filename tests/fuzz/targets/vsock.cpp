// The host's end of a guest's sockets: packets of every kind in every order, and programs of the host's that come, talk and go.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <vector>

#include "devices/vsock/hub.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices::vsock;

constexpr uint64_t kCid = 3;

struct Machine {
    ~Machine() {
        for (const int socket : host) close(socket);
    }
    int pair() {
        std::array<int, 2> ends{};
        require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) == 0,
                "a pair of sockets");
        host.push_back(ends[1]);
        return ends[0];
    }
    std::vector<int> host;
    bool listens = true;
    Hub::Clock::time_point now = Hub::Clock::now();
    Hub hub{kCid, [this](uint32_t) { return listens && host.size() < 32 ? pair() : -1; }};
};

void take(Machine& machine, size_t room) {
    Packet packet;
    for (unsigned i = 0; i < 1000 && machine.hub.next(packet, room); ++i) {
        require(packet.header.length == packet.data.size(), "a length that is true");
        require(packet.data.size() <= room, "no more than there is room for");
        require(packet.header.op != Op::Data || !packet.data.empty(), "data that is some");
    }
}

void step(Machine& machine, Input& in) {
    const uint8_t what = in.u8();
    switch (what & 7) {
        case 0:
        case 1:
        case 2: {
            const uint8_t kind = in.u8(), port = in.u8();
            Header header{
                .source_cid = (kind & 0x40) != 0 ? kCid + 1 : kCid,
                .destination_cid = (kind & 0x80) != 0 ? in.u64() : kHostCid,
                .source_port = port & 3u,
                // The host's own ports too.
                .destination_port = (port & 0x40) != 0 ? (1u << 30) + (port >> 4 & 3) : port >> 2 & 3u,
                .length = 0,
                .type = static_cast<uint16_t>((kind & 0x20) != 0 ? in.u16() : kStream),
                .op = static_cast<Op>(kind & 15),
                .flags = what >> 3 & 3u,
                .buffer = (what & 0x80) != 0 ? in.u32() : 4096,
                .forwarded = (what & 0x40) != 0 ? in.u32() : 0};
            const std::vector<uint8_t> data((what & 0x20) != 0 ? in.u16() : in.u8() & 31u, 'x');
            header.length = static_cast<uint32_t>(data.size());
            machine.hub.receive(header, data);
            break;
        }
        case 3: take(machine, in.u16()); break;
        case 4: {
            std::vector<pollfd> ready;
            machine.hub.add_to(ready, (what & 0x80) != 0);
            poll(ready.data(), ready.size(), 0);
            if ((what & 0x40) != 0) machine.now += Hub::kPatience + std::chrono::seconds(1);
            machine.hub.serve(ready, machine.now);
            break;
        }
        case 5:
            if (machine.host.size() < 32) machine.hub.accept(machine.pair());
            break;
        case 6: {
            if (machine.host.empty()) break;
            const int socket = machine.host[in.u8() % machine.host.size()];
            std::string text = (what & 0x80) != 0 ? "CONNECT " + std::to_string(in.u8() & 3) + "\n" : "";
            const auto more = in.bytes(in.u8() & 31u);
            text.append(more.begin(), more.end());
            [[maybe_unused]] const ssize_t put =
                send(socket, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            break;
        }
        default: {
            if (machine.host.empty()) break;
            const int socket = machine.host[in.u8() % machine.host.size()];
            std::array<char, 4096> taken;
            if ((what & 0x80) != 0)
                shutdown(socket, what >> 5 & 1 ? SHUT_RDWR : SHUT_WR);
            else
                while (recv(socket, taken.data(), taken.size(), MSG_DONTWAIT) > 0) continue;
            machine.listens = (what & 0x10) == 0;
        }
    }
    require(machine.hub.connections() <= Hub::kMaxConnections, "no more connections than there may be");
}

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    Machine machine;
    while (!in.empty()) step(machine, in);
    take(machine, 100);
    machine.hub.reset();
    require(machine.hub.connections() == 0 && !machine.hub.has_packet() && !machine.hub.has_deadlines(),
            "nothing after a reset");
}

const Registered registered({.name = "vsock", .run = run, .max_size = 512, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
