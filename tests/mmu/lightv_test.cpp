#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <cstring>
#include <memory>
#include <thread>

#include "host/memory_fault.h"
#include "mmu/guest_memory.h"
#include "mmu/lightv/controller.h"
#include "mmu/lightv/parameters.h"

namespace arclight::mmu::lightv {
namespace {

constexpr uint64_t kBase = 0x4000'0000, kPage = PageOverlay::kPage, kPages = 64;

struct FakeMachine final : Machine {
    uint64_t forgotten = 0, translations_dropped = 0;
    std::vector<std::string> backends{"own"};
    unsigned selected = 0;
    bool refused = false;
    void forget(std::span<const uint64_t> pages, bool content) override {
        forgotten += pages.size();
        translations_dropped += content ? pages.size() : 0;
    }
    void forget_code(std::span<const uint64_t>, bool, bool) override {}
    bool has_device(const std::string& device) override { return device == "pl011"; }
    Result<unsigned> add_instance(const std::string&, const std::string& backend) override {
        if (!backend.starts_with("file:")) return std::unexpected(std::string("no such back end"));
        backends.push_back(backend);
        return static_cast<unsigned>(backends.size() - 1);
    }
    Result<void> select_instance(const std::string&, unsigned instance) override {
        selected = instance;
        return {};
    }
    void refuse_device(const std::string&, bool refuse) override { refused = refuse; }
};

class LightvTest : public testing::Test {
  protected:
    struct Ram {
        alignas(4096) std::array<uint8_t, kPages * kPage> bytes{};
    };
    std::unique_ptr<Ram> ram = std::make_unique<Ram>();
    PageOverlay stage{ram->bytes.data(), kBase, kPages* kPage};
    GuestMemory memory{ram->bytes.data(), kBase, kPages* kPage, &stage};
    FakeMachine machine;
    Controller controller{stage, machine};

