// What fastmem relies on: edits of the page tables by code inside, and the faults of that code.
#include <sys/mman.h>
#include <xbyak/xbyak.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "backend/kvm/kvm_accelerator.h"
#include "tests/kvm/machine.h"

namespace arclight::backend::kvm::testing {
namespace {

constexpr uint64_t kP = 1, kW = 2, kU = 4, kA = 1 << 5, kD = 1 << 6, kNx = uint64_t{1} << 63;
constexpr size_t kPages = 16;

/// "Translated code": x0 is an address; load() reads x1 from there, store() writes it. Each ends with
/// ExitReason::Lookup, or with Exception when it faulted and the handler sent it to faulted().
struct Code : Xbyak::CodeGenerator {
    Code(const jit::CodeBuffer& buffer, const uint8_t* at, const uint8_t* leave)
        : CodeGenerator(4096, buffer.writable(at)) {
        using namespace Xbyak::util;
        const auto slot = [&](unsigned n) {
            return qword[rbp + ARCLIGHT_STATE_DISP(x) + 8 * static_cast<int>(n)];
        };
        const auto end = [&](jit::ExitReason reason) {
            mov(dword[rbp + ARCLIGHT_STATE_DISP(exit_reason)], static_cast<uint32_t>(reason));
            jmp(buffer.writable(leave), T_NEAR);
        };
        load = at + getSize();
        mov(rax, slot(0));
        load_access = at + getSize();
        mov(rcx, qword[rax]);
        mov(slot(1), rcx);
        end(jit::ExitReason::Lookup);
        store = at + getSize();
        mov(rax, slot(0));
        mov(rcx, slot(1));
        store_access = at + getSize();
        mov(qword[rax], rcx);
        end(jit::ExitReason::Lookup);
        faulted = at + getSize();
        mov(slot(2), rax);  // registers are unchanged
        end(jit::ExitReason::Exception);
    }
    const uint8_t *load, *load_access, *store, *store_access, *faulted;
};

struct LastFault {
    unsigned count = 0;
    const void* pc = nullptr;
    uint64_t address = 0;
    const void* answer = nullptr;
} last;

const void* on_fault(const void* pc, uint64_t address) {
    ++last.count;
    last.pc = pc;
    last.address = address;
    return last.answer;
}

class Tables : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!the_probe().usable) GTEST_SKIP() << the_probe().why_not;
        auto accelerator = KvmAccelerator::create(buffer_, {.cpus = 2,
                                                            .native_ring0 = the_probe().native_ring0,
                                                            .fastmem = true,
                                                            .fastmem_fault = on_fault,
                                                            .table_bytes = size_t{1} << 20});
        ASSERT_TRUE(accelerator) << accelerator.error();
        accelerator_ = std::move(*accelerator);
        code_.emplace(buffer_, buffer_.base() + buffer_.size() / 2 - 4096, buffer_.stubs().leave);
        state_.guest_fp_control = 0x1f80;
        last = {.answer = code_->faulted};
        ram_ = static_cast<uint8_t*>(
            mmap(nullptr, kPages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        for (uint64_t i = 0; i < kPages; ++i) std::memcpy(ram_ + i * 4096, &i, 8);
    }
    ~Tables() override {
        if (ram_ != nullptr) munmap(ram_, kPages * 4096);
    }

    void inside(const std::function<void()>& body, unsigned cpu = 0) {
        const auto ran = accelerator_->run_thread(cpu, body);
        ASSERT_TRUE(ran) << ran.error();
    }

    // ---- Inside
    /// Takes a root entry with one path of tables; leaf() is then its first page's entry.
    void make_path(unsigned cpu = 0) {
        mmu::HostTables& t = *accelerator_->host_tables(cpu);
        unsigned entry = 0;
        while (!t.may_use_root_entry(entry)) ++entry;
        ASSERT_LT(entry, 256u);
        base_ = uint64_t{entry} << 39;
        uint64_t* table = t.root();
        uint64_t* at = &table[entry];
        for (unsigned level = 3; level > 0; --level) {
            uint64_t* below = t.take_table();
            ASSERT_NE(below, nullptr);
            *at = t.physical_of_table(below) | kP | kW | kU | kA;
            at = below;
        }
        leaves_ = at;
    }
    void set(unsigned page, unsigned ram_page, bool writable = true, unsigned cpu = 0) {
        leaves_[page] = accelerator_->host_tables(cpu)->physical_of_page(ram_ + ram_page * 4096).value() |
                        kP | kU | kA | kNx | (writable ? kW | kD : 0);
    }
    void forget(std::initializer_list<unsigned> pages) {
        std::vector<uint64_t> addresses;
        for (const unsigned p : pages) addresses.push_back(base_ + p * 4096);
        accelerator_->host_tables(0)->invalidate(addresses);
    }
    /// What is read at this page's first word; nothing if that faults.
    std::optional<uint64_t> load(unsigned page) { return load_at(base_ + page * 4096); }
    std::optional<uint64_t> load_at(uint64_t address) {
        state_.x[0] = address;
        const unsigned before = last.count;
        const jit::ExitReason reason = accelerator_->run(state_, code_->load);
        if (reason == jit::ExitReason::Lookup) {
            EXPECT_EQ(last.count, before);
            return state_.x[1];
        }
        EXPECT_EQ(last.count, before + 1);
        EXPECT_EQ(last.pc, code_->load_access);
        EXPECT_EQ(state_.x[2], address);
        return std::nullopt;
    }
    bool store(unsigned page, uint64_t value) {
        state_.x[0] = base_ + page * 4096;
        state_.x[1] = value;
        const bool done = accelerator_->run(state_, code_->store) == jit::ExitReason::Lookup;
        if (!done) {
            EXPECT_EQ(last.pc, code_->store_access);
        }
        return done;
    }

    CodeBuffer buffer_{size_t{4} << 20};
    std::unique_ptr<KvmAccelerator> accelerator_;
    std::optional<Code> code_;
    jit::GuestState state_{};
    uint8_t* ram_ = nullptr;
    uint64_t base_ = 0;
    uint64_t* leaves_ = nullptr;
};

TEST_F(Tables, TheProcessMapsNothingWhereFastmemMay) {
    const auto mapped_at = [](uint64_t address) {
        void* p = mmap(reinterpret_cast<void*>(address), 4096, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        return p == MAP_FAILED ? nullptr : p;
    };
    const auto usable = [this] {
        std::vector<unsigned> entries;
        for (unsigned entry = 0; entry < 256; ++entry)
            if (accelerator_->host_tables(0)->may_use_root_entry(entry)) entries.push_back(entry);
        return entries;
    };
    const std::vector<unsigned> entries = usable();
    for (const unsigned entry : entries) {
        for (const uint64_t offset : {uint64_t{0}, uint64_t{1} << 38, (uint64_t{1} << 39) - 4096}) {
            void* p = mapped_at((uint64_t{entry} << 39) + offset);
            EXPECT_EQ(p, nullptr) << entry;
            if (p != nullptr) munmap(p, 4096);
        }
    }
    ASSERT_GT(entries.size(), 60u);
    // What was mapped before stays out of it. The host's randomisation puts what else there is anywhere.
    const unsigned taken = entries[entries.size() / 2];
    accelerator_.reset();
    void* p = mapped_at(uint64_t{taken} << 39);
    ASSERT_NE(p, nullptr) << "the reservation goes with the last machine";
    SetUp();
    EXPECT_FALSE(accelerator_->host_tables(0)->may_use_root_entry(taken));
    EXPECT_GT(usable().size(), 60u);
    munmap(p, 4096);
}

TEST_F(Tables, NotPresentFaultsAndMadePresentIsSeen) {
    inside([&] {
        make_path();
        for (unsigned round = 0; round < 3; ++round) {
            EXPECT_FALSE(load(5 + round));
            EXPECT_EQ(last.address, base_ + (5 + round) * 4096);
            set(5 + round, 3);
            EXPECT_EQ(load(5 + round), 3u);
        }
    });
    EXPECT_EQ(last.count, 3u);
}

TEST_F(Tables, AChangedEntryIsSeenAfterInvalidation) {
    inside([&] {
        make_path();
        for (unsigned i = 0; i < 8; ++i) {
            set(0, i);
            forget({0});
            EXPECT_EQ(load(0), i);
        }
        // Several at once, and all.
        set(0, 0);
        forget({0});
        for (unsigned p = 0; p < kPages; ++p) {
            if (p != 0) set(p, p);
            EXPECT_EQ(load(p), p);
        }
        for (unsigned p = 0; p < kPages; ++p) set(p, kPages - 1 - p);
        forget({0, 1, 2, 3});
        for (unsigned p = 0; p < 4; ++p) EXPECT_EQ(load(p), kPages - 1 - p);
        forget({});
        for (unsigned p = 0; p < kPages; ++p) EXPECT_EQ(load(p), kPages - 1 - p);
    });
}

TEST_F(Tables, ARemovedEntryFaultsAfterInvalidation) {
    inside([&] {
        make_path();
        for (unsigned p = 0; p < kPages; ++p) {
            set(p, p);
            EXPECT_EQ(load(p), p);
        }
        leaves_[3] = 0;
        forget({3});
        EXPECT_FALSE(load(3));
        EXPECT_EQ(load(4), 4u);
        for (unsigned p = 0; p < kPages; ++p) leaves_[p] = 0;
        forget({});
        for (unsigned p = 0; p < kPages; ++p) EXPECT_FALSE(load(p)) << p;
        // More than Ring0::kMaxPages of them at once.
        set(9, 9);
        EXPECT_EQ(load(9), 9u);
        leaves_[9] = 0;
        std::vector<uint64_t> many(Ring0::kMaxPages + 1, base_);
        many.back() = base_ + 9 * 4096;
        accelerator_->host_tables(0)->invalidate(many);
        EXPECT_FALSE(load(9));
    });
}

TEST_F(Tables, WritingNeedsTheRight) {
    inside([&] {
        make_path();
        set(0, 2, false);
        EXPECT_EQ(load(0), 2u);
        EXPECT_FALSE(store(0, 77));
        EXPECT_EQ(last.address, base_);
        set(0, 2, true);  // more rights need no invalidation
        EXPECT_TRUE(store(0, 77));
        set(0, 2, false);
        forget({0});
        EXPECT_FALSE(store(0, 78));
        EXPECT_EQ(load(0), 77u);
    });
    EXPECT_EQ(ram_[2 * 4096], 77);
}

TEST_F(Tables, ARemovedTableTakesItsPagesAlong) {
    inside([&] {
        make_path();
        set(0, 1);
        EXPECT_EQ(load(0), 1u);
        mmu::HostTables& t = *accelerator_->host_tables(0);
        uint64_t& root = t.root()[base_ >> 39];
        const uint64_t old = root;
        root = 0;
        t.invalidate({});
        EXPECT_FALSE(load(0));
        root = old;
        EXPECT_EQ(load(0), 1u);
    });
}

TEST_F(Tables, LargePagesWork) {
    constexpr size_t k2M = size_t{2} << 20;
    auto* block = static_cast<uint8_t*>(
        mmap(nullptr, 2 * k2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(block, MAP_FAILED);
    auto* aligned = reinterpret_cast<uint8_t*>((reinterpret_cast<uint64_t>(block) + k2M - 1) & ~(k2M - 1));
    for (uint64_t i = 0; i < 512; ++i) std::memcpy(aligned + i * 4096, &i, 8);
    inside([&] {
        make_path();
        mmu::HostTables& t = *accelerator_->host_tables(0);
        uint64_t* level2 = t.table_at(t.root()[base_ >> 39] & kAddressMask);
        uint64_t* level1 = t.table_at(level2[0] & kAddressMask);
        level1[7] = t.physical_of_page(aligned).value() | kP | kW | kU | kA | kD | kNx | kLarge;
        for (unsigned p : {0u, 1u, 100u, 511u}) EXPECT_EQ(load(7 * 512 + p), p);
        EXPECT_FALSE(load(8 * 512));
        level1[7] = 0;
        forget({7 * 512 + 100});
        EXPECT_FALSE(load(7 * 512 + 511));
    });
    munmap(block, 2 * k2M);
}

TEST_F(Tables, ProcessorsHaveTablesOfTheirOwn) {
    inside([&] {
        make_path();
        set(0, 1);
        EXPECT_EQ(load(0), 1u);
    });
    inside([&] { EXPECT_FALSE(load(0)); }, 1);
}

TEST_F(Tables, WhatIsNoAddressFaultsToo) {
    inside([&] {
        for (const uint64_t a : {0x0000'8000'0000'0000, 0x1234'0000'0000'1000, 0x4000'0000'0000'0000,
                                 static_cast<long>(0xffff'7fff'ffff'fff0), 0x0000'ffff'0000'0000})
            EXPECT_FALSE(load_at(a)) << std::hex << a;
    });
}

TEST_F(Tables, NativeRingZeroNeedsNoExit) {
    if (!the_probe().native_ring0) GTEST_SKIP() << the_probe().reason();
    const auto exits = [&](const char* name) {
        for (const auto& [n, count] : accelerator_->counts())
            if (n == name) return count;
        return uint64_t{0};
    };
    uint64_t least = ~uint64_t{0};
    inside([&] {
        make_path();
        (void)load(0);
        set(0, 0);
        (void)load(0);
        leaves_[0] = 0;
        forget({0});
        const auto hundred = [&] {
            for (unsigned i = 0; i < 100; ++i) {
                EXPECT_FALSE(load(0));
                set(0, i % kPages);
                EXPECT_EQ(load(0), i % kPages);
                leaves_[0] = 0;
                forget({0});
            }
        };
        // Code is made executable in the machine, by an exit, when it is executed first; and what else the host does
        // interrupts a round now and then.
        for (unsigned round = 0; round < 6; ++round) {
            const uint64_t before = exits("total");
            hundred();
            least = std::min(least, exits("total") - before);
        }
    });
    EXPECT_EQ(least, 0u) << "exits of 300 faults, fills and invalidations";
}

/// Each view of the code cache has one right only, and its counters are data.
TEST_F(Tables, TheCodeCacheIsExecutedInOneViewAndWrittenInTheOther) {
    const auto fails = [&](const std::function<void()>& body) {
        const auto ran = accelerator_->run_thread(0, body);
        return ran ? std::string("nothing") : ran.error();
    };
    auto* other = buffer_.writable(code_->load);
    *buffer_.counters() = 0xc3;  // ret
    const auto call = [](const void* code) {
        reinterpret_cast<void (*)()>(reinterpret_cast<uintptr_t>(code))();
    };
    EXPECT_NE(fails([&] { call(other); }).find("error 0x15"), std::string::npos);
    last.answer = nullptr;  // the fault is in the range of translated code
    EXPECT_NE(fails([&] { call(buffer_.counters()); }).find("exception 14"), std::string::npos);
    EXPECT_EQ(fails([&] { *static_cast<volatile uint32_t*>(buffer_.counters()) = 1; }), "nothing");
    EXPECT_NE(fails([&] { *const_cast<volatile uint8_t*>(code_->load) = 0; }).find("error 0x7"),
              std::string::npos);
    EXPECT_EQ(fails([&] { *static_cast<volatile uint8_t*>(other) = *code_->load; }), "nothing");
}

TEST_F(Tables, AFaultThatNobodyKnowsStopsTheMachine) {
    last.answer = nullptr;
    const auto ran = accelerator_->run_thread(0, [&] {
        make_path();
        (void)load(1);
    });
    ASSERT_FALSE(ran);
    EXPECT_NE(ran.error().find("exception 14"), std::string::npos) << ran.error();
    EXPECT_EQ(last.count, 1u);
}

}  // namespace
}  // namespace arclight::backend::kvm::testing
