// The shape of blocks: where they end, what leaves them, and what the instructions that are not plain
// computation become. That computations are right is tested against a simulator (integer_semantics_test.cpp).
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "frontend/a64/translate/translator.h"
#include "tests/frontend/a64/block_check.h"

namespace arclight::frontend::a64 {
namespace {

using ir::Inst;
using ir::Op;
using jit::ExitReason;

constexpr uint32_t kNop = 0xd503201f;
constexpr uint32_t kKernel = translation_flag::kEl1 | translation_flag::kSpElx;

ir::Block translate(std::vector<uint32_t> code, uint32_t translation_flags = 0, uint32_t offset = 0x100,
                    unsigned max_insns = kMaxBlockInsns) {
    ir::Block block;
    translate_block(block, code, offset, translation_flags, max_insns);
    EXPECT_EQ(check_block(block), "");
    return block;
}

std::vector<Inst> all_of(const ir::Block& block, Op op) {
    std::vector<Inst> found;
    std::ranges::copy_if(block.insts, std::back_inserter(found), [&](const Inst& i) { return i.op == op; });
    return found;
}

bool calls(const ir::Block& block, Helper helper) {
    return std::ranges::any_of(block.insts, [&](const Inst& i) {
        return i.op == Op::CallRuntime && i.imm == static_cast<uint64_t>(helper) &&
               i.aux == helper_aux(helper);
    });
}

uint64_t exit_imm(ExitReason reason, uint32_t info = 0) {
    return static_cast<uint64_t>(reason) | uint64_t{info} << 32;
}

void expect_raises(uint32_t insn, uint32_t translation_flags, ExitReason reason, uint32_t info = 0) {
    const ir::Block block = translate({insn, kNop}, translation_flags);
    EXPECT_EQ(block.insts.back().op, Op::ExitRuntime) << std::hex << insn;
    EXPECT_EQ(block.insts.back().imm, exit_imm(reason, info)) << std::hex << insn;
    EXPECT_EQ(block.guest_insns, 1u);
    EXPECT_TRUE(all_of(block, Op::SetX).empty());
}

TEST(Block, EndsAtTheLimitsAndAtThePageEnd) {
    const std::vector<uint32_t> nops(100, kNop);
    EXPECT_EQ(translate(nops).guest_insns, kMaxBlockInsns);
    EXPECT_EQ(translate(nops, 0, 0, 3).insts.back().imm, 12u);
    EXPECT_EQ(translate(nops, 0, 0, 0).guest_insns, 1u);
    EXPECT_EQ(translate(nops, translation_flag::kSingleStep).guest_insns, 1u);
    const ir::Block last = translate({kNop}, 0, 0xffc);
    EXPECT_EQ(last.insts.back().op, Op::Exit);
    EXPECT_EQ(last.insts.back().imm, 0x1000u);
}

TEST(Block, GoesOnBehindConditionalBranches) {
    constexpr uint32_t kCbz = 0xb4000040, kBne = 0x54ffffe1, kTbz = 0x36180041, kTbnz = 0xb7f80041;
    const ir::Block block = translate({kCbz, kBne, kNop, kTbz, kTbnz, kNop, kNop});
    const auto exits = all_of(block, Op::ExitIf);
    ASSERT_EQ(exits.size(), kMaxSideExits);
    EXPECT_EQ(exits[0].imm, 0x108u);
    EXPECT_EQ(exits[1].imm, 0x100u);
    EXPECT_EQ(exits[2].imm, 0x114u);
    EXPECT_EQ(exits[3].imm, 0x118u);
    EXPECT_EQ(block.guest_insns, 5u);
    EXPECT_EQ(block.insts.back().imm, 0x114u);
}

TEST(Block, Branches) {
    EXPECT_EQ(translate({0x17ffffff, kNop}, 0, 0).insts.back().imm, static_cast<uint64_t>(-4));  // b .-4
    EXPECT_EQ(translate({0x5400004e, kNop}).insts.back().imm, 0x108u);                           // b.al .+8

    const ir::Block bl = translate({0x94000020, kNop});
    EXPECT_EQ(bl.insts.back().op, Op::Exit);
    EXPECT_EQ(bl.insts.back().imm, 0x180u);
    ASSERT_EQ(all_of(bl, Op::SetX).size(), 1u);
    EXPECT_EQ(all_of(bl, Op::SetX)[0].imm, 30u);
    EXPECT_EQ(bl[all_of(bl, Op::SetX)[0].args[0]].imm, 0x104u);

    const ir::Block blr = translate({0xd63f03c0, kNop});  // blr x30: the old value
    EXPECT_EQ(blr.insts.back().op, Op::ExitIndirect);
    EXPECT_EQ(blr.insts.back().aux, static_cast<uint32_t>(ir::BranchKind::Call));
    EXPECT_EQ(blr[blr.insts.back().args[0]].op, Op::GetX);

    EXPECT_EQ(translate({0xd65f03c0}).insts.back().aux, static_cast<uint32_t>(ir::BranchKind::Return));
    const ir::Block br = translate({0xd61f03e0});  // br xzr
    EXPECT_EQ(br[br.insts.back().args[0]].op, Op::Const);
}

TEST(Block, IllegalStateRaisesBeforeDecoding) {
    expect_raises(kNop, translation_flag::kIllegal, ExitReason::Undefined, kUndefinedIllegalState);
}

TEST(Exceptions, Raise) {
    expect_raises(0xd4000001 | 0x1234 << 5, 0, ExitReason::Svc, 0x1234);
    expect_raises(0xd4200000 | 0xffff << 5, kKernel, ExitReason::Brk, 0xffff);
    expect_raises(0xd4000002, kKernel, ExitReason::Hvc);
    expect_raises(0xd4000002, 0, ExitReason::Undefined);        // hvc at EL0
    expect_raises(0xd4000003, kKernel, ExitReason::Undefined);  // smc
    expect_raises(0xd4400000 | 0x1234 << 5, kKernel, ExitReason::Undefined, kUndefinedHlt | 0x1234);
    expect_raises(0xd4a00001, kKernel, ExitReason::Undefined);  // dcps1
    expect_raises(0xd69f03e0, 0, ExitReason::Undefined);        // eret at EL0
    expect_raises(0x00000000, kKernel, ExitReason::Undefined);  // udf
}

TEST(Exceptions, ReservedFieldsAreUndefined) {
    for (const uint32_t insn : {
             0x12400000u,             // and w, N = 1
             0x9240fc00u,             // and x0, x0: all ones
             0x52c00000u,             // movz w0, hw = 2
             0x53407c00u,             // ubfm w, N = 1
             0x53008000u,             // ubfm w, imms = 32
             0x0b008000u,             // add w, shift 32
             0x8bc00000u,             // add with ror
             0x8b201400u,             // add extended, shift 5
             0x1ac04c00u,             // crc32x with sf = 0
             0x9ac04000u,             // crc32b with sf = 1
             0xf8600800u,             // ldr register, option 0
             0xf8a00800u,             // prfm register, option 0
             0x68400000u,             // ldpsw non-temporal
             0xec000000u,             // stp simd, opc 3
             0x3cc00800u,             // ldr q, unprivileged
             0x7d800000u,             // str simd, size 5
             0x48207c01u | 1u << 16,  // casp, odd Rs
             0xd503401fu,             // msr immediate, unallocated op2
         })
        expect_raises(insn, kKernel, ExitReason::Undefined);
}

TEST(Fp, TrapsWhenDisabled) {
    for (const uint32_t insn : {
             0x3dc00001u,  // ldr q1, [x0]
             0xad400400u,  // ldp q0, q1, [x0]
             0x1c000000u,  // ldr s0, literal
             0xd53b4400u,  // mrs x0, fpcr
             0xd51b4420u,  // msr fpsr, x0
         })
        expect_raises(insn, kKernel | translation_flag::kFpTrap, ExitReason::Undefined, kUndefinedFpTrap);
}

TEST(System, EretAndWaitsEndTheBlock) {
    const auto ends = [](const ir::Block& block, Helper helper) {
        return (helper_aux(helper) & ir::kCallEndsBlock) != 0 && calls(block, helper) &&
               block.guest_insns == 1;
    };
    EXPECT_TRUE(ends(translate({0xd69f03e0, kNop}, kKernel), Helper::Eret));
    EXPECT_TRUE(ends(translate({0xd503207f, kNop}), Helper::WaitForInterrupt));
    EXPECT_TRUE(ends(translate({0xd503205f, kNop}), Helper::WaitForEvent));
}

TEST(System, Barriers) {
    const ir::Block dsb = translate({0xd5033b9f, kNop});
    EXPECT_TRUE(calls(dsb, Helper::DataBarrierIfAsked));
    EXPECT_TRUE(calls(translate({0xd5033b9f}, jit::translation_flag::kFastmem), Helper::DataBarrier));
    EXPECT_TRUE(
        calls(translate({0xd5033b9f}, jit::translation_flag::kFastmem | jit::translation_flag::kSerial),
              Helper::DataBarrier));
    EXPECT_TRUE(all_of(translate({0xd5033b9f}, jit::translation_flag::kSerial), Op::CallRuntime).empty());
    EXPECT_EQ(all_of(dsb, Op::Fence)[0].imm, static_cast<uint64_t>(ir::FenceKind::Full));
    EXPECT_EQ(dsb.guest_insns, 2u);
    const ir::Block isb = translate({0xd5033fdf, kNop});
    EXPECT_EQ(all_of(isb, Op::ExitIndirect).size(), 1u);
    EXPECT_EQ(isb.guest_insns, 1u);
    EXPECT_EQ(all_of(translate({0xd50339bf}), Op::Fence)[0].imm, static_cast<uint64_t>(ir::FenceKind::Load));
    EXPECT_EQ(all_of(translate({0xd5033abf}), Op::Fence)[0].imm, static_cast<uint64_t>(ir::FenceKind::Store));
    EXPECT_EQ(all_of(translate({0xd5033bbf}), Op::Fence)[0].imm, static_cast<uint64_t>(ir::FenceKind::Full));
}

TEST(System, RegistersInlineOrThroughTheHelper) {
    const auto helper_reads = [](uint32_t insn, uint32_t translation_flags) {
        return calls(translate({insn}, translation_flags), Helper::ReadSysreg);
    };
    EXPECT_FALSE(helper_reads(0xd53bd040, 0));  // tpidr_el0
    EXPECT_TRUE(helper_reads(0xd538d080, 0));   // tpidr_el1 at EL0: the helper raises
    EXPECT_FALSE(helper_reads(0xd538d080, kKernel));
    EXPECT_TRUE(calls(translate({0xd53be040}, 0), Helper::ReadUserCounter));  // cntvct_el0
    EXPECT_TRUE(calls(translate({0xd53be040}, kKernel), Helper::ReadCounter));
    EXPECT_TRUE(helper_reads(0xd53b4220, 0));                                  // daif at EL0
    EXPECT_TRUE(helper_reads(0xd53b00e0, 0));                                  // dczid_el0
    expect_raises(0xd5384100, translation_flag::kEl1, ExitReason::Undefined);  // sp_el0 while it is selected

    const auto goes_on = [](uint32_t insn) { return translate({insn, kNop}, kKernel).guest_insns == 2; };
    EXPECT_FALSE(goes_on(0xd5181000));  // sctlr_el1
    EXPECT_FALSE(goes_on(0xd5182000));  // ttbr0_el1
    EXPECT_FALSE(goes_on(0xd51b4400));  // fpcr
    EXPECT_FALSE(goes_on(0xd51b4220));  // daif
    EXPECT_TRUE(goes_on(0xd51b4420));   // fpsr
    EXPECT_TRUE(goes_on(0xd518c000));   // vbar_el1
    EXPECT_TRUE(goes_on(0xd51be320));   // cntv_ctl_el0
    EXPECT_TRUE(goes_on(0xd51b4200));   // nzcv
    EXPECT_TRUE(goes_on(0xd50342df));   // daifset
    EXPECT_FALSE(goes_on(0xd50342ff));  // daifclr
    EXPECT_FALSE(goes_on(0xd50041bf));  // spsel
    expect_raises(0xd50041bf, 0, ExitReason::Undefined);
    EXPECT_TRUE(goes_on(0xd508871f));  // tlbi vmalle1
    EXPECT_EQ(all_of(translate({0xd50b7421}), Op::ZeroBlock).size(), 1u);
    EXPECT_TRUE(calls(translate({0xd50342df}, 0), Helper::MsrImmediate));  // daifset at EL0
    EXPECT_TRUE(all_of(translate({0xd50342df}, kKernel), Op::CallRuntime).empty());
}

TEST(Memory, AuxSaysWhatTheModeAsks) {
    const auto aux = [](uint32_t insn, Op op, uint32_t translation_flags) {
        return all_of(translate({insn}, translation_flags), op).at(0).aux;
    };
    constexpr uint32_t kCheck = translation_flag::kSpAlignCheck;
    const auto sp_base = [](uint32_t offset) { return ir::kMemSpBase | offset << ir::kMemSpOffsetShift; };
    // Without writeback the tag of memory does not matter.
    const auto sp_fixed = [&](uint32_t offset) { return sp_base(offset) | ir::kMemUnchecked; };
    EXPECT_EQ(aux(0xf94003e0, Op::Load, kCheck), 3 | sp_fixed(0));  // ldr x0, [sp]
    EXPECT_EQ(aux(0xf94007e0, Op::Load, kCheck), 3 | sp_fixed(8));  // ldr x0, [sp, #8]
    EXPECT_EQ(aux(0x39408fe0, Op::Load, kCheck), sp_fixed(3));      // ldrb w0, [sp, #35]
    EXPECT_EQ(aux(0xf85f83e0, Op::Load, kCheck), 3 | sp_fixed(8));  // ldur x0, [sp, #-8]
    EXPECT_EQ(aux(0xf84087e0, Op::Load, kCheck), 3 | sp_base(0));   // ldr x0, [sp], #8
    EXPECT_EQ(aux(0xf8408fe0, Op::Load, kCheck), 3 | sp_base(8));   // ldr x0, [sp, #8]!
    EXPECT_EQ(aux(0xa9be7bfd, Op::StorePair, kCheck),               // stp x29, x30, [sp, #-32]!
              3 | sp_base(0) | ir::kMemWhole);
    EXPECT_EQ(aux(0xad4087e0, Op::LoadPairV, kCheck), 4 | sp_fixed(0));  // ldp q0, q1, [sp, #16]
    EXPECT_EQ(aux(0x4c40a3e0, Op::LoadPairV, kCheck), 4 | sp_fixed(0));  // ld1 {v0.16b, v1.16b}, [sp]
    EXPECT_EQ(aux(0xf94003e0, Op::Load, 0), 3 | ir::kMemUnchecked);
    const auto checks = [](uint32_t insn, uint32_t translation_flags) {
        return all_of(translate({insn}, translation_flags), Op::CheckStack).size();
    };
    EXPECT_EQ(checks(0xf94003e0, kCheck), 0u);  // ldr x0, [sp]
    EXPECT_EQ(checks(0xf94003e0, kCheck | translation_flag::kAlignCheck), 1u);
    EXPECT_EQ(checks(0xf8616be0, kCheck), 1u);  // ldr x0, [sp, x1]
    EXPECT_EQ(checks(0xf8616be0, 0), 0u);
    EXPECT_EQ(checks(0xf8616800, kCheck), 0u);  // ldr x0, [x0, x1]
    for (const uint32_t insn : {0xc85fffe0u, 0xc802ffe0u, 0xc89fffe0u, 0xf82103e0u, 0xc8a17fe0u, 0x48207fe2u})
        EXPECT_EQ(checks(insn, kCheck), 1u) << std::hex << insn;  // ldaxr, stlxr, stlr, ldadd, cas, casp
    EXPECT_EQ(checks(0xf98003e0, kCheck), 0u);                    // prfm
    EXPECT_EQ(aux(0xf9400020, Op::Load, translation_flag::kSpAlignCheck), 3u);
    EXPECT_EQ(aux(0xf9400020, Op::Load, translation_flag::kAlignCheck), 3 | ir::kMemAligned);
    EXPECT_EQ(aux(0xf8400820, Op::Load, kKernel), 3 | ir::kMemUnprivileged);  // ldtr x0, [x1]
    EXPECT_EQ(aux(0xf8400820, Op::Load, 0), 3u);
    EXPECT_EQ(aux(0xc85ffc20, Op::LoadEx, 0), 3 | ir::kMemAligned | ir::kMemAcquire);
    EXPECT_EQ(aux(0x39800020, Op::Load, 0), 0 | ir::kMemSigned);  // ldrsb x0, [x1]
}

}  // namespace
}  // namespace arclight::frontend::a64