    static uint64_t page(uint64_t n) { return kBase + n * kPage; }
    Request request(const char* name, const char* kind, std::vector<uint64_t> numbers,
                    Json with = Json::object(), const char* owner = "a") {
        Request r{.owner = owner, .name = name, .kind = kind, .parameters = std::move(with)};
        for (const uint64_t n : numbers) r.pages.push_back(page(n));
        return r;
    }
    std::string error_of(Request r) {
        const uint64_t before = stage.intercepted();
        const auto done = controller.attach(std::move(r));
        EXPECT_FALSE(done);
        EXPECT_EQ(stage.intercepted(), before) << "a refused request changed something";
        return done ? "" : done.error();
    }
};

TEST_F(LightvTest, AttachmentsAreNotInSavedStates) {
    EXPECT_EQ(controller.unsaved(), std::nullopt);
    ASSERT_TRUE(controller.attach(request("x", "observe", {1})));
    EXPECT_EQ(controller.unsaved(),
              "LightV's attachment 'x' (module 'observe') cannot be saved: detach it first");
    ASSERT_TRUE(controller.detach("a", "x"));
    EXPECT_EQ(controller.unsaved(), std::nullopt);
}

TEST_F(LightvTest, ClaimsAreDisjoint) {
    ASSERT_TRUE(controller.attach(request("x", "observe", {1, 2, 3})));
    ASSERT_TRUE(controller.attach(request("y", "protect", {4}, Json::object(), "b")));
    EXPECT_EQ(error_of(request("z", "observe", {5, 3}, Json::object(), "b")),
              "'z': page 0x40003000 belongs to 'x' of controller 'a'");
    EXPECT_EQ(error_of(request("x", "observe", {9})), "there is an attachment 'x' already");
    EXPECT_EQ(error_of(request("z", "observe", {kPages})),
              "'z': there is no memory at 0x40040000; RAM is 0x40000000 to 0x4003ffff");
    EXPECT_EQ(error_of(request("z", "observe", {})), "'z': no pages");
    EXPECT_EQ(controller.detach("b", "x").error(), "'x' belongs to controller 'a', not 'b'");
    EXPECT_EQ(controller.detach("b", "w").error(), "there is no attachment 'w'");
    ASSERT_TRUE(controller.detach("a", "x"));
    ASSERT_TRUE(controller.attach(request("z", "observe", {5, 3}, Json::object(), "b")));
    EXPECT_EQ(stage.intercepted(), 3u);
}

TEST_F(LightvTest, ParametersAreChecked) {
    EXPECT_NE(error_of(request("x", "observe", {1}, {{"mode", "loud"}})).find("not one of exact, sampled"),
              std::string::npos);
    EXPECT_NE(error_of(request("x", "observe", {1}, {{"size", 1}})).find("'size' means nothing"),
              std::string::npos);
    EXPECT_NE(error_of(request("x", "migrate", {1}, Json::object())).find("'to' is missing"),
              std::string::npos);
    EXPECT_NE(error_of(request("x", "migrate", {1}, {{"to", "file:/no/such/dir/x"}})).find("cannot open"),
              std::string::npos);
    EXPECT_NE(error_of(request("x", "remap", {1}, {{"to", "page:0x1000"}})).find("no memory at 0x1000"),
              std::string::npos);
    EXPECT_NE(error_of(request("x", "share", {1}, {{"backings", {"own", 1}}})).find("not a list of texts"),
              std::string::npos);
    EXPECT_NE(error_of(request("x", "steal", {1})).find("no module 'steal'"), std::string::npos);
    EXPECT_EQ(parse_number("0x10"), 16u);
    EXPECT_EQ(parse_number("2M"), 2u << 20);
    for (const char* wrong : {"", "x", "0x", "4KK", "-1", "99999999999999999999", "20000000000G", "4 K"})
        EXPECT_FALSE(parse_number(wrong)) << wrong;
}

TEST_F(LightvTest, SeveralAreAttachedTogetherOrNotAtAll) {
    std::memset(ram->bytes.data() + kPage, 7, kPage);
    EXPECT_FALSE(controller.attach_all(
        {request("m", "migrate", {1}, {{"to", "anonymous"}}), request("o", "observe", {1})}));
    EXPECT_FALSE(stage.active());
    EXPECT_EQ(*memory.host(page(1), 1), 7);
    EXPECT_TRUE(controller.list().empty());
}

TEST_F(LightvTest, RemapAndBack) {
    std::memset(ram->bytes.data() + kPage, 7, kPage);
    ASSERT_TRUE(controller.attach(request("r", "remap", {1}, {{"to", "anonymous"}})));
    EXPECT_GT(machine.translations_dropped, 0u);
    EXPECT_EQ(*memory.host(page(1), 1), 0);
    ASSERT_TRUE(controller.command("a", "r", {{"to", "page:0x40005000"}}));
    EXPECT_EQ(memory.host(page(1), 1), ram->bytes.data() + 5 * kPage);
    ASSERT_TRUE(controller.command("a", "r", {{"to", "anonymous"}, {"content", "copy"}}));
    std::memset(memory.host(page(1), 1), 9, kPage);
    ASSERT_TRUE(controller.command("a", "r", {{"to", "own"}, {"content", "copy"}}));
    EXPECT_EQ(ram->bytes[kPage + 5], 9);
    EXPECT_FALSE(controller.command("a", "r", {{"to", "nowhere"}}));
    ASSERT_TRUE(controller.detach("a", "r"));
    EXPECT_FALSE(stage.active());
}

// What is read of a lent page is not what it held: whichever page it is, nothing is copied, and all stays as it was.
TEST_F(LightvTest, NothingIsCopiedWhileAPageIsLent) {
    void* const gone = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(gone, MAP_FAILED);
    const host::FallibleMemory fallible(gone, kPage, "a page", host::FallibleMemory::Kind::Anonymous);
    ASSERT_TRUE(controller.attach(request("r", "remap", {1}, {{"to", "anonymous"}})));
    std::memset(memory.host(page(1), 1), 9, kPage);
    host::lend_page(gone);
    const auto refused = controller.command("a", "r", {{"to", "own"}, {"content", "copy"}});
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().find("1 of 1 pages cannot be moved: their memory is gone"), std::string::npos)
        << refused.error();
    EXPECT_EQ(*memory.host(page(1), 1), 9);
    EXPECT_NE(memory.host(page(1), 1), ram->bytes.data() + kPage);
    host::lose_page(gone);
    ASSERT_TRUE(controller.command("a", "r", {{"to", "own"}, {"content", "copy"}}));
    EXPECT_EQ(memory.host(page(1), 1), ram->bytes.data() + kPage);
    EXPECT_EQ(ram->bytes[kPage + 5], 9);
    munmap(gone, kPage);
}

// Threads that write through the page overlay, as the slow path of a CPU does, while the pages move.
TEST_F(LightvTest, MigrationLosesNoWrite) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> writers;
    std::array<std::array<uint64_t, 8>, 2> written{};
    for (unsigned me = 0; me < 2; ++me)
        writers.emplace_back([&, me] {
            uint64_t step = 0;
            while (!stop) {
                const uint64_t n = step++ % 8, pa = page(n) + me * 8;
                const PageOverlay::Access guard(stage);
                auto* cell = reinterpret_cast<uint64_t*>(memory.host(pa, 8));
                ASSERT_EQ(*cell, written[me][n]);
                *cell = ++written[me][n];
            }
        });
    for (int round = 0; round < 200; ++round) {
        ASSERT_TRUE(controller.attach(request("m", "migrate", {0, 1, 2, 3, 4, 5, 6, 7},
                                              {{"to", "anonymous"}, {"batch", 1 + round % 8}})));
        ASSERT_TRUE(controller.command("a", "m", {{"to", "anonymous"}}));
        ASSERT_TRUE(controller.detach("a", "m"));
    }
    stop = true;
    for (auto& w : writers) w.join();
    for (unsigned me = 0; me < 2; ++me)
        for (uint64_t n = 0; n < 8; ++n)
            EXPECT_EQ(*reinterpret_cast<uint64_t*>(ram->bytes.data() + n * kPage + me * 8), written[me][n]);
}

