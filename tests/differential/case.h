// One test case, what an engine makes of it, and the interface of an engine.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/differential/protocol.h"

namespace arclight::differential {

// Values of Case::row that are no row of the table.
inline constexpr int kMixedRow = -1;    ///< a random row for each instruction
inline constexpr int kProgramRow = -2;  ///< a whole program
inline constexpr int kAnyWordRow = -3;  ///< random words, allocated or not

/// Each sequence has a slot of the code region to itself; branches that stay in the slot meet BRK.
inline constexpr unsigned kSlotWords = 64;
inline constexpr unsigned kSlots = DIFF_CODE_BYTES / 4 / kSlotWords;

struct Case {
    uint64_t index = 0;        ///< K of --case K
    int row = -1;              ///< of the instruction table, or one of the above
    uint32_t code_offset = 0;  ///< bytes from DIFF_CODE_VA of the first word
    uint32_t slot_offset = 0;  ///< of the code this case owns: leaving it ends the case
    uint32_t slot_bytes = kSlotWords * 4;
    std::vector<uint32_t> words;
    DiffState initial{};

    uint64_t code_va() const { return DIFF_CODE_VA + code_offset; }
    uint64_t slot_va() const { return DIFF_CODE_VA + slot_offset; }
    bool in_slot(uint64_t pc) const { return pc - slot_va() < slot_bytes; }
    /// The word an engine finds at `pc`, which must be in the slot.
    uint32_t word_at(uint64_t pc) const {
        const uint64_t i = (pc - code_va()) / 4;
        return i < words.size() ? words[i] : DIFF_FILLER;
    }
};

enum class Stop : uint8_t {
    NotRun,
    End,        ///< reached a BRK, or left the slot: pc says where
    Undefined,  ///< the UNDEFINED exception at pc
    Svc,        ///< SVC at pc
    Align,      ///< an alignment fault
    Fault,      ///< any other data abort
    Limit,      ///< still running after far too many instructions
    Broken,     ///< the engine itself failed: see Outcome::problem
};
const char* name(Stop stop);

struct Outcome {
    Stop stop = Stop::NotRun;
    DiffState state{};
    std::vector<DiffGranule> memory;  ///< changed granules of the arena, by index
    std::string problem;
};

struct Batch {
    std::vector<Case> cases;  ///< in disjoint slots
    uint8_t arena[DIFF_ARENA_BYTES] = {};
};

class Engine {
  public:
    virtual ~Engine() = default;
    virtual const char* name() const = 0;
    bool is_vixl() const { return std::string_view(name()) == "vixl"; }
    /// Fills one outcome a case. `wanted[i]` false: leave case i NotRun.
    virtual std::vector<Outcome> run(const Batch& batch, const std::vector<bool>& wanted) = 0;
    /// What the engine knows about its last execution of this case, for a failure report.
    virtual std::string explain(const Batch&, size_t) { return {}; }
};

/// Reserves [DIFF_CODE_VA, end of the arena) in this process, where the in-process engines put guest memory.
/// Throws std::runtime_error when the range is taken.
void map_guest_memory();
/// Writes the words of all cases, surrounded by BRK, and the arena.
void place_code(const Batch& batch);
void restore_arena(const Batch& batch);
std::vector<DiffGranule> changed_granules(const uint8_t* before, const uint8_t* after);

std::unique_ptr<Engine> make_vixl_engine();
std::unique_ptr<Engine> make_arclight_engine();
/// `problem` says why there is none.
std::unique_ptr<Engine> make_qemu_engine(const std::string& cpu, std::string& problem);

/// Text of a word by VIXL's disassembler.
std::string disassemble(uint32_t word, uint64_t pc);
/// Whether VIXL's disassembler knows no such instruction.
bool looks_unallocated(uint32_t word);

}  // namespace arclight::differential
