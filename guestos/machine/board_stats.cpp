// Traces and counters of a machine.
#include <sys/resource.h>

#include <nlohmann/json.hpp>

#include "frontend/a64/system/exceptions.h"
#include "guestos/machine/board.h"
#include "guestos/machine/vcpu.h"

namespace arclight::guestos {

namespace {
double cpu_seconds(const rusage& u) {
    return double(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           double(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

constexpr const char* kExitNames[16] = {"none", "lookup", "interrupt", "exception", "halt",     "svc",
                                        "hvc",  "smc",    "brk",       "undefined", "redirect", "stop"};
}  // namespace

void Board::print_exception(Vcpu& vcpu, const char* what) {
    const frontend::a64::Cpu& cpu = vcpu.cpu();
    const std::lock_guard guard(trace_lock_);
    fmt::print(trace_file_, "cpu {} {} -> pc {:#x} el {} elr {:#x} esr {:#x} far {:#x} spsr {:#x}\n",
               vcpu.index(), what, cpu.state.pc, cpu.el, cpu.state.elr_el1, cpu.registers.esr,
               cpu.registers.far, cpu.state.spsr_el1);
}

void Board::print_mmu(Vcpu& vcpu, const char* what, uint64_t va, unsigned asid, uint64_t detail) {
    const std::lock_guard guard(trace_lock_);
    fmt::print(trace_file_, "cpu {} mmu {} va {:#x} asid {:#x} {:#x} pc {:#x}\n", vcpu.index(), what, va,
               asid, detail, vcpu.cpu().state.page_base);
}

std::string Board::stats_json() const {
    nlohmann::ordered_json j;
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    j["cpu_seconds"] = cpu_seconds(usage);
    j["accel"] = {{"world", world_->name()}, {"reason", world_reason_}};
    for (const auto& [name, count] : world_->counts()) j["accel"]["exits"][name] = count;
    j["peak_memory_bytes"] = usage.ru_maxrss * 1024;
    if (options_.count_instructions) j["guest_instructions"] = instructions();
    const jit::EngineStats e = engine_->stats();
    j["translation"] = {{"blocks", e.blocks},
                        {"guest_instructions", e.guest_insns},
                        {"host_bytes", e.host_bytes},
                        {"nanoseconds", e.translate_ns},
                        {"lookups", e.lookups},
                        {"links", e.links},
                        {"invalidated_blocks", e.invalidated},
                        {"flushes", e.flushes}};
    for (const auto& v : vcpus_) {
        const VcpuStats& s = v->stats();
        nlohmann::ordered_json c;
        for (unsigned i = 0; i < 16; ++i)
            if (kExitNames[i] != nullptr) c["exits"][kExitNames[i]] = s.exits[i];
        c["memory_slow"] = s.memory_slow;
        c["tlb_fills"] = s.tlb_fills;
        c["mmio"] = s.mmio;
        c["data_aborts"] = s.data_aborts;
        c["instruction_aborts"] = s.instruction_aborts;
        c["interrupts"] = s.interrupts;
        c["lookups_direct"] = s.lookups_direct;
        c["lookups_indirect"] = s.lookups_indirect;
        c["tlbi"] = s.tlbi;
        c["ic"] = s.ic;
        c["halts"] = s.halts;
        if (const mmu::WindowSet* windows = v->windows()) {
            const mmu::WindowStats& w = windows->stats();
            c["windows"] = {{"faults", s.window_faults},       {"fills", w.fills},
                            {"large_fills", w.large_fills},    {"host_slots", w.root_entries},
                            {"evictions", w.evictions},        {"dropped_pages", w.dropped_pages},
                            {"invalidations", w.invalidations}, {"device_sites", s.device_sites}};
        }
        j["cpus"].push_back(c);
    }
    for (const auto& d : bus_.stats())
        if (d.reads + d.writes != 0) j["mmio"][d.name] = {{"reads", d.reads}, {"writes", d.writes}};
    return j.dump(2);
}

uint64_t Board::instructions() const {
    uint64_t sum = 0;
    for (const auto& v : vcpus_) sum += v->cpu().state.instructions;
    return sum;
}

void Board::print_stats(std::FILE* out) const {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    fmt::print(out, "host: {:.2f} CPU seconds, {} MiB of memory at most\n", cpu_seconds(usage),
               usage.ru_maxrss >> 10);
    fmt::print(out, "world: {} ({})", world_->name(), world_reason_);
    const char* separator = ": exits ";
    for (const auto& [name, count] : world_->counts()) {
        if (count != 0) fmt::print(out, "{}{}={}", std::exchange(separator, " "), name, count);
    }
    fmt::print(out, "\n");
    if (options_.count_instructions)
        fmt::print(out, "guest: {} instructions (counting slows the run: take its time from another)\n",
                   instructions());
    const jit::EngineStats e = engine_->stats();
    fmt::print(out,
               "translation: {} blocks, {} guest instructions, {} host bytes ({:.1f} a guest instruction), "
               "{:.3f} s ({:.2f} us a guest instruction)\n",
               e.blocks, e.guest_insns, e.host_bytes,
               double(e.host_bytes) / double(std::max<uint64_t>(e.guest_insns, 1)),
               double(e.translate_ns) / 1e9,
               double(e.translate_ns) / 1e3 / double(std::max<uint64_t>(e.guest_insns, 1)));
    fmt::print(out, "             {} lookups, {} links, {} blocks invalidated, {} flushes\n", e.lookups,
               e.links, e.invalidated, e.flushes);
    if (options_.jit != JitTier::tier1) {
        const jit::Tier2Stats t = engine_->tier2_stats();
        fmt::print(out,
                   "tier 2: {} blocks promoted, {} regions compiled ({} guest instructions, {} host bytes), {} "
                   "rejected, {} dropped, {} live ({} bytes)\n"
                   "        {:.3f} s of compilation, p50 {:.1f} ms, p99 {:.1f} ms\n",
                   t.promoted, t.compiled, t.guest_insns, t.code_bytes, t.rejected, t.dropped, t.live,
                   t.live_bytes, double(t.compile_ns) / 1e9, double(t.compile_p50_ns) / 1e6,
                   double(t.compile_p99_ns) / 1e6);
    }
    for (const auto& v : vcpus_) {
        const VcpuStats& s = v->stats();
        fmt::print(out, "cpu {}: exits", v->index());
        for (unsigned i = 0; i < 16; ++i)
            if (s.exits[i] != 0 && kExitNames[i] != nullptr)
                fmt::print(out, " {}={}", kExitNames[i], s.exits[i]);
        fmt::print(
            out,
            "\n       memory slow paths {}, TLB fills {}, MMIO {}, data aborts {}, instruction aborts {}\n"
            "       interrupts {}, lookups direct {} indirect {}, TLBI {}, IC {}, halts {}\n",
            s.memory_slow, s.tlb_fills, s.mmio, s.data_aborts, s.instruction_aborts, s.interrupts,
            s.lookups_direct, s.lookups_indirect, s.tlbi, s.ic, s.halts);
        if (const mmu::WindowSet* windows = v->windows()) {
            const mmu::WindowStats& w = windows->stats();
            fmt::print(out,
                       "       window faults {}, fills {} and {} of 2 MiB, host slots {}, evictions {}\n"
                       "       dropped pages {}, invalidations {}, device instructions {}\n",
                       s.window_faults, w.fills, w.large_fills, w.root_entries, w.evictions, w.dropped_pages,
                       w.invalidations, s.device_sites);
        }
    }
    for (const auto& d : bus_.stats())
        if (d.reads + d.writes != 0)
            fmt::print(out, "mmio {}: {} reads, {} writes\n", d.name, d.reads, d.writes);
}

}  // namespace arclight::guestos
