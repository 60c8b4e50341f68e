// The host stage: what lies behind a page of RAM, and who may access it there, as threads see it that know the page's place.
#include "mmu/host_stage.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>

#include "host/crash_report.h"
#include "host/memory_fault.h"
#include "mmu/guest_memory.h"
#include "mmu/lightv/controller.h"

namespace arclight::mmu {
namespace {

constexpr uint64_t kBase = 0x4000'0000, kPage = HostStage::kPage, kPages = 64;
using Rights = HostStage::Rights;

/// Faults of this process are handled as in a run.
void handle_faults() {
    static const bool once = [] {
        static char name[] = "host_stage_test";
        static char* argv[] = {name, nullptr};
        host::report_crashes("test", 1, argv);
        return true;
    }();
    (void)once;
}

class HostStageTest : public testing::Test {
  protected:
    HostStageTest() {
        handle_faults();
        file = memfd_create("ram", MFD_CLOEXEC);
        EXPECT_EQ(ftruncate(file, kPages * kPage), 0);
        ram =
            static_cast<uint8_t*>(mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
        for (uint64_t n = 0; n < kPages; ++n) std::memset(ram + n * kPage, static_cast<int>(n + 1), kPage);
        other = memfd_create("other", MFD_CLOEXEC);
        EXPECT_EQ(ftruncate(other, kPages * kPage), 0);
        there = static_cast<uint8_t*>(
            mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0));
        for (uint64_t n = 0; n < kPages; ++n)
            std::memset(there + n * kPage, static_cast<int>(n + 101), kPage);
        auto made = HostStage::create(ram, kPages * kPage, file, FaultFile::open());
        EXPECT_TRUE(made);
        stage = std::move(*made);
    }
    ~HostStageTest() override {
        stage.reset();
        munmap(ram, kPages * kPage);
        munmap(there, kPages * kPage);
        close(file);
        close(other);
    }
    Place elsewhere(uint64_t n) const { return {there + n * kPage, other, n * kPage}; }
    uint8_t at(uint64_t n) const { return *static_cast<volatile uint8_t*>(ram + n * kPage); }
    /// As C++ reads and writes RAM.
    bool reads(uint64_t n) const {
        return host::touch([&] { (void)*static_cast<volatile uint8_t*>(ram + n * kPage); });
    }
    bool writes(uint64_t n) const {
        return host::touch([&] { *static_cast<volatile uint8_t*>(ram + n * kPage + 7) = 1; });
    }

