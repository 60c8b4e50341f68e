// An IRBuilder that knows the function of a region: its arguments, its types, and how memory is accessed.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/MDBuilder.h>
#include <llvm/IR/Module.h>

#include <vector>

namespace arclight::jit::tier2 {

using llvm::BasicBlock;
using llvm::Value;

/// Thrown where an instruction is not lowered: the region is left before it.
struct Unsupported {};

class RegionIrBuilder : public llvm::IRBuilder<> {
  public:
    explicit RegionIrBuilder(llvm::Module& module);
    /// Makes the function `region` and its entry, where this builder then is.
    void begin_function(bool spectre, bool serial);

    llvm::Module& module() const { return module_; }
    llvm::Function* function() const { return function_; }
    BasicBlock* entry() const { return entry_; }
    Value* state() const { return function_->getArg(0); }
    Value* tlb() const { return function_->getArg(1); }
    llvm::MDNode* likely() const { return likely_; }
    llvm::MDNode* unlikely() const { return unlikely_; }

    BasicBlock* new_block(const char* name = "");
    Value* c64(uint64_t v) { return getInt64(v); }

    // ---- Vectors; `esize` is log2 of an element's bytes
    llvm::FixedVectorType* v128() const { return v128_; }
    llvm::FixedVectorType* int_vector(unsigned esize) {
        return llvm::FixedVectorType::get(getIntNTy(8u << esize), 16u >> esize);
    }
    llvm::FixedVectorType* fp_vector(unsigned esize) {
        llvm::Type* lane = esize == 3 ? getDoubleTy() : esize == 2 ? getFloatTy() : getHalfTy();
        return llvm::FixedVectorType::get(lane, 16u >> esize);
    }
    Value* splat(unsigned esize, uint64_t v);
    Value* shuffle(Value* a, Value* b, const std::vector<int>& mask) {
        return CreateShuffleVector(a, b, mask);
    }
    /// `scalar` in lane 0 of a v128, zeros above.
    Value* zext_lane(Value* scalar);
    /// The lower half of a vector, half as long.
    Value* low_half(Value* v);
    /// A v128 with the upper half zero.
    Value* clear_upper(Value* v);
    /// Any value as a v128.
    Value* as_v128(Value* v);

    // ---- Memory. Guest memory is never GuestState or a SoftTlb, so that guest stores keep nothing out of
    // registers.
    Value* state_field(size_t offset) { return CreateConstInBoundsGEP1_64(getInt8Ty(), state(), offset); }
    llvm::LoadInst* load_state(size_t offset, llvm::Type* type, unsigned align = 8);
    void store_state(size_t offset, Value* v, unsigned align = 8);
    /// What does not change while a region runs.
    llvm::LoadInst* load_invariant(Value* from, llvm::Type* type);
    llvm::LoadInst* mark_invariant(llvm::LoadInst* load);
    /// GuestState::page_base.
    Value* page_base();
    /// Where other virtual CPUs look on, accesses stay as many, as large and in the order that the guest has them in:
    /// reads of one place must not go back in time, and a narrower store beside one of another CPU's would make a value
    /// that neither wrote (ARM ARM B2.2.1, B2.3.4).
    Value* guest_load(Value* host, llvm::Type* type, unsigned offset = 0);
    void guest_store(Value* host, Value* v, unsigned offset = 0);

    /// Makes `v` a hoist barrier: LLVM computes nothing from it in advance, not outside a loop what is seldom
    /// needed inside.
    Value* hoist_barrier(Value* v);
    /// No access to memory is moved over this place, by no pass of LLVM's; no host instruction.
    void compiler_barrier();

  private:
    llvm::Module& module_;
    llvm::Function* function_ = nullptr;
    BasicBlock* entry_ = nullptr;
    llvm::FixedVectorType* v128_;
    bool serial_ = false;
    llvm::MDNode *guest_scope_, *state_scope_;
    llvm::MDNode *unlikely_, *likely_;
};

}  // namespace arclight::jit::tier2
