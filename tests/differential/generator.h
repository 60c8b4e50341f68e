// Makes random test cases from the instruction table.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "tests/differential/case.h"
#include "tests/differential/random.h"

namespace arclight::differential {

/// ARCLIGHT_QEMU_AARCH64 names a qemu-aarch64 that knows FEAT_AFP and FEAT_EBF16 (10.0): then FPCR's bits of these are tried too.
bool is_qemu_given();
const char* qemu_program();
/// EBF, NEP, AH, FIZ.
inline constexpr uint32_t kFpcrYounger = 1u << 13 | 7;

/// Rows no sequence can exercise, each with the reason; null when the row is an ordinary one.
const char* why_not_generated(const char* row_name);
/// Rows that sequences contain, but whose every instance raises an exception at EL0.
const char* why_not_completed(const char* row_name);

/// Builds one sequence. Every address register gets its value only when the first access through it is made:
/// what else the case needs of it is known by then, so all accesses fall into the arena whatever the words
/// are.
class SequenceBuilder {
  public:
    SequenceBuilder(Rng& rng, Case& out) : rng_(rng), case_(out) {}
    /// `row` of the table, kMixedRow or kAnyWordRow.
    void build(int row);

  private:
    struct Saved;
    bool append(int row);
    bool fix(uint32_t& word, int row);
    bool fix_memory(uint32_t& word);
    bool fix_branch(uint32_t& word);
    bool fix_system(uint32_t& word);
    bool is_possible_target(uint64_t va) const;
    void note_effects(uint32_t word);
    void pair_with_exclusive_load(uint32_t store);

    bool fresh(unsigned reg) const { return (touched_ >> reg & 1) == 0; }
    std::optional<unsigned> find_fresh(unsigned not_this);
    void assign(unsigned reg, uint64_t value);
    void touch(unsigned reg) { touched_ |= 1u << reg; }
    void clobber(unsigned reg) {
        touch(reg);
        known_[reg].reset();
    }
    uint64_t pc() const { return case_.code_va() + case_.words.size() * 4; }

    Rng& rng_;
    Case& case_;
    uint32_t touched_ = 0;
    std::array<std::optional<uint64_t>, 32> known_;  ///< current values of address registers; 31 = SP
    bool branched_ = false;
    unsigned length_ = 0;
    uint64_t min_target_ = 0;
    std::vector<unsigned> pool_;  ///< the few registers this case likes
};

/// A random word of a table row, fields biased to boundaries; not yet safe to run.
uint32_t random_word(Rng& rng, int row, const std::vector<unsigned>& register_pool);

void random_state(Rng& rng, DiffState& state);
void generate_arena(Batch& batch, uint64_t seed);
/// Fills `batch` with `count` sequences, number `first` of the run and up. `only_row` >= 0 restricts to a
/// row.
void generate_batch(Batch& batch, uint64_t seed, uint64_t first, unsigned count, int only_row);

}  // namespace arclight::differential
