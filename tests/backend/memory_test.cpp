// The soft TLB's hit and miss paths, and precise state after a fault.
#include "jit/translation_flags.h"
#include "mmu/victim_tlb.h"
#include "tests/backend/access_test.h"

namespace arclight::backend::testing {
namespace {

class MemoryTest : public AccessTest {};

constexpr uint64_t kBase = Memory::kBase;

TEST_F(MemoryTest, HitsStayInline) {
    h_.fill_tlb();
    std::memcpy(h_.memory.at(kBase + 40), "\x88\x77\x66\x55\x44\x33\x22\xf1", 8);
    EXPECT_EQ(slow_calls(load(3), kBase + 40), 0u);
    EXPECT_EQ(h_.state().x[0], 0xf122'3344'5566'7788u);
    EXPECT_EQ(slow_calls(load(0, ir::kMemSigned), kBase + 47), 0u);
    EXPECT_EQ(h_.state().x[0], 0xffff'ffff'ffff'fff1u);
    EXPECT_EQ(slow_calls(load(3), kBase + 41), 0u) << "unaligned within the page";
    h_.state().x[2] = 0x1234;
    EXPECT_EQ(slow_calls(store(1), kBase + 4095 - 1), 0u);
    EXPECT_EQ(h_.memory.at(kBase + 4094)[0], 0x34);
    EXPECT_EQ(h_.memory.at(kBase + 4094)[1], 0x12);
}

TEST_F(MemoryTest, WhatMustMissMisses) {
    h_.fill_tlb();
    const uint64_t last = kBase + (Memory::kPages - 1) * 4096;
    EXPECT_EQ(slow_calls(load(3), kBase + 4089), 1u) << "crosses a page";
    EXPECT_EQ(slow_calls(load(3), kBase + 4088), 0u);
    EXPECT_EQ(slow_calls(load(3, ir::kMemAligned), kBase + 4), 1u) << "misaligned";
    EXPECT_EQ(h_.state().exit_reason, jit::ExitReason::Exception);
    EXPECT_EQ(slow_calls(load(3), last + 8), 0u);
    EXPECT_EQ(slow_calls(store(3), last + 8), 1u) << "read-only page";
    EXPECT_EQ(h_.state().exit_reason, jit::ExitReason::Exception);
    // The same entry of the TLB, another page.
    EXPECT_EQ(slow_calls(load(3), kBase + (mmu::kTlbEntries << mmu::kPageBits)), 1u);
    EXPECT_EQ(slow_calls(load(3), ~uint64_t{0} - 3), 1u) << "wraps around";
    EXPECT_EQ(slow_calls(load(0), ~uint64_t{0}), 1u) << "the invalid tag is no address";
    h_.flush_tlb();
    EXPECT_EQ(slow_calls(load(3), kBase), 1u);
    EXPECT_EQ(h_.state().exit_reason, jit::ExitReason::Lookup);
}

// Pages whose entry another page has are found in the victim TLB, whatever the access, and nothing else is.
TEST_F(MemoryTest, TheVictimTlbIsLookedAtInline) {
    mmu::VictimTlb victims;
    h_.tlb->victims = &victims;
    const auto put = [&](uint64_t page, uint64_t write_tag) {
        // By this page's entry the memory would be somewhere else.
        mmu::TlbEntry& other = h_.tlb->entries[mmu::tlb_index(page)];
        other.read_tag = other.write_tag = page + (mmu::kTlbEntries << mmu::kPageBits);
        victims.at(page).tlb = {.read_tag = page,
                                .write_tag = write_tag,
                                .addend = reinterpret_cast<uint64_t>(h_.memory.at(page)) - page,
                                .pa = 0};
    };
    const uint64_t read_only = kBase + 4096;
    put(kBase, kBase);
    put(read_only, mmu::TlbEntry::kInvalidTag);
    std::memcpy(h_.memory.at(kBase + 40), "\x88\x77\x66\x55\x44\x33\x22\xf1", 8);
    for (unsigned log2 = 0; log2 <= 3; ++log2) {
        EXPECT_EQ(slow_calls(load(log2), kBase + 40), 0u);
        EXPECT_EQ(h_.state().x[0], 0xf122'3344'5566'7788u & (~uint64_t{0} >> (64 - (8u << log2))));
        h_.state().x[2] = 0xaaaa'bbbb'cccc'dddd;
        EXPECT_EQ(slow_calls(store(log2), kBase + 64), 0u);
        EXPECT_EQ(std::memcmp(h_.memory.at(kBase + 64), &h_.state().x[2], size_t{1} << log2), 0);
    }
    EXPECT_EQ(slow_calls(load(3, ir::kMemAligned), kBase + 40), 0u);
    EXPECT_EQ(slow_calls(load(3, ir::kMemAligned), kBase + 44), 1u) << "misaligned";
    EXPECT_EQ(slow_calls(load(3, ir::kMemSpBase), kBase + 48), 0u);
    EXPECT_EQ(slow_calls(load(3, ir::kMemSpBase), kBase + 40), 1u) << "misaligned SP";
    EXPECT_EQ(slow_calls(load(3), read_only), 0u);
    EXPECT_EQ(slow_calls(store(3), read_only), 1u);
    EXPECT_EQ(slow_calls(load(3), kBase + 4092), 1u) << "both pages are there, but not in one place";
    EXPECT_EQ(slow_calls(load(3), read_only - 4), 1u);
    EXPECT_EQ(slow_calls(load(3), kBase + 2 * 4096), 1u) << "neither here nor there";
    EXPECT_EQ(slow_calls(load(3), kBase | uint64_t{1} << 56), 1u) << "a tag of the address";

    // Every register may hold the tag; the others are kept.
    for (unsigned live = 0; live < 10; ++live) {
        const CompiledBlock c = make([&](ir::Builder& b) {
            std::vector<Ref> values;
            for (unsigned k = 0; k < live; ++k) values.push_back(b.add(Type::I64, b.get_x(6 + k), b.i64(k)));
            b.set_x(0, b.emit(Op::Load, Type::I64, {b.get_x(1)}, 0, 3));
            b.emit(Op::Store, Type::Void, {b.get_x(3), b.get_x(2)}, 0, 3);
            for (unsigned k = 0; k < live; ++k) b.set_x(6 + k, values[k]);
        });
        for (unsigned k = 0; k < live; ++k) h_.state().x[6 + k] = 1000 * k;
        h_.state().x[3] = kBase + 64;
        EXPECT_EQ(slow_calls(c, kBase + 40), 0u);
        EXPECT_EQ(h_.state().x[0], 0xf122'3344'5566'7788u);
        for (unsigned k = 0; k < live; ++k) EXPECT_EQ(h_.state().x[6 + k], 1001 * k);
    }

    // Now and then the slow path is asked, which may let the pages change places.
    h_.tlb->victim_uses = 3;
    const CompiledBlock c = load(3);
    for (unsigned k = 0; k < 6; ++k) EXPECT_EQ(slow_calls(c, kBase + 40), k < 3 ? 0u : 1u) << k;
    h_.tlb->victims = &mmu::kNoVictims;
}

// Every offset, misalignment and size, near the end of a page: what lies in it by an aligned SP is a hit, and
// nothing else.
TEST_F(MemoryTest, AccessesByTheStackPointerCheckIt) {
    h_.fill_tlb();
    const auto pair = [&](uint32_t aux) {
        return make([&](ir::Builder& b) {
            const Ref r = b.emit(Op::LoadPairV, Type::V128, {b.get_x(1)}, 0, aux);
            const Ref second = b.emit(Op::PairSecond, Type::V128, {r});
            b.set_v(0, r);
            b.set_v(1, second);
        });
    };
    for (unsigned log2 = 0; log2 <= 4; ++log2) {
        for (unsigned offset = 0; offset < 16; ++offset) {
            const uint32_t aux = log2 | ir::kMemSpBase | offset << ir::kMemSpOffsetShift;
            const CompiledBlock c = log2 == 4 ? pair(aux) : load(log2, aux & ~ir::kMemSizeMask);
            const unsigned bytes = log2 == 4 ? 32 : 1u << log2;
            for (uint64_t addr = kBase + 4096 - 48; addr < kBase + 4096; ++addr) {
                const bool aligned = (addr - offset) % 16 == 0, crosses = addr + bytes > kBase + 4096;
                ASSERT_EQ(slow_calls(c, addr), aligned && !crosses ? 0u : 1u) << addr << ' ' << aux;
                ASSERT_EQ(h_.state().exit_reason == jit::ExitReason::Exception, !aligned);
            }
        }
    }
    const CompiledBlock check =
        make([](ir::Builder& b) { b.emit(Op::CheckStack, Type::Void, {b.get_x(1)}); });
    for (uint64_t sp = 0; sp < 32; ++sp) EXPECT_EQ(slow_calls(check, sp), sp % 16 == 0 ? 0u : 1u);
    EXPECT_EQ(h_.last_access.kind, MemoryKind::CheckStack);
}

TEST_F(MemoryTest, UnprivilegedAccessesUseTheUsersView) {
    h_.fill_tlb();
    h_.state().user_tlb = h_.other_view.get();
    EXPECT_EQ(slow_calls(load(3, ir::kMemUnprivileged), kBase + 8), 1u);
    std::swap(h_.state().tlb, h_.state().user_tlb);
    EXPECT_EQ(slow_calls(load(3, ir::kMemUnprivileged), kBase + 8), 0u);
    EXPECT_EQ(slow_calls(load(3), kBase + 8), 1u);
    EXPECT_EQ(slow_calls(store(3, ir::kMemUnprivileged), kBase + 8), 0u);
}

TEST_F(MemoryTest, SlowPathIsToldTheAccess) {
    h_.flush_tlb();
    h_.state().x[2] = 0xabcd;
    slow_calls(store(1, ir::kMemRelease | ir::kMemUnprivileged), kBase + 2);
    EXPECT_EQ(h_.last_access.kind, MemoryKind::Store);
    EXPECT_EQ(h_.last_access.aux, 1u | ir::kMemRelease | ir::kMemUnprivileged);
    EXPECT_EQ(h_.memory.at(kBase + 2)[0], 0xcd);
    const CompiledBlock rmw = make([](ir::Builder& b) {
        b.set_x(0, b.emit(Op::AtomicRmw, Type::I64, {b.get_x(1), b.get_x(2)},
                          static_cast<uint64_t>(ir::AtomicKind::MinS), 3));
    });
    slow_calls(rmw, kBase + 16);
    EXPECT_EQ(h_.last_access.kind, MemoryKind::AtomicRmw);
    EXPECT_EQ(h_.last_access.atomic, ir::AtomicKind::MinS);
}

TEST_F(MemoryTest, ReleaseStoresAreBarriersAndAtomicsAreLockedUnlessSerial) {
    for (const uint32_t translation_flags : {0u, jit::translation_flag::kSerial})
        EXPECT_NE(h_.listing(store(3, ir::kMemRelease, translation_flags)).find("xchg"), std::string::npos);
    const auto rmw = [](ir::Builder& b) {
        b.set_x(0, b.emit(Op::AtomicRmw, Type::I64, {b.get_x(1), b.get_x(2)}, 0, 3));
    };
    EXPECT_NE(h_.listing(make(rmw)).find("lock xadd"), std::string::npos);
    EXPECT_EQ(h_.listing(make(rmw, jit::translation_flag::kSerial)).find("lock"), std::string::npos);
}

TEST_F(MemoryTest, FaultFindsEveryKindOfDirtyRegister) {
    const CompiledBlock c = make([](ir::Builder& b) {
        b.set_x(2, b.bin_raw(Op::Add, Type::I64, b.get_x(3), b.get_x(4)));  // a register
        b.set_x(5, b.bin_raw(Op::Add, Type::I32, b.get_x(3), b.get_x(4)));  // zero-extended
        b.set_x(6, b.i64(0x1234'5678'9abc'def0));                           // a constant
        b.set_x(7, b.emit(Op::PcRel, Type::I64, {}, 0x5000));               // relative to the page
        b.set_x(31, b.get_x(8));  // sp, from another register's home
        b.set_v(1, b.emit(Op::VXor, Type::V128, {b.get_v(Type::V128, 2), b.get_v(Type::V128, 3)}));
        b.set_v(4, b.emit(Op::VAdd, Type::V128, {b.get_v(Type::V128, 2), b.get_v(Type::V128, 3)}, 0,
                          ir::vec_aux(3)));
        b.set_v(5, b.emit(Op::IntToF, Type::F64, {b.get_x(3)}));
        b.set_v(6, b.emit(Op::IntToF, Type::F32, {b.get_x(3)}));
        const Ref r = b.bin_raw(Op::Sub, Type::I64, b.get_x(3), b.get_x(4));
        b.set_flags(b.flags_of(r));
        b.insn_start(0x24, 0);
        b.set_x(9, b.emit(Op::Load, Type::I64, {b.get_x(1)}, 0, 3));
        b.insn_start(0x28, 0);
        b.set_x(2, b.get_x(9));
    });
    GuestState& s = h_.state();
    for (unsigned k = 0; k < 31; ++k) s.x[k] = uint64_t{0x1111'2222'3333'4444} * (k + 1);
    for (unsigned k = 0; k < 32; ++k) s.v[k].d[0] = s.v[k].d[1] = uint64_t{0x0102'0304'0506'0708} * (k + 1);
    s.x[1] = 0x1234;  // faults
    s.pc = Harness::kPage;
    const std::string wrong = Comparison(h_).run(block_, c);
    EXPECT_TRUE(wrong.empty()) << wrong;
    EXPECT_EQ(s.exit_reason, jit::ExitReason::Exception);
    EXPECT_EQ(s.pc, Harness::kPage + 0x24);
    EXPECT_EQ(s.x[6], 0x1234'5678'9abc'def0u);
    EXPECT_EQ(s.v[6].d[1], 0u);
}

TEST_F(MemoryTest, FaultMapKnowsTheAccessInstructionItself) {
    const CompiledBlock c = make([](ir::Builder& b) {
        b.set_x(2, b.bin_raw(Op::Add, Type::I64, b.get_x(3), b.i64(1)));
        b.emit(Op::Load, Type::I64, {b.get_x(1)}, 0, 3);
    });
    ASSERT_EQ(c.faults.points.size(), 1u);
    const FaultPoint& p = c.faults.points[0];
    ASSERT_EQ(p.words, 1u);
    GuestState& s = h_.state();
    const std::optional<SavedLocation> where = c.faults.locations_of(p).next();
    ASSERT_TRUE(where.has_value());
    EXPECT_EQ(where->slot, 2);
    s.saved_gpr[where->reg] = 4711;
    EXPECT_EQ(recover_state(c, c.entry + p.access, s), std::optional<uint32_t>(0));
    EXPECT_EQ(s.x[2], 4711u);
    EXPECT_EQ(recover_state(c, c.entry + p.access + 1, s), std::nullopt);
    EXPECT_EQ(recover_state(c, c.entry, s), std::nullopt);
}

TEST_F(MemoryTest, ExclusivesSucceedAndFail) {
    const auto pair_of = [&](unsigned log2, bool pair, bool disturb) {
        return make([&](ir::Builder& b) {
            const Ref a = b.get_x(1);
            b.set_x(3, b.emit(pair ? Op::LoadExPair : Op::LoadEx, Type::I64, {a}, 0, log2));
            if (disturb) b.emit(Op::Store, Type::Void, {a, b.get_x(5)}, 0, log2);
            b.set_x(4, pair ? b.emit(Op::StoreExPair, Type::I32, {a, b.get_x(6), b.get_x(7)}, 0, log2)
                            : b.emit(Op::StoreEx, Type::I32, {a, b.get_x(6)}, 0, log2));
        });
    };
    for (const bool hit : {true, false}) {
        for (const bool pair : {false, true}) {
            for (unsigned log2 = pair ? 2 : 0; log2 < 4; ++log2) {
                for (const bool disturb : {false, true}) {
                    const CompiledBlock c = pair_of(log2, pair, disturb);
                    h_.reset();
                    if (hit) h_.fill_tlb();
                    std::memset(h_.memory.bytes, 0x77, sizeof h_.memory.bytes);
                    GuestState& s = h_.state();
                    s.x[1] = kBase + 32, s.x[5] = 1, s.x[6] = 0x0102'0304'0506'0708,
                    s.x[7] = 0x1112'1314'1516'1718;
                    const std::string wrong = Comparison(h_).run(block_, c);
                    ASSERT_TRUE(wrong.empty()) << wrong;
                    EXPECT_EQ(s.x[4], disturb ? 1u : 0u);
                    EXPECT_EQ(h_.slow_calls == 0, hit);
                }
            }
        }
    }
}

TEST_F(MemoryTest, DescriptorSurvivesPacking) {
    for (unsigned kind = 0; kind <= static_cast<unsigned>(MemoryKind::CheckZero); ++kind) {
        for (unsigned atomic = 0; atomic < 9; ++atomic) {
            const MemoryAccess a{static_cast<MemoryKind>(kind), 0x25f3, static_cast<ir::AtomicKind>(atomic)};
            const MemoryAccess u = MemoryAccess::unpack(a.pack());
            EXPECT_TRUE(u.kind == a.kind && u.aux == a.aux && u.atomic == a.atomic);
        }
    }
}

}  // namespace
}  // namespace arclight::backend::testing
