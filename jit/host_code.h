// What the engine needs of host code: a code cache, and compiling, linking and taking apart what is in it.
// One backend (backend/x64) defines the functions; nothing here depends on the host's instruction set but the
// meaning of register numbers.
//
// Nothing here is synchronised: one thread at a time compiles into, links in and resets a CodeBuffer. Linking
// and unlinking are safe while other threads execute the code.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "jit/compact_vector.h"
#include "jit/guest_state.h"
#include "jit/host_profile.h"
#include "jit/ir/ir.h"
#include "jit/saved_location.h"

namespace arclight::jit {

using EnterFn = uint32_t (*)(GuestState*, const void* code);

/// Code shared by all blocks, at the start of a CodeBuffer. Only `enter` and `leave` are for others to use.
struct SharedStubs {
    EnterFn enter;         ///< C++ to translated code; returns state.exit_reason
    const uint8_t* leave;  ///< jumped to from translated code: back to the caller of enter
    const uint8_t* memory_slow;
    /// By the register that holds the tag, for reads and for writes; null for those that never do.
    std::array<std::array<const uint8_t*, 16>, 2> victim;
    const uint8_t* lookup_direct;
    const uint8_t* lookup_cross;
    const uint8_t* lookup_indirect;  ///< eax = exit_info, as interrupted_at
    const uint8_t* interrupted;
    const uint8_t* interrupted_at;
    const uint8_t* lookup_region;  ///< of a region's exit, which has stored exit_info if it is indirect
    const uint8_t* interrupted_region;
    const uint8_t* exit_runtime;
    const uint8_t* call_helper;
    const uint8_t* call_integer;  ///< of helpers with kCallInteger
    const uint8_t*
        call_scalable;  ///< as call_helper, with the arguments in access_value; keeps all registers
    const uint8_t* vector_call;
    const uint8_t* promote;
    const uint8_t* region_guard;
    const uint8_t* indirect_thunk;  ///< goes to r11, as indirect branches do with CodeBuffer::spectre()
};

/// Memory for code, which is executed at these addresses and written `distance` bytes further on.
struct CodeRoom {
    std::span<const uint8_t> executable;
    ptrdiff_t distance = 0;
};

/// How blocks are compiled.
struct CodeOptions {
    /// All code masks addresses by the outcome of its checks, and has no branch that the host predicts by its target:
    /// docs/security.md.
    bool spectre = false;
    /// Guest integer registers live in vector registers while translated code runs, not in GuestState: the host must have
    /// host_has_vector_registers(), and code of other tiers must not run.
    bool vector_registers = false;
    /// Blocks can be taken to other code caches (block_image.h).
    bool images = false;
    /// Blocks count their runs out of line (compile()): for counters that are seldom wanted.
    bool counters_aside = false;
    /// Where code counts what it executes; null: nowhere. It must stay as long as the code.
    HostProfile* profile = nullptr;
};
/// Whether the host has those that CodeOptions::vector_registers takes.
bool host_has_vector_registers();

/// The code cache: hot paths in the first half, cold stubs in the second, both filled upwards.
///
/// The same memory is mapped twice, at random addresses that say nothing about each other: for execution, which is where
/// all addresses of code point to, and for writing. No page can be written to where it can be executed.
class CodeBuffer {
  public:
    static constexpr size_t kDefaultSize = size_t{256} << 20;

    /// Throws std::system_error when the host has no memory.
    explicit CodeBuffer(size_t size = kDefaultSize, const CodeOptions& options = {});
    ~CodeBuffer();
    CodeBuffer(const CodeBuffer&) = delete;
    CodeBuffer& operator=(const CodeBuffer&) = delete;

    /// What takes part in it, as a power of two from base(): blocks, their counters and regions().
    unsigned range_log2() const { return range_log2_; }
    /// Room for the code of other tiers. Nothing is there at first.
    CodeRoom regions() const {
        const size_t before = size_ + kCounterBytes;
        return {{base_ + before, (size_t{1} << range_log2_) - before}, distance_};
    }
    const uint8_t* base() const { return base_; }
    size_t size() const { return size_; }
    /// Where the code at `code`, an address in this buffer, can be written to.
    uint8_t* writable(const void* code) const {
        return const_cast<uint8_t*>(static_cast<const uint8_t*>(code)) + distance_;
    }
    const SharedStubs& stubs() const { return stubs_; }
    /// Counters of blocks, beside the code so that it reaches them: see compile(). Data: they are not executable.
    uint32_t* counters() const { return reinterpret_cast<uint32_t*>(const_cast<uint8_t*>(base_) + size_); }
    static constexpr uint32_t kCounters = 1u << 20;
    /// Whether the blocks compiled from now on may keep a translation from one access to the next ones of the
    /// block, slow paths between them included. Not where those may carry out other CPUs' requests. At first
    /// they may.
    void set_grouping(bool on) { grouping_ = on; }
    bool grouping() const { return grouping_ && !spectre_; }
    bool spectre() const { return spectre_; }
    bool vector_registers() const { return vector_registers_; }
    bool images() const { return images_; }
    bool counters_aside() const { return counters_aside_; }
    HostProfile* profile() const { return profile_; }
    size_t hot_used() const;
    size_t cold_used() const;
    bool contains(const void* p) const {
        return static_cast<const uint8_t*>(p) >= base_ && static_cast<const uint8_t*>(p) < base_ + size_;
    }
    /// Forgets all blocks. No thread may be running any of them.
    void reset();

