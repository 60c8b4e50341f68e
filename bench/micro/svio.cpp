// The device thread of self-virtualized I/O, by guests without CPUs: threads of this process that fill rings and look at them. What is left
// of the time is the thread's own. The argument is the number of interfaces.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <thread>

#include "devices/svio/network.h"
#include "tests/devices/svio_guest.h"

namespace arclight::devices {
namespace {

using namespace svio;
using test::Address, test::SvioGuest;

SvioGuest::Bytes frame_of(size_t bytes) {
    SvioGuest::Bytes frame(bytes, 7);
    std::copy_n("\2\0\0\0\0\1\2\0\0\0\0\2\x88\xb5", 14, frame.begin());
    return frame;
}

/// Guests of one server that returns frames.
struct Load {
    Load(size_t guests, size_t frame_bytes, unsigned poll_us) {
        auto started = DeviceThread::start(std::make_unique<Network>(Network::Mode::Echo),
                                           {.poll = std::chrono::microseconds(poll_us), .say = nullptr});
        server = std::move(*started);
        for (size_t i = 0; i < guests; ++i) {
            Address address;
            (void)server->add({.name = std::to_string(i)}, address.listener);
            all.push_back(std::make_unique<Guest>(address));
            all.back()->prepare(frame_of(frame_bytes));
        }
        begin = server->report();
    }

    struct Guest : SvioGuest {
        explicit Guest(const Address& address) : SvioGuest(address) { offer_room(kEntries); }
        /// As many under way as `most`. Returns how many have come back since the last call.
        unsigned turn(unsigned most) {
            const auto back = static_cast<uint16_t>(used_count(0) - seen);
            seen = static_cast<uint16_t>(seen + back);
            offer_room(back);
            for (under_way -= back; under_way < most; ++under_way) send_again();
            return back;
        }
        uint16_t seen = 0;
        unsigned under_way = 0;
    };
    uint64_t served(size_t i) { return server->report().interfaces[i].counts.sent; }
    void report(benchmark::State& state) {
        const auto end = server->report();
        const auto messages = static_cast<double>(end.messages - begin.messages);
        state.counters["thread_ns_a_message"] = static_cast<double>(end.cpu_ns - begin.cpu_ns) / messages;
        state.counters["messages_a_sleep"] =
            messages / static_cast<double>(std::max<uint64_t>(end.sleeps - begin.sleeps, 1));
    }

    std::unique_ptr<DeviceThread> server;
    std::vector<std::unique_ptr<Guest>> all;
    DeviceThread::Report begin;
};

/// 32 frames of each interface at a time, for which a thread that does not poll wakes. Its CPU time is what a busy host leaves as it is.
void svio_stream(benchmark::State& state) {
    Load load(static_cast<size_t>(state.range(0)), static_cast<size_t>(state.range(1)), 0);
    int64_t back = 0;
    for (auto _ : state) {
        for (const auto& guest : load.all) guest->turn(32);
        for (const auto& guest : load.all) {
            guest->wait_used(0, static_cast<uint16_t>(guest->seen + 32));
            back += 32;
        }
    }
    state.SetItemsProcessed(back);
    load.report(state);
}
BENCHMARK(svio_stream)->ArgsProduct({{1, 2, 4, 8, 16}, {64, 1500}})->UseRealTime();

/// One frame of one interface, the others being there.
void svio_round_trip(benchmark::State& state) {
    Load load(static_cast<size_t>(state.range(0)), 64, 50);
    Load::Guest& guest = *load.all.front();
    for (auto _ : state) {
        guest.turn(1);
        while (guest.used_count(0) == guest.seen) std::this_thread::yield();
    }
    load.report(state);
}
BENCHMARK(svio_round_trip)->RangeMultiplier(2)->Range(1, 16)->UseRealTime();

/// The same beside others that always have 32 large frames under way, from a thread of their own: turns that the light one has to wait.
void svio_round_trip_beside_greedy(benchmark::State& state) {
    Load load(static_cast<size_t>(state.range(0)), 1500, 50);
    load.all.front()->prepare(frame_of(64));
    std::atomic<bool> stop{false};
    std::thread greedy([&] {
        while (!stop)
            for (size_t i = 1; i < load.all.size(); ++i)
                if (load.all[i]->turn(32) == 0) std::this_thread::yield();
    });
    Load::Guest& guest = *load.all.front();
    const uint64_t before = load.served(1);
    for (auto _ : state) {
        guest.turn(1);
        while (guest.used_count(0) == guest.seen) std::this_thread::yield();
    }
    state.counters["greedy_messages_a_round_trip"] =
        static_cast<double>(load.served(1) - before) / static_cast<double>(state.iterations());
    stop = true;
    greedy.join();
    load.report(state);
}
BENCHMARK(svio_round_trip_beside_greedy)->Arg(2)->Arg(4)->UseRealTime();

}  // namespace
}  // namespace arclight::devices