TEST_F(LightvTest, Devices) {
    Request r{.owner = "a",
              .name = "u",
              .kind = "share",
              .device = "pl011",
              .parameters = {{"backings", {"own", "file:x"}}}};
    ASSERT_TRUE(controller.attach(r));
    ASSERT_TRUE(controller.command("a", "u", {{"select", 1}}));
    EXPECT_EQ(machine.selected, 1u);
    EXPECT_FALSE(controller.command("a", "u", {{"select", 2}}));
    EXPECT_NE(
        error_of({.owner = "b", .name = "v", .kind = "protect", .device = "pl011"}).find("belongs to 'u'"),
        std::string::npos);
    ASSERT_TRUE(controller.detach("a", "u"));
    EXPECT_EQ(machine.selected, 0u);
    EXPECT_NE(
        error_of({.owner = "b", .name = "v", .kind = "observe", .device = "pl011"}).find("not for devices"),
        std::string::npos);
    ASSERT_TRUE(controller.attach({.owner = "b", .name = "v", .kind = "protect", .device = "pl011"}));
    EXPECT_TRUE(machine.refused);
    ASSERT_TRUE(controller.detach("b", "v"));
    EXPECT_FALSE(machine.refused);
}

TEST_F(LightvTest, FaultsAreInjectedAsAskedFor) {
    ASSERT_TRUE(controller.attach(request("f", "fault_inject", {1}, {{"every", 3}, {"on", "write"}})));
    unsigned refused = 0;
    for (int i = 0; i < 30; ++i) {
        refused += !stage.watch({.kind = AccessEvent::Kind::Write, .cpu = 0, .pa = page(1)});
        EXPECT_TRUE(stage.watch({.kind = AccessEvent::Kind::Read, .cpu = 0, .pa = page(1)}));
    }
    EXPECT_EQ(refused, 10u);
    EXPECT_EQ((*controller.stats("f"))["f"]["faults"], 10);
}

// The example of mmu/lightv/README.md.
TEST_F(LightvTest, Heatmap) {
    ASSERT_TRUE(controller.attach(request("h", "heatmap", {1, 2}, {{"interval_ms", 1}})));
    uint64_t hot = 0, cold = 0;
    for (int i = 0; i < 2000 && hot < 3; ++i) {
        stage.mark(page(1), PageOverlay::kAccessed | PageOverlay::kDirty);
        stage.mark(page(2), PageOverlay::kAccessed);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const Json heat = (*controller.stats("h"))["h"]["heat"];
        hot = heat[0], cold = heat[1];
    }
    EXPECT_GE(hot, 3u);
    EXPECT_EQ(cold, 0u);
    EXPECT_TRUE(controller.command("a", "h", {{"do", "reset"}}));
    EXPECT_FALSE(controller.command("a", "h", {{"do", "dance"}}));
    EXPECT_GT(machine.forgotten, 0u);
}

TEST_F(LightvTest, ChurnLosesNothingAndComesHome) {
    std::vector<uint64_t> numbers;
    for (uint64_t n = 1; n < 40; ++n) numbers.push_back(n);
    std::memset(ram->bytes.data(), 0x11, ram->bytes.size());
    ASSERT_TRUE(controller.attach(request("x", "churn", numbers, {{"interval_ms", 1}, {"pages", 8}})));
    // A guest that reads what it wrote, with the lock of one access, wherever its pages are just now.
    uint64_t version = 0, away = 0;
    for (uint64_t moves = 0; moves < 50 || away == 0; ++version) {
        for (uint64_t n = 0; n < kPages; ++n) {
            const PageOverlay::Access guard(stage);
            uint8_t* const host = stage.host(page(n), kPage);
            uint64_t old;
            std::memcpy(&old, host + 8 * (n % 512), sizeof old);
            ASSERT_EQ(old, version == 0 ? 0x1111'1111'1111'1111 : version * kPages + n);
            const uint64_t mine = (version + 1) * kPages + n;
            std::memcpy(host + 8 * (n % 512), &mine, sizeof mine);
        }
        const Json stats = controller.stats("x").value()["x"];
        moves = stats["moves"];
        away = stats["away"];
    }
    ASSERT_TRUE(controller.detach("a", "x"));
    EXPECT_EQ(stage.intercepted(), 0u);
    for (uint64_t n = 0; n < kPages; ++n) {
        uint64_t last;
        std::memcpy(&last, ram->bytes.data() + n * kPage + 8 * (n % 512), sizeof last);
        EXPECT_EQ(last, version * kPages + n);
        EXPECT_EQ(ram->bytes[n * kPage + 4095], 0x11);
    }
    EXPECT_NE(error_of(request("x", "churn", {1}, {{"pages", 0}})).find("'pages' must be"),
              std::string::npos);
}

}  // namespace
}  // namespace arclight::mmu::lightv
