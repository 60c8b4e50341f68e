// A machine under a debugger: breakpoints, steps, watchpoints and registers of CPUs that run translated code of both tiers.
#include "guestos/machine/board/machine_debugger.h"

#include <gtest/gtest.h>

#include <thread>

#include "jit/llvm/region_compiler.h"
#include "tests/guestos/machine/test_machine.h"

namespace arclight::guestos {
namespace {

using namespace insn;
using namespace std::chrono_literals;
using M = TestMachine;
using Action = gdb::DebugTarget::Action;
using Event = gdb::DebugTarget::Event;
using Point = gdb::DebugTarget::Point;

constexpr uint64_t kCells = M::kRam + 0x10'0000;  // a page for each CPU
constexpr uint64_t cell_of(unsigned cpu) { return kCells + cpu * 0x1000; }
constexpr uint32_t ldxr(unsigned t, unsigned n) { return 0xc85f'7c00 | n << 5 | t; }
constexpr uint32_t stxr(unsigned s, unsigned t, unsigned n) { return 0xc800'7c00 | s << 16 | n << 5 | t; }
constexpr uint32_t cbnz(unsigned t, int words) {
    return 0xb500'0000 | (static_cast<uint32_t>(words) & 0x7'ffff) << 5 | t;
}

/// Counts in the cell that x0 points to, for ever.
constexpr unsigned kLoad = 1, kAdd = 2, kStore = 3, kBranch = 4;
const std::initializer_list<uint32_t> kCountingLoop = {add(11, 0, 0), ldr(1, 11), add(1, 1, 1), str(1, 11),
                                                       b(-3)};
constexpr uint64_t kLoop = M::kRam;

#ifdef WITH_TIER2
constexpr bool kTier2 = true;
#else
constexpr bool kTier2 = false;
#endif

jit::Tier2Options hot_at_once() {
    jit::Tier2Options options{.enabled = true, .threshold = 64, .heat = 0};
    options.make_compiler = [] { return jit::make_region_compiler(); };
    return options;
}

struct Debugged : M {
    explicit Debugged(unsigned cpus = 1, const jit::Tier2Options& tier2 = {})
        : M(cpus, size_t{8} << 20, tier2, true), d(*debugger) {}

    void begin(unsigned powered = 1, bool held = true) {
        for (unsigned i = 0; i < powered; ++i) group.cpu(i).power_on(kLoop, cell_of(i));
        d.start(held);
        start();
    }
    /// CPU 0 does this, all others as `others`.
    void go(Action action, Action others = Action::Continue, bool mask_interrupts = true) {
        std::vector<Action> actions(d.cpus(), others);
        actions[0] = action;
        d.resume(actions, {.mask_interrupts = mask_interrupts});
    }
    /// The next event, and the machine stands.
    std::optional<Event> wait() {
        std::optional<Event> event;
        if (!wait_until([&] { return (event = d.take_event()).has_value(); })) return std::nullopt;
        EXPECT_TRUE(d.stop());
        return event;
    }
    bool stops_at(uint64_t pc, Event::Why why = Event::Why::Breakpoint, unsigned cpu = 0) {
        const auto event = wait();
        if (!event) return false;
        EXPECT_EQ(event->cpu, cpu);
        EXPECT_EQ(static_cast<int>(event->why), static_cast<int>(why));
        EXPECT_EQ(d.pc(cpu), pc);
        return event->cpu == cpu && event->why == why && d.pc(cpu) == pc;
    }
    /// As debuggers do: without the breakpoints, and the others stand.
    bool step_over(uint64_t to) {
        go(Action::Step, Action::Stand);
        return stops_at(to, Event::Why::Step);
    }
    uint64_t x(unsigned n, unsigned cpu = 0) {
        std::vector<uint8_t> bytes;
        EXPECT_TRUE(d.read_register(cpu, n, bytes));
        uint64_t value = 0;
        std::memcpy(&value, bytes.data(), bytes.size());
        return value;
    }
    bool set(unsigned number, uint64_t value) {
        return d.write_register(0, number, {reinterpret_cast<const uint8_t*>(&value), 8}) != 0;
    }
    bool counts_on(unsigned cpu = 0) {
        const uint64_t before = cell(cell_of(cpu));
        return wait_until([&] { return cell(cell_of(cpu)) > before + 1000; });
    }
    uint64_t at(unsigned word_number) { return word(kLoop, word_number); }

    MachineDebugger& d;
};

TEST(MachineDebugger, HeldAtTheStartItHasItsRegistersOfReset) {
    Debugged m;
    m.write_program(kLoop, kCountingLoop);
    m.begin();
    ASSERT_TRUE(m.d.stop());
    EXPECT_EQ(m.d.pc(0), kLoop);
    EXPECT_EQ(m.x(0), cell_of(0));
    EXPECT_EQ(m.x(33), 0x200'03c5u);
    std::this_thread::sleep_for(5ms);
    EXPECT_EQ(m.cell(cell_of(0)), 0u);
    m.go(Action::Continue);
    EXPECT_TRUE(m.counts_on());
}

TEST(MachineDebugger, ABreakpointStopsEachRoundAndOnlyThere) {
    Debugged m;
    m.write_program(kLoop, kCountingLoop);
    m.begin();
    ASSERT_TRUE(m.d.stop());
    m.d.insert({.va = m.at(kStore)});
    m.d.insert({.va = kLoop + 0x3000});
    for (uint64_t round = 0; round < 20; ++round) {
        m.go(Action::Continue);
        ASSERT_TRUE(m.stops_at(m.at(kStore)));
        EXPECT_EQ(m.cell(cell_of(0)), round) << "it has not begun";
        EXPECT_EQ(m.x(1), round + 1) << "all before it is done";
        ASSERT_TRUE(m.step_over(m.at(kBranch)));
    }
    m.go(Action::Step);
    ASSERT_TRUE(m.stops_at(m.at(kLoad), Event::Why::Step)) << "the same with the breakpoint in";
    m.d.remove({.va = m.at(kStore)});
    m.go(Action::Continue);
    EXPECT_TRUE(m.counts_on());
    EXPECT_FALSE(m.d.take_event());
}

TEST(MachineDebugger, ABreakpointIsFoundInHotCode) {
    if (!kTier2) GTEST_SKIP() << "built without tier 2";
    Debugged m(1, hot_at_once());
    m.write_program(kLoop, kCountingLoop);
    m.begin();
    ASSERT_TRUE(m.d.stop());
    for (int round = 0; round < 3; ++round) {
        m.go(Action::Continue);
        ASSERT_TRUE(M::wait_until([&] { return m.engine.tier2_stats().live == 1; })) << "round " << round;
        ASSERT_TRUE(m.counts_on());
        ASSERT_TRUE(m.d.stop());
        const uint64_t before = m.cell(cell_of(0));
        m.d.insert({.va = m.at(kStore)});
        m.go(Action::Continue);
        ASSERT_TRUE(m.stops_at(m.at(kStore)));
        EXPECT_LE(m.cell(cell_of(0)), before + 1);
        EXPECT_EQ(m.x(1), m.cell(cell_of(0)) + 1);
        EXPECT_EQ(m.engine.tier2_stats().live, 0u) << "the region has the instruction";
        ASSERT_TRUE(m.step_over(m.at(kBranch)));
        m.go(Action::Continue);
        ASSERT_TRUE(m.stops_at(m.at(kStore)));
        m.d.remove_all();
    }
}

/// A region is entered after a look at its pages: the second one is found to have a breakpoint then.
TEST(MachineDebugger, ABreakpointIsFoundInTheNextPageOfHotCode) {
    if (!kTier2) GTEST_SKIP() << "built without tier 2";
    Debugged m(1, hot_at_once());
    constexpr uint64_t kFirst = kLoop + 0xff4, kNextPage = kLoop + 0x1000;
    m.write_program(kLoop, {add(11, 0, 0), b(static_cast<int>(kFirst - M::word(kLoop, 1)) / 4)});
    m.write(kFirst, {ldr(1, 11), add(1, 1, 1), str(1, 11), kNop, b(-4)});
    m.begin();
    ASSERT_TRUE(m.d.stop());
    m.go(Action::Continue);
    ASSERT_TRUE(M::wait_until([&] { return m.engine.tier2_stats().live == 1; }));
    ASSERT_TRUE(m.counts_on());
    ASSERT_TRUE(m.d.stop());
    while (m.d.pc(0) >= kNextPage) ASSERT_TRUE(m.step_over(m.d.pc(0) == kNextPage ? kNextPage + 4 : kFirst));
    m.d.insert({.va = kNextPage});
    m.go(Action::Continue);
    ASSERT_TRUE(m.stops_at(kNextPage));
    EXPECT_EQ(m.x(1), m.cell(cell_of(0)));
}

TEST(MachineDebugger, HotCodeElsewhereStaysAsItIs) {
    if (!kTier2) GTEST_SKIP() << "built without tier 2";
    Debugged m(1, hot_at_once());
    m.write_program(kLoop, kCountingLoop);
    m.begin();
    ASSERT_TRUE(m.d.stop());
    m.go(Action::Continue);
    ASSERT_TRUE(M::wait_until([&] { return m.engine.tier2_stats().live == 1; }));
    ASSERT_TRUE(m.d.stop());
    const uint64_t compiled = m.engine.tier2_stats().compiled;
    m.d.insert({.va = kLoop + 0x800});  // in the same page
    m.go(Action::Continue);
    ASSERT_TRUE(m.counts_on());
    EXPECT_EQ(m.engine.tier2_stats().live, 1u);
    EXPECT_EQ(m.engine.tier2_stats().compiled, compiled);
}

TEST(MachineDebugger, AllCpusStopAtOne) {
    constexpr unsigned kCpus = 3;
    Debugged m(kCpus);
    m.write_program(kLoop, kCountingLoop);
    m.begin(2);
    ASSERT_TRUE(m.d.stop());
    m.go(Action::Continue);
    ASSERT_TRUE(m.counts_on(0) && m.counts_on(1));
    ASSERT_TRUE(m.d.stop());
    EXPECT_EQ(m.d.describe_cpu(1), "CPU#1 [running]");
    EXPECT_EQ(m.d.describe_cpu(2), "CPU#2 [off]");
    m.d.insert({.va = m.at(kAdd)});
    m.go(Action::Continue);
    const auto first = m.wait();
    ASSERT_TRUE(first);
    EXPECT_EQ(m.d.pc(first->cpu), m.at(kAdd));
    const uint64_t before[] = {m.cell(cell_of(0)), m.cell(cell_of(1))};
    std::this_thread::sleep_for(3ms);
    EXPECT_EQ(m.cell(cell_of(0)), before[0]);
    EXPECT_EQ(m.cell(cell_of(1)), before[1]);
    // Both meet it, whichever was asked about; the host may let one of them wait for a core for many rounds.
    std::set<unsigned> seen{first->cpu};
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (seen.size() < 2 && std::chrono::steady_clock::now() < end) {
        std::vector<Action> actions(kCpus, Action::Stand);
        for (unsigned i = 0; i < 2; ++i)
            if (m.d.pc(i) == m.at(kAdd) && seen.contains(i)) actions[i] = Action::Step;
        if (std::ranges::find(actions, Action::Step) != actions.end()) {
            m.d.resume(actions, {});
            ASSERT_TRUE(m.wait());
        }
        m.go(Action::Continue);
        const auto next = m.wait();
        ASSERT_TRUE(next);
        seen.insert(next->cpu);
    }
    EXPECT_EQ(seen.size(), 2u);
    m.d.remove_all();
    // One goes on, the other stands.
    const uint64_t stands = m.cell(cell_of(1));
    m.go(Action::Continue, Action::Stand);
    ASSERT_TRUE(m.counts_on(0));
    EXPECT_EQ(m.cell(cell_of(1)), stands);
    ASSERT_TRUE(m.d.stop());
    m.go(Action::Continue);
    EXPECT_TRUE(m.counts_on(1));
}

TEST(MachineDebugger, StepsLeadThroughAnExclusiveLoop) {
    Debugged m;
    m.write_program(kLoop, {ldxr(1, 0), add(1, 1, 1), stxr(2, 1, 0), cbnz(2, -3), b(-4)});
    m.begin();
    ASSERT_TRUE(m.d.stop());
    m.d.insert({.va = m.at(0)});
    m.go(Action::Continue);
    ASSERT_TRUE(m.stops_at(m.at(0)));
    m.d.remove_all();
    for (uint64_t round = 1; round <= 3; ++round) {
        for (const unsigned next : {1u, 2u, 3u, 4u, 0u}) ASSERT_TRUE(m.step_over(m.at(next)));
        EXPECT_EQ(m.cell(cell_of(0)), round) << "the store has succeeded";
    }
}

/// The jump cache has what is there: the stop.
TEST(MachineDebugger, ABreakpointBehindAnIndirectBranchIsSteppedOver) {
    Debugged m;
    constexpr uint64_t kFunction = kLoop + 0x1000;
    m.write_program(kLoop, {movz(13, kFunction & 0xffff), movk(13, kFunction >> 16, 16), blr(13), b(-1)});
    m.write(kFunction, {add(1, 1, 1), kRet});
    m.begin();
    ASSERT_TRUE(m.d.stop());
    m.d.insert({.va = kFunction});
    for (uint64_t round = 0; round < 5; ++round) {
        m.go(Action::Continue);
        ASSERT_TRUE(m.stops_at(kFunction));
        EXPECT_EQ(m.x(1), round);
        ASSERT_TRUE(m.step_over(kFunction + 4));
    }
}

// The jump cache has the branches' targets, and jumps from it lead past the end of a step.
TEST(MachineDebugger, AStepOverABranchThatWasTakenOftenIsOneStep) {
    Debugged m;
    constexpr uint64_t kFunction = kLoop + 0x2000;
    m.write_program(kLoop, {add(11, 0, 0), ldr(1, 11), add(1, 1, 1), str(1, 11), br(5)});
    m.write(kFunction, {add(2, 2, 1), b(static_cast<int>(m.at(kLoad) - (kFunction + 4)) / 4)});
    m.begin();
    ASSERT_TRUE(m.d.stop());
    ASSERT_TRUE(m.set(5, kFunction));
    for (int round = 0; round < 5; ++round) {
        m.go(Action::Continue);
        ASSERT_TRUE(m.counts_on());
        ASSERT_TRUE(m.d.stop());
        while (m.d.pc(0) != m.at(kBranch)) {
            const uint64_t pc = m.d.pc(0);
            ASSERT_TRUE(m.step_over(pc == kFunction       ? kFunction + 4
                                    : pc == kFunction + 4 ? m.at(kLoad)
                                                          : pc + 4));
        }
        ASSERT_TRUE(m.step_over(kFunction));
        ASSERT_TRUE(m.step_over(kFunction + 4));
        ASSERT_TRUE(m.step_over(m.at(kLoad)));
    }
}

TEST(MachineDebugger, AStepIntoAnExceptionEndsAtItsVector) {
    Debugged m;
    m.write_program(kLoop, {svc(7), 0x0000'0000 /* UDF */, kWfi, b(0)});
    m.write(M::kVectors + 0x200, {kNop, kEret});
    m.begin();
    ASSERT_TRUE(m.d.stop());
    m.d.insert({.va = m.at(0)});
    m.go(Action::Continue);
    ASSERT_TRUE(m.stops_at(m.at(0)));
    EXPECT_TRUE(m.step_over(M::kVectors + 0x200));
    EXPECT_TRUE(m.step_over(M::kVectors + 0x204));
    EXPECT_TRUE(m.step_over(m.at(1)));
    EXPECT_TRUE(m.step_over(M::kVectors + 0x200)) << "undefined";
    ASSERT_TRUE(m.d.set_pc(0, m.at(2)));
    EXPECT_TRUE(m.step_over(m.at(3))) << "WFI does not wait";
    EXPECT_TRUE(m.step_over(m.at(3))) << "a branch to itself is a step";
}

TEST(MachineDebugger, InterruptsWaitForTheEndOfStepsUnlessAskedFor) {
    Debugged m;
    m.write_program(kLoop, {kUnmaskIrq, kNop, kNop, kNop, b(-1)});
    m.write(M::kVectors + 0x280, {kNop, b(0)});
    m.begin();
    ASSERT_TRUE(m.d.stop());
    m.d.insert({.va = m.at(1)});
    m.go(Action::Continue);
    ASSERT_TRUE(m.stops_at(m.at(1)));
    m.group.cpu(0).set_irq_line(true, false);
    EXPECT_TRUE(m.step_over(m.at(2)));
    EXPECT_TRUE(m.step_over(m.at(3)));
    m.go(Action::Step, Action::Stand, false);
    EXPECT_TRUE(m.stops_at(M::kVectors + 0x280, Event::Why::Step));
}

void expect_watched(const jit::Tier2Options& tier2, bool hot) {
    Debugged m(1, tier2);
    m.write_program(kLoop, kCountingLoop);
    m.begin();
    ASSERT_TRUE(m.d.stop());
    m.go(Action::Continue);
    ASSERT_TRUE(m.counts_on());
    if (hot) {
        ASSERT_TRUE(M::wait_until([&] { return m.engine.tier2_stats().live == 1; }));
    }
    ASSERT_TRUE(m.d.stop());
    const Point read{Point::Kind::Read, cell_of(0), 8}, write{Point::Kind::Write, cell_of(0) + 4, 2},
        access{Point::Kind::Access, cell_of(0), 1}, other{Point::Kind::Access, cell_of(0) + 8, 8};
    const auto goes_to = [&](const Point& point, unsigned word, uint64_t address) {
        m.go(Action::Continue);
        const auto event = m.wait();
        ASSERT_TRUE(event);
        EXPECT_EQ(static_cast<int>(event->why), static_cast<int>(Event::Why::Watchpoint));
        EXPECT_EQ(event->watchpoint, point);
        EXPECT_EQ(event->address, address);
        EXPECT_EQ(m.d.pc(0), m.at(word)) << "the access has not been made";
    };
    m.d.insert(other);  // in the same page: never hit
    m.d.insert(write);
    for (int round = 0; round < 3; ++round) {
        goes_to(write, kStore, cell_of(0) + 4);
        const uint64_t before = m.cell(cell_of(0));
        EXPECT_EQ(m.x(1), before + 1);
        m.d.remove(write);  // as debuggers do
        ASSERT_TRUE(m.step_over(m.at(kBranch)));
        EXPECT_EQ(m.cell(cell_of(0)), before + 1);
        m.d.insert(write);
    }
    m.d.remove(write);
    m.d.insert(read);
    goes_to(read, kLoad, cell_of(0));
    m.d.remove(read);
    ASSERT_TRUE(m.step_over(m.at(kAdd)));
    m.d.insert(access);
    goes_to(access, kStore, cell_of(0));
    m.d.remove_all();
    m.go(Action::Continue);
    EXPECT_TRUE(m.counts_on());
    if (hot) {
        EXPECT_TRUE(M::wait_until([&] { return m.engine.tier2_stats().live == 1; }));
    }
}

TEST(MachineDebugger, WatchpointsStopBeforeTheAccess) { expect_watched({}, false); }

TEST(MachineDebugger, WatchpointsStopHotCode) {
    if (!kTier2) GTEST_SKIP() << "built without tier 2";
    expect_watched(hot_at_once(), true);
}

TEST(MachineDebugger, RegistersAndThePcTakeEffect) {
    Debugged m;
    m.write_program(kLoop, kCountingLoop);
    m.write_program(kLoop + 0x2000, {str(5, 9), str(9, 9, 8), b(0)});
    m.begin();
    ASSERT_TRUE(m.d.stop());
    m.go(Action::Continue);
    ASSERT_TRUE(m.counts_on());
    ASSERT_TRUE(m.d.stop());
    ASSERT_TRUE(m.set(5, 0x1234'5678'9abc'def0));
    EXPECT_EQ(m.x(5), 0x1234'5678'9abc'def0u);
    ASSERT_TRUE(m.d.set_pc(0, kLoop + 0x2000));
    m.go(Action::Continue);
    ASSERT_TRUE(M::wait_until([&] { return m.group.stopping(); }));
    m.stop();
    EXPECT_EQ(m.device.values, (std::vector<uint64_t>{0x1234'5678'9abc'def0}));
}

TEST(MachineDebugger, WrittenCodeRuns) {
    Debugged m;
    m.write_program(kLoop, kCountingLoop);
    m.begin();
    ASSERT_TRUE(m.d.stop());
    m.go(Action::Continue);
    ASSERT_TRUE(m.counts_on());
    ASSERT_TRUE(m.d.stop());
    const uint32_t by_16 = add(1, 1, 16);
    ASSERT_TRUE(m.d.write_memory(0, m.at(kAdd), {reinterpret_cast<const uint8_t*>(&by_16), 4}, false));
    m.cell(cell_of(0)) = 0;
    m.d.insert({.va = m.at(kLoad)});
    m.go(Action::Continue);
    ASSERT_TRUE(m.stops_at(m.at(kLoad)));
    m.d.remove_all();
    ASSERT_TRUE(m.step_over(m.at(kAdd)) && m.step_over(m.at(kStore)) && m.step_over(m.at(kBranch)));
    EXPECT_EQ(m.cell(cell_of(0)) % 16, m.x(1) % 16);
    const uint64_t before = m.x(1);
    for (const unsigned next : {kLoad, kAdd, kStore}) ASSERT_TRUE(m.step_over(m.at(next)));
    EXPECT_EQ(m.x(1), before + 16);
}

TEST(MachineDebugger, MemoryEndsWhereNothingIsAndDevicesAreAskedForByPhysicalAddress) {
    Debugged m;
    m.write_program(kLoop, kCountingLoop);
    m.begin();
    ASSERT_TRUE(m.d.stop());
    std::vector<uint8_t> bytes(64);
    EXPECT_EQ(m.d.read_memory(0, M::kRam + M::kRamBytes - 16, bytes, false), 16u) << "up to the end of RAM";
    EXPECT_EQ(m.d.read_memory(0, 0, bytes, false), 0u);
    EXPECT_FALSE(m.d.write_memory(0, 0, bytes, false));
    bytes.resize(4);
    EXPECT_EQ(m.d.read_memory(0, M::kDevice, bytes, false), 0u) << "reading a device may change it";
    EXPECT_TRUE(m.device.reads.empty());
    EXPECT_EQ(m.d.read_memory(0, M::kDevice, bytes, true), 4u);
    EXPECT_EQ(m.device.reads, (std::vector<M::Recorder::Access>{{0, 4}}));
    EXPECT_TRUE(m.d.write_memory(0, M::kDevice, bytes, true));
    EXPECT_EQ(m.device.values, (std::vector<uint64_t>{0x7654'3210}));
}

/// By a table of 1 GiB blocks (ARM ARM D8.3): RAM is at its physical address, and 2 GiB above.
TEST(MachineDebugger, ABreakpointIsAtOneAddressOfAPageThatHasTwo) {
    Debugged m;
    m.write_program(kLoop, kCountingLoop);
    m.begin();
    ASSERT_TRUE(m.d.stop());
    m.d.insert({.va = m.at(kLoad)});
    m.go(Action::Continue);
    ASSERT_TRUE(m.stops_at(m.at(kLoad)));
    m.d.remove_all();
    constexpr uint64_t kTable = M::kRam + 0x20'0000, kBlock = 1 | 1 << 10 | 3 << 8;  // AF, inner shareable
    m.cell(kTable + 8) = M::kRam | kBlock;
    m.cell(kTable + 24) = M::kRam | kBlock;
    const auto by_name = [&](std::string_view name) {
        unsigned n = 0;
        for (const char* annex : {"aarch64-core.xml", "aarch64-fpu.xml", "system-registers.xml"}) {
            const std::string_view document = m.d.description(annex);
            for (size_t at = 0; (at = document.find("<reg name=\"", at)) != std::string_view::npos; ++n) {
                at += 11;
                if (document.substr(at, document.find('"', at) - at) == name) return n;
            }
        }
        return ~0u;
    };
    ASSERT_TRUE(m.set(by_name("MAIR_EL1"), 0xff));
    ASSERT_TRUE(m.set(by_name("TTBR0_EL1"), kTable));
    ASSERT_TRUE(m.set(by_name("TCR_EL1"), 25 | uint64_t{2} << 32 | uint64_t{1} << 23));  // T0SZ, IPS, EPD1
    ASSERT_TRUE(m.set(by_name("SCTLR_EL1"), m.x(by_name("SCTLR_EL1")) | 1));
    constexpr uint64_t kAlias = 0x8000'0000;
    m.d.insert({.va = m.at(kStore) + kAlias});
    m.go(Action::Continue);
    ASSERT_TRUE(m.counts_on()) << "there it is passed over";
    EXPECT_FALSE(m.d.take_event());
    ASSERT_TRUE(m.d.stop());
    uint64_t word = 0;
    EXPECT_EQ(m.d.read_memory(0, m.at(kStore) + kAlias, {reinterpret_cast<uint8_t*>(&word), 4}, false), 4u);
    EXPECT_EQ(word, str(1, 11));
    ASSERT_TRUE(m.d.set_pc(0, m.at(kBranch) + kAlias));
    m.go(Action::Continue);
    ASSERT_TRUE(m.stops_at(m.at(kStore) + kAlias));
    ASSERT_TRUE(m.d.set_pc(0, m.at(kStore)));
    m.go(Action::Continue);
    EXPECT_TRUE(m.counts_on());
    EXPECT_FALSE(m.d.take_event());
    ASSERT_TRUE(m.d.stop());
}

/// The guest's own breakpoint in the same page: its exception comes, and the debugger's stops do.
TEST(MachineDebugger, TheGuestsBreakpointsAreItsOwn) {
    Debugged m;
    m.write_program(kLoop, kCountingLoop);
    constexpr uint32_t kMsrElrX12 = 0xd518'402c;
    // Its handler counts in x8, and goes on behind the instruction.
    m.write(M::kVectors + 0x200, {add(8, 8, 1), mrs_elr(12), add(12, 12, 4), kMsrElrX12, kEret});
    m.begin();
    ASSERT_TRUE(m.d.stop());
    m.d.insert({.va = m.at(kStore)});
    m.go(Action::Continue);
    ASSERT_TRUE(m.stops_at(m.at(kStore)));
    Vcpu& cpu = m.group.cpu(0);
    cpu.cpu().registers.os_lock = false;
    cpu.cpu().registers.mdscr = 1u << 15 | 1u << 13;  // MDE, KDE
    cpu.cpu().registers.dbgbvr[0] = m.at(kAdd);
    cpu.cpu().registers.dbgbcr[0] = 0xf << 5 | 1 << 1 | 1;  // all bytes, EL1, enabled
    cpu.cpu().state.daif &= ~uint64_t{1 << 9};
    cpu.replace_state(cpu.capture_state());
    ASSERT_TRUE(m.set(8, 0));
    for (uint64_t round = 1; round <= 5; ++round) {
        ASSERT_TRUE(m.step_over(m.at(kBranch)));
        m.go(Action::Continue);
        ASSERT_TRUE(m.stops_at(m.at(kStore)));
        EXPECT_EQ(m.x(8), round);
    }
    m.d.insert({.va = m.at(kAdd)});
    ASSERT_TRUE(m.step_over(m.at(kBranch)));
    m.go(Action::Continue);
    ASSERT_TRUE(m.stops_at(m.at(kAdd))) << "the debugger's comes first";
    EXPECT_EQ(m.x(8), 5u);
    EXPECT_TRUE(m.step_over(M::kVectors + 0x200)) << "and then the guest's";
    m.d.remove_all();
    cpu.cpu().registers.dbgbcr[0] = 0;
    cpu.replace_state(cpu.capture_state());
    m.go(Action::Continue);
    EXPECT_TRUE(m.counts_on());
}

}  // namespace
}  // namespace arclight::guestos
