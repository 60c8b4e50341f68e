#include "guestos/monitor/hmp.h"

#include <gtest/gtest.h>

#include "guestos/monitor/line_editor.h"
#include "tests/guestos/monitor/fake_target.h"

namespace arclight::guestos {
namespace {

struct HmpTest : testing::Test {
    test::FakeTarget target;
    Hmp hmp{target};
};

// The lines of QEMU 7.2's xp for the same bytes.
TEST(MemoryDump, HasQemusForm) {
    const auto dump = [](const char* format, std::vector<uint8_t> bytes) {
        const auto parsed = parse_dump_format(format, {});
        EXPECT_TRUE(parsed) << parsed.error();
        return dump_memory(0x40000000, *parsed,
                           [&](uint64_t at, size_t n) -> std::optional<std::vector<uint8_t>> {
                               const size_t offset = at - 0x40000000;
                               if (offset + n > bytes.size()) return {};
                               return std::vector<uint8_t>(bytes.begin() + ptrdiff_t(offset),
                                                           bytes.begin() + ptrdiff_t(offset + n));
                           });
    };
    const std::vector<uint8_t> fdt = {0xd0, 0x0d, 0xfe, 0xed, 0, 0x10, 0, 0, 0, 0, 0, 0x40, 0, 0, 0x1c, 0x34};
    EXPECT_EQ(dump("4xw", fdt), "0000000040000000: 0xedfe0dd0 0x00001000 0x40000000 0x341c0000\r\n");
    EXPECT_EQ(dump("4cb", fdt), "0000000040000000: '\\xd0' '\\r' '\\xfe' '\\xed'\r\n");
    EXPECT_EQ(dump("2dg", fdt), "0000000040000000:       17596178894288  3754876190393892864\r\n");
    EXPECT_EQ(dump("8xh", fdt),
              "0000000040000000: 0x0dd0 0xedfe 0x1000 0x0000 0x0000 0x4000 0x0000 0x341c\r\n");
    EXPECT_EQ(dump("9xb", fdt),
              "0000000040000000: 0xd0 0x0d 0xfe 0xed 0x00 0x10 0x00 0x00\r\n0000000040000008: 0x00\r\n");
    EXPECT_EQ(dump("3xg", fdt).substr(57), "0000000040000010: Cannot access memory\r\n");
}

TEST_F(HmpTest, ExaminesMemory) {
    EXPECT_EQ(hmp.execute("xp /2xb 0x1001"), "0000000000001001: 0x25 0x4a\r\n");
    EXPECT_EQ(hmp.execute("xp/2xb 0x1000+1"), "0000000000001001: 0x25 0x4a\r\n");
    EXPECT_EQ(hmp.execute("x $pc + 2 - 1"), "0000000000008001: 0x25\r\n") << "as the last one";
    EXPECT_EQ(hmp.execute("xp 0"), "0000000000000000: Cannot access memory\r\n");
    EXPECT_EQ(hmp.execute("xp"), "unexpected end of expression\r\nTry \"help xp\" for more information\r\n");
    EXPECT_EQ(hmp.execute("xp/2s 0x1000"),
              "invalid char in format: 's'\r\nTry \"help xp\" for more information\r\n");
    for (const char* wrong :
         {"x $nosuch", "x 5 +", "x 0xfg", "x/99999999999x 0", "xp/100000000 0", "x -", "x ++"})
        EXPECT_NE(hmp.execute(wrong).find("Try \"help"), std::string::npos) << wrong;
}

TEST_F(HmpTest, CommandsAndWhatIsNone) {
    EXPECT_EQ(hmp.execute("stop"), "");
    EXPECT_EQ(hmp.execute("info status"), "VM status: paused\r\n");
    EXPECT_EQ(hmp.execute("c"), "");
    EXPECT_EQ(target.state, RunState::Running);
    hmp.execute("system_reset");
    hmp.execute("system_powerdown");
    hmp.execute("q");
    EXPECT_EQ(target.asked, "reset;powerdown;quit;");
    EXPECT_EQ(hmp.execute("nosuch"), "unknown command: 'nosuch'\r\n");
    EXPECT_EQ(hmp.execute("info nosuch"), "unknown command: 'info nosuch'\r\n");
    EXPECT_EQ(hmp.execute("   "), "");
    EXPECT_NE(hmp.execute("help").find("xp /fmt addr -- physical memory dump starting at 'addr'\r\n"),
              std::string::npos);
    target.state = RunState::Prelaunch;
    EXPECT_EQ(hmp.execute("info status"), "VM status: paused (prelaunch)\r\n");
}

TEST_F(HmpTest, BalloonWatchdogAndSnapshots) {
    const std::string none = "Error: No balloon device has been activated\r\n";
    EXPECT_EQ(hmp.execute("info balloon"), none);
    EXPECT_EQ(hmp.execute("balloon 64"), none);
    target.balloon_state = MonitorTarget::Balloon{.guest_bytes = 128 << 20, .statistics = {}};
    EXPECT_EQ(hmp.execute("info balloon"), "balloon: actual=128\r\n");
    EXPECT_EQ(hmp.execute("balloon 64"), "");
    EXPECT_EQ(target.asked, "balloon 67108864;");
    for (const char* wrong :
         {"balloon", "balloon x", "balloon 0", "balloon -1", "balloon 99999999999999999999"})
        EXPECT_NE(hmp.execute(wrong), "") << wrong;
    EXPECT_EQ(target.asked, "balloon 67108864;");

    EXPECT_EQ(hmp.execute("place"), "the threads run where the host likes\r\n");
    EXPECT_EQ(hmp.execute("place  vcpus=0-1 compiler=1 "), "");
    EXPECT_EQ(hmp.execute("place"), "vcpus=0-1\r\ncompiler=1\r\n");
    EXPECT_EQ(hmp.execute("place bad"), "Error: 'bad' is no set of cores\r\n");
    EXPECT_EQ(hmp.execute("watchdog_action pause"), "");
    EXPECT_EQ(target.watchdog, WatchdogAction::Pause);
    EXPECT_EQ(hmp.execute("watchdog_action xx"), "Error: invalid parameter value: xx\r\n");

    EXPECT_EQ(hmp.execute("info snapshots"), "There is no snapshot available.\r\n");
    EXPECT_EQ(hmp.execute("savevm one"), "");
    EXPECT_NE(
        hmp.execute("info snapshots").find("\r\none                  3 MiB      1970-01-01 00:00:00\r\n"),
        std::string::npos);
    EXPECT_EQ(hmp.execute("loadvm two"), "Error: there is no 'two'\r\n");
    EXPECT_EQ(hmp.execute("delvm one"), "");
    EXPECT_EQ(hmp.execute("savevm"), "");
    EXPECT_TRUE(target.saved.at(0).name.starts_with("vm-20")) << target.saved.at(0).name;
}

TEST_F(HmpTest, EachInfoSaysSomethingOrNothing) {
    EXPECT_EQ(hmp.execute("info cpus"), "* CPU #0: thread_id=77\r\n  CPU #1: thread_id=78\r\n");
    EXPECT_EQ(hmp.execute("cpu 1"), "");
    EXPECT_EQ(hmp.execute("info registers"), "\r\nCPU#1\r\n PC=1\r\n");
    EXPECT_EQ(hmp.execute("info registers -a"), "\r\nCPU#0\r\n PC=0\r\n\r\nCPU#1\r\n PC=1\r\n");
    EXPECT_EQ(hmp.execute("cpu 2"), "invalid CPU index\r\n");
    EXPECT_EQ(hmp.execute("info block"), "virtio0: /a.img (raw)\r\n    Cache mode:       writeback\r\n");
    EXPECT_EQ(hmp.execute("info chardev"), "serial0: filename=null\r\n");
    EXPECT_EQ(hmp.execute("ringbuf_read ring 5"), "rr\r\n");
    EXPECT_EQ(hmp.execute("ringbuf_read none 5"), "Error: Device 'none' not found\r\n");
    const std::string all = hmp.execute("info");
    for (size_t at = 0; at < all.size(); at = all.find('\n', at) + 1) {
        const std::string line = all.substr(at, all.find_first_of(" \r", at + 5) - at);
        EXPECT_EQ(hmp.execute(line).find("unknown command"), std::string::npos) << line;
    }
}

struct EditorTest : testing::Test {
    bool type(std::string_view text) {
        bool complete = false;
        for (const char c : text) complete |= editor.type(static_cast<uint8_t>(c));
        return complete;
    }
    std::string screen;
    LineEditor editor{[this](const std::string& text) { screen += text; }};
};

TEST_F(EditorTest, EchoesAndErases) {
    editor.prompt();
    EXPECT_FALSE(type("infp\x7fo x\x17status"));
    EXPECT_EQ(editor.line(), "info status");
    EXPECT_TRUE(type("\r\n"));
    editor.prompt();
    EXPECT_FALSE(type("abc\x15"));
    EXPECT_EQ(editor.line(), "");
    EXPECT_TRUE(screen.starts_with("(qemu) infp\b \bo x"));
}

TEST_F(EditorTest, RemembersLines) {
    for (const char* line : {"one\r", "two\r"}) {
        editor.prompt();
        type(line);
    }
    editor.prompt();
    type("\x1b[A");
    EXPECT_EQ(editor.line(), "two");
    type("\x1b[A\x1b[A");
    EXPECT_EQ(editor.line(), "one");
    type("\x1b[B\x1b[B");
    EXPECT_EQ(editor.line(), "");
    type("\x1b[1;5C\x01");
    EXPECT_EQ(editor.line(), "") << "what is no key of the editor's changes nothing";
    type(std::string(10'000, 'x'));
    EXPECT_EQ(editor.line().size(), LineEditor::kMaxLine);
}

}  // namespace
}  // namespace arclight::guestos
