// Whether a CPU waits for another one to leave a line of code alone.
#include "jit/engine/patched_lines.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace arclight::jit {
namespace {

class PatchedLinesTest : public testing::Test {
  protected:
    static constexpr uint64_t kLine = 0x4000'1040;
    std::chrono::nanoseconds wait() {
        const auto start = PatchedLines::Clock::now();
        lines_.wait_for_rest(kLine);
        return PatchedLines::Clock::now() - start;
    }

    PatchedLines lines_;
    const int cpus_[2] = {};  // their addresses are names
};

TEST_F(PatchedLinesTest, ALineThatNobodyDroppedIsNotWaitedFor) {
    lines_.changed(kLine);
    EXPECT_FALSE(lines_.dropped_by_another(kLine, &cpus_[0]));
}

TEST_F(PatchedLinesTest, TheCpuThatDroppedItDoesNotWait) {
    lines_.dropped(kLine, &cpus_[0]);
    EXPECT_FALSE(lines_.dropped_by_another(kLine, &cpus_[0]));
    EXPECT_FALSE(lines_.dropped_by_another(kLine + 64, &cpus_[1])) << "another line";
}

TEST_F(PatchedLinesTest, ADropIsForgotten) {
    // A thread that loses its core between the two calls finds it forgotten too early.
    bool found = false;
    for (int tries = 0; tries < 100 && !found; ++tries) {
        lines_.dropped(kLine, &cpus_[0]);
        found = lines_.dropped_by_another(kLine, &cpus_[1]);
    }
    EXPECT_TRUE(found);
    std::this_thread::sleep_for(PatchedLines::kRecent);
    EXPECT_FALSE(lines_.dropped_by_another(kLine, &cpus_[1]));
}

TEST_F(PatchedLinesTest, ALineThatChangesIsGivenTime) {
    EXPECT_GE(wait(), PatchedLines::kRest);
    std::atomic<bool> stop{false};
    std::thread changer([&] {
        while (!stop) lines_.changed(kLine);
    });
    bool waited = false;
    for (int tries = 0; tries < 100'000 && !waited; ++tries) waited = wait() >= PatchedLines::kWait;
    stop = true;
    changer.join();
    EXPECT_TRUE(waited);
}

}  // namespace
}  // namespace arclight::jit
