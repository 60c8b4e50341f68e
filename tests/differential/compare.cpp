#include "tests/differential/compare.h"

#include <fmt/format.h>

#include <cstring>
#include <string_view>

#include "frontend/a64/decode/encoding.h"

namespace arclight::differential {
namespace {

constexpr bool is_fp_or_simd(uint32_t w) { return (w >> 25 & 7) == 7; }
constexpr bool is_msr_fpcr(uint32_t w) { return (w & 0xffffffe0) == 0xd51b4400; }

bool lists(const char* rows, const char* row) {
    const std::string_view all(rows), one(row);
    for (size_t at = all.find(one); at != std::string_view::npos; at = all.find(one, at + 1)) {
        const bool starts = at == 0 || all[at - 1] == ' ';
        const bool ends = at + one.size() == all.size() || all[at + one.size()] == ' ';
        if (starts && ends) return true;
    }
    return false;
}

const char* row_limit(const char* oracle, const Case& c) {
    for (const uint32_t word : c.words) {
        const int row = frontend::a64::find_encoding(word);
        if (row < 0) continue;
        for (const OracleLimit& limit : oracle_limits())
            if (std::strcmp(limit.oracle, oracle) == 0 &&
                lists(limit.rows, frontend::a64::encodings()[static_cast<size_t>(row)].name))
                return limit.reason;
    }
    return nullptr;
}

}  // namespace

const std::vector<OracleLimit>& oracle_limits() {
    static const std::vector<OracleLimit> kLimits = {
        {"vixl", "[FPCR.RMode, FZ or AHP set, with SIMD and FP data processing]",
         "VIXL's arithmetic rounds to nearest and has neither flush-to-zero nor alternative half precision "
         "(Simulator::AssertSupportedFPCR)"},
        {"vixl", "[FPSR]", "VIXL has no FPSR"},
        {"vixl", "[TPIDR_EL0]", "VIXL has no TPIDR_EL0"},
        {"vixl", "STXR STLXR STXP STLXP", "VIXL lets exclusive stores fail at random"},
        {"vixl", "HVC SMC HLT DCPS ERET SVC",
         "VIXL has no exception model; HLT numbers are its own services"},
    };
    return kLimits;
}

const char* why_not_vixl(const Case& c) {
    bool fp = false, fpcr = (c.initial.fpcr & 0x05c00000) != 0;
    for (const uint32_t w : c.words) {
        fp |= is_fp_or_simd(w);
        fpcr |= is_msr_fpcr(w);
        // FPSR and TPIDR_EL0 read or written
        if ((w & 0xffdfffe0) == 0xd51b4420 || (w & 0xffdfffe0) == 0xd51bd040)
            return "VIXL has no such register";
        if ((w & 0xfffff01f) == 0xd503201f && (w >> 5 & 0x7f) >= 6 && (w >> 5 & 0x7f) < 32)
            return "VIXL has pointer authentication, which Arclight does not announce";
    }
    if (fp && fpcr) return "VIXL ignores FPCR.RMode, FZ and AHP";
    return row_limit("vixl", c);
}

const char* why_not_qemu(const Case& c) { return row_limit("qemu", c); }

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
