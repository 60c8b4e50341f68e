// What a user can ask of `arclight run`, after checking.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mmu/shadow.h"

namespace arclight::guestos {

enum class Accel : uint8_t { automatic, kvm, process };
enum class Fastmem : uint8_t { automatic, on, off };
enum class JitTier : uint8_t { automatic, interpreter, tier1, tier2, tiered };

struct DriveOptions {
    std::string file;
    bool readonly = false;
    bool snapshot = false;  // writes are forgotten at the end
    std::string serial;
};

struct TraceOptions {
    bool blocks = false;
    bool ir = false;
    bool host = false;
    bool exceptions = false;
    bool mmu = false;
    std::string file;  // empty: stderr

    bool any() const { return blocks || ir || host || exceptions || mmu; }
};

struct RunOptions {
    std::string kernel;
    std::string initrd;  // empty: none
    std::string append;
    std::string dtb;       // empty: made from the machine
    std::string dump_dtb;  // write the device tree there and leave
    uint64_t memory = uint64_t(512) << 20;
    unsigned cpus = 1;
    std::vector<DriveOptions> drives;
    bool rng = true;  // a virtio entropy device
    unsigned gic = 3;
    Accel accel = Accel::automatic;
    Fastmem fastmem = Fastmem::automatic;  // guest memory through the virtual machine's page tables
    mmu::ShadowOptions shadow;
    JitTier jit = JitTier::automatic;  // tiered, but tier1 in a program without LLVM
    std::optional<uint32_t> jit_threshold;
    std::string jit_dump;   // a directory; empty: none
    std::string jit_cache;  // of compiled regions, a directory; empty: none
    uint64_t jit_cache_bytes = uint64_t(256) << 20;
    uint64_t jit_code_bytes = uint64_t(64) << 20;  // of tier 2
    unsigned jit_sample = 1, jit_sample_seed = 0;  // for tests: one block in so many may become a region
    unsigned jit_region = 200;                     // guest instructions of a region at most
    unsigned jit_faults = 0;                       // for tests: every so manyth compilation fails
    bool perf_map = false;
    uint64_t code_cache = uint64_t(256) << 20;
    TraceOptions trace;
    bool kaslr_seed = true;
    bool rng_seed = true;
    bool no_reboot = false;
    bool count_instructions = false;
    bool stats = false;
    std::string stats_file;  // JSON; empty: a table on stderr
    std::string lightv;      // policy file; empty: none
    std::string control;     // path of the control socket; empty: none
    std::string symbols;     // the kernel's symbols; empty: none

    // The default guest's session (guestos/session.h): none for a foreign initrd.
    bool session = false;
    std::vector<std::string> command;  // empty with session: an interactive shell
};

}  // namespace arclight::guestos
