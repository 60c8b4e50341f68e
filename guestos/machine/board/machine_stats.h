// What a machine has counted, for people and for programs.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

#include "backend/accelerator.h"
#include "devices/bus.h"
#include "guestos/machine/board/cpu_group.h"
#include "guestos/machine/board/sampling_profiler.h"
#include "guestos/prepare/module.h"
#include "jit/engine/engine.h"
#include "mmu/lightv/module.h"

namespace arclight::guestos {

/// A view of a machine that outlives it. Counters are slightly stale while CPUs run.
struct MachineStats {
    jit::Engine& engine;
    const backend::Accelerator& accelerator;
    const std::string& accelerator_reason;
    const CpuGroup& cpus;
    const devices::Bus& bus;
    const SamplingProfiler* profiler;        ///< null: without tier 2
    const prepare::BoundSites* bound_sites;  ///< null: no prepared kernel
    std::chrono::steady_clock::time_point started;
    bool instructions_counted;

    /// Guest instructions of all CPUs, if they are counted.
    uint64_t instructions() const;
    /// All that is counted, by name: numbers, and objects of the same.
    mmu::lightv::Json counters() const;
    /// A table for people.
    void print(std::FILE* out) const;
    /// JSON. `lightv`: what its modules say, or null.
    std::string json(const mmu::lightv::Json& lightv) const;
};

}  // namespace arclight::guestos
