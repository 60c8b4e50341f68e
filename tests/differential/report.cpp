#include "tests/differential/report.h"

#include <fmt/format.h>

#include <cstring>

#include "frontend/a64/decode/encoding.h"
#include "tests/differential/compare.h"

namespace arclight::differential {
namespace {

constexpr uint32_t kNop = 0xd503201f;

/// What keeps a random program finite: branches, counters, addresses, exclusives.
constexpr bool is_skeleton(uint32_t w) {
    const bool branch = (w & 0x1c000000) == 0x14000000, exclusive = (w & 0x3f000000) == 0x08000000;
    const bool integer = (w >> 26 & 7) == 4 || (w >> 25 & 7) == 5;
    return branch || exclusive || (integer && (w & 31) >= 24);
}

}  // namespace

std::vector<std::string> run_pair(Engine& subject, Engine& oracle, const Batch& batch, Stop* stop) {
    const std::vector<bool> all(batch.cases.size(), true);
    const auto a = subject.run(batch, all);
    const auto b = oracle.run(batch, all);
    if (stop != nullptr) *stop = a[0].stop;
    return differences(a[0], b[0], oracle.is_vixl());
}

void minimise(Engine& subject, Engine& oracle, Batch& batch) {
    Case& c = batch.cases[0];
    Stop first_stop, stop;
    const auto first = run_pair(subject, oracle, batch, &first_stop);
    if (first.empty()) return;
    // A change must keep the kind of failure, or a wild pointer made by the change would take over.
    const std::string kind = first[0].substr(0, first[0].find(' '));
    auto try_change = [&](auto&& change) {
        const Case saved = c;
        change();
        const auto now = run_pair(subject, oracle, batch, &stop);
        if (now.empty() || stop != first_stop || now[0].substr(0, now[0].find(' ')) != kind) c = saved;
    };
    for (size_t i = c.words.size(); i-- > 0;)
        if (c.row != kProgramRow || !is_skeleton(c.words[i])) try_change([&] { c.words[i] = kNop; });
    while (!c.words.empty() && c.words.back() == kNop) {
        const size_t before = c.words.size();
        try_change([&] { c.words.pop_back(); });
        if (c.words.size() == before) break;
    }
    try_change([&] { c.initial.fpcr = 0; });
    try_change([&] { c.initial.fpsr = 0; });
    try_change([&] { c.initial.nzcv = 0; });
    for (unsigned i = 0; i < 31; ++i)
        if (c.initial.x[i] != 0) try_change([&] { c.initial.x[i] = 0; });
    for (unsigned i = 0; i < 32; ++i) try_change([&] { std::memset(c.initial.v[i], 0, 16); });
}

std::string signature(const Case& c) {
    if (c.row == kProgramRow) return "program";
    std::string text;
    for (const uint32_t word : c.words) {
        if (word == kNop) continue;
        const int row = frontend::a64::find_encoding(word);
        text += text.empty() ? "" : " ";
        text += row < 0 ? "?" : frontend::a64::encodings()[static_cast<size_t>(row)].name;
    }
    return text;
}

std::string failure_report(Engine& subject, Engine& oracle, const Batch& batch, uint64_t seed, bool verbose) {
    const Case& c = batch.cases[0];
    std::string text =
        fmt::format("--seed {} --{} {}: {} and {} differ\n", seed, c.row == kProgramRow ? "program" : "case",
                    c.index, subject.name(), oracle.name());
    for (size_t i = 0; i < c.words.size(); ++i) {
        if (c.row == kProgramRow && c.words[i] == kNop) continue;
        const uint64_t pc = c.code_va() + 4 * i;
        const int row = frontend::a64::find_encoding(c.words[i]);
        text +=
            fmt::format("  {:x}: {:08x}  {:<40} {}\n", pc, c.words[i], disassemble(c.words[i], pc),
                        row < 0 ? "unallocated" : frontend::a64::encodings()[static_cast<size_t>(row)].name);
    }
    const DiffState& s = c.initial;
    text += fmt::format("initial: fpcr {:#x} fpsr {:#x} nzcv {:#x} sp {:#x}, registers that are not zero:\n",
                        s.fpcr, s.fpsr, s.nzcv, s.sp);
    for (unsigned i = 0; i < 31; ++i)
        if (s.x[i] != 0) text += fmt::format("  x{:<3} {:#018x}\n", i, s.x[i]);
    for (unsigned i = 0; i < 32; ++i)
        if (s.v[i][0] != 0 || s.v[i][1] != 0)
            text += fmt::format("  v{:<3} {:016x}'{:016x}\n", i, s.v[i][1], s.v[i][0]);
    text += fmt::format("different at the end ({}, {}):\n", subject.name(), oracle.name());
    for (const std::string& line : run_pair(subject, oracle, batch)) text += "  " + line + "\n";
    if (verbose) text += subject.explain(batch, 0);
    return text;
}

}  // namespace arclight::differential
