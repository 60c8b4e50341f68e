#include <gtest/gtest.h>

#include <random>

#include "devices/virtio/console.h"
#include "tests/devices/console_driver.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

using test::ConsoleDriver;
using virtio::Console;
using Messages = std::vector<std::string>;

const std::vector<Console::PortOptions> kPorts = {
    {.number = 0, .console = true, .chardev = "a"},
    {.number = 1, .chardev = "b", .name = "org.qemu.guest_agent.0"}};

struct VirtioConsole : testing::Test {
    ~VirtioConsole() override { loop.stop(); }
    std::unique_ptr<Console> make() {
        return std::make_unique<Console>(loop, kPorts, std::vector<CharBackend*>{&console, &agent});
    }
    /// As Linux's driver does it.
    void bring_up() {
        driver.start_console();
        driver.control(~0u, ConsoleDriver::kDeviceReady, 1);
        driver.control(0, ConsoleDriver::kPortReady, 1);
        driver.control(1, ConsoleDriver::kPortReady, 1);
        driver.control(0, ConsoleDriver::kPortOpen, 1);
        driver.messages();
    }
    static std::string message(uint32_t port, uint16_t event, uint16_t value, std::string_view more = {}) {
        return ConsoleDriver::message(port, event, value, more);
    }
    EventLoop loop;
    test::FakeChardev console, agent;
    ConsoleDriver driver{make()};
};

constexpr unsigned kReceive0 = 0, kTransmit0 = 1, kReceive1 = 4, kTransmit1 = 5;

TEST_F(VirtioConsole, PortsAreIntroduced) {
    console.size = WindowSize{.columns = 80, .rows = 24};
    console.set_size(*console.size);
    driver.start_console();
    EXPECT_EQ(driver.device.read(0x100, 2), 80u);
    EXPECT_EQ(driver.device.read(0x102, 2), 24u);
    EXPECT_EQ(driver.device.read(0x104, 4), 2u);
    driver.control(~0u, ConsoleDriver::kDeviceReady, 1);
    EXPECT_EQ(driver.messages(),
              (Messages{message(0, ConsoleDriver::kDeviceAdd, 1), message(1, ConsoleDriver::kDeviceAdd, 1)}));
    driver.control(0, ConsoleDriver::kPortReady, 1);
    EXPECT_EQ(driver.messages(),
              (Messages{message(0, ConsoleDriver::kConsolePort, 1), message(0, ConsoleDriver::kPortOpen, 1),
                        message(0, ConsoleDriver::kResize, 1, std::string_view("\x50\0\x18\0", 4))}));
    driver.control(1, ConsoleDriver::kPortReady, 1);
    EXPECT_EQ(driver.messages(), (Messages{message(1, ConsoleDriver::kPortName, 1,
                                                   std::string_view("org.qemu.guest_agent.0\0", 23))}));
    driver.control(7, ConsoleDriver::kPortReady, 1);
    driver.control(1, 99, 1);
    EXPECT_EQ(driver.messages(), Messages());
    EXPECT_FALSE(driver.broken());
}

TEST_F(VirtioConsole, ClientsComeAndGo) {
    bring_up();
    agent.set_open(true);
    EXPECT_EQ(driver.messages(), (Messages{message(1, ConsoleDriver::kPortOpen, 1)}));
    agent.set_open(false);
    EXPECT_EQ(driver.messages(), (Messages{message(1, ConsoleDriver::kPortOpen, 0)}));
    console.set_size({.columns = 100, .rows = 50});
    EXPECT_EQ(driver.messages(),
              (Messages{message(0, ConsoleDriver::kResize, 1, std::string_view("\x64\0\x32\0", 4))}));
    EXPECT_EQ(driver.device.read(0x100, 2), 100u);
}

TEST_F(VirtioConsole, BytesBothWays) {
    bring_up();
    driver.send(kTransmit0, "to the screen");
    EXPECT_EQ(console.output, "to the screen");
    driver.send(kTransmit1, "to the agent");
    EXPECT_EQ(agent.output, "to the agent");
    EXPECT_EQ(console.type("keys"), 0u) << "no room";
    const unsigned asked = console.asked;
    driver.room(kReceive0, 3);
    EXPECT_GT(console.asked, asked);
    EXPECT_EQ(console.type("keys"), 3u);
    EXPECT_EQ(driver.take(kReceive0), (Messages{"key"}));
    driver.room(kReceive1);
    EXPECT_EQ(agent.type("request"), 0u) << "nobody has opened the port";
    driver.control(1, ConsoleDriver::kPortOpen, 1);
    EXPECT_EQ(agent.type("request"), 7u);
    EXPECT_EQ(driver.take(kReceive1), (Messages{"request"}));
    driver.device.write(0x108, '!', 4);
    EXPECT_EQ(console.output, "to the screen!") << "emergency write";
}

