// The profile of emitted code: how many host instructions were executed, by what they are for.
//
// The backend says what each instruction is for where it emits it, and counts how often each segment of a block (what is
// executed as a whole or not at all) is executed; the profile is executions times instructions. It is exact, but that a segment
// counts as a whole if the guest faults in it or an instruction of several ways takes one of them, and that counts get lost
// where several virtual CPUs execute a block at once. What is not emitted with a block is not in it: shared stubs, C++, and
// regions of tier 2.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace arclight::jit {

/// What a host instruction is for.
enum class HostClass : uint8_t {
    Work,           ///< the guest's computation
    SoftTlb,        ///< looking a guest address up
    Access,         ///< the access to guest memory itself
    RegisterLoad,   ///< guest registers from GuestState
    RegisterStore,  ///< and to it
    Spill,          ///< values that found no register
    Flags,          ///< NZCV stored, loaded or made of EFLAGS
    Constant,       ///< constants, and addresses in the block's page
    FpCheck,        ///< whether a result of floating point is one that x86 computes as ARM does
    Branch,         ///< conditional exits
    Jump,           ///< direct exits
    PageCheck,      ///< whether another page is still where a direct exit leads to
    Indirect,       ///< looking the target of an indirect branch up
    Poll,           ///< for interrupts
    Call,           ///< of C++
    Padding,        ///< before fields that are patched
    SlowPath,       ///< out of line: what a check leads to
    Counter,        ///< of the block's runs, for tier 2
    kCount,
};
inline constexpr size_t kHostClasses = static_cast<size_t>(HostClass::kCount);
inline constexpr size_t kIntegerRegisters = 32;  ///< of the guest: x0 to x30, sp
const char* name_of(HostClass c);

/// Not synchronised: the engine's lock is held, but for the counters.
class HostProfile {
  public:
    struct Segment {
        const uint64_t* runs;  ///< counts its executions
        std::array<uint16_t, kHostClasses> host;
        uint16_t guest;  ///< instructions that begin in it
        /// Host instructions that read and write x0..x30 and sp in GuestState, by register.
        std::array<uint8_t, kIntegerRegisters> loads, stores;
        /// Those that move them from and to the vector registers of CodeOptions::vector_registers.
        uint16_t vector_reads, vector_writes;
        enum class Place : uint8_t { Block, SuperblockEntry, Superblock, SuperblockExit };
        Place place = Place::Block;  ///< SuperblockExit: out of line, the way out of one and slow paths
        bool shared;  ///< of a stub that blocks share: no more of it is counted than `loads` and `stores`
    };
    /// Of a new segment; stays where it is.
    uint64_t* new_counter();
    void add(const Segment& segment) { segments_.push_back(segment); }

    struct Totals {
        std::array<uint64_t, kHostClasses> host{};
        uint64_t guest = 0;
        uint64_t in_superblocks = 0;  ///< of these
        uint64_t superblock_runs = 0;
        /// Of `host`: in superblocks (jit/engine/superblocks.h), and out of their line.
        std::array<uint64_t, kHostClasses> superblock{}, superblock_exits{};
        std::array<uint64_t, kIntegerRegisters> loads{}, stores{};
        uint64_t vector_reads = 0, vector_writes = 0;
        uint64_t shared = 0;  ///< of loads and stores, those by shared stubs
        uint64_t all() const;
        Totals operator-(const Totals& before) const;
    };
    /// Executed until now.
    Totals totals() const;

  private:
    static constexpr size_t kChunk = 65536;
    std::vector<std::unique_ptr<uint64_t[]>> counters_;
    size_t used_ = kChunk;  ///< of the last chunk
    std::vector<Segment> segments_;
};

}  // namespace arclight::jit