    /// Where the next code goes, and what writes it: the backend's own.
    struct Assembler;
    Assembler& assembler() { return *assembler_; }
    const Assembler& assembler() const { return *assembler_; }

  private:
    static constexpr size_t kCounterBytes = size_t{kCounters} * sizeof(uint32_t);

    const uint8_t* base_ = nullptr;
    ptrdiff_t distance_ = 0;  ///< from where code is executed to where it is written
    size_t size_ = 0;
    unsigned range_log2_ = 0;
    bool grouping_ = true;
    HostProfile* const profile_;
    const bool spectre_, vector_registers_, images_, counters_aside_;
    SharedStubs stubs_{};
    std::unique_ptr<Assembler> assembler_;
};

/// A direct exit of a block. Its number is the first_link_slot given to compile() plus its index in exits.
struct LinkSlot {
    const uint8_t* jump = nullptr;   ///< the rel32 to patch, within an aligned quadword
    const uint8_t* epoch = nullptr;  ///< cross-page: the imm32 that SoftTlb::epoch is compared with, likewise
    const uint8_t* stub = nullptr;   ///< where the jump leads while it is not linked
    int32_t target = 0;              ///< offset from the block's page; outside 0..4095 when cross_page
    bool cross_page = false;
    uint8_t page = 0;  ///< number of its page in the superblock
    /// The number of the page that the superblock goes on in by itself while the epoch is right: there is no jump to patch.
    uint8_t next_page = 0;
    bool split = false;  ///< the way out before accesses that share a look-up and are not in one page
    bool goes_on() const { return jump == nullptr; }
};

/// A host instruction at which a guest access may fault, or the return address of its slow path.
struct FaultPoint {
    uint32_t access;     ///< of the access instruction, from CompiledBlock::entry
    uint32_t return_pc;  ///< of the slow path call's return address, from CompiledBlock::cold
    uint32_t first;      ///< its locations: FaultMap::locations[first .. first + words)
    uint16_t words;
    uint16_t insn_offset : 12;  ///< of the guest instruction in its page
    uint16_t page : 4;          ///< number of that page in the superblock
    uint32_t cold = 0;          ///< of the slow path, from CompiledBlock::cold
    /// With fastmem: from CompiledBlock::entry, the host instructions that may fault for this access. One
    /// that does goes on at the slow path, with all registers as they are.
    uint32_t fastmem_start = 0, fastmem_end = 0;
};

struct FaultMap {
    CompactVector<FaultPoint> points;
    CompactVector<LocationWord> locations;  ///< of points that have the same, once
    /// Of one of its points: what no range of its words is of reads as nothing.
    LocationReader locations_of(const FaultPoint& point) const {
        if (point.first > locations.size() || point.words > locations.size() - point.first)
            return LocationReader({});
        return LocationReader({locations.data() + point.first, point.words});
    }
};

enum class CompileStatus : uint8_t {
    Ok,
    BufferFull,  ///< reset the buffer, or make a bigger one
    TooComplex,  ///< out of spill slots: translate a shorter block
};

/// What compile() made of a block; status says whether anything.
struct CompiledBlock {
    CompileStatus status = CompileStatus::Ok;
    const uint8_t* entry = nullptr;
    const uint8_t* body = nullptr;  ///< entry, but for the counter
    uint32_t hot_bytes = 0;         ///< from entry
    const uint8_t* cold = nullptr;
    /// Grows with the blocks that are compiled, as `entry` does: where its code in that half begins. That is `cold`, but for superblocks, which have seldom code before it.
    const uint8_t* cold_order = nullptr;
    uint32_t cold_bytes = 0;  ///< from cold
    CompactVector<LinkSlot> exits;
    const uint8_t* indirect = nullptr;  ///< its indirect branch, where sample() has it go another way
    uint8_t indirect_register = 0, indirect_kind = 0;
    FaultMap faults;

