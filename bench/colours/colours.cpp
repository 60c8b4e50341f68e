// Whether colours of pages (host/page_colours.h) divide a cache of this host: nanoseconds a step of a walk through memory in random order, each
// step a line. Alone, in pages of all colours and of fewer; beside a process that walks too, on the same core and on another one, in
// pages of the same colours and of others. The least of the rounds, all in turn; CPU time.
//
//     arclight_colours [ROUNDS [COLOURS]]        as root; 5 rounds, the colours of the second level of cache
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "host/page_colours.h"

namespace {

using arclight::host::CoreSet;
using arclight::host::PageColourer;
using arclight::host::PageColours;

constexpr size_t kLine = 64;
constexpr double kSeconds = 0.3;

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "arclight_colours: %s\n", what.c_str());
    std::exit(1);
}

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Memory in pages of some colours, with a way through all of its lines.
class Walk {
  public:
    Walk(size_t bytes, const PageColours& colours) : bytes_(bytes) {
        void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) fail("no memory");
        data_ = static_cast<uint8_t*>(at);
        const auto colourer = PageColourer::open(colours);
        if (!colourer) fail(colourer.error());
        if (auto done = (*colourer)->colour(data_, bytes); !done) fail(done.error());
        std::vector<uint32_t> order(bytes / kLine);
        std::iota(order.begin(), order.end(), 0);
        std::shuffle(order.begin() + 1, order.end(), std::minstd_rand(1));
        for (size_t k = 0; k < order.size(); ++k) *line(order[k]) = line(order[(k + 1) % order.size()]);
        at_ = line(0);
    }
    ~Walk() { munmap(data_, bytes_); }
    Walk(const Walk&) = delete;
    Walk& operator=(const Walk&) = delete;

    /// Nanoseconds a step, after one time through all.
    double step() {
        run(bytes_ / kLine);
        const double start = cpu_seconds();
        constexpr size_t kSteps = 100'000;
        size_t steps = 0;
        double elapsed = 0;
        for (; elapsed < kSeconds; elapsed = cpu_seconds() - start, steps += kSteps) run(kSteps);
        return elapsed * 1e9 / static_cast<double>(steps);
    }

  private:
    void** line(size_t number) { return reinterpret_cast<void**>(data_ + number * kLine); }
    void run(size_t steps) {
        for (; steps != 0; --steps) at_ = static_cast<void**>(*const_cast<void* volatile*>(at_));
    }

    size_t bytes_;
    uint8_t* data_;
    void** at_;
};

void stay_on(unsigned core) {
    CoreSet one;
    one.add(core);
    if (sched_setaffinity(0, sizeof one.set(), &one.set()) != 0) fail("a core cannot be had");
}

/// A process that walks until the end of this object.
class Neighbour {
  public:
    Neighbour(unsigned core, size_t bytes, const PageColours& colours) {
        int ready[2];
        if (pipe(ready) != 0) fail("no pipe");
        child_ = fork();
        if (child_ < 0) fail("no process");
        if (child_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            stay_on(core);
            Walk walk(bytes, colours);
            if (write(ready[1], "", 1) != 1) _exit(1);
            for (;;) walk.step();
        }
        close(ready[1]);
        char byte = 0;
        if (read(ready[0], &byte, 1) != 1) fail("the neighbour did not start");
        close(ready[0]);
    }
    ~Neighbour() {
        kill(child_, SIGKILL);
        waitpid(child_, nullptr, 0);
    }
    Neighbour(const Neighbour&) = delete;
    Neighbour& operator=(const Neighbour&) = delete;

  private:
    pid_t child_;
};

unsigned number(std::string_view text) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value == 0)
        fail("'" + std::string(text) + "' is no number: arclight_colours [ROUNDS [COLOURS]]");
    return value;
}

PageColours range(unsigned first, unsigned count, unsigned of) {
    PageColours colours{.of = of, .chosen = {}};
    for (unsigned k = 0; k < count; ++k) colours.chosen.add(first + k);
    return colours;
}

size_t bytes_of_second_level() {
    for (unsigned index = 0;; ++index) {
        const std::string cache = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index);
        unsigned level = 0, kib = 0;
        if (!(std::ifstream(cache + "/level") >> level)) return size_t{1} << 20;
        if (level == 2 && std::ifstream(cache + "/size") >> kib) return size_t{kib} << 10;
    }
}

struct Row {
    std::string what;
    size_t bytes;
    PageColours own;
    int core;  ///< the neighbour's; negative: there is none
    PageColours others;
    double least = 1e9;
};

}  // namespace

int main(int count, char** words) {
    const unsigned rounds = count > 1 ? number(words[1]) : 5;
    const unsigned of = count > 2 ? number(words[2]) : arclight::host::colours_of_second_level();
    if (of < 4 || of > CPU_SETSIZE || (of & (of - 1)) != 0)
        fail(
            "how many colours there are is not known, or no power of two from 4 on: say arclight_colours "
            "ROUNDS COLOURS");
    const CoreSet cores = CoreSet::permitted();
    std::vector<int> usable;
    for (unsigned core = 0; core < CPU_SETSIZE; ++core)
        if (cores.contains(core)) usable.push_back(static_cast<int>(core));
    stay_on(static_cast<unsigned>(usable.front()));

    const size_t level2 = bytes_of_second_level();
    std::vector<Row> rows;
    for (unsigned some = of; some != 0; some /= 4)
        rows.push_back({"alone, " + std::to_string(some) + " of " + std::to_string(of) + " colours",
                        level2 / 2,
                        range(0, some, of),
                        -1,
                        {}});
    const PageColours low = range(0, of / 2, of), high = range(of / 2, of / 2, of);
    const auto beside = [&](const std::string& where, int core, size_t bytes) {
        rows.push_back({"a half of the colours, alone", bytes, low, -1, {}});
        rows.push_back({"beside the same half, " + where, bytes, low, core, low});
        rows.push_back({"beside the other half, " + where, bytes, low, core, high});
    };
    beside("same core", usable.front(), level2 / 4);
    if (usable.size() > 1) beside("other core", usable[1], level2 * 8);

    for (unsigned round = 0; round < rounds; ++round)
        for (Row& row : rows) {
            Walk walk(row.bytes, row.own);
            if (row.core < 0) {
                row.least = std::min(row.least, walk.step());
                continue;
            }
            const Neighbour neighbour(static_cast<unsigned>(row.core), row.bytes, row.others);
            row.least = std::min(row.least, walk.step());
        }
    std::printf(
        "second level of cache: %zu KiB, %u colours%s\n\n| KiB | pages | ns a step |\n|---|---|---|\n",
        level2 >> 10, of,
        arclight::host::in_virtual_machine() ? "; a virtual machine, whose pages may lie elsewhere" : "");
    for (const Row& row : rows)
        std::printf("| %zu | %s | %.2f |\n", row.bytes >> 10, row.what.c_str(), row.least);
    return 0;
}
