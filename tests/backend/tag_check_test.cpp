// Accesses to checked pages (mmu::kCheckedMark): inline where the allocation tags of all their granules are the address's.
#include <functional>

#include "jit/tag_checks.h"
#include "mmu/checked_page.h"
#include "mmu/tag_memory.h"
#include "mmu/victim_tlb.h"
#include "tests/backend/access_test.h"

namespace arclight::backend::testing {
namespace {

constexpr uint64_t kBase = Memory::kBase, kGranule = mmu::kTagGranule;
constexpr uint64_t with_tag(uint64_t va, unsigned tag) { return va | uint64_t{tag} << 56; }

class TagCheckTest : public AccessTest {
  protected:
    TagCheckTest() {
        end_ = 64;
        for (size_t k = 0; k < sizeof h_.memory.bytes; ++k)
            h_.memory.bytes[k] = static_cast<uint8_t>(k * 7 + (k >> 8));
        enable_tag_checks(h_.code);
        for (SoftTlb* tlb : {h_.tlb.get(), h_.other_view.get()})
            tlb->tag_bias = reinterpret_cast<uint64_t>(tags_) -
                            (reinterpret_cast<uint64_t>(h_.memory.bytes) >> mmu::kTagGranuleBits);
        for (unsigned page = 0; page < Memory::kPages; ++page) check_page(*h_.tlb, page);
    }
    /// Also of another soft TLB.
    void check_page(SoftTlb& tlb, unsigned page) {
        const uint64_t va = kBase + page * uint64_t{4096};
        tlb.entries[mmu::tlb_index(va)] = {
            .read_tag = mmu::checked_tag(va),
            .write_tag = Memory::allowed(va, 1, true) ? mmu::checked_tag(va) : mmu::TlbEntry::kInvalidTag,
            .addend = reinterpret_cast<uint64_t>(h_.memory.at(va)) - va};
    }
    void tag(uint64_t va, uint64_t bytes, uint8_t tag) {
        for (uint64_t at = va; at < va + bytes; at += kGranule) tags_[(at - kBase) / kGranule] = tag;
    }
    uint64_t word(uint64_t va, unsigned bytes = 8) {
        uint64_t v = 0;
        std::memcpy(&v, h_.memory.at(va), bytes);
        return v;
    }

