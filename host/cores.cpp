#include "host/cores.h"

#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <mutex>
#include <vector>

namespace arclight::host {

namespace {

std::optional<unsigned> number(std::string_view text) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value >= CPU_SETSIZE) return {};
    return value;
}

std::optional<std::string> line_of(const std::string& file) {
    std::ifstream in(file);
    std::string line;
    if (!std::getline(in, line)) return {};
    return line;
}

struct Placed {
    pid_t thread;
    ThreadGroup group;
};

struct Threads {
    std::mutex lock;
    std::vector<Placed> placed;
    Placement placement;
};

// Threads may end after static objects do.
Threads& threads() {
    static Threads& all = *new Threads;
    return all;
}

std::atomic<unsigned> vcpu_cores{0};

bool put_on(pid_t thread, const CoreSet& cores) {
    if (sched_setaffinity(thread, sizeof cores.set(), &cores.set()) == 0) return true;
    return errno == ESRCH;  // it has just ended
}

}  // namespace

std::optional<CoreSet> CoreSet::parse(std::string_view list) {
    CoreSet cores;
    for (;;) {
        const size_t comma = list.find(',');
        const std::string_view item = list.substr(0, comma);
        const size_t dash = item.find('-');
        const auto first = number(item.substr(0, dash));
        const auto last = dash == std::string_view::npos ? first : number(item.substr(dash + 1));
        if (!first || !last || *last < *first) return {};
        for (unsigned core = *first; core <= *last; ++core) cores.add(core);
        if (comma == std::string_view::npos) return cores;
        list.remove_prefix(comma + 1);
    }
}

CoreSet CoreSet::permitted() {
    CoreSet cores;
    sched_getaffinity(0, sizeof cores.set_, &cores.set_);
    return cores;
}

CoreSet CoreSet::sharing_cache(unsigned core, const std::string& root) {
    CoreSet cores;
    cores.add(core);
    unsigned best = 0;
    const std::string caches = root + "/devices/system/cpu/cpu" + std::to_string(core) + "/cache/index";
    for (unsigned index = 0;; ++index) {
        const std::string cache = caches + std::to_string(index);
        const auto level = line_of(cache + "/level"), shared = line_of(cache + "/shared_cpu_list");
        if (!level || !shared) return cores;
        const auto height = number(*level);
        const auto sharers = parse(*shared);
        if (!height || !sharers || *height < best) continue;
        best = *height;
        cores = *sharers;
    }
}

std::string CoreSet::text() const {
    std::string out;
    for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
        if (!contains(core)) continue;
        unsigned last = core;
        while (last + 1 < CPU_SETSIZE && contains(last + 1)) ++last;
        if (!out.empty()) out += ',';
        out += std::to_string(core);
        if (last != core) out += '-' + std::to_string(last);
        core = last;
    }
    return out;
}

ThreadGroup group_of(ThreadRole role) {
    switch (role) {
        case ThreadRole::Vcpu:
        case ThreadRole::KvmVcpu: return ThreadGroup::Vcpus;
        case ThreadRole::Compiler: return ThreadGroup::Compiler;
        default: return ThreadGroup::Devices;
    }
}

Placement placement() {
    Threads& all = threads();
    const std::lock_guard guard(all.lock);
    return all.placement;
}

unsigned cores_of_vcpus() { return vcpu_cores.load(std::memory_order_relaxed); }

bool place_threads(const Placement& placement) {
    Threads& all = threads();
    const std::lock_guard guard(all.lock);
    for (size_t k = 0; k < placement.size(); ++k)
        if (placement[k]) all.placement[k] = placement[k];
    if (const auto& cores = placement[static_cast<size_t>(ThreadGroup::Vcpus)]) vcpu_cores = cores->count();
    const auto place = [&](pid_t thread, ThreadGroup group) {
        const auto& cores = placement[static_cast<size_t>(group)];
        return !cores || put_on(thread, *cores);
    };
    bool placed = true;
    int error = 0;
    const auto note = [&](bool done) {
        if (done) return;
        placed = false;
        error = errno;
    };
    note(place(getpid(), ThreadGroup::Devices));
    for (const Placed& one : all.placed) note(place(one.thread, one.group));
    errno = error;
    return placed;
}

bool go_to_core_outside(const CoreSet& taken) {
    // place_threads() must not come in between.
    const std::unique_lock guard(threads().lock, std::try_to_lock);
    if (!guard.owns_lock()) return false;
    const CoreSet cores = CoreSet::permitted();
    // Neighbours come first: they are likely to share caches with the core that is left.
    const int here = sched_getcpu();
    for (unsigned i = 1; i <= CPU_SETSIZE; ++i) {
        const unsigned core = (static_cast<unsigned>(std::max(here, 0)) + i) % CPU_SETSIZE;
        if (!cores.contains(core) || taken.contains(core)) continue;
        CoreSet one;
        one.add(core);
        return put_on(0, one) && put_on(0, cores);
    }
    return false;
}

PlacedThread::PlacedThread(ThreadRole role) {
    Threads& all = threads();
    const std::lock_guard guard(all.lock);
    const Placed self{.thread = gettid(), .group = group_of(role)};
    all.placed.push_back(self);
    if (const auto& cores = all.placement[static_cast<size_t>(self.group)]) put_on(self.thread, *cores);
}

PlacedThread::~PlacedThread() {
    Threads& all = threads();
    const std::lock_guard guard(all.lock);
    std::erase_if(all.placed, [self = gettid()](const Placed& one) { return one.thread == self; });
}

void prefer_node_of(const CoreSet& cores, const std::string& root) {
    constexpr unsigned kMaxNodes = 64;
    unsigned nodes = 0, with_cores = 0, chosen = 0;
    for (unsigned node = 0; node < kMaxNodes; ++node) {
        const auto list = line_of(root + "/devices/system/node/node" + std::to_string(node) + "/cpulist");
        if (!list) continue;
        ++nodes;
        const auto its = CoreSet::parse(*list);
        if (!its) continue;
        cpu_set_t both;
        CPU_AND(&both, &its->set(), &cores.set());
        if (CPU_COUNT(&both) == 0) continue;
        ++with_cores;
        chosen = node;
    }
    if (nodes < 2 || with_cores != 1) return;
    const unsigned long mask = 1ul << chosen;
    // A preference: where the kernel refuses it, memory comes from where it likes.
    syscall(SYS_set_mempolicy, MPOL_PREFERRED, &mask, sizeof mask * 8 + 1);
}

}  // namespace arclight::host
