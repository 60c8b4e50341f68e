#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <mutex>
#include <string>
#include <vector>

#include "devices/svio/network.h"
#include "host/crash_report.h"
#include "tests/devices/svio_guest.h"

namespace arclight::devices::test {

inline std::vector<uint8_t> frame_to(const virtio::MacAddress& to, const virtio::MacAddress& from,
                                     size_t data = 46, uint8_t fill = 7) {
    std::vector<uint8_t> frame(to.begin(), to.end());
    frame.insert(frame.end(), from.begin(), from.end());
    frame.insert(frame.end(), {0x88, 0xb5});
    frame.resize(14 + data, fill);
    return frame;
}
inline constexpr virtio::MacAddress kA{2, 0, 0, 0, 0, 1}, kB{2, 0, 0, 0, 0, 2}, kC{2, 0, 0, 0, 0, 3},
    kAll{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/// A device thread with what it says, and interfaces at addresses without a path.
struct Server {
    explicit Server(std::unique_ptr<svio::Resource> resource, unsigned poll_us = 0) {
        static const bool reporting = (host::report_crashes("test", 0, nullptr), true);
        EXPECT_TRUE(reporting);
        auto started = svio::DeviceThread::start(
            std::move(resource),
            {.poll = std::chrono::microseconds(poll_us), .say = [this](const std::string& line) {
                 const std::lock_guard guard(lock);
                 said.push_back(line);
             }});
        EXPECT_TRUE(started);
        device = std::move(*started);
    }
    explicit Server(svio::Network::Mode mode, unsigned poll_us = 0)
        : Server(std::make_unique<svio::Network>(mode), poll_us) {}

    Address add(const svio::InterfaceOptions& options) {
        Address address;
        const auto added = device->add(options, address.listener);
        EXPECT_TRUE(added) << added.error();
        return address;
    }
    svio::DeviceThread::InterfaceReport of(const std::string& name) {
        for (const auto& one : device->report().interfaces)
            if (one.options.name == name) return one;
        ADD_FAILURE() << "no interface " << name;
        return {};
    }
    template <typename Holds>
    bool until(const std::string& name, Holds holds) {
        for (unsigned i = 0; i < 6000; ++i) {
            if (holds(of(name))) return true;
            usleep(10'000);
        }
        return false;
    }
    std::string line() {
        const std::lock_guard guard(lock);
        return said.empty() ? "" : said.back();
    }

    std::mutex lock;
    std::vector<std::string> said;
    std::unique_ptr<svio::DeviceThread> device;
};

}  // namespace arclight::devices::test