    explicit operator bool() const { return status == CompileStatus::Ok; }
    bool contains(const void* p) const {
        const auto* b = static_cast<const uint8_t*>(p);
        return (b >= entry && b < entry + hot_bytes) || (b >= cold && b <= cold + cold_bytes);
    }
};

inline constexpr uint32_t kNoCounter = ~uint32_t{0};
/// With a counter, every run of the block takes one from it; the run that finds it at zero calls kPromote
/// first. With CodeOptions::counters_aside none does before unpatch_entry(): the block begins with a nop, in whose place a
/// jump leads to what counts.
CompiledBlock compile(const ir::Block& block, CodeBuffer& buffer, uint32_t first_link_slot,
                      uint32_t counter = kNoCounter);

/// The way from a block's entry into tier 2's code and back (jit/llvm/region_compiler.h), in the code cache's
/// cold half.
struct RegionStub {
    const void* region;
    const void* body;  ///< of the block that it is entered from
    uint32_t
        guard;  ///< kNoCounter, or the index in GuestState::region_epochs that must hold the soft TLB's epoch
    uint32_t entries = kNoCounter;     ///< the counter that grows when the region is entered
    uint32_t side_exits = kNoCounter;  ///< and when it is left by a side exit
    uint32_t cycles = kNoCounter;  ///< and the one that adds up the time stamp counter's ticks in the region
};
/// Null: the code cache is full. `reuse`: an earlier stub that nobody needs or executes any more.
const uint8_t* emit_region_stub(CodeBuffer& buffer, const RegionStub& stub, const uint8_t* reuse = nullptr);
/// Where a stub goes on behind its guard.
const uint8_t* after_guard(const uint8_t* stub);
/// Makes a block that has a counter go to `stub` when it is entered, or run itself again. Other threads may
/// be executing it.
void patch_entry(CodeBuffer& buffer, const CompiledBlock& block, const uint8_t* stub);
void unpatch_entry(CodeBuffer& buffer, const CompiledBlock& block, uint32_t counter);

/// Code that adds one to a counter and goes on at `target`. Null: the code cache is full.
const uint8_t* emit_counted_jump(CodeBuffer& buffer, uint32_t counter, const void* target);

/// Where an indirect branch went: a ring in the counters, of which the first word says how many entries were
/// ever written. Entries begin at the word kRingHead.
struct RingEntry {
    int64_t offset;    ///< of the target, from the page of the branch
    const void* code;  ///< entry of its block
};
inline constexpr uint32_t kRingEntries = 128, kRingHead = 4;
inline constexpr uint32_t kRingWords = kRingHead + kRingEntries * sizeof(RingEntry) / 4;
/// The block's indirect branch once more, that also writes to the ring at this counter. Null: as above.
const uint8_t* emit_sampler(CodeBuffer& buffer, const CompiledBlock& block, uint32_t ring);
/// Makes the block's indirect branch, which it must have, go through the sampler, or through none (null).
void sample(CodeBuffer& buffer, const CompiledBlock& block, const uint8_t* sampler);

/// Lets a superblock go on in its next page while SoftTlb::epoch equals `epoch`.
void go_on(CodeBuffer& buffer, const LinkSlot& slot, uint32_t epoch);
/// Makes the exit go straight to `target`, a block's entry; cross-page, only while SoftTlb::epoch equals
/// `epoch`. While other threads run the code, a linked cross-page exit may be linked again only to the same
/// target (another epoch is fine): a thread may stand between the compare and the jump.
void link(CodeBuffer& buffer, const LinkSlot& slot, const void* target, uint32_t epoch);
/// The same for an exit that is linked, within its page or not: to go to `target`'s place by another way.
void redirect(CodeBuffer& buffer, const LinkSlot& slot, const void* code);
/// Makes the exit ask kLookupDirect again. A thread that is past the compare may still take the old jump
/// once.
void unlink(CodeBuffer& buffer, const LinkSlot& slot);
/// Never the epoch of a SoftTlb.
inline constexpr uint32_t kUnlinkedEpoch = ~uint32_t{0};

/// Rebuilds guest registers in `state` for a fault at host_pc: the return address passed to kMemorySlow, or
/// the address of the faulting access itself. saved_gpr and saved_xmm must hold the host registers at that
/// point. Returns the guest instruction's offset in its page, or nothing if host_pc is not a fault point of
/// this block.
std::optional<uint32_t> recover_state(const CompiledBlock& block, const void* host_pc, GuestState& state);

/// The same without touching any state.
struct GuestPlace {
    uint32_t offset;  ///< of the instruction in its page
    unsigned page;    ///< number of that in the superblock
};
std::optional<GuestPlace> guest_place(const CompiledBlock& block, const void* host_pc);

/// The slow path of the access whose host instruction at host_pc faulted; null if the block has no access
/// there.
const uint8_t* fastmem_fault(const CompiledBlock& block, const void* host_pc);

/// One line an instruction, Intel syntax, without addresses for jumps inside the span.
std::string disassemble(std::span<const uint8_t> code);
/// Whether this build has a disassembler.
bool have_disassembler();

}  // namespace arclight::jit
