// One virtual CPU with guest code of a few words: instructions, exceptions, interrupts, aborts, devices, new
// code. No guest tool, no Linux.
#include "guestos/machine/cpu/vcpu.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <optional>
#include <sstream>
#include <utility>

#include "devices/timer.h"
#include "tests/guestos/machine/test_machine.h"

namespace arclight::guestos {
namespace {

using namespace insn;
using M = TestMachine;

constexpr uint64_t kCode = M::kRam;
constexpr uint64_t kSyncVector = M::kVectors + 0x200, kIrqVector = M::kVectors + 0x280;  // EL1, SP_EL1
constexpr unsigned kEcShift = 26;

using Values = std::vector<uint64_t>;

TEST(Vcpu, RunsInstructionsUntilItIsStopped) {
    M m;
    m.write_program(kCode, {movz(1, 40), add(1, 1, 2), str(1, 9), str(0, 9), str(1, 9, 8), b(0)});
    m.group.cpu(0).power_on(kCode, 0x1234);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (Values{42, 0x1234}));
    EXPECT_EQ(m.group.cpu(0).cpu().state.x[1], 42u);
}

// Whatever is expected of an instruction, RAM stays RAM and a device a device, and what is recorded is what was met.
TEST(Vcpu, WrongExpectationsChangeNothing) {
    for (const bool expect : {false, true}) {
        M m;
        m.engine.record_sites(kCode, kCode + 0x1000);
        m.write_program(kCode, {movz(1, 40), str(1, 10, 8), ldr(2, 10, 8), add(2, 2, 2), str(2, 9),
                                ldr(3, 9, 16), str(3, 9), ldr_w(4, 10, 8), str(4, 9), str(1, 9, 8), b(0)});
        if (expect)
            for (uint64_t pa = kCode; pa < kCode + 0x40; pa += 4) {
                m.engine.expect_device(pa);
                m.engine.expect_block(pa, 1);
            }
        m.group.cpu(0).power_on(kCode, 0);
        ASSERT_TRUE(m.run());
        EXPECT_EQ(m.device.values, (Values{42, 0xfedc'ba98'7654'3210, 40}));
        const VcpuStats& stats = m.group.cpu(0).stats();
        EXPECT_EQ(stats.mmio, 5u);
        EXPECT_EQ(stats.device_calls, expect ? 5u : 0u);
    }
}

TEST(Vcpu, StaysOffUntilPoweredOn) {
    M m;
    m.write_program(kCode, {str(9, 9), b(0)});
    m.start();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_TRUE(m.group.cpu(0).powered_off());
    EXPECT_TRUE(m.group.cpu(0).at_rest());
    m.stop();
    EXPECT_TRUE(m.device.values.empty());
}

TEST(Vcpu, TakesAnExceptionAndReturns) {
    M m;
    m.write_program(kCode, {svc(7), str(9, 9), str(9, 9, 8), b(0)});
    m.write(kSyncVector, {mrs_esr(1), str(1, 9), mrs_elr(2), str(2, 9), kEret});
    m.group.cpu(0).power_on(kCode, 0);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (Values{0x15u << kEcShift | 1u << 25 | 7, M::word(kCode, 1), M::kDevice}));
}

TEST(Vcpu, AnUndefinedInstructionIsAnException) {
    M m;
    m.write_program(kCode, {0x0000'0000, b(0)});
    m.write(kSyncVector, {mrs_esr(1), str(1, 9), mrs_elr(2), str(2, 9), str(9, 9, 8), b(0)});
    m.group.cpu(0).power_on(kCode, 0);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (Values{1u << 25, M::word(kCode, 0)}));
}

// In the form of QEMU's -d int: what the guest takes and returns from, and nothing else that ends translated code.
TEST(Vcpu, TracesExceptions) {
    char* text = nullptr;
    size_t bytes = 0;
    std::FILE* const file = open_memstream(&text, &bytes);
    {
        M m{0};
        CpuTrace trace({.exceptions = true}, file);
        Vcpu& cpu = m.group.add({.engine = m.engine,
                                 .accelerator = m.accelerator,
                                 .memory = m.memory,
                                 .overlay = m.overlay,
                                 .bus = m.bus,
                                 .clock = m.clock,
                                 .peers = m.group,
                                 .trace = trace},
                                {});
        m.write_program(kCode, {svc(7), kTlbiVmalle1is, kIsb, str(9, 12), b(0)});
        m.write(kSyncVector, {cbz(7, 3), str(9, 9, 8), b(0), movz(7, 1), kEret});
        cpu.power_on(kCode, 0);
        ASSERT_TRUE(m.run());
    }
    std::fclose(file);
    std::vector<std::string> lines;
    for (std::istringstream all{std::string(text, bytes)};
         lines.emplace_back(), std::getline(all, lines.back());)
        if (const size_t at = lines.back().find(" PSTATE "); at != std::string::npos) lines.back().resize(at);
    lines.pop_back();
    std::free(text);
    const auto entry = fmt::format("...to EL1 PC {:#x}", kSyncVector);
    EXPECT_EQ(
        lines,
        (std::vector<std::string>{
            "Taking exception 2 [SVC] on CPU 0", "...from EL1 to EL1", "...with ESR 0x15/0x56000007",
            fmt::format("...with ELR {:#x}", M::word(kCode, 1)), entry,
            fmt::format("Exception return from AArch64 EL1 to AArch64 EL1 PC {:#x}", M::word(kCode, 1)),
            "Taking exception 4 [Data Abort] on CPU 0", "...from EL1 to EL1", "...with ESR 0x25/0x96000050",
            "...with FAR 0x0", fmt::format("...with ELR {:#x}", M::word(kCode, 3)), entry}));
}

TEST(Vcpu, TakesAnInterruptThatEndsAWait) {
    M m;
    m.write_program(kCode, {kUnmaskIrq, kWfi, b(-1)});
    m.write(kIrqVector, {mrs_elr(1), str(1, 9), str(9, 9, 8), b(0)});
    Vcpu& cpu = m.group.cpu(0);
    cpu.power_on(kCode, 0);
    m.start();
    ASSERT_TRUE(M::wait_until([&] { return cpu.stats().halts != 0 && cpu.halted(); }));
    EXPECT_TRUE(m.device.values.empty());
    cpu.set_irq_line(true, false);
    EXPECT_TRUE(M::wait_until([&] { return m.group.stopping(); }));
    m.stop();
    EXPECT_EQ(m.device.values, (Values{M::word(kCode, 2)}));
    EXPECT_EQ(cpu.stats().interrupts, 1u);
}

TEST(Vcpu, AnInterruptEndsALoopOfTranslatedCodeButNotWhileMasked) {
    M m;
    m.write_program(kCode, {movz(1, 0), add(1, 1, 1), ldr(2, 11), cbz(2, -2), kUnmaskIrq, b(0)});
    m.write(kIrqVector, {str(1, 9), str(9, 9, 8), b(0)});
    // x11 = x0, set by the first word at the entry.
    m.write(M::kRam + 0x4000, {add(11, 0, 0), b(-0x1001)});
    m.cell(M::kRam + 0x6000) = 0;
    Vcpu& cpu = m.group.cpu(0);
    cpu.power_on(M::kRam + 0x4000, M::kRam + 0x6000);
    m.start();
    ASSERT_TRUE(M::wait_until([&] { return !cpu.halted(); }));
    cpu.set_irq_line(true, false);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    {
        const std::lock_guard guard(m.device.lock);
        EXPECT_TRUE(m.device.values.empty()) << "PSTATE.I is set";
    }
    m.cell(M::kRam + 0x6000) = 1;
    EXPECT_TRUE(M::wait_until([&] { return m.group.stopping(); }));
    m.stop();
    ASSERT_EQ(m.device.values.size(), 1u);
    EXPECT_GT(m.device.values[0], 0u);
}

/// A virtual timer that drives the CPU's interrupt line, with an event loop that does not run: as on a host
/// so busy that deadlines are met very late.
struct LateTimer : devices::InterruptController {
    LateTimer() {
        cpu = &m.group.add({.engine = m.engine,
                            .accelerator = m.accelerator,
                            .memory = m.memory,
                            .overlay = m.overlay,
                            .bus = m.bus,
                            .clock = m.clock,
                            .peers = m.group,
                            .trace = m.trace,
                            .timer = &timer},
                           {});
    }
    void set_spi(unsigned, bool) override {}
    void set_ppi(unsigned, unsigned, bool level) override { cpu->set_irq_line(level, false); }
    void reset() override {}

    M m{0};
    devices::EventLoop loop;
    devices::GenericTimer timer{loop, m.clock, *this, 0};
    Vcpu* cpu = nullptr;
};

constexpr uint32_t mrs_cntvct(unsigned t) { return 0xd53b'e040 | t; }
constexpr uint32_t mrs_cntv_ctl(unsigned t) { return 0xd53b'e320 | t; }
constexpr uint32_t msr_cntv_ctl(unsigned t) { return 0xd51b'e320 | t; }
constexpr uint32_t msr_cntv_cval(unsigned t) { return 0xd51b'e340 | t; }

TEST(Vcpu, ATimerIsDueWithTheInstructionThatShowsIt) {
    LateTimer late;
    M& m = late.m;
    m.write_program(kCode, {mrs_cntvct(1), add(1, 1, 0xfff), add(1, 1, 0xfff), msr_cntv_cval(1), movz(2, 1),
                            msr_cntv_ctl(2), kUnmaskIrq, mrs_cntv_ctl(3), add(4, 4, 1), b(-2)});
    m.write(kIrqVector, {mrs_elr(1), str(1, 9), str(3, 9), str(9, 9, 8), b(0)});
    late.cpu->power_on(kCode, 0);
    ASSERT_TRUE(m.run());
    ASSERT_EQ(m.device.values.size(), 2u);
    // Due before the loop, if this thread was held up, or behind the MRS that reads ISTATUS.
    if (m.device.values[0] == M::word(kCode, 7)) return;
    EXPECT_EQ(m.device.values[0], M::word(kCode, 8));
    EXPECT_EQ(m.device.values[1], 5u) << "ENABLE and ISTATUS are in the register";
}

TEST(Vcpu, ATimerIsDueWhenTheCounterShowsIt) {
    LateTimer late;
    M& m = late.m;
    m.write_program(kCode, {mrs_cntvct(1), add(1, 1, 0xfff), msr_cntv_cval(1), movz(2, 1), msr_cntv_ctl(2),
                            kUnmaskIrq, mrs_cntvct(3), b(-1)});
    m.write(kIrqVector, {str(1, 9), str(3, 9), str(9, 9, 8), b(0)});
    late.cpu->power_on(kCode, 0);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values.size(), 2u);
}

struct Abort {
    uint64_t esr, far, elr;
};

/// What the access in word 0 of the program, with x1 = `address`, reports.
Abort abort_of(uint32_t access, uint64_t address) {
    M m;
    m.write_program(kCode, {access, b(0)});
    m.write(kSyncVector,
            {mrs_esr(2), str(2, 9), mrs_far(3), str(3, 9), mrs_elr(4), str(4, 9), str(9, 9, 8), b(0)});
    m.write(M::kRam + 0x4000, {add(1, 0, 0), b(-0x1001)});
    m.group.cpu(0).power_on(M::kRam + 0x4000, address);
    EXPECT_TRUE(m.run());
    EXPECT_EQ(m.device.values.size(), 3u);
    EXPECT_EQ(m.group.cpu(0).stats().data_aborts, 1u);
    if (m.device.values.size() != 3) return {};
    return {m.device.values[0], m.device.values[1], m.device.values[2]};
}

constexpr uint64_t kWrite = 1 << 6;  // ESR_EL1.WnR

TEST(Vcpu, NothingAtAnAddressIsAnExternalAbort) {
    const Abort load = abort_of(ldr(2, 1), 0x2000'0000), store = abort_of(str(2, 1), 0x2000'0008);
    EXPECT_EQ(load.esr >> kEcShift, 0x25u);
    EXPECT_EQ(load.esr & 0x7f, 0x10u);
    EXPECT_EQ(load.far, 0x2000'0000u);
    EXPECT_EQ(load.elr, M::word(kCode, 0));
    EXPECT_EQ(store.esr & 0x7f, kWrite | 0x10);
    EXPECT_EQ(store.far, 0x2000'0008u);
}

TEST(Vcpu, DeviceMemoryWantsAlignedAccesses) {
    // With the MMU off all data is Device memory (ARM ARM D8.2.11.1), RAM too.
    const Abort abort = abort_of(ldr(2, 1), M::kRam + 0x6001);
    EXPECT_EQ(abort.esr & 0x7f, 0x21u);
    EXPECT_EQ(abort.far, M::kRam + 0x6001);
}

TEST(Vcpu, AFetchFromNowhereIsAnInstructionAbort) {
    M m;
    m.write_program(kCode, {movz(1, 0x2000, 16), br(1)});
    m.write(kSyncVector, {mrs_esr(2), str(2, 9), mrs_far(3), str(3, 9), str(9, 9, 8), b(0)});
    m.group.cpu(0).power_on(kCode, 0);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (Values{0x21u << kEcShift | 1u << 25 | 0x10, 0x2000'0000}));
}

TEST(Vcpu, ReachesDevices) {
    M m;
    // Twice each: the first access walks and searches the bus, the second is remembered.
    m.write_program(kCode,
                    {movz(5, 2), ldr(1, 9, 0x10), ldr_w(2, 9, 0x24), str_w(1, 9, 0x30), str(2, 9),
                     0xd100'04a5 /* sub x5, x5, #1 */, 0xb5ff'ff65 /* cbnz x5, -5 */, str(9, 9, 8), b(0)});
    m.group.cpu(0).power_on(kCode, 0);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (Values{0x7654'3210, 0x7654'3210, 0x7654'3210, 0x7654'3210}));
    using Accesses = std::vector<M::Recorder::Access>;
    EXPECT_EQ(m.device.reads, (Accesses{{0x10, 8}, {0x24, 4}, {0x10, 8}, {0x24, 4}}));
    EXPECT_EQ(m.device.writes, (Accesses{{0x30, 4}, {0, 8}, {0x30, 4}, {0, 8}}));
    EXPECT_EQ(m.group.cpu(0).stats().mmio, 9u);
}

TEST(Vcpu, AFirmwareCallWithoutFirmwareIsNotSupported) {
    M m;
    m.write_program(kCode, {kHvc, str(0, 9), str(9, 9, 8), b(0)});
    m.group.cpu(0).power_on(kCode, 0x8400'0000);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (Values{~uint64_t{0}}));
}

// ---- New code

/// A call of kFunction, whose first word is then stored anew; `maintenance` comes before the second call.
Values calls_of_changed_function(std::initializer_list<uint32_t> maintenance) {
    constexpr uint64_t kFunction = M::kRam + 0x4000;
    M m;
    std::vector<uint32_t> code;
    M::put_constant(code, 9, M::kDevice);
    M::put_constant(code, 11, kFunction);
    M::put_constant(code, 12, movz(1, 2));
    code.insert(code.end(), {blr(11), str(1, 9), str_w(12, 11)});
    code.insert(code.end(), maintenance);
    code.insert(code.end(), {blr(11), str(1, 9), str(9, 9, 8), b(0)});
    m.write(kCode, code);
    m.write(kFunction, {movz(1, 1), kRet});
    m.group.cpu(0).power_on(kCode, 0);
    EXPECT_TRUE(m.run());
    return m.device.values;
}

/// On the way of an instruction fetch: integer code, or not.
struct Watcher final : mmu::Watcher {
    explicit Watcher(bool divides) : divides(divides) {}
    bool access(const mmu::AccessEvent&) override {
        ++calls;
        if (divides) quotient = 1 / divisor;
        return true;
    }
    const bool divides;
    std::atomic<unsigned> calls{0};
    volatile double divisor = 3, quotient = 0;
};

/// Calls a function in a page that is watched, by a look-up out of translated code.
unsigned calls_of_watcher(bool divides) {
    M m;
    Watcher watcher(divides);
    std::vector<uint32_t> code;
    M::put_constant(code, 9, M::kDevice);
    M::put_constant(code, 11, kCode + 0x3000);
    code.insert(code.end(), {blr(11), str(9, 9, 8), b(0)});
    m.write(kCode, code);
    m.write(kCode + 0x3000, {kRet});
    EXPECT_TRUE(m.overlay.prepare());
    {
        const mmu::PageOverlay::Exclusive guard(m.overlay);
        m.overlay.set(kCode + 0x3000, {.flags = mmu::page_flag::kIntercepted | mmu::page_flag::kWatched,
                                       .watcher = &watcher});
    }
    m.group.cpu(0).power_on(kCode, 0);
    EXPECT_TRUE(m.run());
    return watcher.calls;
}

TEST(Vcpu, FloatingPointInAnIntegerHelperIsNoticed) {
    EXPECT_NE(calls_of_watcher(false), 0u);
    EXPECT_DEATH(calls_of_watcher(true), "declared to be integer code does floating-point arithmetic");
}

TEST(Vcpu, NewCodeRunsAfterCacheMaintenance) {
    EXPECT_EQ(calls_of_changed_function({dc_cvau(11), kDsb, ic_ivau(11), kDsb, kIsb}), (Values{1, 2}));
}

TEST(Vcpu, WithoutCacheMaintenanceTheTranslationIsUsed) {
    // What makes the test before this one one of cache maintenance.
    EXPECT_EQ(calls_of_changed_function({}), (Values{1, 1}));
}

// ---- Traditional shadow paging, and a device that writes a translation table

constexpr uint32_t msr_sctlr(unsigned t) { return 0xd518'1000 | t; }
constexpr uint32_t msr_ttbr0(unsigned t) { return 0xd518'2000 | t; }
constexpr uint32_t msr_tcr(unsigned t) { return 0xd518'2040 | t; }
constexpr uint32_t msr_mair(unsigned t) { return 0xd518'a200 | t; }
constexpr uint32_t tlbi_vae1(unsigned t) { return 0xd508'8720 | t; }
constexpr uint32_t tlbi_aside1(unsigned t) { return 0xd508'8740 | t; }

/// A CPU under a shadow policy whose MMU is on: RAM and the device are where they are, kVa is what one descriptor says.
struct TrackedTables {
    static constexpr uint64_t kVa = 0x8000'0000;  // x11; x12 has its number as TLBI wants it
    static constexpr uint64_t kL1 = M::kRam + 0x10'0000, kL2 = kL1 + 0x1000, kL3 = kL2 + 0x1000;
    static constexpr uint64_t kOld = M::kRam + 0x20'0000, kNew = kOld + 0x1000;
    static constexpr uint64_t kBlock = 0x401, kNext = 3, kPage = 0x403, kDeviceMemory = 1 << 2;

    explicit TrackedTables(mmu::ShadowPolicy policy = mmu::ShadowPolicy::Tsp) : tables{m.memory, policy} {
        m.engine.code().set_grouping(false);
        m.group.add({.engine = m.engine,
                     .accelerator = m.accelerator,
                     .memory = memory,
                     .overlay = m.overlay,
                     .bus = m.bus,
                     .clock = m.clock,
                     .peers = m.group,
                     .trace = m.trace,
                     .table_pages = mmu::protects_tables(policy) ? &tables : nullptr},
                    {.shadow = {.policy = policy}});
        m.cell(kL1) = 0 | kBlock | kDeviceMemory;
        m.cell(kL1 + 8) = M::kRam | kBlock;
        m.cell(kL1 + 16) = kL2 | kNext;
        m.cell(kL2) = kL3 | kNext;
        m.cell(kL3) = kOld | kPage;
        m.cell(kOld) = 1;
        m.cell(kNew) = 2;
    }
    /// Runs `words` with the MMU on; a load from [x9] is the device's moment to write.
    Values run(std::initializer_list<uint32_t> words) {
        std::vector<uint32_t> code;
        M::put_constant(code, 9, M::kDevice);
        M::put_constant(code, 11, kVa);
        M::put_constant(code, 12, kVa >> 12);
        M::put_constant(code, 13, kL3);
        M::put_constant(code, 14, kNew | kPage);
        M::put_constant(code, 1, kL1);
        M::put_constant(code, 2, 25 | 1 << 23);  // 39 bits in the lower half, nothing in the upper
        M::put_constant(code, 3, 0x00ff);        // 0: write-back, 1: Device-nGnRnE
        M::put_constant(code, 4, 0x30c5'0999);   // reset value and M
        for (const uint32_t word : {msr_ttbr0(1), msr_tcr(2), msr_mair(3), msr_sctlr(4), kIsb})
            code.push_back(word);
        code.insert(code.end(), words);
        m.write(kCode, code);
        m.group.cpu(0).power_on(kCode, 0);
        EXPECT_TRUE(m.run());
        return m.device.values;
    }

    uint64_t exits(mmu::ShadowExit cause) {
        return m.group.cpu(0).stats().shadow_exits[static_cast<unsigned>(cause)];
    }

    M m{0};
    mmu::TablePages tables;
    const mmu::GuestMemory memory{m.ram, M::kRam, M::kRamBytes, &m.overlay, &tables};
};

/// Swift Shadow Paging: the invalidation itself finds what the descriptor says now.
TEST(Vcpu, TlbiOfAnAddressRewritesItsLeaf) {
    using Exit = mmu::ShadowExit;
    for (const auto policy :
         {mmu::ShadowPolicy::Ssp, mmu::ShadowPolicy::SspNoCache, mmu::ShadowPolicy::Asp}) {
        const auto run = [&](std::initializer_list<uint32_t> words, auto look) {
            TrackedTables t(policy);
            const Values values = t.run(words);
            look(t, t.m.group.cpu(0).shadow_stats());
            return values;
        };
        // Without a second access, and with one: no other exit, and the same fills.
        uint64_t translations = 0, fills = 0;
        run({ldr(1, 11), str(1, 9), str(14, 13), kDsb, tlbi_vae1(12), kDsb, kIsb, str(9, 9, 8), b(0)},
            [&](TrackedTables& t, const mmu::ShadowStats& stats) {
                translations = t.exits(Exit::Translation) + t.m.group.cpu(0).stats().last_level_faults;
                fills = stats.fills;
                EXPECT_EQ(stats.rewritten, 1u);
                EXPECT_EQ(stats.dropped, 0u);
                EXPECT_EQ(stats.wasted_fills, 0u);
            });
        const Values values =
            run({ldr(1, 11), str(1, 9), str(14, 13), kDsb, tlbi_vae1(12), kDsb, kIsb, ldr(1, 11), str(1, 9),
                 str(9, 9, 8), b(0)},
                [&](TrackedTables& t, const mmu::ShadowStats& stats) {
                    EXPECT_EQ(t.exits(Exit::Translation) + t.m.group.cpu(0).stats().last_level_faults,
                              translations);
                    EXPECT_EQ(stats.fills, fills);
                    EXPECT_EQ(t.exits(Exit::Invalidation), 1u);
                });
        EXPECT_EQ(values, (Values{1, 2}));
        // What is not there any more, or has no access flag, is dropped.
        for (const uint64_t entry : {uint64_t{0}, TrackedTables::kNew | TrackedTables::kNext}) {
            TrackedTables t(policy);
            t.m.cell(TrackedTables::kOld + 8) = entry;
            t.run({ldr(14, 11, 8), str(14, 13), kDsb, tlbi_vae1(12), kDsb, kIsb, str(9, 9, 8), b(0)});
            EXPECT_EQ(t.m.group.cpu(0).shadow_stats().rewritten, 0u) << entry;
            EXPECT_EQ(t.m.group.cpu(0).shadow_stats().dropped, 1u) << entry;
        }
    }
}

/// ASP: of the faults in one 2 MiB region the first one misses its table.
TEST(Vcpu, LastLevelFaultsAreToldApart) {
    TrackedTables t(mmu::ShadowPolicy::Asp);
    t.m.cell(TrackedTables::kL3 + 8) = TrackedTables::kNew | TrackedTables::kPage;
    EXPECT_EQ(t.run({ldr(1, 11), str(1, 9), ldr(1, 11, 0x1000), str(1, 9), str(9, 9, 8), b(0)}),
              (Values{1, 2}));
    // kVa's region; the device has none.
    EXPECT_EQ(t.exits(mmu::ShadowExit::Translation), 1u);
    EXPECT_EQ(t.m.group.cpu(0).stats().last_level_faults, 1u);
}

/// KVM's form of traditional shadow paging.
TEST(Vcpu, UnsynchronisedTables) {
    using Exit = mmu::ShadowExit;
    for (const bool of_address : {true, false}) {
        const uint32_t tlbi = of_address ? tlbi_vae1(12) : tlbi_aside1(12);
        TrackedTables t(mmu::ShadowPolicy::TspUnsync);
        // Two stores are one exit, and undo nothing; the invalidation does.
        EXPECT_EQ(
            t.run({ldr(1, 11), str(1, 9), str(31, 13), str(14, 13), ldr(1, 11), str(1, 9), kDsb, tlbi, kDsb,
                   kIsb, ldr(1, 11), str(1, 9), str(31, 13, 8), str(31, 13, 16), str(9, 9, 8), b(0)}),
            (Values{1, 1, 2}));
        EXPECT_EQ(t.exits(Exit::Invalidation), 1u);
        EXPECT_EQ(t.m.group.cpu(0).shadow_stats().rewritten, 1u);
        // That of an address leaves the table as it is; another one protects it again.
        EXPECT_EQ(t.exits(Exit::TableStore), of_address ? 1u : 2u);
        EXPECT_EQ(t.m.group.cpu(0).stats().tlbi_ignored, 0u);
    }
}

TEST(Vcpu, TlbiAfterADeviceHasWrittenATable) {
    for (const uint32_t tlbi : {tlbi_vae1(12), tlbi_aside1(12)}) {
        TrackedTables t;
        t.m.device.before_read = [&] {
            const auto dma = t.memory.dma();
            const uint64_t entry = TrackedTables::kNew | TrackedTables::kPage;
            t.memory.pieces(TrackedTables::kL3, sizeof entry, true,
                            [&](uint8_t* host, uint64_t n) { std::memcpy(host, &entry, n); });
        };
        EXPECT_EQ(t.run({ldr(1, 11), str(1, 9), ldr(2, 9), kDsb, tlbi, kDsb, kIsb, ldr(1, 11), str(1, 9),
                         str(9, 9, 8), b(0)}),
                  (Values{1, 2}));
        EXPECT_EQ(t.m.group.cpu(0).stats().tlbi_ignored, 0u);
    }
}

/// The driver sees the used ring, polls, and comes before the device's thread is done with the request.
TEST(Vcpu, TlbiWhileADeviceStillHoldsItsRequest) {
    TrackedTables t;
    std::optional<mmu::GuestMemory::Dma> dma;
    t.m.device.before_read = [&] {
        dma.emplace(t.memory);
        const uint64_t entry = TrackedTables::kNew | TrackedTables::kPage;
        t.memory.pieces(TrackedTables::kL3, sizeof entry, true,
                        [&](uint8_t* host, uint64_t n) { std::memcpy(host, &entry, n); });
    };
    EXPECT_EQ(t.run({ldr(1, 11), str(1, 9), ldr(2, 9), tlbi_vae1(12), kDsb, kIsb, ldr(1, 11), str(1, 9),
                     str(9, 9, 8), b(0)}),
              (Values{1, 2}));
}

TEST(Vcpu, TlbiHasNothingToDoWhereOnlyOtherPagesWereWritten) {
    TrackedTables t;
    t.m.device.before_read = [&] {
        const auto dma = t.memory.dma();
        t.memory.pieces(TrackedTables::kNew, 8, true,
                        [](uint8_t* host, uint64_t n) { std::memset(host, 7, n); });
    };
    EXPECT_EQ(t.run({ldr(1, 11), str(1, 9), ldr(2, 9), tlbi_vae1(12), kDsb, kIsb, ldr(1, 11), str(1, 9),
                     str(9, 9, 8), b(0)}),
              (Values{1, 1}));
    EXPECT_EQ(t.m.group.cpu(0).stats().tlbi_ignored, 1u);
}

/// A page that becomes a table while a device writes to it.
TEST(Vcpu, TlbiAfterADeviceHasWrittenWhatIsATableSince) {
    TrackedTables t;
    std::optional<mmu::GuestMemory::Dma> dma;
    bool begun = false;
    t.m.device.before_read = [&] {
        const uint64_t entry = TrackedTables::kNew | TrackedTables::kPage;
        if (!std::exchange(begun, true)) {
            dma.emplace(t.memory);
            t.memory.pieces(TrackedTables::kL3, sizeof entry, true, [](uint8_t*, uint64_t) {});
        } else {
            std::memcpy(t.m.ram + (TrackedTables::kL3 - M::kRam), &entry, sizeof entry);
            dma.reset();
        }
    };
    EXPECT_EQ(t.run({ldr(2, 9), ldr(1, 11), str(1, 9), ldr(2, 9), tlbi_vae1(12), kDsb, kIsb, ldr(1, 11),
                     str(1, 9), str(9, 9, 8), b(0)}),
              (Values{1, 2}));
}

}  // namespace
}  // namespace arclight::guestos
