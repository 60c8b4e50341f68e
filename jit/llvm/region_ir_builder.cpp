#include "jit/llvm/region_ir_builder.h"

#include <llvm/IR/InlineAsm.h>

#include "jit/guest_state.h"

namespace arclight::jit::tier2 {

RegionIrBuilder::RegionIrBuilder(llvm::Module& module)
    : llvm::IRBuilder<>(module.getContext()), module_(module) {
    v128_ = llvm::FixedVectorType::get(getDoubleTy(), 2);
    llvm::MDBuilder md(getContext());
    llvm::MDNode* domain = md.createAnonymousAliasScopeDomain("arclight");
    guest_scope_ = llvm::MDNode::get(getContext(), {md.createAnonymousAliasScope(domain, "guest")});
    state_scope_ = llvm::MDNode::get(getContext(), {md.createAnonymousAliasScope(domain, "state")});
    unlikely_ = md.createBranchWeights(1, 4000);
    likely_ = md.createBranchWeights(4000, 1);
}

void RegionIrBuilder::begin_function(bool spectre, bool serial) {
    serial_ = serial;
    auto* type = llvm::FunctionType::get(getInt64Ty(), {getPtrTy(), getPtrTy()}, false);
    function_ = llvm::Function::Create(type, llvm::Function::ExternalLinkage, "region", module_);
    function_->setCallingConv(llvm::CallingConv::PreserveNone);
    function_->addFnAttr(llvm::Attribute::NoUnwind);
    function_->setGC("statepoint-example");
    function_->addFnAttr("no-jump-tables", spectre ? "true" : "false");
    for (unsigned k = 0; k < 2; ++k) {
        function_->addParamAttr(k, llvm::Attribute::NoAlias);
        function_->addParamAttr(k, llvm::Attribute::NonNull);
        function_->addParamAttr(k, llvm::Attribute::getWithAlignment(getContext(), llvm::Align(64)));
        function_->addDereferenceableParamAttr(k, k == 0 ? sizeof(GuestState) : sizeof(mmu::SoftTlb));
    }
    entry_ = new_block("entry");
    SetInsertPoint(entry_);
}

BasicBlock* RegionIrBuilder::new_block(const char* name) {
    return BasicBlock::Create(getContext(), name, function_);
}

// ---- Vectors

Value* RegionIrBuilder::splat(unsigned esize, uint64_t v) {
    return llvm::ConstantVector::getSplat(llvm::ElementCount::getFixed(16u >> esize),
                                          llvm::ConstantInt::get(getIntNTy(8u << esize), v));
}

Value* RegionIrBuilder::zext_lane(Value* scalar) {
    const unsigned lanes = 128 / scalar->getType()->getScalarSizeInBits();
    auto* type = llvm::FixedVectorType::get(scalar->getType(), lanes);
    return CreateBitCast(CreateInsertElement(llvm::Constant::getNullValue(type), scalar, uint64_t{0}), v128_);
}

Value* RegionIrBuilder::low_half(Value* v) {
    const unsigned n = llvm::cast<llvm::FixedVectorType>(v->getType())->getNumElements() / 2;
    std::vector<int> mask;
    for (unsigned k = 0; k < n; ++k) mask.push_back(static_cast<int>(k));
    return CreateShuffleVector(v, mask);
}

Value* RegionIrBuilder::clear_upper(Value* v) {
    v = CreateBitCast(v, int_vector(3));
    return CreateBitCast(shuffle(v, llvm::Constant::getNullValue(v->getType()), {0, 2}), v128_);
}

Value* RegionIrBuilder::as_v128(Value* v) {
    if (v->getType() == v128_) return v;
    if (v->getType()->isFloatingPointTy() || v->getType()->isIntegerTy()) return zext_lane(v);
    return CreateBitCast(v, v128_);
}

// ---- Memory

llvm::LoadInst* RegionIrBuilder::load_state(size_t offset, llvm::Type* type, unsigned align) {
    auto* load = CreateAlignedLoad(type, state_field(offset), llvm::Align(align));
    load->setMetadata(llvm::LLVMContext::MD_alias_scope, state_scope_);
    load->setMetadata(llvm::LLVMContext::MD_noalias, guest_scope_);
    return load;
}

void RegionIrBuilder::store_state(size_t offset, Value* v, unsigned align) {
    auto* store = CreateAlignedStore(v, state_field(offset), llvm::Align(align));
    store->setMetadata(llvm::LLVMContext::MD_alias_scope, state_scope_);
    store->setMetadata(llvm::LLVMContext::MD_noalias, guest_scope_);
}

llvm::LoadInst* RegionIrBuilder::mark_invariant(llvm::LoadInst* load) {
    load->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(getContext(), {}));
    return load;
}

llvm::LoadInst* RegionIrBuilder::load_invariant(Value* from, llvm::Type* type) {
    return mark_invariant(CreateAlignedLoad(type, from, llvm::Align(8)));
}

Value* RegionIrBuilder::page_base() {
    return mark_invariant(load_state(offsetof(GuestState, page_base), getInt64Ty()));
}

Value* RegionIrBuilder::guest_load(Value* host, llvm::Type* type, unsigned offset) {
    auto* load =
        CreateAlignedLoad(type, CreateConstGEP1_64(getInt8Ty(), host, offset), llvm::Align(1), !serial_);
    load->setMetadata(llvm::LLVMContext::MD_alias_scope, guest_scope_);
    load->setMetadata(llvm::LLVMContext::MD_noalias, state_scope_);
    return load;
}

void RegionIrBuilder::guest_store(Value* host, Value* v, unsigned offset) {
    auto* store =
        CreateAlignedStore(v, CreateConstGEP1_64(getInt8Ty(), host, offset), llvm::Align(1), !serial_);
    store->setMetadata(llvm::LLVMContext::MD_alias_scope, guest_scope_);
    store->setMetadata(llvm::LLVMContext::MD_noalias, state_scope_);
}

Value* RegionIrBuilder::hoist_barrier(Value* v) {
    auto* type = llvm::FunctionType::get(v->getType(), v->getType(), false);
    return CreateCall(type, llvm::InlineAsm::get(type, "", "=r,0", /*hasSideEffects=*/true), v);
}

void RegionIrBuilder::compiler_barrier() {
    auto* type = llvm::FunctionType::get(getVoidTy(), false);
    CreateCall(type, llvm::InlineAsm::get(type, "", "~{memory}", /*hasSideEffects=*/true));
}

}  // namespace arclight::jit::tier2
