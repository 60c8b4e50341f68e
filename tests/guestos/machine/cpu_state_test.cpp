// Saving and loading virtual CPUs in the middle of what they do.
#include "guestos/machine/cpu/cpu_state.h"

#include <gtest/gtest.h>

#include "devices/state.h"
#include "frontend/a64/system/pmu.h"
#include "frontend/a64/system/quiet_environment.h"
#include "tests/guestos/machine/test_machine.h"

namespace arclight::guestos {
namespace {

namespace a64 = frontend::a64;
using namespace insn;
using namespace std::chrono_literals;
using M = TestMachine;
using Stream = std::vector<uint8_t>;

constexpr uint64_t kProgram = M::kRam, kProgress = M::kRam + 0x10'0000;
constexpr uint64_t kIterations = 0x100'0000;

constexpr uint32_t scvtf(unsigned d, unsigned n) { return 0x9e62'0000 | n << 5 | d; }
constexpr uint32_t fdiv(unsigned d, unsigned n, unsigned m) { return 0x1e60'1800 | m << 16 | n << 5 | d; }
constexpr uint32_t fadd(unsigned d, unsigned n, unsigned m) { return 0x1e60'2800 | m << 16 | n << 5 | d; }
constexpr uint32_t fmov_x(unsigned d, unsigned n) { return 0x9e66'0000 | n << 5 | d; }
constexpr uint32_t sub_reg(unsigned d, unsigned n, unsigned m) { return 0xcb00'0000 | m << 16 | n << 5 | d; }
constexpr uint32_t cbnz(unsigned t, int words) { return cbz(t, words) | 1 << 24; }
constexpr uint32_t msr_cpacr(unsigned t) { return 0xd518'1040 | t; }
constexpr uint32_t msr_fpcr(unsigned t) { return 0xd51b'4400 | t; }
constexpr uint32_t mrs_fpcr(unsigned t) { return 0xd53b'4400 | t; }
constexpr uint32_t mrs_fpsr(unsigned t) { return 0xd53b'4420 | t; }
constexpr uint64_t kRoundUp = 0x40'0000, kInexact = 0x10;  // FPCR.RMode, FPSR.IXC

/// A long sum, for which the rounding mode, the sticky flags, the registers and the vectors must last.
void write_sum(M& m) {
    m.write_program(kProgram,
                    {add(11, 0, 0), movz(1, 0x30, 16),  // CPACR_EL1.FPEN
                     msr_cpacr(1), kIsb, movz(2, 3), scvtf(1, 2), movz(3, 1), scvtf(0, 3),
                     fdiv(2, 0, 1),  // inexact, once
                     movz(4, kRoundUp >> 16, 16), msr_fpcr(4), movz(5, 0), movz(6, kIterations >> 16, 16),
                     // the loop
                     add(5, 5, 1), fadd(3, 3, 2), str(5, 11), sub_reg(7, 6, 5), cbnz(7, -4), fmov_x(8, 3),
                     str(8, 9), mrs_fpsr(8), str(8, 9), mrs_fpcr(8), str(8, 9), str(5, 9), svc(1), b(0)});
    m.write(M::kVectors + 0x200, {mrs_esr(1), str(1, 9), str(9, 9, 8), b(0)});
}

Stream save(M& m) {
    devices::StateWriter out;
    for (unsigned i = 0; i < m.group.size(); ++i) m.group.cpu(i).save(out);
    auto stream = out.finish();
    EXPECT_TRUE(stream) << stream.error();
    return stream.value_or(Stream{});
}

devices::StateResult load(M& m, const Stream& stream) {
    devices::StateReader in(stream);
    for (unsigned i = 0; i < m.group.size(); ++i)
        if (auto loaded = m.group.cpu(i).load(in); !loaded) return loaded;
    return in.finish();
}

TEST(CpuState, ACpuGoesOnInAnotherMachineAndInItsOwn) {
    M whole, first, second;
    for (M* m : {&whole, &first, &second}) {
        write_sum(*m);
    }
    whole.group.cpu(0).power_on(kProgram, kProgress);
    ASSERT_TRUE(whole.run());
    ASSERT_EQ(whole.device.values.size(), 5u);
    EXPECT_EQ(whole.device.values[1], kInexact);
    EXPECT_EQ(whole.device.values[2], kRoundUp);
    EXPECT_EQ(whole.device.values[3], kIterations);

    first.group.cpu(0).power_on(kProgram, kProgress);
    first.start();
    ASSERT_TRUE(M::wait_until([&] { return first.cell(kProgress) > 1000; }));
    ASSERT_TRUE(first.group.pause());
    const Stream stream = save(first);
    const std::vector<uint8_t> ram(first.ram, first.ram + M::kRamBytes);
    const uint64_t at = first.cell(kProgress);
    ASSERT_LT(at, kIterations) << "it was to be in the middle";
    first.group.resume();

    // Back in its own, which has gone on
    ASSERT_TRUE(M::wait_until([&] { return first.cell(kProgress) > at; }));
    ASSERT_TRUE(first.group.pause());
    std::memcpy(first.ram, ram.data(), M::kRamBytes);
    ASSERT_TRUE(load(first, stream));
    EXPECT_EQ(save(first), stream);
    {
        const std::lock_guard guard(first.device.lock);
        first.device.values.clear();
    }
    first.group.resume();
    ASSERT_TRUE(M::wait_until([&] { return first.group.stopping(); }));
    first.stop();
    EXPECT_EQ(first.device.values, whole.device.values);

    // In another machine, which has never run
    std::memcpy(second.ram, ram.data(), M::kRamBytes);
    ASSERT_TRUE(load(second, stream));
    ASSERT_TRUE(second.run());
    EXPECT_EQ(second.device.values, whole.device.values);
}

// What was counted since the registers were last looked at is part of it, with an overflow.
TEST(CpuState, PerformanceMonitorsGoOn) {
    M m;
    a64::QuietEnvironment environment;
    const auto states = std::make_unique<std::array<jit::GuestState, 2>>();
    a64::Cpu from((*states)[0], environment, m.memory, {}), to((*states)[1], environment, m.memory, {});
    constexpr auto pmu = [](unsigned crm, unsigned op2) { return a64::sysreg_encoding(3, 3, 9, crm, op2); };
    constexpr uint32_t kPmcr = pmu(12, 0), kEnable = pmu(12, 1), kOverflow = pmu(14, 3), kUser = pmu(14, 0),
                       kInterrupts = a64::sysreg_encoding(3, 0, 9, 14, 1),
                       kCount2 = a64::sysreg_encoding(3, 3, 14, 8, 2),
                       kType2 = a64::sysreg_encoding(3, 3, 14, 12, 2);
    from.reset(0);
    for (const auto& [reg, value] : std::initializer_list<std::pair<uint32_t, uint64_t>>{
             {kType2, 8}, {kCount2, 0xffff'fff0}, {kInterrupts, 0x24}, {kUser, 9}, {kEnable, 4}, {kPmcr, 1}})
        ASSERT_TRUE(a64::write_sysreg(from, reg, value).ok());
    from.state.instructions += 100;
    const CpuState saved = CpuState::capture(from);
    from.state.instructions += 1'000'000;  // neither here nor there
    to.reset(0);
    to.state.instructions = 77;
    saved.apply(to);
    a64::pmu_update(to);
    to.state.instructions += 5;
    const auto read = [&](uint32_t reg) {
        uint64_t value = 0;
        EXPECT_TRUE(a64::read_sysreg(to, reg, value).ok());
        return value;
    };
    EXPECT_EQ(read(kCount2), (uint64_t{1} << 32) + 100 - 16 + 5);
    EXPECT_EQ(read(kOverflow), 4u);
    EXPECT_EQ(read(kType2), 8u);
    EXPECT_EQ(read(kInterrupts), 0x24u);
    EXPECT_EQ(read(kUser), 9u);
    EXPECT_EQ(read(kEnable), 4u);
    EXPECT_EQ(read(kPmcr) & 1, 1u);
}

TEST(CpuState, ScalableVectors) {
    M m;
    a64::QuietEnvironment environment;
    const auto states = std::make_unique<std::array<jit::GuestState, 2>>();
    const a64::CpuConfig config{.features = a64::kUsualFeatures.with(a64::Feature::Sve512)};
    a64::Cpu from((*states)[0], environment, m.memory, config),
        to((*states)[1], environment, m.memory, config);
    from.reset(0);
    to.reset(0);
    from.registers.zcr = 1;
    for (unsigned i = 0; i < jit::kScalableRegisters; ++i)
        for (unsigned n = sizeof(jit::V128); n < sizeof(jit::ScalableUpper); ++n)
            from.state.z_upper[i].b[n] = static_cast<uint8_t>(i * 7 + n);
    for (unsigned i = 0; i < jit::kPredicateRegisters; ++i) from.state.p[i] = ~uint64_t{i};
    CpuState::capture(from).apply(to);
    EXPECT_EQ(to.state.vector_bytes, 32u);
    for (unsigned i = 0; i < jit::kScalableRegisters; ++i)
        EXPECT_EQ(std::memcmp(to.state.z_upper[i].b, from.state.z_upper[i].b, sizeof(jit::ScalableUpper)), 0)
            << i;
    for (unsigned i = 0; i < jit::kPredicateRegisters; ++i) EXPECT_EQ(to.state.p[i], ~uint64_t{i});
}

TEST(CpuState, CpusThatWaitOrAreOffStaySo) {
    constexpr uint64_t kCount = M::kRam, kWait = M::kRam + 0x1000;
    const auto prepare = [&](M& m) {
        m.write_program(kCount, {add(11, 0, 0), ldr(1, 11), add(1, 1, 1), str(1, 11), b(-3)});
        m.write_program(kWait, {kUnmaskIrq, kWfi, b(-1)});
        m.write(M::kVectors + 0x280, {str(9, 9), b(0)});
    };
    M from(3), to(3);
    prepare(from);
    from.group.cpu(0).power_on(kCount, kProgress);
    from.group.cpu(1).power_on(kWait, 0);
    from.start();
    ASSERT_TRUE(
        M::wait_until([&] { return from.cell(kProgress) != 0 && from.group.cpu(1).stats().halts != 0; }));
    ASSERT_TRUE(from.group.pause());
    const Stream stream = save(from);
    std::memcpy(to.ram, from.ram, M::kRamBytes);
    const uint64_t count = from.cell(kProgress);
    from.stop();

    // While its threads run, all of them off
    to.start();
    ASSERT_TRUE(to.group.pause());
    ASSERT_TRUE(load(to, stream));
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(to.cell(kProgress), count) << "paused still";
    to.group.resume();
    EXPECT_TRUE(M::wait_until([&] { return to.cell(kProgress) > count; }));
    EXPECT_TRUE(M::wait_until([&] { return to.group.cpu(1).stats().halts != 0; }));
    EXPECT_TRUE(to.group.cpu(2).powered_off());
    to.group.cpu(1).set_irq_line(true, false);
    EXPECT_TRUE(M::wait_until([&] {
        const std::lock_guard guard(to.device.lock);
        return !to.device.values.empty();
    }));
    EXPECT_TRUE(to.group.cpu(2).powered_off());
}

TEST(CpuState, ACpuThatWasOffIsOffAgain) {
    M m;
    m.write_program(kProgram, {add(11, 0, 0), ldr(1, 11), add(1, 1, 1), str(1, 11), b(-3)});
    m.start();
    ASSERT_TRUE(m.group.pause());
    const Stream off = save(m);
    m.group.resume();
    for (int round = 0; round < 3; ++round) {
        m.cell(kProgress) = 0;
        m.group.cpu(0).power_on(kProgram, kProgress);
        ASSERT_TRUE(M::wait_until([&] { return m.cell(kProgress) != 0; }));
        ASSERT_TRUE(m.group.pause());
        ASSERT_TRUE(load(m, off));
        m.group.resume();
        ASSERT_TRUE(M::wait_until([&] { return m.group.cpu(0).powered_off(); }));
    }
}

TEST(CpuState, ACpuThatIsAboutToBeginBegins) {
    M from, to;
    from.group.cpu(0).power_on(kProgram, 0x1234);  // its thread does not run
    const Stream stream = save(from);
    to.write_program(kProgram, {str(0, 9), str(9, 9, 8), b(0)});
    ASSERT_TRUE(load(to, stream));
    EXPECT_EQ(save(to), stream);
    ASSERT_TRUE(to.run());
    EXPECT_EQ(to.device.values, (std::vector<uint64_t>{0x1234}));
}

TEST(CpuState, WhatNoCpuCanBeInIsRefusedAndChangesNothing) {
    M m;
    const Stream before = save(m);
    const auto refused = [&](uint32_t index, const CpuState& state) {
        devices::StateWriter out;
        out.section("vcpu", CpuState::kVersion, [&] { out(index, true, false, false, state); });
        return !load(m, out.finish().value());
    };
    EXPECT_TRUE(refused(1, {})) << "another CPU";
    EXPECT_TRUE(refused(0, {.daif = 1}));
    EXPECT_TRUE(refused(0, {.nzcv = 1}));
    EXPECT_TRUE(refused(0, {.el = 2}));
    EXPECT_TRUE(refused(0, {.fpcr = 1u << 3}));
    EXPECT_TRUE(refused(0, {.fpsr = 1u << 31}));
    EXPECT_TRUE(refused(0, {.zcr = 16}));
    EXPECT_TRUE(refused(0, {.pmu_sets = {1u << 6}}));
    for (size_t length = 0; length < before.size(); length += 17)
        EXPECT_FALSE(load(m, Stream(before.begin(), before.begin() + static_cast<ptrdiff_t>(length))));
    EXPECT_EQ(save(m), before);
    EXPECT_TRUE(m.group.cpu(0).powered_off());
}

}  // namespace
}  // namespace arclight::guestos
