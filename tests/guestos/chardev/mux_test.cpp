#include "guestos/chardev/mux.h"

#include <gtest/gtest.h>

#include "tests/guestos/chardev/fake_frontend.h"

namespace arclight::guestos {
namespace {

using devices::CharEvent;
using test::FakeFrontend;

/// A back end whose input the test types.
class FakeLine final : public Chardev {
  public:
    explicit FakeLine(devices::EventLoop& loop, const ChardevOptions& options)
        : Chardev(options), link(loop) {}
    void write(std::span<const uint8_t> bytes) override {
        const std::lock_guard hold(lock);
        output.append(bytes.begin(), bytes.end());
    }
    void connect(devices::CharFrontend* frontend) override { link.connect(frontend); }
    void accept_input() override { link.accept_input(); }
    bool has_frontend() const override { return link.connected(); }
    std::string filename() const override { return "fake"; }
    void type(std::string_view text) { link.put(test::bytes_of(text)); }
    std::string written() {
        const std::lock_guard hold(lock);
        return output;
    }
    FrontendLink link;
    std::mutex lock;
    std::string output;
};

struct MuxTest : testing::Test {
    MuxTest() {
        auto below = std::make_unique<FakeLine>(loop, options);
        line = below.get();
        mux = std::make_unique<Mux>(
            loop, std::move(below), options, escape,
            ChardevActions{.quit = [this] { quits++; }, .resume = [this] { resumes++; }});
    }
    ~MuxTest() override { loop.stop(); }
    static constexpr uint8_t escape = 1;
    devices::EventLoop loop;
    ChardevOptions options{.id = "m", .mux = true};
    FakeLine* line = nullptr;
    std::unique_ptr<Mux> mux;
    std::atomic<unsigned> quits{0}, resumes{0};
};

TEST_F(MuxTest, InputGoesToOneAndOutputComesFromAll) {
    FakeFrontend serial, monitor;
    devices::CharBackend *first = mux->add_port(), *second = mux->add_port();
    loop.start();
    {
        const devices::CharConnection a(*first, serial), b(*second, monitor);
        line->type("one");
        EXPECT_TRUE(test::eventually([&] { return serial.text() == "one"; }));
        line->type(
            "\x01"
            "ctwo");
        EXPECT_TRUE(test::eventually([&] { return monitor.text() == "two"; }));
        EXPECT_TRUE(serial.has(CharEvent::FocusOut) && monitor.has(CharEvent::FocusIn));
        line->type(
            "\x01"
            "cthree");
        EXPECT_TRUE(test::eventually([&] { return serial.text() == "onethree"; }));
        first->write(test::bytes_of("s"));
        second->write(test::bytes_of("m"));
        EXPECT_EQ(line->written(), "sm");
        line->type(
            "\x01"
            "b\x01r\x01x\x01\x01");
        EXPECT_TRUE(
            test::eventually([&] { return quits == 1 && resumes == 1 && serial.has(CharEvent::Break); }));
        EXPECT_TRUE(test::eventually([&] { return serial.text() == "onethree\x01"; }));
        line->type("\x01h");
        EXPECT_TRUE(test::eventually([&] { return line->written().find("Ctrl-A X") != std::string::npos; }));
    }
}

// A guest that reads nothing must not take the keys away.
TEST_F(MuxTest, KeysWorkWhileTheFrontEndTakesNothing) {
    FakeFrontend serial;
    serial.room = 0;
    devices::CharBackend* port = mux->add_port();
    loop.start();
    const devices::CharConnection connection(*port, serial);
    line->type(std::string(100'000, 'x') + "\x01x");
    EXPECT_TRUE(test::eventually([&] { return quits == 1; }));
    serial.give_room(SIZE_MAX);
    port->accept_input();
    EXPECT_TRUE(test::eventually([&] { return serial.text().size() == 100'000; }));
}

TEST_F(MuxTest, HasRoomForFour) {
    for (unsigned i = 0; i < Mux::kMaxFrontends; ++i) EXPECT_NE(mux->add_port(), nullptr);
    EXPECT_EQ(mux->add_port(), nullptr);
    mux->remove_ports(1);
    EXPECT_EQ(mux->ports(), 1u);
}

TEST(Mux, WithoutATerminalTheKeyCanBeAByteLikeOthers) {
    devices::EventLoop loop;
    const ChardevOptions options{.id = "m", .mux = true, .escape_on_terminal_only = true};
    auto below = std::make_unique<FakeLine>(loop, options);
    FakeLine& line = *below;
    Mux mux(loop, std::move(below), options, 1, {});
    FakeFrontend serial;
    devices::CharBackend* port = mux.add_port();
    loop.start();
    {
        const devices::CharConnection connection(*port, serial);
        line.type("\x01x\x01");
        EXPECT_TRUE(test::eventually([&] { return serial.text() == "\x01x\x01"; }));
    }
    loop.stop();
}

}  // namespace
}  // namespace arclight::guestos
