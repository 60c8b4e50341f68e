#include "guestos/machine/board/machine_stats.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>
#include <optional>

namespace arclight::guestos {

namespace {
double cpu_seconds(const rusage& u) {
    return double(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           double(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

double seconds_of(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

using Json = nlohmann::ordered_json;

/// Adds up counters of the same name.
void add_to(Json& sum, const Json& counters) {
    if (sum.is_null()) sum = Json::object();
    for (const auto& [name, value] : counters.items()) {
        if (value.is_object())
            add_to(sum[name], value);
        else
            sum[name] = sum.value(name, uint64_t{0}) + value.get<uint64_t>();
    }
}

Json per_second(const Json& counters, double seconds) {
    Json out;
    for (const auto& [name, value] : counters.items())
        out[name] =
            value.is_object() ? per_second(value, seconds) : Json(double(value.get<uint64_t>()) / seconds);
    return out;
}

void print_counters(std::FILE* out, const Json& counters, const std::string& prefix, double seconds) {
    for (const auto& [name, value] : counters.items()) {
        if (value.is_object())
            print_counters(out, value, prefix + name + ".", seconds);
        else if (const auto count = value.get<uint64_t>(); count != 0)
            fmt::print(out, "{:<40}{:>14}{:>14.0f}\n", prefix + name, count, double(count) / seconds);
    }
}

constexpr const char* kExitNames[16] = {"none", "lookup", "interrupt", "exception", "halt",     "svc",
                                        "hvc",  "smc",    "brk",       "undefined", "redirect", "stop"};
}  // namespace

/// What is counted, by name: the accelerator's exits, the translator's work, all CPUs together, devices.
static Json counters_of(const backend::Accelerator& accelerator, const jit::EngineStats& e, const Json& cpus,
                        const devices::Bus& bus) {
    Json j;
    for (const auto& [name, count] : accelerator.counts()) j["world_exits"][name] = count;
    for (const auto& [name, count] : accelerator.hypervisor_counts()) j["kvm"][name] = count;
    j["translation"] = {
        {"blocks", e.blocks}, {"guest_instructions", e.guest_insns}, {"host_bytes", e.host_bytes},
        {"links", e.links},   {"invalidated_blocks", e.invalidated}, {"flushes", e.flushes}};
    j["translation"]["described_blocks"] = e.described_blocks;
    j["translation"]["described_bytes"] = e.described_bytes;
    j["translation"]["retired_blocks"] = e.retired_blocks;
    for (const Json& cpu : cpus) add_to(j["cpu"], cpu);
    j["translation"]["locked_lookups"] = e.lookups;
    j["translation"]["lookups"] = e.lookups + j["cpu"].value("lookups_unlocked", uint64_t{0});
    for (const auto& d : bus.stats())
        if (d.reads + d.writes != 0) j["mmio"][d.name] = {{"reads", d.reads}, {"writes", d.writes}};
    return j;
}

static Json cpu_counters(const Vcpu& v) {
    const VcpuStats& s = v.stats();
    Json c;
    for (unsigned i = 0; i < 16; ++i)
        if (kExitNames[i] != nullptr) c["exits"][kExitNames[i]] = s.exits[i];
    c["el_switches"] = s.el_switches;
    c["memory_slow"] = s.memory_slow;
    c["device_calls"] = s.device_calls;
    c["tlb_fills"] = s.tlb_fills;
    c["tlb_recalls"] = s.tlb_recalls;
    c["mmio"] = s.mmio;
    c["data_aborts"] = s.data_aborts;
    c["instruction_aborts"] = s.instruction_aborts;
    c["interrupts"] = s.interrupts;
    c["lookups_direct"] = s.lookups_direct;
    c["lookups_indirect"] = s.lookups_indirect;
    c["lookups_unlocked"] = s.lookups_unlocked;
    c["tlbi"] = s.tlbi;
    constexpr const char* kTlbiKinds[] = {"all", "asid", "address", "address_of_all_asids"};
    for (unsigned i = 0; i < std::size(kTlbiKinds); ++i) c["tlbi_kinds"][kTlbiKinds[i]] = s.tlbi_kinds[i];
    c["ic"] = s.ic;
    c["halts"] = s.halts;
    constexpr const char* kSpinCauses[] = {"wfe", "yield", "loop"};
    static_assert(std::size(kSpinCauses) == static_cast<size_t>(SpinCause::Count));
    for (unsigned i = 0; i < std::size(kSpinCauses); ++i) c["spins"][kSpinCauses[i]] = s.spins[i];
    constexpr const char* kHandOverCauses[] = {"receiver", "kernel", "user", "anybody"};
    static_assert(std::size(kHandOverCauses) == static_cast<size_t>(HandOverCause::Count));
    for (unsigned i = 0; i < std::size(kHandOverCauses); ++i)
        c["hand_overs"][kHandOverCauses[i]] = s.hand_overs[i];
    c["waiters_woken"] = s.waiters_woken;
    c["went_apart"] = s.went_apart;
    c["memory_loops"] = {{"runs", s.memory_loop_runs}, {"bytes", s.memory_loop_bytes}};
    c["naps"] = s.naps;
    c["nap_ns"] = s.nap_ns;
    const mmu::ShadowStats& shadow = v.shadow_stats();
    c["shadow"] = {{"fills", shadow.fills},
                   {"entries_dropped", shadow.dropped},
                   {"rewritten", shadow.rewritten},
                   {"wasted_fills", shadow.wasted_fills},
                   {"root_hits", shadow.root_hits},
                   {"root_misses", shadow.root_misses},
                   {"table_writes", s.table_writes},
                   {"synchronisations", s.table_synchronisations + s.tlbi - s.tlbi_ignored},
                   {"tables_protected", s.tables_protected},
                   {"tables_left", s.tables_left},
                   {"tlbi_ignored", s.tlbi_ignored},
                   {"last_level_faults", s.last_level_faults}};
    constexpr const char* kShadowExitNames[] = {"translations", "invalidations", "table_stores", "switches"};
    for (unsigned i = 0; i < mmu::kShadowExits; ++i)
        c["shadow"]["exits"][kShadowExitNames[i]] = s.shadow_exits[i];
    if (const mmu::FastmemSet* fastmem = v.fastmem()) {
        const mmu::FastmemStats& w = fastmem->stats();
        c["windows"] = {{"faults", s.fastmem_faults},
                        {"refills", s.fastmem_refills},
                        {"fills", w.fills},
                        {"large_fills", w.large_fills},
                        {"host_slots", w.root_entries},
                        {"evictions", w.evictions},
                        {"dropped_pages", w.dropped_pages},
                        {"invalidations", w.invalidations},
                        {"device_sites", s.device_sites},
                        {"tagged_sites", s.tagged_sites},
                        {"spaces", s.direct_spaces},
                        {"spaces_left", s.direct_spaces_left}};
    }
    return c;
}

static bool has_fastmem(const CpuGroup& cpus) { return cpus.cpu(0).fastmem() != nullptr; }

/// Without preparation each expected device access that was translated would have been translated once more, with fastmem.
static Json prepared_json(const prepare::BoundSites& bound, const jit::EngineStats& e, bool fastmem) {
    using prepare::Binding;
    return {{"sites", bound.sites},
            {"bound_inline", bound.of(Binding::Inline)},
            {"bound_to_calls", bound.of(Binding::Call)},
            {"bound_to_exits", bound.of(Binding::Exit)},
            {"bound_to_devices", bound.of(Binding::Device)},
            {"bound_blocks", bound.of(Binding::Ahead)},
            {"unbound", bound.of(Binding::None)},
            {"wrong", bound.wrong},
            {"blocks_translated_ahead", e.blocks_ahead},
            {"devices_translated", e.expected_devices},
            {"retranslations_saved", fastmem ? e.expected_devices : 0}};
}

/// Of a run with tier 2 whose statistics were asked for.
static std::optional<jit::WarmUp> steady_speed(const SamplingProfiler& samples) {
    return jit::detect_warm_up(samples.slices(), SamplingProfiler::kSliceSeconds);
}

static void print_steady(std::FILE* out, const std::optional<jit::WarmUp>& steady) {
    if (steady)
        fmt::print(out,
                   "        90 % of the steady speed after {:.1f} s, {:.0f} % of the CPUs' time in regions "
                   "since then\n",
                   steady->seconds, 100 * steady->region_share);
    else
        fmt::print(out, "        time to the steady speed: not known, too short a run\n");
}

static Json steady_json(const std::optional<jit::WarmUp>& steady) {
    if (!steady) return nullptr;
    return {{"seconds_to_90_percent", steady->seconds}, {"region_share", steady->region_share}};
}

static void print_tier2(std::FILE* out, const jit::Tier2Stats& t, double cpu) {
    fmt::print(
        out,
        "tier 2: {} blocks promoted, {} regions compiled ({} guest instructions, {} host bytes), {} "
        "rejected, {} failed, {} dropped, {} evicted, {} deoptimised, {} recompiled, {} live ({} bytes), "
        "entered {} times, {} side exits{}\n",
        t.promoted, t.compiled, t.guest_insns, t.code_bytes, t.rejected, t.failed, t.dropped, t.evicted,
        t.deoptimised, t.recompiled, t.live, t.live_bytes, t.entered, t.side_exits,
        t.stopped ? ", stopped" : "");
    fmt::print(out,
               "        {:.3f} s of compilation ({:.1f} % of CPU time), p50 {:.1f} ms, p99 {:.1f} ms\n"
               "        cache: {} regions loaded in {:.3f} s, {} missed, {} files rejected, {} saved, {} "
               "withdrawn\n",
               double(t.compile_ns) / 1e9, 100 * double(t.compile_ns + t.cache_ns) / 1e9 / cpu,
               double(t.compile_p50_ns) / 1e6, double(t.compile_p99_ns) / 1e6, t.cache_hits,
               double(t.cache_ns) / 1e9, t.cache_misses, t.cache_rejects, t.cache_saved, t.cache_withdrawn);
}

static Json tier2_json(const jit::Tier2Stats& t, double cpu) {
    return {{"promoted", t.promoted},
            {"compiled", t.compiled},
            {"guest_instructions", t.guest_insns},
            {"host_bytes", t.code_bytes},
            {"rejected", t.rejected},
            {"failed", t.failed},
            {"stopped", t.stopped},
            {"dropped", t.dropped},
            {"evicted", t.evicted},
            {"deoptimised", t.deoptimised},
            {"recompiled", t.recompiled},
            {"live", t.live},
            {"live_bytes", t.live_bytes},
            {"entered", t.entered},
            {"side_exits", t.side_exits},
            {"nanoseconds", t.compile_ns},
            {"compile_p50_ns", t.compile_p50_ns},
            {"compile_p99_ns", t.compile_p99_ns},
            {"cpu_share", double(t.compile_ns + t.cache_ns) / 1e9 / cpu},
            {"cache",
             {{"hits", t.cache_hits},
              {"nanoseconds", t.cache_ns},
              {"misses", t.cache_misses},
              {"rejects", t.cache_rejects},
              {"saved", t.cache_saved},
              {"withdrawn", t.cache_withdrawn}}}};
}

std::string MachineStats::json(const mmu::lightv::Json& lightv) const {
    Json j;
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const double seconds = seconds_since(started);
    j["seconds"] = seconds;
    j["cpu_seconds"] = cpu_seconds(usage);
    if (const auto first = cpus.first_instruction())
        j["first_instruction"] = {{"seconds", seconds_of(first->elapsed)},
                                  {"cpu_seconds", seconds_of(first->cpu)}};
    j["accel"] = {{"world", accelerator.name()}, {"reason", accelerator_reason}};
    j["peak_memory_bytes"] = usage.ru_maxrss * 1024;
    if (instructions_counted) j["guest_instructions"] = instructions();
    const jit::EngineStats e = engine.stats();
    for (const Vcpu* v : cpus.cpus()) j["cpus"].push_back(cpu_counters(*v));
    const Json counters = counters_of(accelerator, e, j["cpus"], bus);
    j.update(counters);
    if (bound_sites != nullptr) j["prepared"] = prepared_json(*bound_sites, e, has_fastmem(cpus));
    j["translation"]["nanoseconds"] = e.translate_ns;
    const jit::BlockStore::Stats kept = engine.store_stats();
    j["translation"]["disk"] = {{"blocks", kept.found},
                                {"guest_instructions", kept.found_insns},
                                {"files", kept.files},
                                {"rejected", kept.rejected},
                                {"kept", kept.kept}};
    if (const jit::SuperblockStats s = engine.superblock_stats(); s.made != 0)
        j["superblocks"] = {{"made", s.made},         {"blocks", s.blocks},
                            {"dropped", s.dropped},   {"guest_instructions", s.guest_insns},
                            {"rejected", s.rejected}, {"host_bytes", s.host_bytes},
                            {"sides", s.sides},       {"nanoseconds", s.make_ns}};
    if (profiler != nullptr) {
        j["tier2"] = tier2_json(engine.tier2_stats(), cpu_seconds(usage));
        j["tier2"]["steady_speed"] = steady_json(steady_speed(*profiler));
    }
    j["per_second"] = per_second(counters, seconds);
    if (!lightv.is_null()) j["lightv"] = lightv;
    return j.dump(2);
}

mmu::lightv::Json MachineStats::counters() const {
    Json each;
    for (const Vcpu* v : cpus.cpus()) each.push_back(cpu_counters(*v));
    return counters_of(accelerator, engine.stats(), each, bus);
}

uint64_t MachineStats::instructions() const {
    uint64_t sum = 0;
    for (const Vcpu* v : cpus.cpus()) sum += v->cpu().state.instructions;
    return sum;
}

void MachineStats::print(std::FILE* out) const {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    fmt::print(out, "host: {:.2f} CPU seconds, {} MiB of memory at most\n", cpu_seconds(usage),
               usage.ru_maxrss >> 10);
    fmt::print(out, "world: {} ({})\n", accelerator.name(), accelerator_reason);
    if (const auto first = cpus.first_instruction())
        fmt::print(
            out,
            "start: first guest instruction {:.1f} ms after the program's start, {:.1f} ms of CPU time\n",
            seconds_of(first->elapsed) * 1e3, seconds_of(first->cpu) * 1e3);
    if (instructions_counted)
        fmt::print(out, "guest: {} instructions (counting slows the run: take its time from another)\n",
                   instructions());
    const jit::EngineStats e = engine.stats();
    fmt::print(out,
               "translation: {} blocks, {} guest instructions, {} host bytes ({:.1f} a guest instruction), "
               "{:.3f} s ({:.2f} us a guest instruction)\n",
               e.blocks, e.guest_insns, e.host_bytes,
               double(e.host_bytes) / double(std::max<uint64_t>(e.guest_insns, 1)),
               double(e.translate_ns) / 1e9,
               double(e.translate_ns) / 1e3 / double(std::max<uint64_t>(e.guest_insns, 1)));
    if (const jit::BlockStore::Stats s = engine.store_stats(); s.found + s.kept + s.rejected != 0)
        fmt::print(out,
                   "             {} blocks from {} files ({} guest instructions), {} kept, {} rejected\n",
                   s.found, s.files, s.found_insns, s.kept, s.rejected);
    if (const jit::SuperblockStats s = engine.superblock_stats(); s.made != 0)
        fmt::print(
            out,
            "superblocks: {} made of {} blocks ({} guest instructions, {} host bytes) with {} side paths "
            "in {:.3f} s, {} rejected, {} dropped\n",
            s.made, s.blocks, s.guest_insns, s.host_bytes, s.sides, double(s.make_ns) / 1e9, s.rejected,
            s.dropped);
    if (profiler != nullptr) {
        print_tier2(out, engine.tier2_stats(), cpu_seconds(usage));
        print_steady(out, steady_speed(*profiler));
    }
    Json each;
    for (const Vcpu* v : cpus.cpus()) each.push_back(cpu_counters(*v));
    fmt::print(out, "{:<40}{:>14}{:>14}\n", "counters of all CPUs", "total", "per second");
    Json counters = counters_of(accelerator, e, each, bus);
    if (bound_sites != nullptr) counters["prepared"] = prepared_json(*bound_sites, e, has_fastmem(cpus));
    print_counters(out, counters, "", seconds_since(started));
}

}  // namespace arclight::guestos
