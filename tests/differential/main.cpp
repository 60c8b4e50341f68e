// arclight_differential: random instruction sequences through Arclight and through independent
// implementations.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <map>

#include "frontend/a64/decode/encoding.h"
#include "tests/differential/compare.h"
#include "tests/differential/generator.h"
#include "tests/differential/program_generator.h"
#include "tests/differential/report.h"

namespace {

using namespace arclight::differential;
using arclight::frontend::a64::encodings;

struct Options {
    uint64_t seed = 1;
    uint64_t count = 30'000;
    uint64_t programs = 200;
    int64_t only_case = -1, only_program = -1;
    std::string row;
    std::vector<std::string> oracles = {"vixl", "qemu", "qemu-max"};
    bool keep_going = false;
    bool coverage = false;
    bool list_limits = false;
};

struct Oracle {
    std::unique_ptr<Engine> engine;
    const char* (*why_not)(const Case&);
    std::vector<uint64_t> covered;  ///< by row: instructions compared
};

/// How many instructions at the start of the case were certainly executed: up to where it stopped, or the
/// first branch.
size_t executed(const Case& c, const Outcome& o) {
    const size_t stopped = c.in_slot(o.state.pc) ? (o.state.pc - c.code_va()) / 4 : c.words.size();
    for (size_t i = 0; i < c.words.size() && i < stopped; ++i)
        if ((c.words[i] & 0x1c000000) == 0x14000000 && (c.words[i] & 0xff000000) != 0xd5000000) return i + 1;
    return std::min(stopped, c.words.size());
}

class Run {
  public:
    explicit Run(const Options& options) : options_(options) {}

    bool prepare() {
        if (!options_.row.empty()) {
            for (size_t i = 0; i < encodings().size(); ++i)
                if (options_.row == encodings()[i].name) row_ = static_cast<int>(i);
            if (row_ < 0) {
                fmt::print(stderr, "no row named {} in the instruction table\n", options_.row);
                return false;
            }
        }
        subject_ = make_arclight_engine();
        for (const std::string& name : options_.oracles) {
            std::string problem;
            Oracle o{.engine = name == "vixl"   ? make_vixl_engine()
                               : name == "qemu" ? make_qemu_engine("cortex-a76", problem)
                                                : make_qemu_engine("max,sve=off,sme=off", problem),
                     .why_not = name == "vixl"   ? why_not_vixl
                                : name == "qemu" ? why_not_qemu
                                                 : why_not_qemu_max,
                     .covered = std::vector<uint64_t>(encodings().size())};
            if (o.engine)
                oracles_.push_back(std::move(o));
            else
                fmt::print("SKIPPED: comparison with {}: {}\n", name, problem);
        }
        return !oracles_.empty();
    }

    int run() {
        const auto start = std::chrono::steady_clock::now();
        uint64_t first = 0, end = options_.count;
        if (options_.only_case >= 0) first = static_cast<uint64_t>(options_.only_case), end = first + 1;
        if (options_.only_program >= 0) end = first;
        for (uint64_t k = first; k < end && going_on(); k += kSlots) {
            Batch batch;
            generate_batch(batch, options_.seed, k,
                           static_cast<unsigned>(std::min<uint64_t>(kSlots, end - k)), row_);
            run_batch(batch);
        }
        sequences_ = end - first;
        first = 0, end = options_.programs;
        if (options_.only_program >= 0)
            first = static_cast<uint64_t>(options_.only_program), end = first + 1;
        else if (options_.only_case >= 0 || row_ >= 0)
            end = 0;
        for (uint64_t k = first; k < end && going_on(); k += kProgramsPerBatch) {
            Batch batch;
            generate_programs(batch, options_.seed, k,
                              static_cast<unsigned>(std::min<uint64_t>(kProgramsPerBatch, end - k)));
            run_batch(batch);
        }
        const double seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        fmt::print("{} sequences, {} programs, {} instructions compared, {} failures, {:.1f} s\n", sequences_,
                   end - first, instructions_, failures_, seconds);
        for (unsigned i = 0; i < std::size(stops_); ++i)
            if (stops_[i][0] + stops_[i][1] != 0)
                fmt::print("  {} sequences and {} programs ended by: {}\n", stops_[i][0], stops_[i][1],
                           arclight::differential::name(static_cast<Stop>(i)));
        for (const auto& [what, n] : groups_) fmt::print("{:6}  {}\n", n, what);
        bool good = failures_ == 0;
        if (options_.coverage && oracles_.size() < options_.oracles.size())
            fmt::print("SKIPPED: the coverage check, which needs all oracles\n");
        else if (options_.coverage)
            good &= check_coverage();
        return good ? 0 : 1;
    }

  private:
    bool going_on() const { return failures_ == 0 || options_.keep_going; }

