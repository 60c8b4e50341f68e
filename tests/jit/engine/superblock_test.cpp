// Random programs of functions, loops and faults with superblocks and without: the same registers at every fault and at the end,
// while code is stored to and pages move in between.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "backend/process_accelerator.h"
#include "frontend/a64/frontend.h"
#include "frontend/a64/translation_flags.h"
#include "jit/engine/engine.h"
#include "jit/runtime_entries.h"
#include "jit/translation_flags.h"

namespace arclight::jit {
namespace {

constexpr uint64_t kBase = 0x4000'0000;          ///< of guest memory, physical
constexpr uint64_t kVirtual = 0x7f00'0000'0000;  ///< where its code pages are mapped, one after the other
constexpr uint64_t kData = 0x7e00'0000'0000;     ///< a page of data; the next one is not mapped
constexpr uint64_t kEnd = 0x7d00'0000'0000;      ///< an access there ends the program
constexpr unsigned kFunctions = 4;  ///< each in a page of its own; the program itself is in the next one
constexpr unsigned kCodePages = kFunctions + 1;
constexpr unsigned kVariants = 2;  ///< of each code page: the same jumps, other constants
constexpr unsigned kDataPage = kCodePages * kVariants;
constexpr unsigned kPageCount = kDataPage + 1;
constexpr uint32_t kFlags = frontend::a64::translation_flag::kEl1 | translation_flag::kSerial;

/// Writes the functions. Each calls the next ones, so that all end.
class Program {
  public:
    explicit Program(uint64_t seed) : random_(seed) {}
    std::vector<uint32_t> function(unsigned number) {
        code_.clear();
        const unsigned kept = 19 + number, count = 14;
        put(0xaa00'03e0 | 30 << 16 | kept);  // mov x(19 + n), x30
        for (unsigned k = 0; k < 5; ++k) piece(number);
        put(0xd280'0000 | (2 + pick(4)) << 5 | count);  // mov x14, #2 to 5
        const size_t loop = code_.size();
        for (unsigned k = 0; k < 3; ++k) piece(kFunctions);
        put(0xd100'0400 | count << 5 | count);  // sub x14, x14, #1
        put(0xb500'0000 | offset19(loop) << 5 | count);
        for (unsigned k = 0; k < 4; ++k) piece(number);
        put(0xd65f'0000 | kept << 5);  // ret x(19 + n)
        return code_;
    }
    std::vector<uint32_t> main() {
        code_.clear();
        put(0xf240'0800 | 28 << 5 | 31);                       // tst x28, #7
        put(0x9a80'0000 | 27 << 16 | 1 << 12 | 26 << 5 | 25);  // csel x25, x26, x27, ne
        call(kFunctions, 0);
        piece(kFunctions);
        put(0xf100'0400 | 28 << 5 | 28);  // subs x28, x28, #1
        put(0x5400'0000 | offset19(0) << 5 | 1);
        put(0xf940'0000 | 24 << 5 | 0);  // ldr x0, [x24]
        return code_;
    }

  private:
    unsigned pick(unsigned n) { return static_cast<unsigned>(random_() % n); }
    unsigned reg() { return pick(12); }
    void put(uint32_t insn) { code_.push_back(insn); }
    uint32_t offset19(size_t to) const {
        return static_cast<uint32_t>(static_cast<int64_t>(to) - static_cast<int64_t>(code_.size())) &
               0x7'ffff;
    }
    void call(unsigned from, unsigned to) {
        const int64_t words = (int64_t{to} - int64_t{from}) * 1024 - static_cast<int64_t>(code_.size());
        put(0x9400'0000 | (static_cast<uint32_t>(words) & 0x3ff'ffff));
    }
    void compute() {
        static constexpr uint32_t kOps[] = {0x8b00'0000, 0xcb00'0000, 0xab00'0000, 0xeb00'0000,
                                            0x0b00'0000, 0x6b00'0000, 0x8a00'0000, 0xaa00'0000,
                                            0xca00'0000, 0xea00'0000, 0x9a00'0000, 0xba00'0000};
        const uint32_t operands = reg() << 16 | reg() << 5 | reg();
        switch (pick(11)) {
            case 9:
                return put((0x6a00'0000 | pick(2) << 31 | pick(2) << 24) | (operands & ~31u) |
                           31);  // tst, cmp
            case 10:             // cmp, cmn, imm
                return put(0x3100'001f | pick(2) << 31 | pick(2) << 30 | pick(8) << 10 | reg() << 5);
            case 0: return put(0x9100'0000 | pick(4096) << 10 | reg() << 5 | reg());    // add, imm
            case 1: return put(0x9a80'0400 | operands | pick(14) << 12);                // csinc
            case 2: return put(0x1000'0000 | pick(4) << 29 | pick(1000) << 5 | reg());  // adr
            case 3: return put(0x4ee0'8400 | pick(8) << 16 | pick(8) << 5 | pick(8));   // add v.2d
            case 4: return put(0x1e60'4000 | pick(8) << 5 | pick(8));                   // fmov d, d
            case 5: return put(0x1e20'4000 | pick(8) << 5 | pick(8));                   // fmov s, s
            case 6: return put(0x9e66'0000 | pick(8) << 5 | reg());                     // fmov x, d
            default: return put(kOps[pick(std::size(kOps))] | operands);
        }
    }
    void access() {
        const uint32_t base = 25 << 5;
        switch (pick(8)) {
            case 0: return put(0xf900'0000 | pick(64) << 10 | base | reg());
            case 1: return put(0xa940'0000 | pick(32) << 15 | reg() << 10 | base | (reg() & 6) << 1 | 1);
            case 2: return put(0xa900'0000 | pick(32) << 15 | reg() << 10 | base | reg());
            case 3: return put(0x3dc0'0000 | pick(32) << 10 | base | pick(8));
            case 4: return put(0x3d80'0000 | pick(32) << 10 | base | pick(8));
            case 5: return put(0xfd40'0000 | pick(32) << 10 | base | pick(8));
            default: return put(0xf940'0000 | pick(64) << 10 | base | reg());
        }
    }
    void piece(unsigned number) {
        for (unsigned k = pick(4); k > 0; --k) pick(3) == 0 ? access() : compute();
        if (pick(3) == 0) {
            const unsigned over = 1 + pick(3);
            switch (pick(3)) {
                case 0: put(0x5400'0000 | (over + 1) << 5 | pick(14)); break;
                case 1: put((pick(2) != 0 ? 0xb400'0000 : 0x3500'0000) | (over + 1) << 5 | reg()); break;
                case 2: put(0x3600'0000 | pick(32) << 19 | (over + 1) << 5 | reg()); break;
            }
            for (unsigned k = 0; k < over; ++k) compute();
        }
        if (number + 1 < kFunctions && pick(3) == 0) call(number, number + 1 + pick(kFunctions - number - 1));
    }

    std::mt19937_64 random_;
    std::vector<uint32_t> code_;
};

/// One run of a program: what happens outside of its code happens by how many faults there have been.
class Machine {
  public:
    Machine(uint64_t seed, const EngineOptions& options)
        : ram_(kPageCount * kPageSize),
          memory_(ram_.data(), kBase, ram_.size()),
          state_(std::make_unique<GuestState>()),
          tlb_(std::make_unique<mmu::SoftTlb>()),
          engine_(frontend::a64::frontend(), memory_, options),
          accelerator_(engine_.code()),
          random_(seed) {
        for (unsigned variant = 0; variant < kVariants; ++variant) {
            Program program(seed);
            for (unsigned page = 0; page < kCodePages; ++page) {
                auto code = page < kFunctions ? program.function(page) : program.main();
                if (variant != 0) {
                    for (uint32_t& insn : code)
                        if (insn >> 22 == 0x244) insn ^= 0x155 << 10;  // add, imm
                }
                std::memcpy(page_at(variant * kCodePages + page), code.data(), 4 * code.size());
            }
        }
        for (unsigned page = 0; page < kCodePages; ++page) place_[page] = page;
        clear_jump_cache();
        mmu::TlbEntry& data = tlb_->entries[mmu::tlb_index(kData)];
        data.read_tag = data.write_tag = kData;
        data.addend = reinterpret_cast<uint64_t>(page_at(kDataPage)) - kData;
        GuestState& s = *state_;
        s.tlb = s.user_tlb = tlb_.get();
        s.guest_fp_control = 0x1f80;
        s.exclusive_addr = kNoExclusive;
        s.cpu = this;
        for (unsigned k = 0; k < 14; ++k) s.x[k] = random_();
        for (unsigned k = 0; k < 8; ++k) s.v[k] = V128{.d = {random_(), random_()}};
        s.x[24] = kEnd;
        s.x[26] = kData;
        s.x[27] = kData + kPageSize - 128;  // near it are accesses in the page, across its end, and behind it
        s.x[28] = 400;
        s.pc = kVirtual + kFunctions * kPageSize;
        const auto put = [&](unsigned entry, auto fn) {
            s.runtime.entry[entry] = reinterpret_cast<const void*>(fn);
        };
        put(kMemorySlow, MemorySlowFn{[](GuestState& t, uint64_t, const void* pc) { of(t).fault(pc); }});
        put(kLookupDirect, LookupFn{[](GuestState& t, uint64_t slot) {
                return of(t).look_up(static_cast<uint32_t>(slot));
            }});
        put(kLookupIndirect, LookupFn{[](GuestState& t, uint64_t pc) { return of(t).look_up_indirect(pc); }});
        put(kPromote, LookupFn{[](GuestState& t, uint64_t counter) {
                return of(t).engine_.promote(static_cast<uint32_t>(counter), &t);
            }});
    }

    /// Registers at each fault, one line each.
    const std::vector<std::string>& run() {
        while (!ended_ && log_.size() < 100'000) {
            const void* code = engine_.entry(pa_of(state_->pc), kFlags, state_.get());
            if (code == nullptr) {
                engine_.flush();
                clear_jump_cache();
                continue;
            }
            accelerator_.run(*state_, code);
        }
        EXPECT_TRUE(ended_);
        return log_;
    }
    Engine& engine() { return engine_; }

  private:
    static Machine& of(GuestState& s) { return *static_cast<Machine*>(s.cpu); }
    uint8_t* page_at(unsigned number) { return ram_.data() + number * kPageSize; }
    uint64_t pa_of(uint64_t pc) const {
        const uint64_t page = (pc - kVirtual) / kPageSize;
        return kBase + place_.at(page) * kPageSize + pc % kPageSize;
    }
    void clear_jump_cache() {
        for (uint64_t k = 0; k < mmu::kJumpCacheLines; ++k)
            tlb_->jump_cache[k] = mmu::JumpCacheEntry::empty(k);
    }
    const void* look_up(uint32_t slot) {
        return engine_.entry_and_link(pa_of(state_->pc), kFlags, slot, tlb_->epoch, state_.get()).code;
    }
    const void* look_up_indirect(uint64_t pc) {
        const void* code = engine_.entry(pa_of(pc), kFlags, state_.get());
        mmu::JumpCacheEntry& line = tlb_->jump_cache[mmu::jump_cache_index(pc)];
        if (code == nullptr) return nullptr;
        line.pc = pc;
        line.code = code;
        return code;
    }
    void fault(const void* host_pc) {
        GuestState& s = *state_;
        const auto offset = engine_.recover(host_pc, s);
        ASSERT_TRUE(offset);
        s.pc = s.page_base + *offset;
        std::string line = std::to_string(s.pc - kVirtual) + " " + std::to_string(nzcv_from_flags(s.flags));
        for (unsigned k = 0; k < 31; ++k) line += " " + std::to_string(s.x[k]);
        for (unsigned k = 0; k < 8; ++k)
            line += " " + std::to_string(s.v[k].d[0]) + "," + std::to_string(s.v[k].d[1]);
        log_.push_back(std::move(line));
        ended_ = s.access_addr == kEnd;
        s.pc += 4;
        s.exit_reason = ExitReason::Exception;
        s.exit_request = 1;
        // Where the program is now, as a timer's signal would find it.
        if (log_.size() % 4 == 0) engine_.sample(host_pc, std::chrono::milliseconds(16));
        if (log_.size() % 16 == 0) change();
    }
    void change() {
        const auto page = static_cast<unsigned>(random_() % kCodePages);
        if (random_() % 2 == 0) {
            place_[page] = (place_[page] + kCodePages) % (kVariants * kCodePages);
            ++tlb_->epoch;
            clear_jump_cache();
            return;
        }
        // Another constant in one of its instructions.
        const auto number = place_[page];
        auto* words = reinterpret_cast<uint32_t*>(page_at(number));
        const auto first = static_cast<unsigned>(random_() % 64);
        for (unsigned k = first; k < 128; ++k) {
            if (words[k] >> 22 != 0x244) continue;
            words[k] ^= 0x2a << 10;
            if (engine_.invalidate(kBase + number * kPageSize + 4 * k, 4)) clear_jump_cache();
            return;
        }
    }

    std::vector<uint8_t> ram_;
    mmu::GuestMemory memory_;
    std::unique_ptr<GuestState> state_;
    std::unique_ptr<mmu::SoftTlb> tlb_;
    Engine engine_;
    backend::ProcessAccelerator accelerator_;
    std::mt19937_64 random_;
    std::array<unsigned, kCodePages> place_{};  ///< by virtual code page: the physical one
    std::vector<std::string> log_;
    bool ended_ = false;
};

/// Compares programs, and adds up what superblocks there were.
void compare(uint64_t seeds, const EngineOptions& options, SuperblockStats& sum, uint64_t& flushes) {
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
        SCOPED_TRACE(seed);
        Machine plain(seed, {.code_bytes = 8 << 20}), with(seed, options);
        const auto& expected = plain.run();
        const auto& got = with.run();
        ASSERT_EQ(got.size(), expected.size());
        for (size_t k = 0; k < got.size(); ++k) ASSERT_EQ(got[k], expected[k]) << "fault " << k;
        const SuperblockStats stats = with.engine().superblock_stats();
        sum.made += stats.made;
        sum.dropped += stats.dropped;
        sum.blocks += stats.blocks;
        sum.sides += stats.sides;
        flushes += with.engine().stats().flushes;
    }
}

TEST(Superblocks, RandomProgramsFaultAndEndAsWithout) {
    SuperblockStats sum;
    uint64_t flushes = 0;
    compare(40, {.code_bytes = 16 << 20, .superblocks = {.enabled = true, .threshold = 6}}, sum, flushes);
    EXPECT_EQ(flushes, 0u);
    EXPECT_GT(sum.made, 200u);
    EXPECT_GT(sum.dropped, 20u);
    EXPECT_GT(sum.blocks, 3 * sum.made) << "they are of several blocks";
    EXPECT_GT(sum.sides, sum.made / 4);
}

TEST(Superblocks, AFullCodeCacheIsFlushed) {
    SuperblockStats sum;
    uint64_t flushes = 0;
    compare(8, {.code_bytes = 1 << 20, .superblocks = {.enabled = true, .threshold = 6}}, sum, flushes);
    EXPECT_GT(flushes, 0u);
    EXPECT_GT(sum.made, 50u);
}

TEST(Superblocks, ABlockIsHotWhenTimeWasSpentInIt) {
    SuperblockStats sum;
    uint64_t flushes = 0;
    compare(8,
            {.code_bytes = 8 << 20,
             .superblocks = {.enabled = true, .sampled = true, .profile_runs = 4, .settle_runs = 24}},
            sum, flushes);
    EXPECT_GT(sum.made, 5u);
    EXPECT_GT(sum.blocks, 2 * sum.made) << "what follows is profiled too";
}

}  // namespace
}  // namespace arclight::jit
