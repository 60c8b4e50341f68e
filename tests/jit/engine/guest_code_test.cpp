// What tier 2 compiles, what it files and what it files it under is the code that tier 1 has translated,
// though the guest stores to its memory all the while.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <thread>

#include "frontend/a64/frontend.h"
#include "frontend/a64/translate/translator.h"
#include "jit/engine/engine.h"
#include "jit/engine/region_shape.h"
#include "jit/engine/region_store.h"

namespace arclight::jit {
namespace {

namespace fs = std::filesystem;

/// Its object files are the guest code that it was given.
class RecordingCompiler final : public RegionCompiler {
  public:
    struct Log {
        std::function<void()> on_compile = [] {};
        std::mutex lock;
        std::string last;  ///< compiled or loaded
        std::string get() {
            const std::lock_guard guard(lock);
            return last;
        }
    };
    explicit RecordingCompiler(Log& log) : log_(log) {}

    std::string compile(const Region& region, RegionDump*) override {
        std::string code;
        for (const RegionBlock& block : region.blocks)
            for (const ir::Inst& inst : block.ir.insts)
                if (inst.op == ir::Op::InsnStart)
                    code.append(reinterpret_cast<const char*>(&inst.aux), sizeof inst.aux);
        log_.on_compile();
        return code;
    }
    std::optional<RegionCode> load(const std::string& object) override {
        const std::lock_guard guard(log_.lock);
        log_.last = object;
        return RegionCode{.entry = this, .bytes = 100, .handle = ++handles_, .faults = {}};
    }
    void unload(uint64_t) override {}
    const std::string& fingerprint() const override { return name_; }

  private:
    Log& log_;
    uint64_t handles_ = 0;
    const std::string name_ = "recorder";
};

class GuestCodeTest : public testing::Test {
  protected:
    static constexpr uint64_t kBase = 0x4000'0000, kBytes = 1 << 20;
    static constexpr uint64_t kBuild = 1;
    static constexpr uint32_t kMode = frontend::a64::translation_flag::kEl1;
    static constexpr uint32_t kJumpAhead = 0x1400'0003, kJumpBack = 0x17ff'fffb;  // by 12, by -20