TEST_F(VirtioConsole, ASlowBackEndHoldsTheGuestsOutput) {
    bring_up();
    console.room = 5;
    driver.send(kTransmit0, "hello ");
    driver.send(kTransmit0, "world");
    EXPECT_EQ(console.output, "hello");
    EXPECT_TRUE(driver.take(kTransmit0).empty());
    driver.send(kTransmit1, "others go on");
    EXPECT_EQ(agent.output, "others go on");
    console.give_room(3);
    EXPECT_EQ(console.output, "hello wo");
    EXPECT_EQ(driver.take(kTransmit0).size(), 1u);
    console.give_room(SIZE_MAX);
    EXPECT_EQ(console.output, "hello world");
    EXPECT_EQ(driver.take(kTransmit0).size(), 1u);
}

// A driver from before several ports: queues 0 and 1, nothing else.
TEST_F(VirtioConsole, WithoutMultiport) {
    driver.start_console(ConsoleDriver::kSize, false);
    driver.room(kReceive0);
    EXPECT_EQ(console.type("x"), 1u);
    driver.send(kTransmit0, "y");
    EXPECT_EQ(console.output, "y");
    console.set_size({.columns = 90, .rows = 30});
    EXPECT_EQ(driver.get(0x60) & 2, 2u) << "a configuration interrupt";
    EXPECT_TRUE(driver.take(ConsoleDriver::kControlReceive).empty());
}

TEST_F(VirtioConsole, MessagesWaitForRoomAndAreNotHoarded) {
    driver.start_console(ConsoleDriver::kAll, false);
    for (int i = 0; i < 2000; i++) driver.control(1, ConsoleDriver::kPortReady, 1);
    unsigned names = 0;
    for (int i = 0; i < 1000; i++) {
        driver.room(ConsoleDriver::kControlReceive);
        names += static_cast<unsigned>(driver.take(ConsoleDriver::kControlReceive).size());
    }
    EXPECT_EQ(names, 256u);
}

TEST_F(VirtioConsole, GoesOnAfterALoad) {
    bring_up();
    driver.control(1, ConsoleDriver::kPortOpen, 1);
    console.room = 2;
    driver.send(kTransmit0, "abcd");
    driver.device.quiesce();
    EXPECT_EQ(console.type("x"), 0u);
    const auto stream = test::save(driver.device);

    test::FakeChardev other_console, other_agent;
    other_agent.open = true;
    ConsoleDriver other(
        std::make_unique<Console>(loop, kPorts, std::vector<CharBackend*>{&other_console, &other_agent}));
    other.ram = driver.ram;
    ASSERT_EQ(test::load(other.device, stream), "");
    EXPECT_EQ(test::save(other.device), stream);
    other.device.resume();
    EXPECT_EQ(other_console.output, "cd") << "what was sent is not sent again";
    // The client of the other one is new to the driver.
    const auto told = other.take(ConsoleDriver::kControlReceive);
    ASSERT_FALSE(told.empty());
    EXPECT_EQ(told.back(), message(1, ConsoleDriver::kPortOpen, 1));
    driver.device.resume();
    console.give_room(SIZE_MAX);
    EXPECT_EQ(console.output, "abcd");
}

TEST_F(VirtioConsole, RefusesWhatItCannotBe) {
    bring_up();
    console.room = 0;
    driver.send(kTransmit0, "abcd");
    driver.device.quiesce();
    std::mt19937_64 random(5);
    test::survives_damage(test::save(driver.device), random, [&](const std::vector<uint8_t>& stream) {
        test::FakeChardev a, b;
        ConsoleDriver damaged(std::make_unique<Console>(loop, kPorts, std::vector<CharBackend*>{&a, &b}));
        damaged.ram = driver.ram;
        const bool loaded = test::load(damaged.device, stream).empty();
        damaged.device.resume();
        a.type("x");
        b.set_open(true);
        return loaded;
    });
}

// With a loop that delivers while the driver resets.
TEST_F(VirtioConsole, AResetEndsWhatIsUnderWay) {
    loop.start();
    std::atomic<bool> stop{false};
    std::thread client([&] {
        while (!stop) {
            loop.post([&] {
                console.type("input");
                agent.set_open(!agent.open);
                console.frontend->writable();
            });
            loop.drain();
        }
    });
    for (int i = 0; i < 300; i++) {
        bring_up();
        driver.room(kReceive0);
        driver.send(kTransmit0, "output");
        driver.set(0x70, 0);
    }
    stop = true;
    client.join();
}

TEST(VirtioConsolePorts, AsText) {
    const std::string text = Console::ports_text(kPorts);
    EXPECT_EQ(text, "0:console:a:;1:port:b:org.qemu.guest_agent.0");
    const auto parsed = Console::parse_ports(text);
    ASSERT_TRUE(parsed) << parsed.error();
    EXPECT_EQ(Console::ports_text(*parsed), text);
    for (const char* wrong :
         {"x", "0:port:a:b", "31:port:a:b", "1:cable:a:b", "1:port:a:b;1:port:c:d", ";", "-1:port:a:b"})
        EXPECT_FALSE(Console::parse_ports(wrong)) << wrong;
}

}  // namespace
}  // namespace arclight::devices
