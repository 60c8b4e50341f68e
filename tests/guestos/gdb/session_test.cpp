// A debugger's session with a machine that writes down what it is asked.
#include "guestos/gdb/session.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/guestos/gdb/fake_target.h"

namespace arclight::guestos::gdb {
namespace {

struct GdbSession : testing::Test {
    GdbSession()
        // A terminal's lines, as the human monitor writes them.
        : monitor([this](unsigned cpu, std::string_view command) {
              target.log += fmt::format("cpu {}: {} ", cpu, command);
              return std::string("first line\r\nsecond\r\n");
          }),
          session(
              &target, [this](std::string_view b) { sent += b; }, monitor) {
        feed(make_packet("QStartNoAckMode"));
        feed("+");
        sent.clear();
        target.log.clear();
    }
    void feed(std::string_view bytes) {
        session.feed({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
    }
    /// What all packets that were sent since say, with a blank between them.
    std::string replies() {
        std::string all;
        PacketParser parser;
        for (const char c : std::exchange(sent, {}))
            if (parser.feed(static_cast<uint8_t>(c)) == PacketParser::Item::Packet)
                all += (all.empty() ? "" : " ") + parser.data();
        return all;
    }
    std::string ask(std::string_view packet) {
        feed(make_packet(packet));
        return replies();
    }
    /// What was done with the machine since.
    std::string log() { return std::exchange(target.log, {}); }
    std::string tell(const DebugTarget::Event& event) {
        target.events.push_back(event);
        session.look_at_events();
        return replies();
    }

    FakeTarget target;
    std::string sent;
    Monitor monitor;
    Session session;
};

using Kind = DebugTarget::Point::Kind;
using Why = DebugTarget::Event::Why;

TEST_F(GdbSession, TheFirstPacketStopsTheMachine) {
    FakeTarget other;
    Session fresh(
        &other, [this](std::string_view b) { sent += b; }, monitor);
    const std::string garbage = "SSH-2.0-OpenSSH_9.2\r\n\xff$nonsense#zz";
    fresh.feed({reinterpret_cast<const uint8_t*>(garbage.data()), garbage.size()});
    EXPECT_EQ(other.log, "");
    const std::string ask = make_packet("?");
    fresh.feed({reinterpret_cast<const uint8_t*>(ask.data()), ask.size()});
    EXPECT_EQ(other.log, "stop ");
    EXPECT_EQ(sent, "-+$T05thread:01;#07");
    sent.clear();
    fresh.feed(std::array<uint8_t, 1>{'-'});
    EXPECT_EQ(sent, "$T05thread:01;#07") << "again";
}

TEST_F(GdbSession, Questions) {
    EXPECT_EQ(ask("qSupported:multiprocess+;xmlRegisters=i386"),
              "PacketSize=4000;qXfer:features:read+;vContSupported+;QStartNoAckMode+");
    EXPECT_EQ(ask("qfThreadInfo"), "m01,02");
    EXPECT_EQ(ask("qsThreadInfo"), "l");
    EXPECT_EQ(ask("qC"), "QC01");
    EXPECT_EQ(ask("qAttached"), "1");
    EXPECT_EQ(ask("qThreadExtraInfo,2"), to_hex("CPU 1"));
    EXPECT_EQ(ask("qThreadExtraInfo,3"), "E16");
    EXPECT_EQ(ask("T2"), "OK");
    EXPECT_EQ(ask("T3"), "E16");
    EXPECT_EQ(ask("vCont?"), "vCont;c;C;s;S");
    EXPECT_EQ(ask("vMustReplyEmpty"), "");
    EXPECT_EQ(ask("QNonStop:0"), "OK");
    EXPECT_EQ(ask("QNonStop:1"), "E16");
    EXPECT_EQ(ask("qqemu.sstepbits"), "ENABLE=1,NOIRQ=2,NOTIMER=4");
    EXPECT_EQ(ask("qXfer:features:read:target.xml:0,ffb"), "l<target/>");
    EXPECT_EQ(ask("qXfer:features:read:target.xml:0,4"), "m<tar");
    EXPECT_EQ(ask("qXfer:features:read:target.xml:4,40"), "lget/>");
    EXPECT_EQ(ask("qXfer:features:read:target.xml:a,40"), "E00");
    EXPECT_EQ(ask("qXfer:features:read:other.xml:0,40"), "E00");
    EXPECT_EQ(log(), "");
}

TEST_F(GdbSession, RegistersOfTheSelectedCpu) {
    target.registers[1] = {0x1122334455667788, 0x99, 0xaabbccdd, 0x12};
    EXPECT_EQ(ask("g"), std::string(40, '0'));
    EXPECT_EQ(ask("Hg2"), "OK");
    EXPECT_EQ(ask("g"),
              "8877665544332211"
              "9900000000000000"
              "ddccbbaa");
    EXPECT_EQ(ask("p0"), "8877665544332211");
    EXPECT_EQ(ask("p3"), "1200000000000000");
    EXPECT_EQ(ask("p4"), "E16");
    EXPECT_EQ(ask("P1=0102030405060708"), "OK");
    EXPECT_EQ(target.registers[1][1], 0x0807060504030201u);
    EXPECT_EQ(ask("P1=01"), "E16");
    EXPECT_EQ(ask("P2=0102030405060708"), "E16") << "it has four bytes";
    EXPECT_EQ(ask("G"
                  "0100000000000000"
                  "0200000000000000"
                  "03000000"),
              "OK");
    EXPECT_EQ(target.registers[1][2], 3u);
    EXPECT_EQ(target.registers[0][0], 0u);
    EXPECT_EQ(ask("Hg0"), "OK");
    EXPECT_EQ(ask("p0"), "0100000000000000") << "any: the last one";
    EXPECT_EQ(ask("Hg9"), "E16");
}

TEST_F(GdbSession, Memory) {
    EXPECT_EQ(ask("M1ffe,2:abcd"), "OK");
    EXPECT_EQ(ask("m1ffe,2"), "abcd");
    EXPECT_EQ(ask("m1ffe,8"), "abcd") << "as much as is there";
    EXPECT_EQ(ask("m2000,8"), "E0e");
    EXPECT_EQ(ask("M1fff,2:abcd"), "E0e");
    EXPECT_EQ(ask("M1000,2:abcdef"), "E16");
    EXPECT_EQ(ask("X1000,0:"), "OK");
    EXPECT_EQ(ask(std::string("X1000,4:#$}\0", 12)), "OK");
    EXPECT_EQ(ask("m1000,4"), "23247d00");
    EXPECT_EQ(ask("m1000,ffffffffffffffff").size(), 2 * FakeTarget::kRamBytes)
        << "as much as is there, and a packet holds";
    EXPECT_EQ(log(), "");
    EXPECT_EQ(ask("qqemu.PhyMemMode"), "0");
    EXPECT_EQ(ask("Qqemu.PhyMemMode:1"), "OK");
    EXPECT_EQ(ask("m1000,1"), "23");
    EXPECT_EQ(log(), "physical ");
}

TEST_F(GdbSession, Points) {
    EXPECT_EQ(ask("Z0,ffff800080010000,4"), "OK");
    EXPECT_EQ(ask("Z1,400100,4"), "OK");
    EXPECT_EQ(ask("Z2,5000,8"), "OK");
    EXPECT_EQ(ask("Z3,6000,1"), "OK");
    EXPECT_EQ(ask("Z4,7000,4"), "OK");
    EXPECT_EQ(target.points.size(), 5u);
    EXPECT_TRUE(target.points.contains({Kind::Breakpoint, 0xffff800080010000, 4}));
    EXPECT_TRUE(target.points.contains({Kind::Write, 0x5000, 8}));
    EXPECT_EQ(ask("z0,ffff800080010000,4"), "OK");
    EXPECT_EQ(ask("z2,5000,8"), "OK");
    EXPECT_EQ(target.points.size(), 3u);
    EXPECT_EQ(ask("Z5,7000,4"), "") << "no such kind";
    EXPECT_EQ(ask("Z2,7000,0"), "E16");
    EXPECT_EQ(ask("Z2,7000,ffffffffff"), "E16");
    EXPECT_EQ(ask("?"), "T05thread:01;");
    EXPECT_TRUE(target.points.empty()) << "a debugger that asks why it stands has just come";
}

TEST_F(GdbSession, PointsHaveAnEnd) {
    std::string answer;
    for (unsigned n = 0; n < 2000 && answer != "E16"; ++n) answer = ask(fmt::format("Z0,{:x},4", 4 * n));
    EXPECT_EQ(answer, "E16");
}

TEST_F(GdbSession, EachCpuDoesWhatVContSays) {
    EXPECT_EQ(ask("vCont;s:1;c"), "");
    EXPECT_EQ(log(), "sc ");
    EXPECT_EQ(tell({.cpu = 0, .why = Why::Step}), "T05thread:01;");
    EXPECT_EQ(log(), "stop ");
    ask("vCont;s:2");
    EXPECT_EQ(log(), "-s ");
    EXPECT_EQ(tell({.cpu = 1, .why = Why::Step}), "T05thread:02;");
    ask("vCont;C05:1;S05:-1");
    EXPECT_EQ(log(), "stop cs ");
    EXPECT_EQ(tell({.cpu = 0, .why = Why::Breakpoint}), "T05thread:01;");
    log();
    EXPECT_EQ(ask("vCont;t"), "E16");
    EXPECT_EQ(ask("vCont;c:7"), "E16");
    EXPECT_EQ(ask("vCont;"), "E16") << "nobody would go on";
    EXPECT_EQ(log(), "");
}

TEST_F(GdbSession, TheOldWaysToGoOn) {
    ask("Hc2");
    ask("s");
    EXPECT_EQ(log(), "cs ");
    tell({.cpu = 1});
    ask("c2000");
    EXPECT_EQ(target.registers[1][1], 0x2000u) << "of CPU 1, which is selected";
    EXPECT_EQ(log(), "stop cc ");
    tell({.cpu = 1});
    ask("Hc-1");
    ask("S05;3000");
    EXPECT_EQ(target.registers[1][1], 0x3000u);
    EXPECT_EQ(log(), "stop cs ");
    tell({.cpu = 1});
    EXPECT_EQ(ask("Qqemu.sstep=1"), "OK");
    EXPECT_EQ(ask("qqemu.sstep"), "0x1");
    log();
    ask("vCont;s:1");
    EXPECT_EQ(log(), "s-! ") << "interrupts are taken";
}

TEST_F(GdbSession, WatchpointsSayWhere) {
    ask("c");
    EXPECT_EQ(
        tell({.cpu = 1, .why = Why::Watchpoint, .watchpoint = {Kind::Write, 0x5000, 8}, .address = 0x5004}),
        "T05thread:02;watch:5004;");
    ask("c");
    EXPECT_EQ(
        tell({.cpu = 0, .why = Why::Watchpoint, .watchpoint = {Kind::Read, 0x5000, 8}, .address = 0x5000}),
        "T05thread:01;rwatch:5000;");
    ask("c");
    EXPECT_EQ(
        tell({.cpu = 0, .why = Why::Watchpoint, .watchpoint = {Kind::Access, 0x5000, 8}, .address = 0x5000}),
        "T05thread:01;awatch:5000;");
}

TEST_F(GdbSession, AnInterruptStopsWhatRuns) {
    feed("\x03");
    EXPECT_EQ(replies(), "") << "it stands already";
    ask("c");
    log();
    feed("\x03");
    EXPECT_EQ(replies(), "T02thread:01;");
    EXPECT_EQ(log(), "stop ");
    target.events.push_back({.cpu = 1});
    session.look_at_events();
    EXPECT_EQ(replies(), "") << "it stands: nobody has asked";
    target.events.clear();
    ask("c");
    log();
    EXPECT_EQ(ask("m1000,1"), "T02thread:01; 00") << "any packet does";
    EXPECT_EQ(log(), "stop ");
}

TEST_F(GdbSession, DetachingLetsItGoOn) {
    ask("Z0,1000,4");
    EXPECT_EQ(ask("D"), "OK");
    EXPECT_EQ(log(), "cc ");
    EXPECT_TRUE(target.points.empty());
    session.disconnect();
    EXPECT_EQ(log(), "");
    EXPECT_FALSE(session.holds_machine());
}

TEST_F(GdbSession, ALostConnectionLeavesNoPoints) {
    ask("Z0,1000,4");
    session.disconnect();
    EXPECT_TRUE(target.points.empty());
    EXPECT_EQ(log(), "") << "it stands for the next debugger";

    Session next(
        &target, [this](std::string_view b) { sent += b; }, monitor);
    const std::string packets = make_packet("Z0,1000,4") + make_packet("c");
    next.feed({reinterpret_cast<const uint8_t*>(packets.data()), packets.size()});
    log();
    next.disconnect();
    EXPECT_TRUE(target.points.empty());
    EXPECT_EQ(log(), "stop cc ");
}

TEST_F(GdbSession, TheEnd) {
    EXPECT_EQ(ask("vKill;1"), "OK");
    EXPECT_EQ(log(), "off ");
    EXPECT_TRUE(session.closed());
    EXPECT_EQ(ask("g"), "");

    FakeTarget other;
    Session waits(
        &other, [this](std::string_view b) { sent += b; }, monitor);
    const std::string go = make_packet("c");
    waits.feed({reinterpret_cast<const uint8_t*>(go.data()), go.size()});
    sent.clear();
    waits.set_target(nullptr);
    waits.ended();
    EXPECT_EQ(replies(), "W00");
    EXPECT_TRUE(waits.closed());
}

TEST_F(GdbSession, AResetKeepsPoints) {
    ask("Z0,1000,4");
    ask("c");
    session.set_target(nullptr);
    EXPECT_EQ(ask("m1000,1"), "E05") << "between two machines";
    FakeTarget next;
    session.set_target(&next);
    EXPECT_EQ(next.points.size(), 1u);
    next.events.push_back({.cpu = 0, .why = Why::Breakpoint});
    session.look_at_events();
    EXPECT_EQ(replies(), "T05thread:01;");
    EXPECT_EQ(next.log, "stop ");
}

TEST_F(GdbSession, MonitorCommands) {
    ask("Hg2");
    EXPECT_EQ(ask("qRcmd," + to_hex("info registers")), "O" + to_hex("first line\nsecond\n") + " OK");
    EXPECT_EQ(log(), "cpu 1: info registers ");
    EXPECT_EQ(ask("qRcmd,6"), "E16");
}

TEST_F(GdbSession, WordsThatAreCutShortAreRefused) {
    for (const std::string_view packet : {"m",
                                          "m1000",
                                          "m1000,",
                                          "M1000,1",
                                          "M1000,1:",
                                          "P",
                                          "P1",
                                          "P1=",
                                          "p",
                                          "Z0",
                                          "Z0,",
                                          "Z0,1",
                                          "z2,1,",
                                          "H",
                                          "Hg",
                                          "Hx1",
                                          "T",
                                          "G",
                                          "Gx",
                                          "c,",
                                          "s-",
                                          "C",
                                          "S",
                                          "vCont;s:",
                                          "qThreadExtraInfo,",
                                          "qXfer:features:read:",
                                          "qXfer:features:read:target.xml",
                                          "QNonStop:",
                                          "Qqemu.sstep=",
                                          "Qqemu.sstep=8"}) {
        const std::string answer = ask(packet);
        EXPECT_TRUE(answer.starts_with('E') || packet == "G") << packet << ": " << answer;
    }
    EXPECT_EQ(log(), "") << "nothing is done for any of these";
}

}  // namespace
}  // namespace arclight::guestos::gdb
