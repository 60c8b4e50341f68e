// -m, -numa and the objects that back memory.
#include <fmt/format.h>

#include <iterator>

#include "guestos/qemu/keys.h"
#include "guestos/qemu/translation.h"

namespace arclight::guestos::qemu {

namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kDefaultMemory = 128 * kMiB;
// Where QEMU's board ends, too.
constexpr uint64_t kMaxMemory = 255 * 1024 * kMiB;
/// -M highmem=off: what there is below 4 GiB.
constexpr uint64_t kMaxLowMemory = 3 * 1024 * kMiB;

Result<void> take_nodes(Translation& t) {
    unsigned nodes = 0;
    std::string second;
    for (const Given* numa : t.in.all("numa")) {
        Keys keys(*numa);
        const std::string type =
            keys.choice("type", "node", {"node", "dist", "cpu", "hmat-lb", "hmat-cache"});
        if (type == "node" && ++nodes == 2) second = numa->origin;
        if (type.starts_with("hmat")) keys.take_rest();
        keys.ignore({"nodeid", "cpus", "mem", "memdev", "src", "dst", "val", "node-id", "socket-id",
                     "core-id", "thread-id", "initiator"});
        if (const auto known = keys.finish(); !known) return known;
    }
    if (second.empty()) return {};
    return t.notes.missed(fmt::format("{}: the guest sees one NUMA node with all memory and CPUs", second));
}

constexpr std::string_view kKinds[] = {
    "rng-random",           "rng-builtin", "memory-backend-ram", "memory-backend-file",
    "memory-backend-memfd", "iothread",    "main-loop",          "secret",
    "filter-dump"};

}  // namespace

Result<void> take_memory(Translation& t) {
    const Given memory = t.in.merged("m");
    Keys keys(memory);
    t.out.memory = keys.size("size", kMiB).value_or(kDefaultMemory);
    const auto maximum = keys.size("maxmem", kMiB);
    const auto slots = keys.number("slots");
    if (const auto known = keys.finish(); !known) return known;
    if (t.out.memory < kMiB || t.out.memory > kMaxMemory)
        return failure("{}: 1 MiB to 255 GiB of memory are possible", memory.origin);
    // As QEMU: RAM is whole pages, of the largest kind that the host maps at once.
    t.out.memory = (t.out.memory + kMiB - 1) / kMiB * kMiB;
    if (maximum && *maximum < t.out.memory)
        return failure(
            "invalid value of maxmem: maximum memory size must be at least the initial memory size");
    if (maximum && *maximum > t.out.memory && !slots)
        return failure(
            "invalid value of maxmem: memory slots were not specified but maximum memory size is greater");
    if (t.in.merged("machine").value("highmem") == "off" && t.out.memory > kMaxLowMemory)
        return failure("mach-virt: Addressing limited to 32 bits, but memory exceeds it");
    return take_nodes(t);
}

Result<void> take_objects(Translation& t) {
    for (const Given* object : t.in.all("object")) {
        Keys keys(*object);
        const std::string type = keys.choice("qom-type", "", {std::begin(kKinds), std::end(kKinds)});
        if (!object->has("qom-type")) keys.fail("Parameter 'qom-type' is missing");
        if (keys.text("id").empty() && type != "main-loop") keys.fail("Parameter 'id' is missing");
        if (type.starts_with("memory-backend")) {
            if (type == "memory-backend-file" && keys.on("pmem", false))
                keys.fail("there is no persistent memory");
            // Where the pages come from is not for the guest to see.
            keys.ignore({"size", "share", "mem-path", "prealloc", "prealloc-threads", "dump", "merge",
                         "hugetlb", "hugetlbsize", "seal", "host-nodes", "policy", "discard-data", "align",
                         "readonly", "reserve", "pmem"});
        } else if (type == "rng-random") {
            keys.ignore({"filename"});
        } else if (type == "iothread" || type == "main-loop") {
            keys.ignore({"poll-max-ns", "poll-grow", "poll-shrink", "aio-max-batch", "thread-pool-min",
                         "thread-pool-max"});
        } else if (type == "secret") {
            // Of no use until something names it, which nothing here does.
            keys.ignore({"data", "file", "format", "keyid", "iv"});
        } else if (type == "filter-dump") {
            keys.ignore({"netdev", "file", "maxlen", "queue", "status", "position", "insert"});
        }
        if (const auto known = keys.finish(); !known) return known;
        if (type == "filter-dump")
            if (const auto done = t.notes.missed(fmt::format("{}: no packets are recorded", object->origin));
                !done)
                return done;
    }
    return {};
}

}  // namespace arclight::guestos::qemu