    alignas(16) uint8_t tags_[sizeof(Memory::bytes) / kGranule] = {};
};

TEST_F(TagCheckTest, RightTagsStayInline) {
    tag(kBase + 64, 64, 5);
    for (unsigned log2 = 0; log2 <= 3; ++log2)
        for (uint64_t at = kBase + 64; at + (uint64_t{1} << log2) <= kBase + 128; ++at) {
            EXPECT_EQ(slow_calls(load(log2), with_tag(at, 5)), 0u);
            EXPECT_EQ(h_.state().x[0], word(at, 1u << log2));
            EXPECT_EQ(slow_calls(load(log2), with_tag(at, 0xa5)), 0u) << "other bits do not matter";
            EXPECT_EQ(h_.state().x[0], word(at, 1u << log2));
        }
    h_.state().x[2] = 0x1234'5678'9abc'def0;
    EXPECT_EQ(slow_calls(store(3), with_tag(kBase + 77, 5)), 0u);
    EXPECT_EQ(word(kBase + 77), 0x1234'5678'9abc'def0u);
    EXPECT_EQ(slow_calls(load(3), kBase + 32), 0u) << "the tag 0";
}

TEST_F(TagCheckTest, WrongTagsAreForTheSlowPath) {
    tag(kBase + 64, 64, 5);
    for (const uint64_t at : {kBase + 64, kBase + 72, kBase + 120}) {
        EXPECT_EQ(slow_calls(load(3), with_tag(at, 4)), 1u);
        EXPECT_EQ(slow_calls(load(0), at), 1u);
        EXPECT_EQ(slow_calls(store(3), with_tag(at, 6)), 1u);
    }
    // Of either granule that it is in.
    EXPECT_EQ(slow_calls(load(3), with_tag(kBase + 60, 5)), 1u);
    EXPECT_EQ(slow_calls(load(3), with_tag(kBase + 124, 5)), 1u);
    EXPECT_EQ(slow_calls(load(2), with_tag(kBase + 124, 5)), 0u);
    EXPECT_EQ(slow_calls(load(3), with_tag(kBase + 60, 0)), 1u);
    // Whatever is not checked.
    EXPECT_EQ(slow_calls(load(3, ir::kMemUnchecked), with_tag(kBase + 64, 4)), 0u);
    EXPECT_EQ(h_.state().x[0], word(kBase + 64));
    EXPECT_EQ(slow_calls(load(3, ir::kMemUnchecked), with_tag(kBase + 60, 5)), 0u);
    EXPECT_EQ(h_.state().x[0], word(kBase + 60));
}

TEST_F(TagCheckTest, WhatMustMissMisses) {
    EXPECT_EQ(slow_calls(load(3), kBase + 4092), 1u) << "two pages";
    EXPECT_EQ(slow_calls(load(3, ir::kMemAligned), kBase + 4), 1u);
    EXPECT_EQ(slow_calls(load(3, ir::kMemAligned), kBase + 8), 0u);
    EXPECT_EQ(slow_calls(load(3, ir::kMemSpBase), kBase + 8), 1u);
    EXPECT_EQ(slow_calls(load(3, ir::kMemSpBase), kBase + 16), 0u);
    const uint64_t last = kBase + (Memory::kPages - 1) * 4096;
    EXPECT_EQ(slow_calls(load(3), last), 0u);
    EXPECT_EQ(slow_calls(store(3), last), 1u) << "read-only page";
    EXPECT_EQ(slow_calls(load(3), kBase + (mmu::kTlbEntries << mmu::kPageBits)), 1u);
    EXPECT_EQ(slow_calls(load(0), ~uint64_t{0}), 1u);
    h_.flush_tlb();
    EXPECT_EQ(slow_calls(load(3), kBase), 1u);
}

// Pages that share an entry of the soft TLB, checked ones or not: the victim TLB serves the one that is not in it, as without tags.
TEST_F(TagCheckTest, TheVictimTlbHasCheckedPagesToo) {
    mmu::VictimTlb victims;
    h_.tlb->victims = &victims;
    mmu::TlbEntry& entry = h_.tlb->entries[mmu::tlb_index(kBase)];
    const uint64_t other = kBase + (mmu::kTlbEntries << mmu::kPageBits);
    const mmu::TlbEntry checked = entry,
                        plain{.read_tag = kBase, .write_tag = kBase, .addend = entry.addend, .pa = 0};
    tag(kBase, 64, 5);
    const CompiledBlock aligned = load(3, ir::kMemAligned);
    const CompiledBlock group = make([&](ir::Builder& b) {
        const Ref x1 = b.get_x(1);
        for (unsigned k = 0; k < 2; ++k) {
            b.insn_start(4 * (k + 1), 0);
            const Ref at = b.emit(Op::Add, Type::I64, {x1, b.i64(16 * k)});
            b.set_x(2 + k, b.emit(Op::Load, Type::I64, {at}, 0, 3));
        }
    });
    for (const uint64_t there : {mmu::checked_tag(other), other}) {
        SCOPED_TRACE(there);
        const auto serve = [&](const mmu::TlbEntry& page) {
            victims.at(kBase).tlb = page;
            entry.read_tag = entry.write_tag = there;
            h_.tlb->victim_uses = SoftTlb::kVictimUses;
        };
        serve(checked);
        for (const unsigned log2 : {0u, 3u}) {
            EXPECT_EQ(slow_calls(load(log2), with_tag(kBase + 8, 5)), 0u);
            EXPECT_EQ(h_.state().x[0], word(kBase + 8, 1u << log2));
            EXPECT_EQ(slow_calls(load(log2), with_tag(kBase + 8, 4)), 1u) << "another tag";
            EXPECT_EQ(slow_calls(store(log2), with_tag(kBase + 8, 5)), 0u);
            EXPECT_EQ(slow_calls(store(log2), with_tag(kBase + 8, 6)), 1u);
        }
        EXPECT_EQ(slow_calls(load(3), with_tag(kBase + 60, 5)), 1u) << "the second granule's";
        EXPECT_EQ(slow_calls(load(3, ir::kMemUnchecked), with_tag(kBase + 8, 4)), 0u);
        EXPECT_EQ(h_.state().x[0], word(kBase + 8));
        EXPECT_EQ(slow_calls(load(3), with_tag(kBase + 4092, 0)), 1u) << "two pages";
        EXPECT_EQ(slow_calls(aligned, with_tag(kBase + 4, 5)), 1u);
        EXPECT_EQ(slow_calls(aligned, with_tag(kBase + 8, 5)), 0u);
        EXPECT_EQ(slow_calls(group, with_tag(kBase + 8, 5)), 0u);
        EXPECT_EQ(h_.state().x[3], word(kBase + 24));
        // Which of the two is used more, C++ finds out.
        h_.tlb->victim_uses = 2;
        for (const unsigned calls : {0u, 0u, 1u}) EXPECT_EQ(slow_calls(load(3), with_tag(kBase, 5)), calls);
        serve(plain);
        EXPECT_EQ(slow_calls(load(3), kBase), 0u);
        EXPECT_EQ(slow_calls(store(3), kBase + 8), 0u);
        EXPECT_EQ(slow_calls(load(3), with_tag(kBase, 5)), 1u) << "its tag is part of its address";
        h_.tlb->victim_uses = 1;
        for (const unsigned calls : {0u, 1u}) EXPECT_EQ(slow_calls(load(3), kBase), calls);
        serve({});
        EXPECT_EQ(slow_calls(load(3), with_tag(kBase, 5)), 1u);
    }
    h_.tlb->victims = &mmu::kNoVictims;
}

TEST_F(TagCheckTest, EveryKindOfAccess) {
    struct Case {
        const char* name;
        unsigned bytes;
        std::function<void(ir::Builder&)> build;
    };
    const Case cases[] = {
        {"pair", 16,
         [](ir::Builder& b) {
             const Ref first = b.emit(Op::LoadPair, Type::I64, {b.get_x(1)}, 0, 3);
             const Ref second = b.emit(Op::PairSecond, Type::I64, {first});
             b.set_x(3, first);
             b.set_x(4, second);
         }},
        {"vector", 16, [](ir::Builder& b) { b.set_v(3, b.emit(Op::LoadV, Type::V128, {b.get_x(1)}, 0, 4)); }},
        {"store of a pair", 16,
         [](ir::Builder& b) {
             b.emit(Op::StorePair, Type::Void, {b.get_x(1), b.get_x(2), b.get_x(3)}, 0, 3);
         }},
        {"store of a vector", 16,
         [](ir::Builder& b) {
             b.emit(Op::StoreV, Type::Void, {b.get_x(1), b.get_v(Type::V128, 2)}, 0, 4);
         }},
        {"release", 8,
         [](ir::Builder& b) {
             b.emit(Op::Store, Type::Void, {b.get_x(1), b.get_x(2)}, 0,
                    3 | ir::kMemRelease | ir::kMemAligned);
         }},
        {"exclusive", 8,
         [](ir::Builder& b) {
             b.set_x(3, b.emit(Op::LoadEx, Type::I64, {b.get_x(1)}, 0, 3 | ir::kMemAligned));
         }},
        {"atomic", 8,
         [](ir::Builder& b) {
             b.set_x(3, b.emit(Op::AtomicRmw, Type::I64, {b.get_x(1), b.get_x(2)},
                               static_cast<uint64_t>(ir::AtomicKind::Add), 3 | ir::kMemAligned));
         }},
        {"compare and swap", 8,
         [](ir::Builder& b) {
             b.set_x(
                 3, b.emit(Op::Cas, Type::I64, {b.get_x(1), b.get_x(2), b.get_x(3)}, 0, 3 | ir::kMemAligned));
         }},
        {"zeros", 64, [](ir::Builder& b) { b.emit(Op::ZeroBlock, Type::Void, {b.get_x(1)}); }},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const CompiledBlock code = make(c.build);
        const uint64_t at = kBase + 256;
        tag(at - 64, 256, 0);
        tag(at, c.bytes, 9);
        h_.memory.at(at + c.bytes)[0] = 0x5a;
        EXPECT_EQ(slow_calls(code, with_tag(at, 9)), 0u);
        EXPECT_EQ(h_.memory.at(at + c.bytes)[0], 0x5a);
        EXPECT_EQ(slow_calls(code, with_tag(at, 8)), 1u);
        // The last granule's counts, too.
        tag((at + c.bytes - 1) & ~(kGranule - 1), kGranule, 1);
        EXPECT_EQ(slow_calls(code, with_tag(at, 9)), 1u);
    }
}

TEST_F(TagCheckTest, UnprivilegedAccessesUseTheOtherSoftTlb) {
    h_.state().user_tlb = h_.other_view.get();
    check_page(*h_.other_view, 1);
    const uint64_t at = kBase + 4096 + 32;
    tag(at, 16, 3);
    h_.tlb->entries[mmu::tlb_index(at)] = {};
    EXPECT_EQ(slow_calls(load(3, ir::kMemUnprivileged), with_tag(at, 3)), 0u);
    EXPECT_EQ(h_.state().x[0], word(at));
    EXPECT_EQ(slow_calls(load(3, ir::kMemUnprivileged), with_tag(at, 2)), 1u);
    EXPECT_EQ(slow_calls(load(3, ir::kMemUnprivileged), with_tag(at + 12, 3)), 1u);
    EXPECT_EQ(slow_calls(store(3, ir::kMemUnprivileged), with_tag(at, 3)), 0u);
    EXPECT_EQ(slow_calls(load(3), with_tag(at, 3)), 1u);
}

// One check of all granules, or each access by itself where one has another tag; of a superblock, the way out before them.
TEST_F(TagCheckTest, AGroupIsCheckedOnce) {
    const int64_t displacements[] = {16, 0, 40, 72};
    for (const bool superblock : {false, true}) {
        SCOPED_TRACE(superblock);
        superblock_ = superblock;
        const CompiledBlock code = make([&](ir::Builder& b) {
            b.set_x(9, b.get_x(8));
            const Ref x1 = b.get_x(1);
            unsigned n = 0;
            for (const int64_t d : displacements) {
                b.insn_start(4 * (n + 1), 0);
                const Ref at = b.emit(Op::Add, Type::I64, {x1, b.i64(static_cast<uint64_t>(d))});
                b.set_x(2 + n++, b.emit(Op::Load, Type::I64, {at}, 0, 3));
            }
        });
        const uint64_t at = kBase + 512;
        tag(at - 64, 256, 0);
        tag(at, 80, 7);
        EXPECT_EQ(slow_calls(code, with_tag(at, 7)), 0u);
        for (unsigned k = 0; k < 4; ++k) EXPECT_EQ(h_.state().x[2 + k], word(at + displacements[k]));
        // Between the accesses: none of them meets it.
        tag(at + 48, kGranule, 6);
        EXPECT_EQ(slow_calls(code, with_tag(at, 7)), 0u);
        EXPECT_EQ(h_.state().exit_reason, jit::ExitReason::Lookup);
        EXPECT_EQ(h_.state().pc, Harness::kPage + (superblock ? 4 : 64));
        if (superblock) continue;
        for (unsigned k = 0; k < 4; ++k) EXPECT_EQ(h_.state().x[2 + k], word(at + displacements[k]));
        tag(at + 64, kGranule, 6);
        EXPECT_EQ(slow_calls(code, with_tag(at, 7)), 1u);
        EXPECT_EQ(h_.state().exit_reason, jit::ExitReason::Exception);
    }
}

// Every register may hold the tag; the others are kept.
TEST_F(TagCheckTest, RegistersAreKept) {
    tag(kBase + 32, 64, 11);
    for (unsigned live = 0; live < 11; ++live) {
        const CompiledBlock c = make([&](ir::Builder& b) {
            std::vector<Ref> values;
            for (unsigned k = 0; k < live; ++k) values.push_back(b.add(Type::I64, b.get_x(6 + k), b.i64(k)));
            b.set_x(0, b.emit(Op::Load, Type::I64, {b.get_x(1)}, 0, 3));
            b.emit(Op::Store, Type::Void, {b.get_x(3), b.get_x(2)}, 0, 3);
            for (unsigned k = 0; k < live; ++k) b.set_x(6 + k, values[k]);
        });
        for (unsigned k = 0; k < live; ++k) h_.state().x[6 + k] = 1000 * k;
        h_.state().x[3] = with_tag(kBase + 64, 11);
        EXPECT_EQ(slow_calls(c, with_tag(kBase + 40, 11)), 0u);
        EXPECT_EQ(h_.state().x[0], word(kBase + 40));
        for (unsigned k = 0; k < live; ++k) EXPECT_EQ(h_.state().x[6 + k], 1001 * k);
    }
}

// Without them, and where addresses are masked, the code is what it is.
TEST_F(TagCheckTest, OthersHaveNoCodeForIt) {
    Harness off, masked(size_t{8} << 20, {.spectre = true}), as_off(size_t{8} << 20, {.spectre = true});
    enable_tag_checks(masked.code);
    const CompiledBlock with = load(3), without = off.compile(block_);
    EXPECT_EQ(with.hot_bytes, without.hot_bytes);
    EXPECT_GT(with.cold_bytes, without.cold_bytes);
    EXPECT_EQ(masked.compile(block_).cold_bytes, as_off.compile(block_).cold_bytes);
}

}  // namespace
}  // namespace arclight::backend::testing
