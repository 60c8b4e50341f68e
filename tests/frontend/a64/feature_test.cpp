// The feature column of the instruction table: what a CPU does not have is UNDEFINED.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/frontend.h"
#include "frontend/a64/translate/translator.h"

namespace arclight::frontend::a64 {
namespace {

struct Assembled {
    const char* name;
    uint32_t insn;
    const char* source;
};
constexpr Assembled kAssembled[] = {
#include "tests/frontend/a64/data/base_encodings.inc"
#include "tests/frontend/a64/data/simd_encodings.inc"
};

Feature feature_of(uint32_t insn) { return encodings()[static_cast<size_t>(find_encoding(insn))].feature; }

/// Translates for EL1; the exit_info of an Undefined exit, or -1.
int64_t undefined_info(uint32_t insn, const Decoder& decoder) {
    ir::Block block;
    translate_block(block, std::span(&insn, 1), 0x40, translation_flag::kEl1 | translation_flag::kSpElx, 1,
                    decoder);
    const ir::Inst& last = block.insts.back();
    const bool undefined =
        last.op == ir::Op::ExitRuntime &&
        static_cast<uint32_t>(last.imm) == static_cast<uint32_t>(jit::ExitReason::Undefined);
    return undefined ? static_cast<int64_t>(last.imm >> 32) : -1;
}

TEST(Features, EveryRowHasOne) {
    for (const Encoding& e : encodings()) {
        ASSERT_LT(static_cast<size_t>(e.feature), kFeatureCount) << e.name;
        EXPECT_TRUE(kDefaultFeatures.has(e.feature) || kScalableFeatures.has(e.feature)) << e.name;
    }
}

TEST(Features, AbsentOnesMakeTheirEncodingsUndefined) {
    for (size_t f = 1; f < kFeatureCount; ++f) {
        const FeatureSet rest = kDefaultFeatures.without(static_cast<Feature>(f));
        ASSERT_TRUE(rest.consistent());
        const Decoder decoder(rest);
        for (const Assembled& a : kAssembled) {
            // Hints are NOPs without their feature, other encodings may be reserved in a later row: both are found there.
            const auto first = std::ranges::find_if(encodings(), [&](const Encoding& e) {
                return (a.insn & e.mask) == e.value && rest.has(e.feature);
            });
            const bool found = first != encodings().end();
            EXPECT_EQ(decoder.find(a.insn), found ? first - encodings().begin() : -1)
                << a.source << " without " << kFeatures[f].title;
            const bool is_hint = (a.insn & 0xffff'f01f) == 0xd503'201f;
            if (!rest.has(feature_of(a.insn)) && !is_hint) {  // unallocated, or reserved in a later row
                EXPECT_EQ(undefined_info(a.insn, decoder), 0) << a.source;
            }
        }
    }
}

TEST(Features, Examples) {
    const struct {
        Feature feature;
        uint32_t insn;
        const char* source;
    } rows[] = {
        {Feature::Fp, 0x1e622820, "fadd d0, d1, d2"},
        {Feature::Fp, 0xfd400020, "ldr d0, [x1]"},
        {Feature::AdvSimd, 0x4ea28420, "add v0.4s, v1.4s, v2.4s"},
        {Feature::Crc32, 0x1ac24020, "crc32b w0, w1, w2"},
        {Feature::Lse, 0xb8200041, "ldadd w0, w1, [x2]"},
        {Feature::Lse, 0xc8a07c41, "cas x0, x1, [x2]"},
        {Feature::Lrcpc, 0xf8bfc020, "ldapr x0, [x1]"},
        {Feature::Rdm, 0x6e828420, "sqrdmlah v0.4s, v1.4s, v2.4s"},
        {Feature::DotProd, 0x4e829420, "sdot v0.4s, v1.16b, v2.16b"},
        {Feature::Aes, 0x4e284820, "aese v0.16b, v1.16b"},
        {Feature::Pmull, 0x0ee2e020, "pmull v0.1q, v1.1d, v2.1d"},
        {Feature::AdvSimd, 0x0e22e020, "pmull v0.8h, v1.8b, v2.8b"},
        {Feature::Sha1, 0x5e020020, "sha1c q0, s1, v2.4s"},
        {Feature::Sha256, 0x5e024020, "sha256h q0, q1, v2.4s"},
        {Feature::Fp16, 0x1ee32841, "fadd h1, h2, h3"},
        {Feature::Fp16Simd, 0x0e431441, "fadd v1.4h, v2.4h, v3.4h"},
        {Feature::Fp16Simd, 0x0f00fc01, "fmov v1.4h, #2.0"},
        {Feature::Fp16Simd, 0x5f1fe441, "scvtf h1, h2, #1"},
        {Feature::Jscvt, 0x1e7e0041, "fjcvtzs w1, d2"},
        {Feature::Frintts, 0x1e284041, "frint32z s1, s2"},
        {Feature::Frintts, 0x4e21e841, "frint32z v1.4s, v2.4s"},
        {Feature::Fcma, 0x6e83c441, "fcmla v1.4s, v2.4s, v3.4s, #0"},
        {Feature::Fcma, 0x6e83e441, "fcadd v1.4s, v2.4s, v3.4s, #90"},
        {Feature::Fhm, 0x4e23ec41, "fmlal v1.4s, v2.4h, v3.4h"},
        {Feature::Bf16, 0x6e43fc41, "bfdot v1.4s, v2.8h, v3.8h"},
        {Feature::Bf16, 0x1e634041, "bfcvt h1, s2"},
        {Feature::I8mm, 0x4e839c41, "usdot v1.4s, v2.16b, v3.16b"},
        {Feature::I8mm, 0x4e83a441, "smmla v1.4s, v2.16b, v3.16b"},
        {Feature::Pan, 0xd500419f, "msr pan, #1"},
        {Feature::Uao, 0xd500417f, "msr uao, #1"},
        {Feature::Dit, 0xd503405f, "msr dit, #0"},
        {Feature::Ssbs2, 0xd503413f, "msr ssbs, #1"},
        {Feature::Sb, 0xd50330ff, "sb"},
        {Feature::FlagM, 0xd500401f, "cfinv"},
        {Feature::FlagM2, 0xd500405f, "axflag"},
        {Feature::Lrcpc2, 0x991fb041, "stlur w1, [x2, #-5]"},
        {Feature::Pmu4, 0xd5389ec1, "mrs x1, pmmir_el1"},
        {Feature::Lrcpc3, 0x99c00841, "ldapr w1, [x2], #4"},
        {Feature::Lrcpc3, 0x0d0185e3, "stl1 {v3.d}[0], [x15]"},
        {Feature::Lse128, 0x19e38041, "swppal x1, x3, [x2]"},
        {Feature::Cssc, 0xdac01841, "ctz x1, x2"},
        {Feature::Hbc, 0x54000051, "bc.ne .+8"},
        {Feature::Wfxt, 0xd5031003, "wfet x3"},
        {Feature::Rng, 0xd53b2401, "mrs x1, rndr"},
        {Feature::Dpb, 0xd50b7c21, "dc cvap, x1"},
        {Feature::Dpb2, 0xd50b7d22, "dc cvadp, x2"},
        {Feature::Specres, 0xd50b7383, "cfp rctx, x3"},
        {Feature::Pan2, 0xd5087904, "at s1e1rp, x4"},
        {Feature::PAuth, 0xd71f083f, "braa x1, sp"},
        {Feature::Sha512, 0xce608a42, "sha512su1 v2.2d, v18.2d, v0.2d"},
        {Feature::Sha3, 0xce076cb7, "eor3 v23.16b, v5.16b, v7.16b, v27.16b"},
        {Feature::Sm4, 0xcec08623, "sm4e v3.4s, v17.4s"},
    };
    for (const auto& row : rows) {
        // Of MRS and SYS the register's or the instruction's own row has it.
        if (const Feature f = feature_of(row.insn); f != Feature::Base) {
            EXPECT_EQ(f, row.feature) << row.source;
        }
        EXPECT_EQ(undefined_info(row.insn, default_decoder()), -1) << row.source;
        EXPECT_EQ(undefined_info(row.insn, Decoder(kDefaultFeatures.without(row.feature))), 0) << row.source;
    }
}

TEST(Features, SveIsThereWhereItIsAskedFor) {
    constexpr uint32_t kAdd = 0x0420'0020, kPtrue = 0x2518'e3e0;  // add z0.b, z1.b, z0.b; ptrue p0.b
    const Decoder with(kUsualFeatures.with(Feature::Sve128));
    for (const uint32_t insn : {kAdd, kPtrue}) {
        EXPECT_EQ(undefined_info(insn, default_decoder()), 0);
        EXPECT_EQ(undefined_info(insn, with), -1);
    }
}

/// A block looks once whether SVE traps, before the first instruction of SVE has done anything.
TEST(Features, SveAsksForItsTrapOnceABlock) {
    constexpr uint32_t kAdd = 0x0420'0020, kPtrue = 0x2518'e3e0, kOther = 0x9100'0421;  // add x1, x1, #1
    const auto block_of = [](std::span<const uint32_t> code, uint32_t flags) {
        ir::Block block;
        translate_block(block, code, 0x40, flags, static_cast<unsigned>(code.size()),
                        Decoder(kUsualFeatures.with(Feature::Sve128)));
        return block;
    };
    const auto is_check = [](const ir::Inst& i) {
        return i.op == ir::Op::CheckZero && i.aux == ir::kCheckScalableTrap;
    };
    static constexpr uint32_t kBoth[] = {kOther, kAdd, kOther, kPtrue, kAdd}, kNone[] = {kOther, kOther};
    const ir::Block both = block_of(kBoth, 0);
    ASSERT_EQ(std::ranges::count_if(both.insts, is_check), 1);
    const auto check = std::ranges::find_if(both.insts, is_check);
    EXPECT_EQ(std::ranges::count(both.insts.begin(), check, ir::Op::InsnStart, &ir::Inst::op), 2);
    EXPECT_EQ((check - 2)->op, ir::Op::InsnStart);
    EXPECT_EQ((check - 1)->imm, offsetof(jit::GuestState, scalable_trap));
    EXPECT_EQ(std::ranges::count_if(block_of(kNone, 0).insts, is_check), 0);

    const ir::Block trapped = block_of(kBoth, translation_flag::kFpTrap);
    EXPECT_EQ(std::ranges::count_if(trapped.insts, is_check), 1) << "before FPEN's";
    EXPECT_EQ(trapped.insts.back().imm >> 32, kUndefinedFpTrap);
}

/// What ID_AA64ZFR0_EL1 does not announce is UNDEFINED, and what comes with it goes with it.
TEST(Features, ScalableExtensionsAreThereEachForItself) {
    const struct {
        Feature feature;
        uint32_t insn;
        const char* source;
    } rows[] = {
        {Feature::Sve2, 0x4542'7020, "smullb z0.h, z1.b, z2.b"},
        {Feature::SveAes, 0x4522'e020, "aese z0.b, z0.b, z1.b"},
        {Feature::SvePmull128, 0x4502'6820, "pmullb z0.q, z1.d, z2.d"},
        {Feature::SveBitPerm, 0x4502'b020, "bext z0.b, z1.b, z2.b"},
        {Feature::SveSha3, 0x4522'f420, "rax1 z0.d, z1.d, z2.d"},
        {Feature::SveSm4, 0x4523'e020, "sm4e z0.s, z0.s, z1.s"},
        {Feature::SveBf16, 0x6462'8020, "bfdot z0.s, z1.h, z2.h"},
        {Feature::SveI8mm, 0x4502'9820, "smmla z0.s, z1.b, z2.b"},
        {Feature::SveF32mm, 0x64a2'e420, "fmmla z0.s, z1.s, z2.s"},
        {Feature::SveF64mm, 0x64e2'e420, "fmmla z0.d, z1.d, z2.d"},
    };
    for (const auto& row : rows) {
        EXPECT_EQ(undefined_info(row.insn, Decoder(kScalableFeatures)), -1) << row.source;
        EXPECT_EQ(undefined_info(row.insn, Decoder(kScalableFeatures.without(row.feature))), 0) << row.source;
        EXPECT_EQ(undefined_info(row.insn, default_decoder()), 0) << row.source;
    }
    EXPECT_FALSE(kScalableFeatures.without(Feature::Bf16).has(Feature::SveBf16))
        << "of both kinds of vectors";
    EXPECT_TRUE(FeatureSet{Feature::Base}.with(Feature::SveSm4).has(Feature::Sm4));
}

/// What writes a V register clears what is above it, if there may be something.
TEST(Features, VectorWritesClearWhatIsAbove) {
    static constexpr uint32_t kLoad = 0xad40'0440;  // ldp q0, q1, [x2]
    const auto clears_of = [](FeatureSet features, std::span<const uint32_t> code) {
        ir::Block block;
        translate_block(block, code, 0x40, 0, static_cast<unsigned>(code.size()), Decoder(features));
        return std::ranges::count_if(block.insts, [](const ir::Inst& i) {
            return i.op == ir::Op::StoreField && i.aux == sizeof(jit::ScalableUpper) &&
                   i.imm >= offsetof(jit::GuestState, z_upper) && i.imm < offsetof(jit::GuestState, p);
        });
    };
    const auto clears = [&](FeatureSet features) { return clears_of(features, std::span(&kLoad, 1)); };
    EXPECT_EQ(clears(kUsualFeatures), 0);
    EXPECT_EQ(clears(kUsualFeatures.with(Feature::Sve128)), 0);
    EXPECT_EQ(clears(kUsualFeatures.with(Feature::Sve256)), 2);

    // Where zeros are known to be, none are written: until a scalable operation, or a call, writes the register.
    static constexpr uint32_t kLoads[] = {kLoad, kLoad}, kBetween[] = {kLoad, 0x04a3'0041, kLoad},
                              kAfterCall[] = {kLoad, 0x05e7'8041, kLoad};
    EXPECT_EQ(clears_of(kScalableFeatures, kLoads), 2);
    EXPECT_EQ(clears_of(kScalableFeatures, kBetween), 2 + 1) << "add z1.s, z2.s, z3.s";
    EXPECT_EQ(clears_of(kScalableFeatures, kAfterCall), 2 + 2) << "rbit z1.d, p0/m, z2.d";
}

TEST(Features, AFrontendTranslatesForItsCpus) {
    const auto less = make_frontend(kDefaultFeatures.without(Feature::Lse));
    EXPECT_NE(less->variant(), frontend().variant());
    EXPECT_EQ(make_frontend(kDefaultFeatures)->variant(), frontend().variant());
    const uint32_t cas = 0xc8a0'7c41;
    const auto translated = [&](const jit::Frontend& f) {
        ir::Block block;
        f.translate(block, std::as_bytes(std::span(&cas, 1)), 0x40, translation_flag::kEl1, 1);
        return std::ranges::any_of(block.insts, [](const ir::Inst& i) { return i.op == ir::Op::Cas; });
    };
    EXPECT_TRUE(translated(frontend()));
    EXPECT_FALSE(translated(*less));
}

TEST(Features, WithoutDropsWhatNeedsIt) {
    const FeatureSet rest = kDefaultFeatures.without(Feature::AdvSimd);
    for (const Feature f :
         {Feature::Aes, Feature::Pmull, Feature::Sha1, Feature::Sha256, Feature::Rdm, Feature::DotProd})
        EXPECT_FALSE(rest.has(f)) << kFeatures[static_cast<size_t>(f)].title;
    EXPECT_TRUE(rest.has(Feature::Fp));
    EXPECT_TRUE(rest.has(Feature::Crc32));
    EXPECT_EQ(kDefaultFeatures.without(Feature::Base), kDefaultFeatures);
    EXPECT_FALSE(FeatureSet({Feature::Base, Feature::Pmull}).consistent());
}

}  // namespace
}  // namespace arclight::frontend::a64
