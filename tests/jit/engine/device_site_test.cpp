// An instruction that meets a device is translated again, into a call of the slow path: with fastmem each of its accesses would
// fault first, which a guest notices by the time alone.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "frontend/a64/frontend.h"
#include "frontend/a64/translation_flags.h"
#include "jit/engine/engine.h"

namespace arclight::jit {
namespace {

class DeviceSiteTest : public testing::Test {
  protected:
    static constexpr uint64_t kBase = 0x4000'0000, kBytes = 1 << 16;
    static constexpr uint32_t kMode = frontend::a64::translation_flag::kEl1 | translation_flag::kFastmem;

    DeviceSiteTest() : ram_(kBytes / 4), memory_(reinterpret_cast<uint8_t*>(ram_.data()), kBase, kBytes) {
        ram_[0] = 0xb940'0020;  // ldr w0, [x1]
        ram_[1] = 0xb900'0062;  // str w2, [x3]
        ram_[2] = 0xd65f'03c0;  // ret
    }

    ~DeviceSiteTest() override {
        std::fclose(trace_);
        std::free(text_);
    }

    /// Translates the code, and counts the accesses that go to their slow path at once: by a jump without a condition, beside
    /// the one that the block's end is.
    unsigned slow_accesses(uint32_t mode = kMode) {
        std::fflush(trace_);
        const size_t before = size_;
        if (engine_.entry(kBase, mode) == nullptr) return ~0u;
        std::fflush(trace_);
        std::string listing(text_ + before, size_ - before);
        listing.resize(listing.find("cold:"));
        unsigned jumps = 0;
        for (size_t at = 0; (at = listing.find("\njmp ", at)) != std::string::npos; at++) jumps++;
        return jumps;
    }
    /// Marks the first access in the block that is not marked yet. False: there is none.
    bool mark_one() {
        const uint8_t* const cold = engine_.code().base() + engine_.code().size() / 2;
        for (const uint8_t* pc = cold; pc < cold + kSearched; pc++)
            if (engine_.mark_device(pc)) return true;
        return false;
    }

    static constexpr size_t kSearched = 1 << 13;
    char* text_ = nullptr;
    size_t size_ = 0;
    std::FILE* trace_ = open_memstream(&text_, &size_);
    std::vector<uint32_t> ram_;
    mmu::GuestMemory memory_;
    Engine engine_{frontend::a64::frontend(), memory_,
                   EngineOptions{.code_bytes = 1 << 20, .trace_host = true, .trace_file = trace_}};
};

TEST_F(DeviceSiteTest, AnInstructionThatMetADeviceIsTranslatedAgain) {
    const unsigned others = slow_accesses();
    ASSERT_TRUE(mark_one());
    EXPECT_EQ(engine_.stats().invalidated, 1u);
    EXPECT_EQ(slow_accesses(), others + 1);
    EXPECT_EQ(engine_.stats().blocks, 2u);
    ASSERT_TRUE(mark_one());
    EXPECT_EQ(slow_accesses(), others + 2);
    EXPECT_FALSE(mark_one()) << "both are marked";
}

// With fastmem and with the soft TLB.
TEST_F(DeviceSiteTest, AnExpectedOneIsADeviceCallFromTheFirst) {
    for (const uint32_t mode : {kMode, kMode & ~frontend::a64::translation_flag::kFastmem}) {
        engine_.invalidate(kBase, 64);
        const unsigned others = slow_accesses(mode);
        engine_.invalidate(kBase, 64);
        engine_.expect_device(kBase + 4);
        engine_.expect_device(kBase + 8);  // no access
        const uint64_t before = engine_.stats().expected_devices;
        EXPECT_EQ(slow_accesses(mode), others + 1);
        EXPECT_EQ(engine_.stats().expected_devices, before + 1);
    }
}

// Until its code changes.
TEST_F(DeviceSiteTest, NewCodeAtThePlaceOfAnExpectedOneIsNotMarked) {
    const unsigned others = slow_accesses();
    engine_.invalidate(kBase, 64);
    engine_.expect_device(kBase);
    slow_accesses();
    engine_.invalidate(kBase, 64);
    EXPECT_EQ(slow_accesses(), others);
}

TEST_F(DeviceSiteTest, ExpectedBlocksAreTranslatedWithTheFirstOfTheirPage) {
    constexpr uint32_t kRet = 0xd65f'03c0;
    const uint64_t same_page = kBase + 0x800, other_page = kBase + 0x1000;
    ram_[0x800 / 4] = ram_[0x1000 / 4] = kRet;
    for (const uint64_t pa : {kBase, same_page, other_page}) engine_.expect_block(pa, 2);
    ASSERT_NE(engine_.entry(kBase, kMode), nullptr);
    EXPECT_EQ(engine_.stats().blocks, 2u);
    EXPECT_EQ(engine_.stats().blocks_ahead, 1u);
    ASSERT_NE(engine_.entry(same_page, kMode), nullptr);
    EXPECT_EQ(engine_.stats().blocks, 2u) << "it is there";

    engine_.invalidate(same_page, 64);
    engine_.invalidate(kBase, 64);
    ASSERT_NE(engine_.entry(kBase, kMode), nullptr);
    EXPECT_EQ(engine_.stats().blocks_ahead, 1u)
        << "code that changes is not translated ahead again and again";
    for (unsigned i = 0; i < 3; i++) {
        engine_.invalidate_all();
        ASSERT_NE(engine_.entry(kBase, kMode), nullptr);
        EXPECT_EQ(engine_.stats().blocks_ahead, 2u) << "no more often than it was said";
    }
}

TEST_F(DeviceSiteTest, RecordsWhatItMeetsInARange) {
    engine_.record_sites(kBase, kBase + 8);
    slow_accesses();
    ram_[0x800 / 4] = 0xd65f'03c0;
    ASSERT_NE(engine_.entry(kBase + 0x800, kMode), nullptr);
    const uint8_t* const cold = engine_.code().base() + engine_.code().size() / 2;
    for (const uint8_t* pc = cold; pc < cold + kSearched; pc++) engine_.record_device(pc);
    const SiteRecord record = engine_.site_record();
    ASSERT_EQ(record.blocks.size(), 1u);
    EXPECT_EQ(record.blocks.at(kBase).bytes, 12u);
    EXPECT_EQ(record.blocks.at(kBase).translations, 1u);
    ASSERT_EQ(record.devices.size(), 2u);
    EXPECT_TRUE(record.devices.contains(kBase) && record.devices.contains(kBase + 4));
}

TEST_F(DeviceSiteTest, NewCodeAtItsPlaceIsNotMarked) {
    const unsigned others = slow_accesses();
    while (mark_one()) slow_accesses();
    ASSERT_TRUE(engine_.invalidate(kBase, 64));
    EXPECT_EQ(slow_accesses(), others);
}

}  // namespace
}  // namespace arclight::jit