    void run_batch(const Batch& batch) {
        const std::vector<Outcome> mine = subject_->run(batch, std::vector<bool>(batch.cases.size(), true));
        for (size_t i = 0; i < mine.size(); ++i)
            ++stops_[static_cast<unsigned>(mine[i].stop)][batch.cases[i].row == kProgramRow ? 1 : 0];
        for (Oracle& oracle : oracles_) {
            std::vector<bool> wanted(batch.cases.size());
            for (size_t i = 0; i < wanted.size(); ++i) {
                const Case& c = batch.cases[i];
                // VIXL has no exceptions: it aborts. The other oracle judges these.
                wanted[i] = !oracle.why_not(c) && (mine[i].stop == Stop::End || !oracle.engine->is_vixl());
            }
            const std::vector<Outcome> theirs = oracle.engine->run(batch, wanted);
            for (size_t i = 0; i < wanted.size(); ++i) {
                if (!wanted[i]) continue;
                const Case& c = batch.cases[i];
                const size_t n = executed(c, mine[i]);
                instructions_ += n;
                for (size_t w = 0; w < n; ++w) {
                    const int row = arclight::frontend::a64::find_encoding(c.words[w]);
                    if (row >= 0) ++oracle.covered[static_cast<size_t>(row)];
                }
                if (!differences(mine[i], theirs[i], oracle.engine->is_vixl()).empty())
                    fail(oracle, batch, i);
                if (failures_ > 0 && !options_.keep_going) return;
            }
        }
    }

    void fail(Oracle& oracle, const Batch& batch, size_t i) {
        ++failures_;
        Batch one;
        std::copy(std::begin(batch.arena), std::end(batch.arena), one.arena);
        one.cases = {batch.cases[i]};
        if (failures_ > 2000) return;
        if (run_pair(*subject_, *oracle.engine, one).empty()) {
            ++groups_[std::string(oracle.engine->name()) + ": only in company of other cases"];
            fmt::print("--seed {} --case {}: {} differs, but not alone\n", options_.seed, one.cases[0].index,
                       oracle.engine->name());
            return;
        }
        minimise(*subject_, *oracle.engine, one);
        const std::string what = std::string(oracle.engine->name()) + ": " + signature(one.cases[0]);
        // The IR and host code of a whole program is much to read: only when asked for that one.
        const bool is_program = one.cases[0].row == kProgramRow;
        const bool verbose = is_program ? options_.only_program >= 0 : !options_.keep_going;
        if (groups_[what]++ == 0 || is_program)
            fmt::print("{}\n", failure_report(*subject_, *oracle.engine, one, options_.seed, verbose));
    }

    /// Every row must have been compared with some oracle, but for those listed with a reason.
    bool check_coverage() const {
        bool good = true;
        for (size_t row = 0; row < encodings().size(); ++row) {
            uint64_t n = 0;
            for (const Oracle& o : oracles_) n += o.covered[row];
            if (n > 0) continue;
            const char* reason = why_not_generated(encodings()[row].name);
            if (!reason) reason = why_not_completed(encodings()[row].name);
            fmt::print("{} {}: {}\n", reason ? "not exercised:" : "NOT COVERED:", encodings()[row].name,
                       reason ? reason : "no sequence got past it");
            good &= reason != nullptr;
        }
        return good;
    }

    const Options& options_;
    int row_ = -1;
    std::unique_ptr<Engine> subject_;
    std::vector<Oracle> oracles_;
    uint64_t sequences_ = 0, instructions_ = 0, failures_ = 0;
    std::map<std::string, uint64_t> groups_;
    uint64_t stops_[static_cast<unsigned>(Stop::Broken) + 1][2] = {};
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    if (const char* count = std::getenv("ARCLIGHT_DIFFERENTIAL_COUNT"))
        options.count = std::strtoull(count, nullptr, 0);
    if (std::getenv("ARCLIGHT_DIFFERENTIAL_COUNT")) options.programs = options.count / 100;
    if (const char* seed = std::getenv("ARCLIGHT_DIFFERENTIAL_SEED"))
        options.seed = std::strtoull(seed, nullptr, 0);
    CLI::App app("Random instruction sequences through Arclight and through independent implementations");
    app.add_option("--seed", options.seed, "of the run");
    app.add_option("--count", options.count, "sequences to run");
    app.add_option("--case", options.only_case, "run only this one of them, and print everything about it");
    app.add_option("--programs", options.programs, "random programs to run");
    app.add_option("--program", options.only_program, "run only this one of them");
    app.add_option("--row", options.row, "only this row of the instruction table");
    app.add_option("--oracle", options.oracles,
                   "vixl, qemu (as a Cortex-A76), qemu-max (for what that lacks)");
    app.add_flag("--keep-going", options.keep_going, "do not stop at the first failure; group them");
    app.add_flag("--coverage", options.coverage, "fail when a row of the table was not exercised");
    app.add_flag("--list-limits", options.list_limits, "print what is not compared, and why");
    CLI11_PARSE(app, argc, argv);
    if (options.list_limits) {
        for (const OracleLimit& l : oracle_limits())
            fmt::print("{:<5} {}\n      {}\n", l.oracle, l.reason, l.rows);
        return 0;
    }
    Run run(options);
    if (!run.prepare()) return 2;
    return run.run();
}
