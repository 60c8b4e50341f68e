// Accesses by fastmem of this process that share one look-up of the slot: each may fault on its own, and goes on in its slow path.
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "backend/x64/block_compiler.h"
#include "jit/translation_flags.h"
#include "tests/backend/harness.h"

namespace arclight::backend::testing {
namespace {

constexpr uint64_t kBase = Memory::kBase, kBytes = Memory::kPages * uint64_t{4096};

class DirectGroupTest : public ::testing::Test {
  protected:
    DirectGroupTest() {
        h_.code.assembler().compiler.set_fastmem_grouping(true);
        for (size_t k = 0; k < kBytes; ++k) h_.memory.bytes[k] = static_cast<uint8_t>(k * 7 + (k >> 8));
        // The fastmem's part is memory of its own, so that the slow path's accesses do not fault.
        area_ = static_cast<uint8_t*>(
            mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        std::memcpy(area_, h_.memory.bytes, kBytes);
        for (uint64_t slot = 0; slot < mmu::kFastmemSlots; ++slot) {
            const uint64_t first = slot << mmu::kFastmemSlotBits;
            h_.tlb->fastmem_offset[slot] = (uint64_t{1} << 47) - first;
        }
        h_.tlb->fastmem_offset[kBase >> mmu::kFastmemSlotBits] = reinterpret_cast<uint64_t>(area_) - kBase;
        running_ = this;
        struct sigaction action {};
        action.sa_sigaction = on_signal;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGSEGV, &action, &before_);
    }
    ~DirectGroupTest() override {
        sigaction(SIGSEGV, &before_, nullptr);
        running_ = nullptr;
        munmap(area_, kBytes);
    }
    static void on_signal(int, siginfo_t*, void* context) {
        auto& pc = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
        // NOLINTNEXTLINE(performance-no-int-to-ptr): a register is a number
        const auto* at = reinterpret_cast<const void*>(pc);
        const void* next = running_ != nullptr ? fastmem_fault(*running_->h_.current, at) : nullptr;
        if (next == nullptr) _exit(99);
        ++running_->faults_;
        pc = reinterpret_cast<greg_t>(next);
    }

    template <typename F>
    CompiledBlock make(F build) {
        block_ = block_at(0, translation_flag::kFastmem);
        ir::Builder b(block_);
        build(b);
        b.emit(Op::Exit, Type::Void, {}, 64);
        return h_.compile(block_);
    }
    /// x2.. = the words at x1 + each displacement, one instruction each.
    CompiledBlock loads(std::initializer_list<int64_t> displacements, uint32_t aux = 0) {
        return make([&](ir::Builder& b) {
            const Ref x1 = b.get_x(1);
            unsigned n = 0;
            for (const int64_t d : displacements) {
                b.insn_start(4 * n, 0);
                const Ref at = b.emit(Op::Add, Type::I64, {x1, b.i64(static_cast<uint64_t>(d))});
                b.set_x(2 + n++, b.emit(Op::Load, Type::I64, {at}, 0, 3 | aux));
            }
        });
    }
    ExitReason run(const CompiledBlock& c, uint64_t x1) {
        h_.slow_calls = faults_ = 0;
        h_.state().exit_request = 0;
        h_.state().x[1] = x1;
        h_.state().pc = Harness::kPage;
        return h_.run(c);
    }
    uint64_t word(uint64_t va) {
        uint64_t v;
        std::memcpy(&v, h_.memory.at(va), 8);
        return v;
    }

