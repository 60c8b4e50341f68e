// A virtual CPU's registers by the numbers of the target description.
#include "guestos/gdb/registers.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <regex>

#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/quiet_environment.h"

namespace arclight::guestos::gdb {
namespace {

namespace a64 = frontend::a64;

struct GdbRegisters : testing::Test {
    explicit GdbRegisters(a64::FeatureSet features = a64::kDefaultFeatures)
        : memory(ram, 0x4000'0000, sizeof ram),
          guest(std::make_unique<jit::GuestState>()),
          cpu(*guest, environment, memory, {.features = features}),
          registers(features) {
        cpu.reset(0x4000'0000);
        // Numbers as a debugger counts them: those of all documents, in order.
        const std::regex row(R"re(<reg name="([^"]+)" bitsize="(\d+)"[^>]*>)re");
        for (const char* annex :
             {"aarch64-core.xml", "aarch64-fpu.xml", "aarch64-sve.xml", "system-registers.xml"}) {
            const std::string document(registers.description(annex));
            for (std::sregex_iterator it(document.begin(), document.end(), row), end; it != end; ++it)
                described.emplace_back((*it)[1], std::stoul((*it)[2]));
        }
    }
    unsigned number(const std::string& name) const {
        for (unsigned n = 0; n < described.size(); ++n)
            if (described[n].first == name) return n;
        ADD_FAILURE() << name << " is not described";
        return 0;
    }
    uint64_t read(const CpuState& state, const std::string& name) {
        std::vector<uint8_t> bytes;
        EXPECT_TRUE(registers.read(state, cpu, number(name), bytes));
        uint64_t value = 0;
        std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
        return value;
    }
    bool write(CpuState& state, const std::string& name, uint64_t value) {
        std::vector<uint8_t> bytes(described[number(name)].second / 8);
        std::memcpy(bytes.data(), &value, std::min(bytes.size(), sizeof value));
        return registers.write(state, cpu, number(name), bytes) == bytes.size();
    }

    alignas(4096) uint8_t ram[4096] = {};
    mmu::GuestMemory memory;
    a64::QuietEnvironment environment;
    std::unique_ptr<jit::GuestState> guest;
    a64::Cpu cpu;
    Registers registers;
    std::vector<std::pair<std::string, unsigned>> described;  ///< names and bits
};

TEST_F(GdbRegisters, AllThatAreDescribedHaveAValueOfTheirSize) {
    const CpuState state = CpuState::capture(cpu);
    for (unsigned n = 0; n < described.size(); ++n) {
        std::vector<uint8_t> bytes;
        EXPECT_TRUE(registers.read(state, cpu, n, bytes)) << described[n].first;
        EXPECT_EQ(bytes.size() * 8, described[n].second) << described[n].first;
        EXPECT_EQ(number(described[n].first), n) << "described twice";
    }
    std::vector<uint8_t> bytes;
    EXPECT_FALSE(registers.read(state, cpu, static_cast<unsigned>(described.size()), bytes));
    EXPECT_FALSE(registers.read(state, cpu, ~0u, bytes));
    EXPECT_GT(described.size(), 34u + 34 + 80);
    EXPECT_EQ(number("pc"), Registers::kPc);
    EXPECT_EQ(number("cpsr"), Registers::kCpsr);
    EXPECT_EQ(registers.description("other.xml"), "");
}

TEST_F(GdbRegisters, GeneralAndVectorRegistersAreThemselves) {
    CpuState state = CpuState::capture(cpu);
    EXPECT_TRUE(write(state, "x7", 0x1122));
    EXPECT_TRUE(write(state, "sp", 0x3344));
    EXPECT_TRUE(write(state, "pc", 0x5566));
    EXPECT_TRUE(write(state, "v31", 0x7788));
    EXPECT_TRUE(write(state, "fpcr", 0xffff'ffff));
    EXPECT_EQ(state.x[7], 0x1122u);
    EXPECT_EQ(state.sp[0], 0x3344u);
    EXPECT_EQ(state.pc, 0x5566u);
    EXPECT_EQ(state.v[31][0], 0x7788u);
    EXPECT_EQ(state.fpcr, 0x07c8'2007u) << "the bits that there are";
    EXPECT_EQ(read(state, "v31"), 0x7788u);
    const uint8_t few[7] = {};
    EXPECT_EQ(registers.write(state, cpu, 0, few), 0u);
}

TEST_F(GdbRegisters, TheStatusChangesLevelAndStack) {
    CpuState state = CpuState::capture(cpu);
    state.sp = {0x1000, 0x2000, 0};  // in use: SP_EL1
    EXPECT_EQ(read(state, "cpsr"), 0x200'03c5u);
    EXPECT_TRUE(write(state, "cpsr", 0x8000'0000));
    EXPECT_EQ(state.el, 0);
    EXPECT_EQ(state.nzcv, 0x8000'0000u);
    EXPECT_EQ(state.daif, 0u);
    EXPECT_EQ(state.sp[0], 0x2000u);
    EXPECT_EQ(read(state, "SP_EL0"), 0x2000u);
    EXPECT_TRUE(write(state, "SP_EL0", 0x2800));
    EXPECT_EQ(state.sp[0], 0x2800u) << "it is the one in use";
    EXPECT_TRUE(write(state, "cpsr", 0x3c5));
    EXPECT_EQ(state.sp[0], 0x1000u);
    EXPECT_EQ(read(state, "SP_EL0"), 0x2800u);
    for (const uint32_t wrong : {0x10u, 0x9u, 0xdu, 0x1u}) EXPECT_FALSE(write(state, "cpsr", wrong)) << wrong;
    EXPECT_EQ(read(state, "cpsr"), 0x3c5u);
}

TEST_F(GdbRegisters, SystemRegistersAreReadAndWritten) {
    CpuState state = CpuState::capture(cpu);
    EXPECT_TRUE(write(state, "VBAR_EL1", 0xffff'8000'0000'0fff));
    EXPECT_EQ(read(state, "VBAR_EL1"), 0xffff'8000'0000'0800u) << "as MSR does";
    EXPECT_TRUE(write(state, "TTBR0_EL1", 0x4000'1000));
    EXPECT_EQ(state.translation[2], 0x4000'1000u);
    EXPECT_TRUE(write(state, "DBGBVR3_EL1", 0x4000));
    EXPECT_EQ(state.breakpoints[3][0], 0x4000u);
    EXPECT_NE(read(state, "MIDR_EL1"), 0u);
    EXPECT_NE(read(state, "ID_AA64MMFR0_EL1"), 0u);
    EXPECT_FALSE(write(state, "MIDR_EL1", 1));
    EXPECT_FALSE(write(state, "CNTV_CTL_EL0", 1)) << "a timer's, outside of the CPU";
    EXPECT_FALSE(write(state, "ID_AA64MMFR0_EL1", 1));
    EXPECT_EQ(cpu.registers.vbar, 0u) << "the CPU itself has not changed";
}

struct ScalableGdbRegisters : GdbRegisters {
    ScalableGdbRegisters() : GdbRegisters(a64::kScalableFeatures.without(a64::Feature::Sve512)) {}
};

TEST_F(ScalableGdbRegisters, VectorsAndPredicatesAreAsLongAsTheyGet) {
    CpuState state = CpuState::capture(cpu);
    for (unsigned n = 0; n < described.size(); ++n) {
        std::vector<uint8_t> bytes;
        EXPECT_TRUE(registers.read(state, cpu, n, bytes)) << described[n].first;
        EXPECT_EQ(bytes.size() * 8, described[n].second) << described[n].first;
    }
    EXPECT_NE(registers.description("target.xml").find("aarch64-sve.xml"), std::string_view::npos);
    EXPECT_EQ(registers.description("aarch64-fpu.xml"), "") << "gdb makes the V registers itself";
    EXPECT_EQ(described[number("z0")].second, 256u);
    EXPECT_EQ(described[number("ffr")].second, 32u);
    EXPECT_EQ(number("z0"), Registers::kGeneral);
    std::vector<uint8_t> z(32);
    for (unsigned i = 0; i < 32; ++i) z[i] = static_cast<uint8_t>(i + 1);
    EXPECT_EQ(registers.write(state, cpu, number("z31"), z), 32u);
    EXPECT_EQ(state.v[31][1], 0x100f'0e0d'0c0b'0a09u);
    EXPECT_EQ(state.z_upper[31][1], 0x201f'1e1d'1c1b'1a19u);
    std::vector<uint8_t> bytes;
    EXPECT_TRUE(registers.read(state, cpu, number("z31"), bytes));
    EXPECT_EQ(bytes, z);
    EXPECT_TRUE(write(state, "p3", 0x1234'5678));
    EXPECT_TRUE(write(state, "ffr", 0x9abc'def0));
    EXPECT_EQ(read(state, "p3"), 0x1234'5678u);
    EXPECT_EQ(state.p[16], 0x9abc'def0u);
    EXPECT_TRUE(write(state, "ZCR_EL1", 0));
    EXPECT_EQ(read(state, "vg"), 2u);
    EXPECT_TRUE(write(state, "ZCR_EL1", 15));
    EXPECT_EQ(read(state, "vg"), 4u);
    EXPECT_FALSE(write(state, "vg", 2));
    EXPECT_EQ(registers.write(state, cpu, number("z0"), std::span(z).first(16)), 0u) << "too few bytes";
}

}  // namespace
}  // namespace arclight::guestos::gdb