    int file = -1, other = -1;
    uint8_t *ram = nullptr, *there = nullptr;
    std::unique_ptr<HostStage> stage;
};

TEST_F(HostStageTest, OtherMemoryAndRamsOwnAgain) {
    ASSERT_TRUE(stage->map(3, 2, elsewhere(10)));
    EXPECT_EQ(at(2), 3);
    EXPECT_EQ(at(3), 111);
    EXPECT_EQ(at(4), 112);
    EXPECT_EQ(at(5), 6);
    EXPECT_EQ(*stage->alias(3), 4) << "RAM's own content is still there";
    EXPECT_FALSE(stage->is_own(ram + 2 * kPage, 2 * kPage));
    EXPECT_TRUE(stage->is_own(ram + 5 * kPage, kPage));
    ram[3 * kPage] = 77;
    EXPECT_EQ(there[10 * kPage], 77);
    ASSERT_TRUE(stage->map(3, 2, {}));
    EXPECT_EQ(at(3), 4);
    EXPECT_EQ(at(4), 5);
    EXPECT_TRUE(stage->is_own(ram, kPages * kPage));
    EXPECT_EQ(stage->counts().maps, 2u) << "a run is one mapping";
    EXPECT_EQ(stage->counts().pages, 4u);
    EXPECT_FALSE(stage->map(3, 1, {.host = there})) << "memory of no file";
}

// A change costs those who access the pages no fault of the host's.
TEST_F(HostStageTest, PagesAreThereWhenTheyAreMapped) {
    constexpr uint64_t kFirst = 8, kCount = 40;
    if (madvise(ram, kPage, MADV_POPULATE_READ) != 0)
        GTEST_SKIP() << "this host's madvise() has no MADV_POPULATE_READ";
    const auto faults = [] {
        rusage usage{};
        getrusage(RUSAGE_THREAD, &usage);
        return usage.ru_minflt + usage.ru_majflt;
    };
    for (const bool own : {false, true}) {
        ASSERT_TRUE(stage->map(kFirst, kCount, own ? Place{} : elsewhere(kFirst)));
        const auto before = faults();
        uint64_t sum = 0;
        for (uint64_t n = kFirst; n < kFirst + kCount; ++n) {
            sum += at(n);
            *static_cast<volatile uint8_t*>(ram + n * kPage + 7) = 1;
        }
        EXPECT_EQ(faults(), before) << own;
        EXPECT_EQ(sum, kCount * (kFirst + (own ? 1 : 101)) + kCount * (kCount - 1) / 2);
    }
}

TEST_F(HostStageTest, RightsAreWithheldFromWhoKnowsThePlace) {
    ASSERT_TRUE(stage->withhold(5, Rights::Read, false));
    ASSERT_TRUE(stage->withhold(6, Rights::None, false));
    EXPECT_TRUE(host::any_withheld());
    EXPECT_TRUE(reads(5));
    EXPECT_FALSE(host::take_withheld());
    EXPECT_FALSE(writes(5));
    EXPECT_TRUE(host::take_withheld());
    EXPECT_FALSE(host::take_withheld()) << "told once";
    EXPECT_FALSE(reads(6));
    EXPECT_TRUE(host::take_withheld());
    EXPECT_TRUE(writes(7));
    EXPECT_EQ(*stage->alias(6), 7) << "this program's own way";
    // They stay when other memory comes.
    ASSERT_TRUE(stage->map(5, 2, elsewhere(5)));
    EXPECT_TRUE(reads(5));
    EXPECT_FALSE(writes(5));
    EXPECT_FALSE(reads(6));
    stage->grant(5, Rights::All, false);
    stage->grant(6, Rights::Read, false);
    EXPECT_TRUE(writes(5));
    EXPECT_TRUE(reads(6));
    EXPECT_FALSE(writes(6));
    stage->grant(6, Rights::All, false);
    EXPECT_FALSE(host::any_withheld());
    EXPECT_EQ(stage->withheld_pages(), 0u);
    EXPECT_EQ(stage->counts().faults, 5u);
    (void)host::take_withheld();
}

TEST_F(HostStageTest, TrackedPagesAreOpenedByTheFirstAccess) {
    std::array<uint8_t, kPages> marks{};
    stage->set_mark(
        [](void* to, uint64_t page, bool write) {
            (*static_cast<std::array<uint8_t, kPages>*>(to))[page] |= write ? 2 : 1;
        },
        &marks);
    for (const uint64_t page : {8, 9, 10}) ASSERT_TRUE(stage->withhold(page, Rights::None, true));
    EXPECT_EQ(at(8), 9);  // outside of touch() too
    EXPECT_EQ(marks[8], 1);
    EXPECT_EQ(at(8), 9);
    ram[8 * kPage] = 1;
    EXPECT_EQ(marks[8], 3);
    ram[9 * kPage] = 1;
    EXPECT_EQ(marks[9], 2);
    EXPECT_EQ(stage->counts().faults, 3u) << "one for the first read, one for the first write";
    ASSERT_TRUE(stage->withhold(8, Rights::None, true));
    EXPECT_EQ(at(8), 1);
    EXPECT_EQ(stage->counts().faults, 4u);
    EXPECT_TRUE(stage->open(10, false));
    EXPECT_TRUE(reads(10));
    EXPECT_EQ(stage->counts().faults, 4u) << "who says that it comes does not fault";
    EXPECT_FALSE(stage->open(11, true));
}

// Without userfaultfd the controller moves pages otherwise: LightvOnHost.MovesLoseNoWrite.
TEST_F(HostStageTest, HeldWritesSleepAndFindTheNewMemory) {
    if (!stage->can_hold_writes()) GTEST_SKIP() << "this host does not permit userfaultfd";
    ASSERT_TRUE(stage->hold_writes(20, 2));
    EXPECT_EQ(at(20), 21) << "reads go on";
    std::atomic<int> done{0};
    std::thread first([&] { *static_cast<volatile uint8_t*>(ram + 20 * kPage) = 7, ++done; });
    std::thread second([&] { *static_cast<volatile uint8_t*>(ram + 21 * kPage) = 8, ++done; });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_EQ(done, 0);
    ASSERT_TRUE(stage->map(20, 1, elsewhere(20)));
    stage->let_write(21, 1);
    stage->release_writes(20, 2);
    first.join();
    second.join();
    EXPECT_EQ(there[20 * kPage], 7);
    EXPECT_EQ(*stage->alias(20), 21);
    EXPECT_EQ(*stage->alias(21), 8);
    ram[21 * kPage] = 9;  // not held any more
}

}  // namespace

namespace lightv {
namespace {

struct CountingMachine final : Machine {
    uint64_t forgotten = 0, code_forgotten = 0;
    std::function<void(uint64_t)> on_forget = [](uint64_t) {};
    std::function<void()> on_ask = [] {};
    void forget(std::span<const uint64_t> pages, bool) override {
        on_ask();
        forgotten += pages.size();
        std::ranges::for_each(pages, on_forget);
    }
    void forget_code(std::span<const uint64_t> pages, bool, bool) override {
        on_ask();
        code_forgotten += pages.size();
    }
    bool has_device(const std::string&) override { return false; }
    Result<unsigned> add_instance(const std::string&, const std::string&) override { return 0u; }
    Result<void> select_instance(const std::string&, unsigned) override { return {}; }
    void refuse_device(const std::string&, bool) override {}
};

/// What CPUs know is the page's place in RAM, for ever.
class LightvOnHost : public HostStageTest {
  protected:
    LightvOnHost() {
        overlay.use(stage.get());
        // A CPU that is asked may be in a device, which waits for this lock.
        machine.on_ask = [&] { const auto dma = overlay.dma(); };
    }
    static uint64_t page(uint64_t n) { return kBase + n * kPage; }
    static Request request(const char* name, const char* kind, std::vector<uint64_t> numbers, Json with) {
        Request r{.owner = "a", .name = name, .kind = kind, .parameters = std::move(with)};
        for (const uint64_t n : numbers) r.pages.push_back(page(n));
        return r;
    }
    PageOverlay overlay{ram, kBase, kPages* kPage};
    GuestMemory memory{ram, kBase, kPages* kPage, &overlay};
    CountingMachine machine;
    Controller controller{overlay, machine};
};

TEST_F(LightvOnHost, RemapsAskNobody) {
    ASSERT_TRUE(controller.attach(request("r", "remap", {1, 2, 3}, {{"to", "anonymous"}})));
    EXPECT_EQ(at(1), 0);
    EXPECT_EQ(memory.host(page(1), 3 * kPage), ram + kPage) << "what is cached is RAM's own place";
    EXPECT_FALSE(overlay.active()) << "no page is intercepted";
    ASSERT_TRUE(controller.command("a", "r", {{"to", "page:0x40005000"}}));
    EXPECT_EQ(at(1), 6);
    EXPECT_EQ(at(3), 8);
    ram[kPage] = 66;
    EXPECT_EQ(at(5), 66) << "one page at two addresses";
    ASSERT_TRUE(controller.command("a", "r", {{"to", "anonymous"}, {"content", "copy"}}));
    EXPECT_EQ(at(1), 66);
    ram[kPage + 9] = 99;
    ASSERT_TRUE(controller.command("a", "r", {{"to", "own"}, {"content", "copy"}}));
    EXPECT_EQ(stage->alias(1)[9], 99);
    EXPECT_TRUE(stage->is_own(ram, kPages * kPage));
    ASSERT_TRUE(controller.command("a", "r", {{"to", "anonymous"}}));
    ASSERT_FALSE(controller.attach(request("s", "remap", {3, 4}, {{"to", "own"}})));
    ASSERT_TRUE(controller.detach("a", "r"));
    EXPECT_EQ(at(1), 66);
    EXPECT_TRUE(stage->is_own(ram, kPages * kPage));
    EXPECT_EQ(machine.forgotten, 0u);
    EXPECT_GT(machine.code_forgotten, 0u);
}

TEST_F(LightvOnHost, SharedMemoriesInTurn) {
    ASSERT_TRUE(controller.attach(
        request("s", "share", {4, 6}, {{"backings", {"own", "anonymous", "anonymous"}}, {"select", 1}})));
    ram[4 * kPage] = 41, ram[6 * kPage] = 61;
    ASSERT_TRUE(controller.command("a", "s", {{"select", 2}}));
    EXPECT_EQ(at(4), 0);
    ASSERT_TRUE(controller.command("a", "s", {{"select", 0}}));
    EXPECT_EQ(at(6), 7);
    ASSERT_TRUE(controller.command("a", "s", {{"select", 1}}));
    EXPECT_EQ(at(4), 41);
    EXPECT_EQ(at(6), 61);
    ASSERT_TRUE(controller.detach("a", "s"));
    EXPECT_EQ(at(4), 5);
    EXPECT_EQ(machine.forgotten, 0u);
}

TEST_F(LightvOnHost, ProtectedPagesAreAbsentOrReadOnlyWhereTheyAreKnown) {
    machine.on_forget = [&](uint64_t pa) {
        EXPECT_TRUE(writes((pa - kBase) / kPage)) << "withheld too early";
    };
    ASSERT_TRUE(controller.attach(request("w", "protect", {1}, {{"deny", "write"}})));
    ASSERT_TRUE(controller.attach(request("n", "protect", {2}, Json::object())));
    ASSERT_TRUE(controller.attach(request("o", "observe", {3}, Json::object())));
    ASSERT_TRUE(controller.attach(request("f", "fault_inject", {4}, {{"every", 2}})));
    EXPECT_TRUE(reads(1));
    EXPECT_FALSE(writes(1));
    for (const uint64_t n : {2, 3, 4}) EXPECT_FALSE(reads(n)) << n;
    EXPECT_TRUE(reads(5));
    // What this program does goes another way, and is told.
    EXPECT_EQ(*memory.host(page(3), 1), 4);
    EXPECT_FALSE(memory.pieces(page(2), 8, false, [](uint8_t*, uint64_t) {}));
    EXPECT_TRUE(memory.pieces(page(3), 8, true, [&](uint8_t* at, uint64_t) { at[0] = 44; }));
    EXPECT_EQ((*controller.stats("o"))["o"]["by_devices"], 1);
    for (const char* name : {"w", "n", "o", "f"}) ASSERT_TRUE(controller.detach("a", name));
    for (const uint64_t n : {1, 2, 3, 4}) EXPECT_TRUE(writes(n)) << n;
    EXPECT_EQ(at(3), 44);
    EXPECT_EQ(machine.forgotten, 4u) << "once each, before its rights went";
    (void)host::take_withheld();
}

TEST_F(LightvOnHost, SamplesSeeAccessesThatNobodyTells) {
    ASSERT_TRUE(controller.attach(request("h", "heatmap", {1, 2, 3}, {{"interval_ms", 1}})));
    uint64_t hot = 0, cold = 0;
    for (int i = 0; i < 5000 && hot < 3; ++i) {
        ram[kPage] = 1;
        (void)at(2);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const Json heat = (*controller.stats("h"))["h"]["heat"];
        hot = heat[0], cold = heat[1];
    }
    EXPECT_GE(hot, 3u);
    EXPECT_EQ(cold, 0u);
    ASSERT_TRUE(controller.detach("a", "h"));
    EXPECT_TRUE(writes(3));
    EXPECT_FALSE(host::any_withheld());
    EXPECT_EQ(machine.forgotten, 3u) << "accesses that no touch() guarded have ended";
    ASSERT_TRUE(controller.attach(request("h", "heatmap", {1, 2, 3}, {{"interval_ms", 1}})));
    EXPECT_EQ(machine.forgotten, 3u) << "all are guarded since then";
    ASSERT_TRUE(controller.detach("a", "h"));
}

/// Threads that write where they know the pages, as translated code does; where writes cannot sleep they look first, as slow paths do.
TEST_F(LightvOnHost, MovesLoseNoWrite) {
    std::atomic<bool> stop{false};
    std::array<std::array<uint64_t, 8>, 2> written{};
    for (uint64_t n = 0; n < 8; ++n) std::memset(ram + n * kPage, 0, kPage);
    std::vector<std::thread> writers;
    for (unsigned me = 0; me < 2; ++me)
        writers.emplace_back([&, me] {
            for (uint64_t step = 0; !stop; ++step) {
                const uint64_t n = step % 8;
                const auto add = [&](uint8_t* base) {
                    auto* cell = reinterpret_cast<volatile uint64_t*>(base + me * 8);
                    if (*cell != written[me][n]) stop = true;
                    *cell = written[me][n] + 1;
                };
                while (!host::touch([&] { add(ram + n * kPage); })) {
                    const PageOverlay::Access guard(overlay);
                    if (overlay.flags(page(n)) == 0) continue;
                    add(overlay.host(page(n), 1));
                    break;
                }
                ++written[me][n];
            }
        });
    for (int round = 0; round < 100 && !stop; ++round) {
        ASSERT_TRUE(controller.attach(request("m", "migrate", {0, 1, 2, 3, 4, 5, 6, 7},
                                              {{"to", "anonymous"}, {"batch", 1 + round % 8}})));
        ASSERT_TRUE(controller.command("a", "m", {{"to", "anonymous"}}));
        ASSERT_TRUE(controller.detach("a", "m"));
    }
    EXPECT_FALSE(stop.exchange(true)) << "a write was lost";
    for (auto& w : writers) w.join();
    for (unsigned me = 0; me < 2; ++me)
        for (uint64_t n = 0; n < 8; ++n)
            EXPECT_EQ(*reinterpret_cast<uint64_t*>(stage->alias(n) + me * 8), written[me][n]);
    if (stage->can_hold_writes()) {
        EXPECT_EQ(machine.forgotten, 0u);
    }
}

}  // namespace
}  // namespace lightv
}  // namespace arclight::mmu
