// Runs one fuzz target: over the inputs that are kept and then, guided by coverage, over new ones.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <unordered_set>

#include "tests/fuzz/driver/coverage.h"
#include "tests/fuzz/driver/failure.h"
#include "tests/fuzz/driver/mutate.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {

std::vector<Target>& targets() {
    static std::vector<Target> all;
    return all;
}

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* kUsage = R"(Usage: arclight_fuzz TARGET [OPTIONS]
       arclight_fuzz --list

Runs the target over all files of DIR/TARGET of each --inputs, and then over new inputs until the time is up. Ends at the
first input that fails, which is kept and named.

  --inputs DIR    inputs that are there already; may be repeated
  --seconds N     how long to make new ones (default 0: only those that are there)
  --seed N        of the new ones (default 1)
  --grow DIR      new inputs that reach new code are written to DIR/TARGET
  --keep DIR      inputs that fail are written to DIR/TARGET (default: the current directory)
  --reduce DIR    instead of making new inputs, writes the few files that reach the most together to DIR/TARGET
  --limit N       seconds that one input may take (default 20)
)";

struct Options {
    std::string target;
    std::vector<std::string> inputs;
    std::string grow, keep = ".", reduce;
    unsigned seconds = 0, limit = 20;
    uint64_t seed = 1;
};

Bytes read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

void write(const fs::path& directory, const Bytes& bytes) {
    fs::create_directories(directory);
    std::ofstream(directory / name_of(bytes), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

class Session {
  public:
    Session(const Target& target, const Options& options)
        : target_(target), options_(options), mutator_(options.seed, target.max_size, target.words) {}

    /// How many there were.
    size_t replay() {
        std::vector<Bytes> inputs;
        for (const std::string& directory : options_.inputs) {
            const fs::path own = fs::path(directory) / target_.name;
            if (!fs::is_directory(own)) continue;
            for (const auto& entry : fs::directory_iterator(own)) inputs.push_back(read(entry.path()));
        }
        // Small ones first: what they reach, longer ones need not be kept for.
        std::sort(inputs.begin(), inputs.end(), [](const Bytes& a, const Bytes& b) {
            return a.size() != b.size() ? a.size() < b.size() : a < b;
        });
        for (const Bytes& input : inputs) {
            const bool news = run(input);
            if (news || !Coverage::any()) corpus_.push_back(input);
        }
        return inputs.size();
    }

    /// Always the input next that reaches the most of what none before it has.
    void reduce() {
        constexpr unsigned kMost = 24;
        std::vector<std::vector<uint32_t>> marks;
        for (const Bytes& input : corpus_) {
            run(input);
            marks.push_back(Coverage::marks());
        }
        std::unordered_set<uint32_t> reached;
        for (unsigned written = 0; written < kMost; written++) {
            size_t best = 0, most = 0;
            for (size_t i = 0; i < marks.size(); i++) {
                const auto news = static_cast<size_t>(
                    std::ranges::count_if(marks[i], [&](uint32_t mark) { return !reached.contains(mark); }));
                if (news > most) best = i, most = news;
            }
            if (most == 0) return;
            write(fs::path(options_.reduce) / target_.name, corpus_[best]);
            reached.insert(marks[best].begin(), marks[best].end());
        }
    }

    void search() {
        if (corpus_.empty()) {
            run({});
            corpus_.push_back(Bytes(1));
        }
        const auto end = Clock::now() + std::chrono::seconds(options_.seconds);
        constexpr unsigned kChildren = 64;
        while (Clock::now() < end) {
            // Half of the time one of the newest, which stand where nobody has been.
            const size_t recent = std::min<size_t>(corpus_.size(), 16);
            const size_t index = mutator_.below(2) != 0 ? mutator_.below(corpus_.size())
                                                        : corpus_.size() - 1 - mutator_.below(recent);
            const Bytes parent = corpus_[index];
            run(parent);
            mutator_.learn(Coverage::comparisons(), Coverage::strings());
            for (unsigned i = 0; i < kChildren && Clock::now() < end; i++) {
                Bytes child = mutator_.mutate(parent, corpus_[mutator_.below(corpus_.size())]);
                if (!run(child)) continue;
                if (!options_.grow.empty()) write(fs::path(options_.grow) / target_.name, child);
                corpus_.push_back(std::move(child));
            }
        }
    }

    uint64_t runs() const { return runs_; }
    size_t corpus() const { return corpus_.size(); }

  private:
    /// Whether it reached what none has reached before.
    bool run(const Bytes& input) {
        watch(input);
        Coverage::begin();
        target_.run(input);
        unwatch();
        runs_++;
        return Coverage::take_new() != 0;
    }

    const Target& target_;
    const Options& options_;
    Mutator mutator_;
    std::vector<Bytes> corpus_;
    uint64_t runs_ = 0;
};

int usage() {
    fmt::print(stderr, "{}", kUsage);
    return 2;
}

int run_main(int argc, char** argv) {
    std::sort(targets().begin(), targets().end(),
              [](const Target& a, const Target& b) { return a.name < b.name; });
    Options options;
    for (int i = 1; i < argc; i++) {
        const std::string_view word = argv[i];
        if (word == "--list") {
            for (const Target& target : targets()) fmt::print("{}\n", target.name);
            return 0;
        }
        if (!word.starts_with("--")) {
            if (!options.target.empty()) return usage();
            options.target = word;
            continue;
        }
        if (i + 1 == argc) return usage();
        const std::string value = argv[++i];
        if (word == "--inputs") {
            options.inputs.push_back(value);
        } else if (word == "--grow") {
            options.grow = value;
        } else if (word == "--keep") {
            options.keep = value;
        } else if (word == "--reduce") {
            options.reduce = value;
        } else if (word == "--seconds") {
            options.seconds = static_cast<unsigned>(std::stoul(value));
        } else if (word == "--limit") {
            options.limit = static_cast<unsigned>(std::stoul(value));
        } else if (word == "--seed") {
            options.seed = std::stoull(value);
        } else {
            return usage();
        }
    }
    const auto found = std::find_if(targets().begin(), targets().end(),
                                    [&](const Target& t) { return t.name == options.target; });
    if (found == targets().end()) return usage();

    catch_failures(options.target, options.keep + "/" + options.target, options.limit);
    const auto began = Clock::now();
    Session session(*found, options);
    const size_t kept = session.replay();
    const unsigned known = Coverage::total();
    if (!options.reduce.empty()) {
        session.reduce();
    } else if (options.seconds != 0) {
        session.search();
    }
    fmt::print("{}: {} inputs kept, {} runs in {:.1f} s, {} inputs reach {} marks ({} new)\n", found->name,
               kept, session.runs(), std::chrono::duration<double>(Clock::now() - began).count(),
               session.corpus(), Coverage::total(), Coverage::total() - known);
    return 0;
}

}  // namespace
}  // namespace arclight::fuzz

int main(int argc, char** argv) { return arclight::fuzz::run_main(argc, argv); }
