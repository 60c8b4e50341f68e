#include "mmu/guarded_mapping.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <utility>

namespace arclight::mmu {
namespace {

void touch(volatile uint8_t* at, bool write) {
    if (write)
        *at = 1;
    else
        (void)*at;
}

TEST(GuardedMappingTest, AccessesBesideItFault) {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    for (const size_t bytes : {size_t{1}, size_t{4096}, 3 * kGuardBytes + 4096}) {
        auto mapping = GuardedMapping::map(bytes);
        ASSERT_TRUE(mapping) << mapping.error();
        uint8_t* const first = mapping->data();
        uint8_t* const end = first + mapping->size();
        ASSERT_GE(mapping->size(), bytes);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % (2 << 20), 0u);
        std::memset(first, 0xff, bytes);
        for (uint8_t* at : {first - 1, first - kGuardBytes, end, end + kGuardBytes - 1})
            for (const bool write : {false, true})
                EXPECT_EXIT(touch(at, write), testing::KilledBySignal(SIGSEGV), "") << at - first;
    }
}

TEST(GuardedMappingTest, AFileIsShared) {
    const int file = memfd_create("guarded", MFD_CLOEXEC);
    ASSERT_EQ(ftruncate(file, 8192), 0);
    auto mapping = GuardedMapping::map(8192, file);
    ASSERT_TRUE(mapping) << mapping.error();
    mapping->data()[4096] = 7;
    uint8_t read = 0;
    ASSERT_EQ(pread(file, &read, 1, 4096), 1);
    EXPECT_EQ(read, 7);
    close(file);
    EXPECT_FALSE(GuardedMapping::map(4096, file));
}

TEST(GuardedMappingTest, ItsEndTakesTheGuardsAway) {
    uint8_t* data = nullptr;
    {
        auto mapping = GuardedMapping::map(4096);
        ASSERT_TRUE(mapping);
        const GuardedMapping moved = std::move(*mapping);
        data = moved.data();
    }
    unsigned char resident;
    for (uint8_t* at : {data - kGuardBytes, data, data + 4096})
        EXPECT_NE(mincore(at, 4096, &resident), 0) << at - data;
}

}  // namespace
}  // namespace arclight::mmu
