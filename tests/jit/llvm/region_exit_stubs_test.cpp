// Exit stubs of regions: plain data in, bytes out.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <stdexcept>

#include "jit/region_exit_code.h"

namespace arclight::jit {
namespace {

constexpr size_t kFrontBytes = 11;  ///< of the code before each site
constexpr uint8_t kJmp = 0xe9;
constexpr uint16_t kRbx = 3, kXmm1 = 18, kR12 = 12;  ///< DWARF's numbers

/// Code with `n` sites, as LLVM leaves them: NOPL of five bytes.
std::vector<uint8_t> text_with(size_t n) {
    constexpr std::array<uint8_t, kExitSiteBytes> kNop{0x0f, 0x1f, 0x44, 0x00, 0x08};
    std::vector<uint8_t> text;
    for (size_t k = 0; k < n; ++k) {
        text.insert(text.end(), kFrontBytes, 0x90);
        text.insert(text.end(), kNop.begin(), kNop.end());
    }
    return text;
}
constexpr size_t end_of_site(size_t k) { return (k + 1) * (kFrontBytes + kExitSiteBytes); }

/// Where the jump at site `k` leads.
size_t target(const std::string& code, size_t k) {
    int32_t distance = 0;
    std::memcpy(&distance, code.data() + end_of_site(k) - sizeof distance, sizeof distance);
    return end_of_site(k) + static_cast<size_t>(distance);
}

const ValueLocation kState{ValueLocation::Register, kR12, 0};

/// x0 is in `x0`, and the address to continue at is known.
RegionExit exit_with_x0(int32_t offset) { return {.slots = {0}, .pc_known = true, .offset = offset}; }

TEST(RegionExitStubsTest, EachSiteJumpsToAStubBehindTheCode) {
    const std::vector<uint8_t> text = text_with(2);
    const std::array exits{exit_with_x0(8), exit_with_x0(12)};
    const ValueLocation rbx{ValueLocation::Register, kRbx, 0};
    const std::array<RegionExitSite, 2> sites{
        {{0, end_of_site(0), {kState, rbx}}, {1, end_of_site(1), {kState, rbx}}}};
    const std::string code = write_region_exits(text, exits, sites);
    EXPECT_EQ(code.size() % 8, 0u);
    for (size_t k = 0; k < sites.size(); ++k) {
        EXPECT_EQ(static_cast<uint8_t>(code[end_of_site(k) - kExitSiteBytes]), kJmp);
        EXPECT_GE(target(code, k), text.size());
        EXPECT_LT(target(code, k), code.size());
        EXPECT_EQ(std::memcmp(code.data() + end_of_site(k) - kExitSiteBytes - kFrontBytes,
                              text.data() + end_of_site(k) - kExitSiteBytes - kFrontBytes, kFrontBytes),
                  0)
            << "the code around it is as it was";
    }
    EXPECT_NE(target(code, 0), target(code, 1)) << "they continue at different addresses";
}

TEST(RegionExitStubsTest, StubsShareTheirLastSteps) {
    const ValueLocation rbx{ValueLocation::Register, kRbx, 0};
    const std::array exits{exit_with_x0(8), exit_with_x0(12), exit_with_x0(16)};
    std::vector<RegionExitSite> sites;
    const auto bytes = [&](size_t n) {
        sites.push_back({n - 1, end_of_site(n - 1), {kState, rbx}});
        const std::vector<uint8_t> text = text_with(n);
        return write_region_exits(text, std::span(exits).first(n), sites).size() - text.size();
    };
    const size_t one = bytes(1), two = bytes(2), three = bytes(3);
    EXPECT_LT(two - one, one) << "the second one jumps into the first one";
    EXPECT_LT(three - two, one);
}

TEST(RegionExitStubsTest, AScalarIsStoredAsALowerHalf) {
    const ValueLocation xmm1{ValueLocation::Register, kXmm1, 0};
    const RegionExit whole{.slots = {32 + 5}, .pc_known = true};
    RegionExit low = whole;
    low.low = low.clear = 1u << 5;
    const auto stub = [&](const RegionExit& exit) {
        const std::vector<uint8_t> text = text_with(1);
        const std::array<RegionExitSite, 1> sites{{{0, end_of_site(0), {kState, xmm1}}}};
        return write_region_exits(text, std::span(&exit, 1), sites).substr(text.size());
    };
    constexpr char kMovaps = 0x29, kMovsd = 0x11;  // the opcodes of VMOVAPS and VMOVSD to memory
    EXPECT_NE(stub(whole).find(kMovaps), std::string::npos);
    EXPECT_EQ(stub(whole).find(kMovsd), std::string::npos);
    EXPECT_NE(stub(low).find(kMovsd), std::string::npos);
    EXPECT_GT(stub(low).size(), stub(whole).size()) << "the upper half is cleared";
}

class RefusedSiteTest : public ::testing::TestWithParam<RegionExitSite> {};
TEST_P(RefusedSiteTest, ThrowsAndNamesTheObjectFile) {
    const std::vector<uint8_t> text = text_with(1);
    const std::array exits{exit_with_x0(8)};
    const std::array sites{GetParam()};
    try {
        write_region_exits(text, exits, sites);
        FAIL() << "not refused";
    } catch (const std::runtime_error& e) {
        EXPECT_TRUE(std::string(e.what()).starts_with("LLVM's object file: ")) << e.what();
    }
}
const ValueLocation kGood{ValueLocation::Register, kRbx, 0};
INSTANTIATE_TEST_SUITE_P(
    All, RefusedSiteTest,
    ::testing::Values(
        RegionExitSite{0, end_of_site(0) - 1, {kState, kGood}},                            // no NOPL there
        RegionExitSite{0, end_of_site(0) + 1, {kState, kGood}},                            // out of the code
        RegionExitSite{0, end_of_site(0), {kState}},                                       // too few operands
        RegionExitSite{0, end_of_site(0), {kState, kGood, kGood}},                         // too many
        RegionExitSite{0, end_of_site(0), {kState, {ValueLocation::Register, kXmm1, 0}}},  // x0 in a vector
        RegionExitSite{0, end_of_site(0), {kState, {ValueLocation::Register, 40, 0}}},   // a segment register
        RegionExitSite{0, end_of_site(0), {kState, {ValueLocation::Stack, kRbx, 8}}}));  // not the frame's

}  // namespace
}  // namespace arclight::jit