    Harness h_;
    ir::Block block_;
    uint8_t* area_ = nullptr;
    unsigned faults_ = 0;
    struct sigaction before_ {};
    static DirectGroupTest* running_;
};
DirectGroupTest* DirectGroupTest::running_ = nullptr;

constexpr int64_t kAt[] = {16, 0, 40, 24};

TEST_F(DirectGroupTest, OneLookUpIsEnough) {
    const CompiledBlock one = loads({16}), four = loads({16, 0, 40, 24});
    EXPECT_LT(four.hot_bytes, 2 * one.hot_bytes);
    EXPECT_EQ(run(four, kBase + 100), ExitReason::Lookup);
    EXPECT_EQ(h_.slow_calls + faults_, 0u);
    for (unsigned k = 0; k < 4; ++k) EXPECT_EQ(h_.state().x[2 + k], word(kBase + 100 + kAt[k]));
}

TEST_F(DirectGroupTest, NoneUnlessItIsSaidThatOffsetsStay) {
    const uint32_t grouped = loads({16, 0, 40, 24}).hot_bytes;
    h_.code.assembler().compiler.set_fastmem_grouping(false);
    EXPECT_GT(loads({16, 0, 40, 24}).hot_bytes, grouped + 30);
}

// Wherever the page ends that is missing: the accesses that touch it fault, the others do not.
TEST_F(DirectGroupTest, EachFaultsForItself) {
    const CompiledBlock four = loads({16, 0, 40, 24});
    mprotect(area_ + 4096, 4096, PROT_NONE);
    for (int64_t end = -8; end <= 56; ++end) {
        const uint64_t x1 = kBase + 4096 - static_cast<uint64_t>(end);
        run(four, x1);
        unsigned there = 0;
        for (unsigned k = 0; k < 4; ++k) {
            there += x1 + static_cast<uint64_t>(kAt[k]) + 8 <= kBase + 4096;
            EXPECT_EQ(h_.state().x[2 + k], word(x1 + static_cast<uint64_t>(kAt[k]))) << end << ", " << k;
        }
        EXPECT_EQ(faults_, 4 - there) << end;
        EXPECT_EQ(h_.slow_calls, faults_) << end;
    }
}

TEST_F(DirectGroupTest, StoresToAReadOnlyPage) {
    const CompiledBlock two = make([&](ir::Builder& b) {
        const Ref x1 = b.get_x(1), x2 = b.get_x(2);
        for (unsigned n = 0; n < 2; ++n) {
            b.insn_start(4 * n, 0);
            const Ref at = b.emit(Op::Add, Type::I64, {x1, b.i64(8 * n)});
            b.emit(Op::Store, Type::Void, {at, x2}, 0, 3);
        }
    });
    mprotect(area_, 4096, PROT_READ);
    h_.state().x[2] = 0x1122334455667788;
    run(two, kBase + 4096 - 8);
    EXPECT_EQ(faults_, 1u);
    EXPECT_EQ(word(kBase + 4096 - 8), 0x1122334455667788u);
    uint64_t second;
    std::memcpy(&second, area_ + 4096, 8);
    EXPECT_EQ(second, 0x1122334455667788u);
}

// Tags, addresses that are not canonical, of the other half, of other slots: the slow path decides, with precise registers.
TEST_F(DirectGroupTest, WildAddressesTakeTheSlowPath) {
    const CompiledBlock four = loads({16, 0, 40, 24});
    for (unsigned bit = 39; bit < 64; ++bit) {
        const uint64_t x1 = (kBase + 100) ^ uint64_t { 1 } << bit;
        h_.state().x[2] = 7;
        ASSERT_EQ(run(four, x1), ExitReason::Exception) << bit;
        EXPECT_EQ(faults_, 1u);
        EXPECT_EQ(h_.state().pc, Harness::kPage);
        EXPECT_EQ(h_.state().x[2], 7u);
        EXPECT_EQ(h_.state().x[1], x1);
    }
    for (const uint64_t x1 : {uint64_t{0}, ~uint64_t{0}, ~uint64_t{0} - 16, ~uint64_t{0} - 47,
                              reinterpret_cast<uint64_t>(area_), reinterpret_cast<uint64_t>(&h_)})
        if (x1 >> mmu::kFastmemSlotBits != kBase >> mmu::kFastmemSlotBits) {
            EXPECT_EQ(run(four, x1), ExitReason::Exception) << std::hex << x1;
        }
}

TEST_F(DirectGroupTest, AMisalignedStackPointerIsFoundFirst) {
    const CompiledBlock two = make([&](ir::Builder& b) {
        const Ref sp = b.get_x(31);
        for (unsigned n = 0; n < 2; ++n) {
            b.insn_start(4 * n, 0);
            const Ref at = b.emit(Op::Add, Type::I64, {sp, b.i64(8 * n + 8)});
            b.set_x(2 + n, b.emit(Op::Load, Type::I64, {at}, 0,
                                  3 | ir::kMemSpBase | (8 * n + 8) % 16 << ir::kMemSpOffsetShift));
        }
    });
    for (uint64_t low = 0; low < 16; ++low) {
        h_.state().sp = kBase + 0x100 + low;
        const ExitReason why = run(two, 0);
        EXPECT_EQ(why, low == 0 ? ExitReason::Lookup : ExitReason::Exception) << low;
        EXPECT_EQ(faults_, 0u);
        if (low == 0) {
            EXPECT_EQ(h_.state().x[3], word(kBase + 0x110));
        }
    }
}

}  // namespace
}  // namespace arclight::backend::testing
