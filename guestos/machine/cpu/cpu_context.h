// What a virtual CPU needs of the machine around it. A test or a benchmark fills in what its guest code uses.
#pragma once

#include <cstdint>
#include <optional>

#include "backend/accelerator.h"
#include "devices/bus.h"
#include "devices/gic_v3.h"
#include "devices/guest_clock.h"
#include "devices/pmu_interrupt.h"
#include "devices/psci.h"
#include "devices/timer.h"
#include "frontend/a64/cpu_features.h"
#include "guestos/machine/cpu/contextidr_tracker.h"
#include "guestos/machine/cpu/cpu_peers.h"
#include "guestos/machine/cpu/cpu_trace.h"
#include "guestos/machine/cpu/debug_points.h"
#include "guestos/machine/cpu/semihosting_port.h"
#include "guestos/machine/cpu/spin_policy.h"
#include "jit/engine/engine.h"
#include "mmu/guest_memory.h"
#include "mmu/page_overlay.h"
#include "mmu/shadow.h"
#include "mmu/table_pages.h"

namespace arclight::guestos {

/// Everything referred to outlives the virtual CPU. A null pointer: the machine has no such part.
struct CpuContext {
    jit::Engine& engine;
    backend::Accelerator& accelerator;
    const mmu::GuestMemory& memory;
    mmu::PageOverlay& overlay;
    devices::Bus& bus;
    devices::GuestClock& clock;
    CpuPeers& peers;
    CpuTrace& trace;
    /// Of all CPUs; the engine's frontend has the same. FEAT_GIC goes with `gic`.
    frontend::a64::FeatureSet features = frontend::a64::kDefaultFeatures.without(frontend::a64::Feature::Gic);
    frontend::a64::CpuIdentity identity{};
    mmu::TablePages* table_pages = nullptr;  ///< traditional shadow paging
    devices::GicV3* gic = nullptr;           ///< ICC_*_EL1; a GICv2's CPU interface is on the bus
    devices::GenericTimer* timer = nullptr;  ///< this CPU's
    devices::PmuInterrupt* pmu = nullptr;    ///< this CPU's
    devices::Psci* firmware = nullptr;       ///< HVC
    ContextidrTracker* contextidr_tracker = nullptr;
    SemihostingPort* semihosting = nullptr;  ///< HLT
    DebugPoints* debug = nullptr;            ///< of a debugger beside the machine
    uint64_t tag_bias = 0;  ///< mmu::TagMemory::bias(), if translated code may read tags; else 0
};

struct VcpuOptions {
    unsigned index = 0;
    unsigned cpus = 1;  ///< of the machine; code for a single CPU has no barriers and no atomic instructions
    mmu::ShadowOptions shadow;
    bool count_instructions = false;
    bool direct_memory_always =
        false;  ///< DirectMemoryPolicy: of every address space, from its first instruction
    SpinPolicy spin = SpinPolicy::HandOver;
    bool record_sites = false;            ///< Engine::record_device() is told
    std::optional<uint64_t> random_seed;  ///< of RNDR; none: the host's random numbers
    /// Whether integer helpers (ir::kCallInteger) are watched: IntegerOnlyCheck, jit/host_fp.h.
#ifdef NDEBUG
    bool check_helpers = false;
#else
    bool check_helpers = true;
#endif
};

}  // namespace arclight::guestos
