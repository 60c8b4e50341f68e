// The host stage beneath a virtual machine: a page that is put elsewhere costs nested-page faults on this page and nothing else.
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "host/memory_fault.h"
#include "jit/memory_operand.h"
#include "mmu/host_stage.h"
#include "tests/kvm/kvm_counter.h"
#include "tests/kvm/machine.h"

namespace arclight::backend::kvm::testing {
namespace {

constexpr uint64_t kPage = 4096, kPages = 64, kMoved = 3, kMoves = 40;

class Stage : public KvmTest {
  protected:
    void SetUp() override {
        KvmTest::SetUp();
        if (IsSkipped()) return;
        ram_ = map(kPages, file_);
        other_ = map(2, other_file_);
        auto stage = mmu::HostStage::create(ram_, kPages * kPage, file_, nullptr);
        ASSERT_TRUE(stage) << stage.error();
        stage_ = std::move(*stage);
    }
    ~Stage() override {
        stage_.reset();
        if (ram_ != nullptr) munmap(ram_, kPages * kPage);
        if (other_ != nullptr) munmap(other_, 2 * kPage);
        for (const int file : {file_, other_file_})
            if (file >= 0) close(file);
    }
    static uint8_t* map(uint64_t pages, int& file) {
        file = memfd_create("ram", MFD_CLOEXEC);
        EXPECT_EQ(ftruncate(file, static_cast<off_t>(pages * kPage)), 0);
        return static_cast<uint8_t*>(
            mmap(nullptr, pages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    }
    static volatile uint64_t& word(uint8_t* base, uint64_t page) {
        return *reinterpret_cast<volatile uint64_t*>(base + page * kPage);
    }

    int file_ = -1, other_file_ = -1;
    uint8_t *ram_ = nullptr, *other_ = nullptr;
    std::unique_ptr<mmu::HostStage> stage_;
};

TEST_F(Stage, AMoveIsANestedFaultOfThePageItself) {
    ProcessorThread& p = processor();
    const KvmCounter faults("pf_fixed"), exits("exits");
    std::atomic<uint64_t> seen{~uint64_t{0}}, rounds{0};
    std::atomic<bool> stop{false};
    uint64_t before = 0, after = 0;
    std::thread mover([&] {
        const auto until = [](auto&& holds) {
            while (!holds()) sched_yield();
        };
        until([&] { return rounds >= 4; });  // all pages are there
        before = faults.get();
        for (uint64_t k = 1; k <= kMoves; ++k) {
            word(other_, k % 2) = k;
            EXPECT_TRUE(stage_->map(kMoved, 1, {other_ + k % 2 * kPage, other_file_, k % 2 * kPage}));
            until([&] { return seen == k; });
        }
        after = faults.get();
        EXPECT_TRUE(stage_->map(kMoved, 1, {}));
        until([&] { return seen == 0; });
        stop = true;
    });
    const auto ran = p.run([&] {
        uint64_t sum = 0;
        while (!stop) {
            for (uint64_t page = 0; page < kPages; ++page) sum += word(ram_, page);
            seen = word(ram_, kMoved);
            ++rounds;
            syscall(SYS_sched_yield);  // the rig has one core
        }
        word(ram_, 0) = sum;
    });
    mover.join();
    ASSERT_TRUE(ran) << ran.error();
    ASSERT_TRUE(faults.there() && exits.there());
    fmt::print("{} moves, {} nested-page faults\n", kMoves, after - before);
    EXPECT_GE(after - before, kMoves);
    // If each move cost the other pages theirs too, it were 64 times as many.
    EXPECT_LE(after - before, 4 * kMoves + 40);
}

// What nobody told of the change reads and writes: refused in touch(), and opened at the first access if the page is tracked.
TEST_F(Stage, WithheldPagesAreSeenInside) {
    ASSERT_TRUE(stage_->withhold(5, mmu::HostStage::Rights::None, false));
    ASSERT_TRUE(stage_->withhold(6, mmu::HostStage::Rights::Read, false));
    ASSERT_TRUE(stage_->withhold(7, mmu::HostStage::Rights::None, true));
    struct Touched {
        bool done, withheld;
        bool operator==(const Touched&) const = default;
    };
    const auto touch = [&](uint64_t page, bool write) {
        const bool done = host::touch([&] {
            if (write)
                word(ram_, page) = 1;
            else [[maybe_unused]]
                const uint64_t value = word(ram_, page);
        });
        return Touched{done, host::take_withheld()};
    };
    Touched absent{}, read{}, written{}, tracked{}, ordinary{};
    EXPECT_EQ(run([&] {
                  ordinary = touch(4, true);
                  absent = touch(5, false);
                  read = touch(6, false);
                  written = touch(6, true);
                  tracked = touch(7, true);
              }),
              "");
    EXPECT_EQ(ordinary, (Touched{true, false}));
    EXPECT_EQ(absent, (Touched{false, true}));
    EXPECT_EQ(read, (Touched{true, false}));
    EXPECT_EQ(written, (Touched{false, true}));
    // Without the kernel's word and without a decoder nobody knows which page it was; then who accesses it says so itself.
    static const uint8_t kLoad[] = {0x48, 0x8b, 0x00};  // mov rax, [rax]
    const bool decodes = jit::memory_operands(kLoad, {reinterpret_cast<uint64_t>(ram_)})[0].address != 0;
    EXPECT_TRUE(tracked == (Touched{true, false}) || (!decodes && tracked == (Touched{false, true})));
    EXPECT_EQ(run([&] {
                  stage_->open(7, true);
                  tracked = touch(7, true);
              }),
              "");
    EXPECT_EQ(tracked, (Touched{true, false}));
}

}  // namespace
}  // namespace arclight::backend::kvm::testing
