// -smp, by the rules of hw/core/machine-smp.c of QEMU 7.2: what is not given follows from the rest, cores before sockets.
#include <fmt/format.h>

#include <algorithm>

#include "devices/layout.h"
#include "guestos/qemu/keys.h"
#include "guestos/qemu/translation.h"

namespace arclight::guestos::qemu {

namespace {

constexpr uint64_t kMaxAsked = 1 << 15;  // four of them multiply to less than 2^64
constexpr uint64_t kMaxPlaces = 512;     // of QEMU's board

struct Topology {
    uint64_t cpus = 0, sockets = 0, clusters = 0, cores = 0, threads = 0, max_cpus = 0;
};

Result<Topology> complete(Topology t) {
    const uint64_t asked_clusters = t.clusters == 0 ? 1 : t.clusters;
    t.clusters = asked_clusters;
    const uint64_t total = t.max_cpus != 0 ? t.max_cpus : t.cpus;
    const auto at_least_one = [](uint64_t count) { return count == 0 ? 1 : count; };
    if (total == 0) {
        t.sockets = at_least_one(t.sockets);
        t.cores = at_least_one(t.cores);
        t.threads = at_least_one(t.threads);
    } else if (t.cores == 0) {
        t.sockets = at_least_one(t.sockets);
        t.threads = at_least_one(t.threads);
        t.cores = at_least_one(total / (t.sockets * t.clusters * t.threads));
    } else if (t.sockets == 0) {
        t.threads = at_least_one(t.threads);
        t.sockets = at_least_one(total / (t.clusters * t.cores * t.threads));
    } else if (t.threads == 0) {
        t.threads = at_least_one(total / (t.sockets * t.clusters * t.cores));
    }
    const uint64_t product = t.sockets * t.clusters * t.cores * t.threads;
    if (t.max_cpus == 0) t.max_cpus = t.cpus != 0 ? t.cpus : product;
    if (t.cpus == 0) t.cpus = t.max_cpus;
    if (product != t.max_cpus)
        return failure(
            "Invalid CPU topology: product of the hierarchy must match maxcpus: sockets ({}) * clusters ({}) "
            "* "
            "cores ({}) * threads ({}) != maxcpus ({})",
            t.sockets, t.clusters, t.cores, t.threads, t.max_cpus);
    if (t.max_cpus < t.cpus)
        return failure("Invalid CPU topology: maxcpus must be equal to or greater than smp");
    return t;
}

}  // namespace

Result<void> take_cpu_count(Translation& t) {
    const Given smp = t.in.merged("smp");
    Keys keys(smp);
    const auto count = [&](std::string_view key) -> uint64_t {
        const auto number = keys.number(key);
        if (number && (*number == 0 || *number > kMaxAsked))
            keys.fail("Invalid CPU topology: {} is 1 to {}", key, kMaxAsked);
        return number.value_or(0);
    };
    Topology asked{.cpus = count("cpus"),
                   .sockets = count("sockets"),
                   .clusters = count("clusters"),
                   .cores = count("cores"),
                   .threads = count("threads"),
                   .max_cpus = count("maxcpus")};
    if (count("dies") > 1) keys.fail("dies > 1 not supported by this machine's CPU topology");
    if (const auto known = keys.finish(); !known) return known;
    const auto topology = complete(asked);
    if (!topology) return std::unexpected(topology.error());
    if (topology->max_cpus > kMaxPlaces)
        return failure("Invalid SMP CPUs {}. The max CPUs supported by machine 'virt-7.2' is {}",
                       topology->max_cpus, kMaxPlaces);
    t.out.cpus = static_cast<unsigned>(std::min<uint64_t>(topology->cpus, devices::layout::kMaxCpus));
    t.out.topology = CpuTopology{.sockets = static_cast<unsigned>(topology->sockets),
                                 .clusters = static_cast<unsigned>(topology->clusters),
                                 .cores = static_cast<unsigned>(topology->cores),
                                 .threads = static_cast<unsigned>(topology->threads)};
    // QEMU 7.2 refuses more than eight CPUs unless it is told to have a GICv3; later ones take that by themselves.
    if (topology->cpus > devices::layout::kMaxCpusGicV2 && t.out.gic == 2) {
        if (t.gic_given)
            return failure(
                "Number of SMP CPUs requested ({}) exceeds max CPUs supported by machine 'mach-virt' ({})",
                topology->cpus, devices::layout::kMaxCpusGicV2);
        t.out.gic = 3;
    }
    if (topology->cpus > t.out.cpus)
        return t.notes.missed(fmt::format("{}: the guest gets {} CPUs", smp.origin, t.out.cpus));
    return {};
}

}  // namespace arclight::guestos::qemu
