#include "tests/differential/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "frontend/a64/decode/encoding.h"
#include "tests/differential/generator.h"
#include "tests/differential/memory_operand.h"

namespace arclight::differential {
namespace {

constexpr bool is_fp_or_simd(uint32_t w) { return (w >> 25 & 7) == 7; }
constexpr bool is_msr_fpcr(uint32_t w) { return (w & 0xffffffe0) == 0xd51b4400; }
bool is_younger_fpcr(const Case& c) {
    return is_qemu_given() &&
           ((c.initial.fpcr & kFpcrYounger) != 0 || std::ranges::any_of(c.words, is_msr_fpcr));
}
constexpr uint32_t kFpcrFz16 = 1u << 19, kFpcrFz = 1u << 24;

bool lists(const char* rows, const char* row) {
    const std::string_view all(rows), one(row);
    if (all == "*") return true;
    for (size_t at = all.find(one); at != std::string_view::npos; at = all.find(one, at + 1)) {
        const bool starts = at == 0 || all[at - 1] == ' ';
        const bool ends = at + one.size() == all.size() || all[at + one.size()] == ' ';
        if (starts && ends) return true;
    }
    return false;
}

/// What qemu's Cortex-A76 has of Arclight's features; the others are qemu-max's to judge.
constexpr frontend::a64::FeatureSet cortex_a76() {
    using enum frontend::a64::Feature;
    return {Base, Fp,  AdvSimd, Fp16,    Fp16Simd, Aes,  Pmull, Sha1, Sha256, Crc32,
            Lse,  Rdm, Lrcpc,   DotProd, Dpb,      Ssbs, Pan,   Pan2, Uao};
}
bool beyond_cortex_a76(uint32_t word) {
    const int row = frontend::a64::find_encoding(word);
    return row >= 0 && !cortex_a76().has(frontend::a64::encodings()[static_cast<size_t>(row)].feature);
}

const char* limit_of(const char* oracle, const Case& c) {
    for (const uint32_t word : c.words)
        if (const char* reason = word_limit(oracle, word)) return reason;
    return nullptr;
}

}  // namespace

const char* word_limit(const char* oracle, uint32_t word) {
    const int row = frontend::a64::find_encoding(word);
    const char* name = row < 0 ? "unallocated" : frontend::a64::encodings()[static_cast<size_t>(row)].name;
    for (const OracleLimit& limit : oracle_limits())
        if (std::strcmp(limit.oracle, oracle) == 0 && lists(limit.rows, name) &&
            (!limit.only || limit.only(word)))
            return limit.reason;
    return nullptr;
}

const std::vector<OracleLimit>& oracle_limits() {
    static const std::vector<OracleLimit> kLimits = {
        // ---- VIXL 5.1: what it does not model
        {"vixl", "STXR STLXR STXP STLXP", "exclusive stores fail at random"},
        {"vixl", "HVC SMC HLT DCPS ERET SVC", "no exception model; HLT numbers are its own services"},
        {"vixl",
         "SHA1C SHA1P SHA1M SHA1H SHA1SU0 SHA1SU1 SHA256H SHA256H2 SHA256SU0 SHA256SU1 AESE AESD AESMC "
         "AESIMC SHA512H SHA512H2 SHA512SU0 SHA512SU1 RAX1 EOR3 BCAX XAR SM3SS1 SM3TT1A SM3TT1B SM3TT2A "
         "SM3TT2B SM3PARTW1 SM3PARTW2 SM4E SM4EKEY",
         "the cryptographic extension is not simulated"},
        {"vixl", "MRS MSR_reg", "it has no FPSR and no TPIDR_EL0",
         [](uint32_t w) { return (w & 0xfffe0) == 0xb4420 || (w & 0xfffe0) == 0xbd040; }},
        {"vixl", "SB MSR_DIT MSR_SSBS", "not simulated"},
        {"vixl", "HINT", "it has pointer authentication by codes of its own",
         [](uint32_t w) { return (w >> 5 & 0x7f) >= 6 && (w >> 5 & 0x7f) < 32; }},
        {"vixl", "SYS", "DC ZVA does nothing", is_dc_zva},
        {"vixl", "STR_imm9 LDR_imm9 LDRSB_imm9 LDRSH_imm9 LDRSW_imm9", "LDTR and STTR are not simulated",
         [](uint32_t w) { return (w >> 10 & 3) == 2; }},
        // ---- VIXL 5.1: where it is wrong
        {"vixl", "LDSMAX LDSMIN",
         "the byte and halfword forms sign-extend the old value (C6.2: ZeroExtend(data, regsize))",
         [](uint32_t w) { return (w >> 30) < 2; }},
        {"vixl", "MOVK", "the 32-bit form keeps the upper half (C6.2.225: X[d, datasize] = result zeroes it)",
         [](uint32_t w) { return (w >> 31) == 0; }},
        {"vixl",
         "LD1_multiple_1 LD1_multiple_2 LD1_multiple_3 LD1_multiple_4 LD2_multiple LD3_multiple LD4_multiple "
         "ST1_multiple_1 ST1_multiple_2 ST1_multiple_3 ST1_multiple_4 ST2_multiple ST3_multiple ST4_multiple "
         "LD1_single LD2_single LD3_single LD4_single ST1_single ST2_single ST3_single ST4_single "
         "LD1R_vector LD2R_vector LD3R_vector LD4R_vector",
         "post-index forms with SP as the base do not write SP back",
         [](uint32_t w) { return (w >> 23 & 1) == 1 && (w >> 5 & 31) == 31; }},
        {"vixl", "FCVTXN_scalar FCVTXN_vector",
         "round to odd is wrong for NaN, overflow and denormal results"},
        {"vixl",
         "FCVTN_vector SCVTF_fix_scalar SCVTF_fix_vector SCVTF_int_scalar SCVTF_int_vector UCVTF_fix_scalar "
         "UCVTF_fix_vector UCVTF_int_scalar UCVTF_int_vector SCVTF_fix_scalar_half SCVTF_fix_vector_half "
         "SCVTF_int_scalar_half SCVTF_int_vector_half UCVTF_fix_scalar_half UCVTF_fix_vector_half "
         "UCVTF_int_scalar_half UCVTF_int_vector_half",
         "results shorter than 128 bits keep the rest of the register (C1.2.4: it becomes zero)"},
        {"vixl", "PMULL_8 PMULL_64",
         "the 64-bit forms take 8-bit elements; a destination that is a source is overwritten early"},
        {"vixl",
         "FMUL_element FMULX_element FMLA_element FMLS_element FMUL_element_scalar FMULX_element_scalar "
         "FMLA_element_scalar FMLS_element_scalar",
         "the register and the index are taken as the half precision forms have them (C7.2.159: M:Rm, H:L)"},
        {"vixl",
         "FMUL_element_half FMULX_element_half FMLA_element_half FMLS_element_half FMUL_element_scalar_half "
         "FMULX_element_scalar_half FMLA_element_scalar_half FMLS_element_scalar_half FCMLA_element",
         "a destination that is a source is overwritten early; FCMLA takes another element"},
        {"vixl",
         "FMLAL_vector FMLAL2_vector FMLSL_vector FMLSL2_vector FMLAL_element FMLAL2_element FMLSL_element "
         "FMLSL2_element",
         "factors that are signalling NaNs are made quiet before it is decided which NaN wins "
         "(FPProcessNaNs3H)"},
        {"vixl",
         "BFCVTN_vector BFCVT_float BFDOT_element BFDOT_vector BFMLAL_element BFMLAL_vector BFMMLA_vector "
         "SMMLA_vector UMMLA_vector USMMLA_vector USDOT_vector USDOT_element SUDOT_element",
         "BF16 and I8MM are not simulated"},
        {"vixl", "MSR_reg", "FPCR has no FZ16", is_msr_fpcr},
        {"vixl", "PRFUM PRFM_uimm PRFM_reg",
         "prefetches check the alignment of SP (shared/functions: no check if memop is "
         "MemOp_PREFETCH)",
         [](uint32_t w) { return (w >> 5 & 31) == 31; }},
        {"vixl", "FRSQRTS_vector FRSQRTS_scalar",
         "halves an operand before multiplying, which loses a bit of the smallest normal numbers"},
        // ---- qemu 7.2
        {"qemu", "SVC", "it would make a Linux system call"},
        {"qemu", "FCVTZS_fix_scalar_half", "a negative result is extended to 32 bits"},
        {"qemu", "FCVTZU_fix_vector",
         "takes FMOV (vector, immediate) of halves with op = 1, which is unallocated",
         [](uint32_t w) { return (w & 0xbff8fc00) == 0x2f00fc00; }},
        {"qemu-max", "SYS", "its blocks of DC ZVA have 512 bytes", is_dc_zva},
    };
    return kLimits;
}

const char* why_not_vixl(const Case& c) {
    bool fp = false, fpcr = (c.initial.fpcr & 0x05c80000) != 0;
    for (const uint32_t w : c.words) {
        fp |= is_fp_or_simd(w);
        fpcr |= is_msr_fpcr(w);
    }
    if ((c.initial.fpcr & kFpcrFz16) != 0) return "VIXL has no FPCR.FZ16";
    if (is_younger_fpcr(c)) return "VIXL has no FPCR.AH";
    // Simulator::AssertSupportedFPCR
    if (fp && fpcr)
        return "VIXL rounds to nearest and has neither flush-to-zero nor alternative half precision";
    return limit_of("vixl", c);
}

const char* why_not_qemu(const Case& c) {
    if (std::ranges::any_of(c.words, beyond_cortex_a76)) return "a Cortex-A76 lacks the feature";
    if (is_younger_fpcr(c)) return "a Cortex-A76 lacks FPCR.AH";
    return limit_of("qemu", c);
}

const char* why_not_qemu_max(const Case& c) {
    if (std::ranges::none_of(c.words, beyond_cortex_a76) && !is_younger_fpcr(c))
        return "qemu's Cortex-A76 is asked";
    for (const uint32_t word : c.words)
        if (frontend::a64::find_encoding(word) < 0) return "qemu's max has features that Arclight has not";
    const auto named = [&](const char* rows) {
        return std::ranges::any_of(c.words, [&](uint32_t word) {
            const int row = frontend::a64::find_encoding(word);
            return row >= 0 && lists(rows, frontend::a64::encodings()[static_cast<size_t>(row)].name);
        });
    };
    if (is_younger_fpcr(c) && named("FNEG_vector FABS_vector FNEG_vector_half FABS_vector_half"))
        return "changes signs of NaNs in spite of FPCR.AH (FPNeg, FPAbs: it does not)";
    if (named("FJCVTZS_float_int") &&
        ((c.initial.fpcr & kFpcrFz) != 0 || std::ranges::any_of(c.words, is_msr_fpcr)))
        return "takes what FJCVTZS has flushed to zero for exact (FPToFixedJS: it is not)";
    if (const char* reason = limit_of("qemu", c)) return reason;
    return limit_of("qemu-max", c);
}

std::vector<std::string> differences(const Outcome& a, const Outcome& b, bool with_vixl) {
    std::vector<std::string> list;
    auto line = [&](std::string what, uint64_t subject, uint64_t oracle) {
        if (subject != oracle) list.push_back(fmt::format("{:<8} {:#018x} {:#018x}", what, subject, oracle));
    };
    if (a.stop != b.stop) {
        list.push_back(
            fmt::format("{:<8} {} {}   {} {}", "stop", name(a.stop), name(b.stop), a.problem, b.problem));
        if (a.stop == Stop::Broken || b.stop == Stop::Broken) return list;
    }
    line("pc", a.state.pc, b.state.pc);
    for (unsigned i = 0; i < 31; ++i) line(fmt::format("x{}", i), a.state.x[i], b.state.x[i]);
    line("sp", a.state.sp, b.state.sp);
    line("nzcv", a.state.nzcv, b.state.nzcv);
    line("fpcr", a.state.fpcr, b.state.fpcr);
    if (!with_vixl) {
        line("fpsr", a.state.fpsr, b.state.fpsr);
        line("tpidr", a.state.tpidr, b.state.tpidr);
    }
    for (unsigned i = 0; i < 32; ++i)
        if (std::memcmp(a.state.v[i], b.state.v[i], 16) != 0)
            list.push_back(fmt::format("v{:<7} {:016x}'{:016x} {:016x}'{:016x}", i, a.state.v[i][1],
                                       a.state.v[i][0], b.state.v[i][1], b.state.v[i][0]));
    for (size_t i = 0, j = 0; i < a.memory.size() || j < b.memory.size();) {
        const uint64_t ai = i < a.memory.size() ? a.memory[i].index : ~uint64_t{0};
        const uint64_t bi = j < b.memory.size() ? b.memory[j].index : ~uint64_t{0};
        const DiffGranule* ga = ai <= bi ? &a.memory[i++] : nullptr;
        const DiffGranule* gb = bi <= ai ? &b.memory[j++] : nullptr;
        if (ga && gb && std::memcmp(ga->data, gb->data, 16) == 0) continue;
        auto text = [](const DiffGranule* g) {
            return g ? fmt::format("{:016x}'{:016x}", g->data[1], g->data[0]) : std::string("unchanged");
        };
        list.push_back(
            fmt::format("[{:#x}] {} {}", DIFF_ARENA_VA + 16 * std::min(ai, bi), text(ga), text(gb)));
    }
    return list;
}

}  // namespace arclight::differential
