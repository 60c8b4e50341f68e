#include "guestos/monitor/monitor.h"

#include <gtest/gtest.h>

#include "tests/guestos/chardev/fake_frontend.h"
#include "tests/guestos/monitor/fake_target.h"

namespace arclight::guestos {
namespace {

/// A back end with a client that the test is.
struct FakeClient final : devices::CharBackend {
    void write(std::span<const uint8_t> bytes) override {
        const std::lock_guard hold(lock);
        output.append(bytes.begin(), bytes.end());
    }
    void connect(devices::CharFrontend* to) override { frontend = to; }
    void accept_input() override { accepted++; }
    bool is_open() const override { return open; }
    std::string text() {
        const std::lock_guard hold(lock);
        return output;
    }
    std::vector<std::string> lines() {
        std::vector<std::string> all;
        const std::string now = text();
        for (size_t at = 0, end = 0; (end = now.find("\r\n", at)) != std::string::npos; at = end + 2)
            all.push_back(now.substr(at, end - at));
        return all;
    }
    void type(std::string_view bytes) {
        EXPECT_EQ(frontend.load()->receive(test::bytes_of(bytes)), bytes.size());
    }
    std::mutex lock;
    std::string output;
    std::atomic<devices::CharFrontend*> frontend{nullptr};
    std::atomic<unsigned> accepted{0};
    bool open = true;
};

TEST(Monitor, EventsComeBeforeTheAnswerThatTheyBelongTo) {
    test::FakeTarget target;
    FakeClient client;
    Monitors monitors(target);
    monitors.add({.chardev = "c"}, client, false);
    target.on_stop = [&] { monitors.tell(MonitorEvent::now("STOP")); };
    EXPECT_TRUE(test::eventually([&] { return client.lines().size() == 1; })) << "a greeting";
    monitors.tell(MonitorEvent::now("RESUME"));  // before the client has negotiated
    client.type(R"({"execute":"qmp_capabilities"}{"execute":"stop","id":1})");
    EXPECT_TRUE(test::eventually([&] { return client.lines().size() == 4; }));
    const auto lines = client.lines();
    ASSERT_EQ(lines.size(), 4u) << client.text();
    EXPECT_EQ(lines[1], R"({"return": {}})");
    const Json event = Json::parse(lines[2]);
    EXPECT_EQ(event["event"], "STOP");
    EXPECT_GT(event["timestamp"]["seconds"], 1'600'000'000);
    EXPECT_LT(event["timestamp"]["microseconds"], 1'000'000);
    EXPECT_EQ(lines[3], R"({"id": 1, "return": {}})");
    EXPECT_TRUE(monitors.finish(std::chrono::seconds(20)));
}

TEST(Monitor, EachClientIsGreeted) {
    test::FakeTarget target;
    FakeClient client;
    client.open = false;
    Monitors monitors(target);
    monitors.add({.chardev = "c"}, client, false);
    for (size_t i = 1; i <= 3; ++i) {
        client.frontend.load()->event(devices::CharEvent::Opened);
        EXPECT_TRUE(test::eventually([&] { return client.lines().size() == 2 * i - 1; }));
        client.type(R"({"execute":"query-status"}{"half)");
        EXPECT_TRUE(test::eventually([&] { return client.lines().size() == 2 * i; }));
        EXPECT_NE(client.lines().back().find("Expecting capabilities"), std::string::npos);
        client.frontend.load()->event(devices::CharEvent::Closed);
    }
}

TEST(Monitor, WhatOneClientHasAskedIsNotAnsweredToTheNext) {
    test::FakeTarget target;
    FakeClient client;
    std::mutex commands;
    Monitor monitor({.chardev = "c"}, client, target, commands, false);
    EXPECT_TRUE(test::eventually([&] { return client.lines().size() == 1; }));
    commands.lock();
    for (int i = 0; i < 3; i++) client.type(R"({"execute":"query-status","id":"old"})");
    client.frontend.load()->event(devices::CharEvent::Closed);
    client.type(R"({"execute":"query-status","id":"old"})");
    client.frontend.load()->event(devices::CharEvent::Opened);
    client.type(R"({"execute":"qmp_capabilities","id":"new"})");
    commands.unlock();
    EXPECT_TRUE(monitor.finish(std::chrono::seconds(20)));
    const auto lines = client.lines();
    ASSERT_EQ(lines.size(), 3u) << client.text();
    EXPECT_NE(lines[1].find("QMP"), std::string::npos);
    EXPECT_EQ(lines[2], R"({"id": "new", "return": {}})");
}

TEST(Monitor, APersonHasAPromptWhenTheFocusComes) {
    test::FakeTarget target;
    FakeClient client;
    Monitors monitors(target);
    monitors.add({.chardev = "c", .mode = MonitorOptions::Mode::Readline}, client, true);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(client.text(), "") << "the screen is the guest's";
    client.frontend.load()->event(devices::CharEvent::FocusIn);
    EXPECT_TRUE(test::eventually([&] { return client.text().ends_with("(qemu) "); }));
    client.type("info status\r");
    EXPECT_TRUE(test::eventually([&] { return client.text().ends_with("VM status: running\r\n(qemu) "); }));
    client.frontend.load()->event(devices::CharEvent::FocusIn);
    EXPECT_TRUE(test::eventually([&] { return client.text().ends_with("(qemu) (qemu) "); }));
}

TEST(Monitor, InputThatNobodyWaitsForIsHeldBack) {
    test::FakeTarget target;
    FakeClient client;
    std::mutex commands;
    commands.lock();
    {
        Monitor monitor({.chardev = "c"}, client, target, commands, false);
        const std::string line = R"({"execute":"query-status"})";
        size_t taken = 0, before = 1;
        // One command waits for the lock; what is behind it fills the room.
        while (taken != before) {
            before = taken;
            taken += client.frontend.load()->receive(test::bytes_of(line));
            ASSERT_LT(taken, size_t{1} << 20);
        }
        EXPECT_EQ(client.accepted, 0u);
        commands.unlock();
        EXPECT_TRUE(test::eventually([&] { return client.accepted == 1; }));
        EXPECT_TRUE(monitor.finish(std::chrono::seconds(20)));
        EXPECT_EQ(client.lines().size(), 1 + taken / line.size());
    }
}

}  // namespace
}  // namespace arclight::guestos