    GuestCodeTest() : ram_(kBytes / 4), memory_(reinterpret_cast<uint8_t*>(ram_.data()), kBase, kBytes) {
        std::string name = fs::temp_directory_path() / "arclight-guest-code-XXXXXX";
        if (mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no temporary directory";
        top_ = name;
        directory_ = top_ / "regions";
        fs::create_directory(directory_);
    }
    ~GuestCodeTest() override {
        engine_.reset();
        fs::remove_all(top_);
    }

    Engine& start(std::function<void()> while_building = [] {}) {
        Tier2Options options{
            .enabled = true, .threshold = 1, .heat = 0, .min_expected_insns = 0, .budget = 100};
        options.cache_directory = directory_;
        options.cache_key_file = top_ / "cache.key";
        options.while_building = std::move(while_building);
        options.make_compiler = [this] { return std::make_unique<RecordingCompiler>(log_); };
        options.compiler_build = [] { return kBuild; };
        counters_ = 0;
        engine_ = std::make_unique<Engine>(frontend::a64::frontend(), memory_,
                                           EngineOptions{.code_bytes = 8 << 20, .tier2 = options});
        return *engine_;
    }
    /// x0 += n, in two blocks 16 bytes apart that go on with each other.
    static uint32_t add(uint32_t n) { return 0x9100'0000 | (n & 0xfff) << 10; }
    void put(uint32_t n) {
        const auto store = [&](size_t word, uint32_t value) {
            std::atomic_ref(ram_[word]).store(value, std::memory_order_relaxed);
        };
        store(0, add(n)), store(1, kJumpAhead), store(4, add(n + 1)), store(5, kJumpBack);
    }
    static std::string code_of(uint32_t n) {
        const uint32_t words[] = {add(n), kJumpAhead, add(n + 1), kJumpBack};
        return {reinterpret_cast<const char*>(words), sizeof words};
    }
    /// Translates both blocks, and has the second run once.
    void translate_both() {
        ASSERT_NE(engine_->entry(kBase, kMode), nullptr);
        ASSERT_NE(engine_->entry(kBase + 16, kMode), nullptr);
        --engine_->code().counters()[counters_ + 1];
        counters_ += 2;
    }
    void promote_first() { ASSERT_NE(engine_->promote(counters_ - 2), nullptr); }

    template <typename F>
    bool eventually(F&& holds) {
        for (unsigned k = 0; k < 10'000; ++k) {
            if (holds(engine_->tier2_stats())) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }
    /// Another guest with this code and what the first one has left. The code of the region that it executes.
    std::string executed_by_another_guest(uint32_t n) {
        put(n);
        start();
        translate_both();
        promote_first();
        const auto made = [](const Tier2Stats& s) { return s.compiled + s.cache_hits == 1; };
        EXPECT_TRUE(eventually([&](const Tier2Stats& s) { return made(s) || s.cache_misses != 0; }));
        if (!made(engine_->tier2_stats())) promote_first();  // what was found was of other code
        EXPECT_TRUE(eventually(made));
        engine_->stop_compiling();
        return log_.get();
    }
    /// Each file must be named by the code that it says it is of, and hold that. Returns how many there are.
    unsigned check_files() const {
        const auto opened =
            RegionStore::open({.directory = directory_, .build = kBuild, .key_file = top_ / "cache.key"});
        if (!opened) {
            ADD_FAILURE() << opened.error();
            return 0;
        }
        const auto& store = *opened;
        store->set_fingerprint("recorder");
        const auto text = [](const std::vector<std::byte>& code) {
            return std::string(reinterpret_cast<const char*>(code.data()), code.size());
        };
        unsigned checked = 0;
        for (const auto& file : fs::directory_iterator(directory_)) {
            const std::string name = file.path().filename();
            const RegionStore::Key entry{std::stoull(name.substr(16, 16), nullptr, 16),
                                         std::stoull(name.substr(0, 16), nullptr, 16)};
            for (const RegionStore::Stored& stored : store->load(entry)) {
                const auto shape = RegionShape::parse(stored.shape);
                if (!shape) {
                    ADD_FAILURE() << "no shape";
                    continue;
                }
                std::string said;
                for (const RegionShape::Block& b : shape->blocks) said += text(b.code);
                EXPECT_EQ(said, stored.object);
                std::string named = text(shape->blocks.front().code);
                const uint64_t place = uint64_t{kMode} << 12 | static_cast<uint64_t>(shape->blocks[0].offset);
                named.append(reinterpret_cast<const char*>(&place), sizeof place);
                EXPECT_EQ(RegionStore::hash(named, store->seed()), entry);
                ++checked;
            }
        }
        return checked;
    }

    std::vector<uint32_t> ram_;
    mmu::GuestMemory memory_;
    fs::path top_, directory_;
    RecordingCompiler::Log log_;
    uint32_t counters_ = 0;  ///< given out
    std::unique_ptr<Engine> engine_;
};

TEST_F(GuestCodeTest, ARegionIsOfTheCodeThatTier1Translated) {
    put(1);
    start();
    translate_both();
    put(3);  // without telling anybody
    promote_first();
    ASSERT_TRUE(eventually([](const Tier2Stats& s) { return s.cache_saved == 1; }));
    EXPECT_EQ(log_.get(), code_of(1));
    EXPECT_EQ(executed_by_another_guest(3), code_of(3));
    EXPECT_EQ(engine_->tier2_stats().cache_hits, 0u);
    EXPECT_EQ(executed_by_another_guest(1), code_of(1));
    EXPECT_EQ(engine_->tier2_stats().cache_hits, 1u);
}

/// Somebody has written to the cache who does not have its key: what they want executed is not, and the run goes on.
TEST_F(GuestCodeTest, WhatOthersPutIntoTheCacheIsCompiledAnew) {
    EXPECT_EQ(executed_by_another_guest(1), code_of(1));
    ASSERT_EQ(engine_->tier2_stats().cache_saved, 1u);
    const fs::path file = *fs::directory_iterator(directory_);
    std::string content;
    {
        std::ifstream in(file, std::ios::binary);
        content.assign(std::istreambuf_iterator<char>(in), {});
    }
    const std::string wanted = code_of(3);
    const size_t object = content.rfind(code_of(1));
    ASSERT_NE(object, std::string::npos);
    content.replace(object, wanted.size(), wanted);
    std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
    EXPECT_EQ(executed_by_another_guest(1), code_of(1));
    EXPECT_EQ(engine_->tier2_stats().cache_hits, 0u);
    EXPECT_EQ(engine_->tier2_stats().cache_rejects, 1u);
    EXPECT_EQ(executed_by_another_guest(1), code_of(1));
    EXPECT_EQ(engine_->tier2_stats().cache_hits, 1u) << "it is kept again";

    // Without a key, nothing is kept or taken.
    fs::permissions(top_ / "cache.key", fs::perms::others_read, fs::perm_options::add);
    EXPECT_EQ(executed_by_another_guest(1), code_of(1));
    EXPECT_EQ(engine_->tier2_stats().cache_hits + engine_->tier2_stats().cache_saved, 0u);
}

/// At each step of the making of a region, for good or for one step.
TEST_F(GuestCodeTest, StoresWhileARegionIsMadeFileNothingWrong) {
    unsigned steps = 0;
    for (unsigned at = 0; at <= steps; ++at) {
        for (const bool for_good : {true, false}) {
            SCOPED_TRACE(testing::Message() << "step " << at << (for_good ? ", for good" : ""));
            for (const auto& file : fs::directory_iterator(directory_)) fs::remove(file);
            unsigned step = 0;
            put(1);
            start([&] {
                if (step == at || (for_good && step > at))
                    put(3);
                else
                    put(1);
                ++step;
            });
            translate_both();
            promote_first();
            ASSERT_TRUE(eventually([](const Tier2Stats& s) { return s.cache_saved == 1; }));
            engine_->stop_compiling();
            steps = step;
            EXPECT_EQ(check_files(), 1u);
            EXPECT_EQ(log_.get(), code_of(1));
            EXPECT_EQ(executed_by_another_guest(3), code_of(3));
            EXPECT_EQ(executed_by_another_guest(1), code_of(1));
        }
    }
    EXPECT_GE(steps, 4u) << "each block is translated and described";
}

TEST_F(GuestCodeTest, NothingIsFiledOfARegionThatDiedMeanwhile) {
    put(1);
    start();
    std::atomic<bool> invalidates{true};
    log_.on_compile = [&] {
        if (!invalidates.exchange(false)) return;
        put(3);
        EXPECT_TRUE(engine_->invalidate(kBase + 16, 4));
    };
    translate_both();
    promote_first();
    ASSERT_TRUE(eventually([](const Tier2Stats& s) { return s.compiled == 1; }));
    // The worker is done with the first region when it has filed the second.
    EXPECT_TRUE(engine_->invalidate(kBase, 4));
    translate_both();
    promote_first();
    ASSERT_TRUE(eventually([](const Tier2Stats& s) { return s.compiled == 2 && s.cache_saved != 0; }));
    engine_->stop_compiling();
    EXPECT_EQ(engine_->tier2_stats().cache_saved, 1u);
    EXPECT_EQ(check_files(), 1u);
    EXPECT_EQ(executed_by_another_guest(3), code_of(3));
    EXPECT_EQ(engine_->tier2_stats().cache_hits, 1u);
}

/// Another CPU of the guest stores to the code all the time. Each file must hold what it says.
TEST_F(GuestCodeTest, ARaceWithTheGuestFilesNothingWrong) {
    constexpr unsigned kLoops = 64, kRounds = 8;
    std::atomic<uint32_t> round{0}, stored{kRounds};  // `stored`: of which round the code is
    std::atomic<bool> end{false};
    const auto put_all = [&](uint32_t n) {
        for (size_t k = 0; k < kLoops; ++k)
            std::atomic_ref(ram_[2 * k]).store(add(n), std::memory_order_relaxed);
    };
    // Each round's code is its own: what is filed already is not made again.
    const auto code = [&](unsigned nth) { return 100 + 2 * nth; };
    for (size_t k = 0; k < kLoops; ++k) ram_[2 * k + 1] = 0x17ff'ffff;  // b -4
    put_all(code(0));
    start();
    std::thread other_cpu([&] {
        std::mt19937 random(1);
        while (!end) {
            const uint32_t of_round = round, n = code(of_round);
            for (unsigned k = random() % 64; k != 0; --k) asm volatile("pause");
            put_all(n + 1);
            for (unsigned k = random() % 64; k != 0; --k) asm volatile("pause");
            put_all(n);
            stored = of_round;
        }
    });
    for (uint32_t counter = 0; round < kRounds; ++round) {
        while (stored != round) std::this_thread::yield();  // it may get no time on a busy machine
        engine_->invalidate(kBase, 8 * kLoops);
        for (uint64_t k = 0; k < kLoops; ++k, ++counter) {
            EXPECT_NE(engine_->entry(kBase + 8 * k, kMode), nullptr);
            EXPECT_NE(engine_->promote(counter), nullptr);
        }
        EXPECT_TRUE(eventually(
            [&](const Tier2Stats& s) { return s.compiled + s.cache_hits + s.cache_misses >= counter; }));
    }
    end = true;
    other_cpu.join();
    engine_->stop_compiling();
    EXPECT_GE(check_files(), kLoops * kRounds / 2);
}

}  // namespace
}  // namespace arclight::jit
