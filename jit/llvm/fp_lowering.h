// Floating point. The host computes as tier 1 has it (backend/x64/emit_fp.cpp), and where host and ARM might
// disagree, that is for NaNs and results at the edge of underflow, the region is left before the instruction:
// results are checked together, before anything happens that cannot be done again. A NaN that is an operand
// of another sum or product comes out of it as one, and need not be checked itself.
//
// LLVM's constrained operations keep the sticky flags right: they are neither removed nor executed where the
// guest would not.
#pragma once

#include <initializer_list>
#include <set>
#include <utility>
#include <vector>

#include "jit/llvm/block_values.h"
#include "jit/llvm/region_exit_builder.h"

namespace arclight::jit::tier2 {

class FpLowering {
  public:
    /// A floating-point result since the checkpoint that the host may have got wrong.
    struct Unchecked {
        ir::Ref ref;
        Value* value;  ///< a number, or two or four
        bool tiny;
        unsigned shown = 0;  ///< by lane: a NaN there comes out of a later operation as one
    };
    /// What is known of the results so far.
    struct Results {
        std::vector<Unchecked> unchecked;
        std::set<ir::Ref> numbers;
    };

    /// `slow`: FPCR has settings that the host's operations do not have.
    FpLowering(RegionIrBuilder& b, BlockValues& values, RegionExitBuilder& exits, bool slow)
        : b_(b), values_(values), exits_(exits), slow_(slow) {}
    void begin_block();
    /// Scalars and vectors. False: it is none of these. Throws Unsupported.
    bool lower(const ir::Inst& i, ir::Ref index) {
        return lower_scalar(i, index) || lower_half(i, index) || lower_vector(i, index);
    }

    bool has_unchecked() const { return !unchecked_.empty(); }
    /// Called before each instruction: checks results on which it depends.
    void before(ir::Op op);
    /// Checks all results, before anything that cannot be done again.
    void check_results();
    Results results() const { return {unchecked_, numbers_}; }
    void restore(Results results) {
        unchecked_ = std::move(results.unchecked);
        numbers_ = std::move(results.numbers);
    }

  private:
    bool lower_scalar(const ir::Inst& i, ir::Ref index);
    bool lower_vector(const ir::Inst& i, ir::Ref index);
    // half_lowering.cpp
    bool lower_half(const ir::Inst& i, ir::Ref index);
    Value* half_lanes(ir::Ref r, unsigned lanes);
    Value* widened(Value* v, llvm::Type* lane);
    Value* narrowed(Value* v);
    void define_halves(ir::Ref index, Value* halves);
    void leave_for_halves(Value* halves);
    Value* half_fused(const ir::Inst& i, unsigned lanes);
    Value* half_extremum(Value* a, Value* b, bool max);
    Value* strict(llvm::Intrinsic::ID id, llvm::Type* type, std::initializer_list<Value*> args);
    Value* strict_compare(llvm::CmpInst::Predicate p, Value* a, Value* b, bool signalling);
    void define_checked(const ir::Inst& i, ir::Ref index, Value* v, bool may_be_tiny);
    Value* is_bad(Value* v);
    void leave_if_any(Value* bad);
    void check_tiny(std::vector<Value*>& scalars, std::vector<Value*>& vectors);
    bool is_number(ir::Ref r, Value* v) const;
    void guard_numbers(ir::Ref a, Value* x, ir::Ref b, Value* y);
    struct Lane {
        ir::Ref ref;
        unsigned lane;
    };
    Lane number_of(ir::Ref r, unsigned esize) const;
    Value* quiet_operand(const ir::Inst& i, unsigned arg);
    void define_vector_fp(const ir::Inst& i, ir::Ref index, Value* v);
    void to_integer(const ir::Inst& i, ir::Ref index);
    Value* integral(Value* x, ir::RoundMode mode);

    RegionIrBuilder& b_;
    BlockValues& values_;
    RegionExitBuilder& exits_;
    const bool slow_;
    std::vector<Unchecked> unchecked_;
    std::set<ir::Ref> numbers_;  ///< results that were checked, in this block
    bool bits_read_ = false;     ///< of an unchecked result, as an integer
};

}  // namespace arclight::jit::tier2
