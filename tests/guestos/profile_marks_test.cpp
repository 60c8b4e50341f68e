// Marks that come as a guest's serial port writes them.
#include "guestos/profile_marks.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string_view>

namespace arclight::guestos {
namespace {

class ProfileMarksTest : public testing::Test {
  protected:
    void print(std::string_view text) {
        for (const char c : text) marks_.write({reinterpret_cast<const uint8_t*>(&c), 1});
    }
    void execute(uint64_t guest, uint64_t work) {
        now_.host.guest += guest;
        now_.host.host[0] += work;
        now_.tier2.entered += 1;
    }
    nlohmann::json programs() { return nlohmann::json::parse(marks_.json())["programs"]; }

    struct Below final : devices::CharBackend {
        void write(std::span<const uint8_t> bytes) override { written.append(bytes.begin(), bytes.end()); }
        size_t offer(std::span<const uint8_t> bytes) override {
            write(bytes.first(bytes.size() / 2));
            return bytes.size() / 2;
        }
        std::string written;
    } below_;
    ProfileMarks::Sample now_;
    ProfileMarks marks_{below_, [this] { return now_; }};
};

TEST_F(ProfileMarksTest, WhatIsBetweenItsMarksIsTheProgram) {
    execute(1000, 5000);
    print("hello\r\n@@START one\r\n");
    execute(10, 50);
    print("@@END one\r\n");
    execute(100, 500);
    print("@@START two\n");
    execute(7, 21);
    print("@@END two\n");
    const auto found = programs();
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0]["name"], "one");
    EXPECT_EQ(found[0]["guest_instructions"], 10);
    EXPECT_EQ(found[0]["classes"]["work"], 50);
    EXPECT_EQ(found[0]["regions"]["entered"], 1);
    EXPECT_EQ(found[1]["guest_instructions"], 7);
    EXPECT_EQ(found[1]["host_instructions"], 21);
    EXPECT_EQ(nlohmann::json::parse(marks_.json())["all"]["guest_instructions"], 1117);
}

TEST_F(ProfileMarksTest, CountersOfTheMachineAreOfTheProgramToo) {
    now_.counters = {{"cpu", {{"tlbi", 40}}}};
    print("@@START one\n");
    now_.counters = {{"cpu", {{"tlbi", 47}, {"halts", 2}}}, {"kvm", {{"exits", 5}}}};
    print("@@END one\n");
    const auto found = programs();
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0]["counters"]["cpu"]["tlbi"], 7);
    EXPECT_EQ(found[0]["counters"]["cpu"]["halts"], 2);
    EXPECT_EQ(found[0]["counters"]["kvm"]["exits"], 5) << "what was not there before counts from nothing";
}

TEST_F(ProfileMarksTest, MarksWithoutTheirOthersAreNoPrograms) {
    print("@@END zero\n@@START one\n@@START two\n@@END one\n");
    EXPECT_TRUE(programs().empty());
    print("@@END two\n");
    ASSERT_EQ(programs().size(), 1u);
    EXPECT_EQ(programs()[0]["name"], "two");
}

TEST_F(ProfileMarksTest, LinesThatHoldMarksOrNeverEndAreNoMarks) {
    print("say @@START one\n@@START  \xff\n" + std::string(1 << 20, 'x') +
          "@@START two\n@@END one\n@@END two\n");
    EXPECT_TRUE(programs().empty());
    print("@@END  \xff\n");
    EXPECT_EQ(programs().size(), 1u) << "its name is no UTF-8";
}

TEST_F(ProfileMarksTest, OutputGoesOnAndWhatIsRefusedIsSeenWhenItIsTaken) {
    constexpr std::string_view kText = "@@START one\n@@END one\n";
    const auto* bytes = reinterpret_cast<const uint8_t*>(kText.data());
    const size_t taken = marks_.offer({bytes, kText.size()});
    ASSERT_EQ(taken, kText.size() / 2);
    EXPECT_TRUE(programs().empty());
    marks_.write({bytes + taken, kText.size() - taken});
    EXPECT_EQ(programs().size(), 1u);
    EXPECT_EQ(below_.written, kText);
}

}  // namespace
}  // namespace arclight::guestos
