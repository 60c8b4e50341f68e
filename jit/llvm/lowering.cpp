// Blocks, guest registers and the ways out of a region.
#include "jit/llvm/lowering.h"

#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/Statepoint.h>

#include <set>

namespace arclight::jit::tier2 {

Lowering::Lowering(llvm::Module& module, const Region& region)
    : module_(module),
      context_(module.getContext()),
      region_(region),
      fastmem_((region.translation_flags & translation_flag::kFastmem) != 0),
      page_size_(fastmem_ ? uint64_t{1} << mmu::kFastmemSlotBits : kPageSize),
      page_mask_(~(page_size_ - 1)),
      b_(context_),
      md_(context_) {
    v128_ = llvm::FixedVectorType::get(b_.getDoubleTy(), 2);
    // Guest memory is never GuestState or a SoftTlb, so that guest stores keep nothing out of registers.
    llvm::MDNode* domain = md_.createAnonymousAliasScopeDomain("arclight");
    guest_scope_ = llvm::MDNode::get(context_, {md_.createAnonymousAliasScope(domain, "guest")});
    state_scope_ = llvm::MDNode::get(context_, {md_.createAnonymousAliasScope(domain, "state")});
    unlikely_ = md_.createBranchWeights(1, 4000);
    likely_ = md_.createBranchWeights(4000, 1);
    for (size_t k = 0; k < region.blocks.size(); ++k) by_offset_.emplace(region.blocks[k].offset, k);
}

void Lowering::declare_variables() {
    for (unsigned slot = 0; slot < kFlagsSlot; ++slot) {
        if (!used_[slot]) continue;
        if (slot >= kVSlot) {
            declare_vector(slot);
            continue;
        }
        variable_[slot] = b_.CreateAlloca(b_.getInt64Ty());
        b_.CreateStore(load_state(offsetof(GuestState, x) + 8 * slot, b_.getInt64Ty()), variable_[slot]);
    }
    flag_kind_ = b_.CreateAlloca(b_.getInt32Ty());
    flag_a_ = b_.CreateAlloca(b_.getInt64Ty());
    flag_b_ = b_.CreateAlloca(b_.getInt64Ty());
    b_.CreateStore(b_.getInt32(Flags::Packed), flag_kind_);
    b_.CreateStore(
        b_.CreateZExt(load_state(offsetof(GuestState, flags), b_.getInt16Ty(), 2), b_.getInt64Ty()), flag_a_);
    b_.CreateStore(c64(0), flag_b_);
}

llvm::Function* Lowering::run() {
    find_dirty();
    plan_accesses();
    peel_loops();
    auto* type = llvm::FunctionType::get(b_.getInt64Ty(), {b_.getPtrTy(), b_.getPtrTy()}, false);
    function_ = llvm::Function::Create(type, llvm::Function::ExternalLinkage, "region", module_);
    function_->setCallingConv(llvm::CallingConv::PreserveNone);
    function_->addFnAttr(llvm::Attribute::NoUnwind);
    function_->setGC("statepoint-example");
    function_->addFnAttr("no-jump-tables", "false");
    state_ = function_->getArg(0);
    tlb_ = function_->getArg(1);
    for (unsigned k = 0; k < 2; ++k) {
        function_->addParamAttr(k, llvm::Attribute::NoAlias);
        function_->addParamAttr(k, llvm::Attribute::NonNull);
        function_->addParamAttr(k, llvm::Attribute::getWithAlignment(context_, llvm::Align(64)));
        function_->addDereferenceableParamAttr(k, k == 0 ? sizeof(GuestState) : sizeof(mmu::SoftTlb));
    }
    entry_ = new_block("entry");
    b_.SetInsertPoint(entry_);
    declare_variables();
    for (BlockInfo& info : info_) info.head = new_block();
    enter();
    try {
        for (size_t k = 0; k < region_.blocks.size(); ++k) lower_block(k);
    } catch (const Unsupported&) {
        return nullptr;
    }
    return function_;
}

BasicBlock* Lowering::new_block(const char* name) { return BasicBlock::Create(context_, name, function_); }

void Lowering::lower_block(size_t index) {
    const RegionBlock& rb = region_.blocks[index];
    const BlockInfo& info = info_[index];
    current_ = index;
    block_ = &rb.ir;
    values_.assign(rb.ir.insts.size(), nullptr);
    flags_.assign(rb.ir.insts.size(), {});
    dirty_ = info.dirty_in;
    low_ = info.low_in;
    pending_.clear();
    unchecked_.clear();
    numbers_.clear();
    bits_read_ = false;
    side_exit_ = nullptr;
    effects_ = true;
    for (LastPage& page : last_pages_) page.root = ir::kNoRef;
    insn_offset_ = rb.offset;
    b_.SetInsertPoint(info.head);
    now_ = {};
    load_known_flags();
    check_at_head();
    for (Ref k = 0; k < rb.ir.insts.size(); ++k) {
        try {
            lower(rb.ir.insts[k], k);
        } catch (const Unsupported&) {
            if (index == 0 && insn_offset_ == rb.offset) throw;
            // Exactly here, not at the checkpoint: it happens every time.
            pending_.clear();
            take_checkpoint();
            b_.CreateBr(side_exit());
            return;
        }
    }
}

/// What the blocks that lead here have left.
void Lowering::load_known_flags() {
    const BlockInfo& info = info_[current_];
    if (!info.flags_known || info.flags_in.kind == Flags::Dynamic) return;
    const auto operand = [&](const KnownFlags::Source& s, llvm::AllocaInst* variable) -> Value* {
        switch (s.kind) {
            case KnownFlags::Source::Register: return low_bits(static_cast<unsigned>(s.what));
            case KnownFlags::Source::Constant: return c64(s.what);
            case KnownFlags::Source::Nowhere: break;
        }
        return b_.CreateLoad(b_.getInt64Ty(), variable);
    };
    now_.kind = info.flags_in.kind;
    now_.a = operand(info.flags_in.a, flag_a_);
    now_.b = operand(info.flags_in.b, flag_b_);
}

// ---- Guest registers
// ---------------------------------------------------------------------------------------------

Value* Lowering::state_field(size_t offset, llvm::Type*, unsigned) {
    return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), state_, offset);
}
Value* Lowering::load_state(size_t offset, llvm::Type* type, unsigned align) {
    auto* load = b_.CreateAlignedLoad(type, state_field(offset, type, align), llvm::Align(align));
    load->setMetadata(llvm::LLVMContext::MD_alias_scope, state_scope_);
    load->setMetadata(llvm::LLVMContext::MD_noalias, guest_scope_);
    return load;
}
void Lowering::store_state(size_t offset, Value* v, unsigned align) {
    auto* store = b_.CreateAlignedStore(v, state_field(offset, v->getType(), align), llvm::Align(align));
    store->setMetadata(llvm::LLVMContext::MD_alias_scope, state_scope_);
    store->setMetadata(llvm::LLVMContext::MD_noalias, guest_scope_);
}

Value* Lowering::slot_value(unsigned slot) {
    return b_.CreateLoad(variable_[slot]->getAllocatedType(), variable_[slot]);
}

/// `low`: only for vector registers with zeros above it.
void Lowering::set_slot(unsigned slot, Value* v, Value* low) {
    b_.CreateStore(v, variable_[slot]);
    if (low != nullptr) b_.CreateStore(low, low_variable_[slot]);
    low_[slot] = low != nullptr;
    dirty_.set(slot);
}

void Lowering::commit() {
    for (const Pending& p : pending_) {
        if (p.slot == kFlagsSlot) {
            now_ = p.flags;
            dirty_.set(kFlagsSlot);
        } else {
            set_slot(p.slot, p.value, p.low);
        }
    }
    pending_.clear();
}

Lowering::SlotValues Lowering::dirty_values() {
    SlotValues values;
    for (unsigned slot = 0; slot < kFlagsSlot; ++slot)
        if (dirty_[slot]) values.emplace_back(slot, to_leave_with(slot));
    return values;
}

// ---- Checkpoints
// -------------------------------------------------------------------------------------------------

namespace {
constexpr unsigned kCheckpointAge = 16;  ///< in instructions: what goes before is done again at a way out
constexpr unsigned kUncheckedAge = 32;   ///< the same while there are results to look at

bool has_effects(Op op) {
    switch (op) {
        case Op::Store:
        case Op::StorePair:
        case Op::StoreV:
        case Op::StorePairV:
        case Op::StoreEx:
        case Op::StoreExPair:
        case Op::LoadEx:
        case Op::LoadExPair:
        case Op::AtomicRmw:
        case Op::Cas:
        case Op::ZeroBlock:
        case Op::StoreField: return true;
        default: return false;
    }
}

/// What is more than one store, any of which may fault on its own where fastmem are used.
bool stores_twice(Op op) {
    switch (op) {
        case Op::StorePair:
        case Op::StorePairV:
        case Op::ZeroBlock: return true;
        default: return false;
    }
}

/// What may have a result to look at, see lower_fp.cpp.
bool is_arithmetic(Op op) {
    switch (op) {
        case Op::FAdd:
        case Op::FSub:
        case Op::FMul:
        case Op::FDiv:
        case Op::FSqrt:
        case Op::FMulAdd:
        case Op::VFAdd:
        case Op::VFSub:
        case Op::VFMul:
        case Op::VFDiv:
        case Op::VFSqrt:
        case Op::VFMulAdd: return true;
        default: return false;
    }
}
}  // namespace

/// An instruction with several effects must be done again whole, and alone: a load before it might see the
/// first.
void Lowering::start_instruction(Ref index) {
    unsigned effects = 0;
    bool arithmetic = false;
    for (Ref k = index + 1; k < block_->insts.size() && inst(k).op != Op::InsnStart; ++k) {
        arithmetic |= is_arithmetic(inst(k).op);
        if (has_effects(inst(k).op)) effects += fastmem_ && stores_twice(inst(k).op) ? 2 : 1;
    }
    const unsigned most = unchecked_.empty() ? kCheckpointAge : kUncheckedAge;
    // The later the checkpoint, the fewer registers are needed as they were: what led to the numbers is not.
    const bool first = arithmetic && unchecked_.empty();
    if (effects_ || effects > 1 || first || ++checkpoint_.age > most) take_checkpoint();
    effects_ = effects != 0;
}

void Lowering::take_checkpoint() {
    check_results();
    checkpoint_ = {};
    checkpoint_.offset = insn_offset_;
    checkpoint_.dirty = dirty_values();
    checkpoint_.flags_dirty = dirty_[kFlagsSlot];
    if (checkpoint_.flags_dirty) {
        checkpoint_.flags = now_;
        // The variables change at the next jump; what they are now must be told at the way out.
        if (now_.kind == Flags::Dynamic) checkpoint_.flags = read_dynamic();
    }
    side_exit_ = nullptr;
}

Value* Lowering::page_base() {
    auto* load = llvm::cast<llvm::LoadInst>(load_state(offsetof(GuestState, page_base), b_.getInt64Ty()));
    load->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(context_, {}));
    return load;
}

// ---- Leaving, and going from block to block
// ----------------------------------------------------------------------

void Lowering::leave(const SlotValues& slots, bool flags_dirty, const Flags& flags, Value* pc, int64_t offset,
                     uint64_t how) {
    RegionExit way;
    std::vector<Value*> operands{state_};
    for (const auto& [slot, value] : slots) {
        way.slots.push_back(static_cast<uint8_t>(slot));
        operands.push_back(value);
        if (slot < kVSlot || value->getType() == v128_) continue;
        way.low |= 1u << (slot - kVSlot);
        if (!guessed_low_[slot]) way.clear |= 1u << (slot - kVSlot);
    }
    if (flags_dirty) way.flags = flags_at_exit(flags, operands);
    const auto told = static_cast<int64_t>(static_cast<uint64_t>(offset) | how);
    way.pc_known = pc == nullptr && told == static_cast<int32_t>(told);
    if (way.pc_known) {
        way.offset = static_cast<int32_t>(told);
    } else {
        operands.push_back(pc != nullptr ? pc : b_.CreateAdd(page_base(), c64(static_cast<uint64_t>(told))));
    }

    auto* nothing = llvm::FunctionType::get(b_.getVoidTy(), false);
    llvm::Function* statepoint = llvm::Intrinsic::getDeclaration(
        &module_, llvm::Intrinsic::experimental_gc_statepoint, {b_.getPtrTy()});
    Value* outside = module_.getOrInsertFunction("outside", nothing).getCallee();
    constexpr auto kLiveIn = static_cast<uint32_t>(llvm::StatepointFlags::DeoptLiveIn);
    llvm::CallInst* call =
        b_.CreateCall(statepoint,
                      {c64(exits_.size()), b_.getInt32(kExitSiteBytes), outside, b_.getInt32(0),
                       b_.getInt32(kLiveIn), b_.getInt32(0), b_.getInt32(0)},
                      {llvm::OperandBundleDef("deopt", operands)});
    call->addParamAttr(2, llvm::Attribute::get(context_, llvm::Attribute::ElementType, nothing));
    call->setDoesNotThrow();
    call->setDoesNotReturn();
    b_.CreateUnreachable();
    exits_.push_back(std::move(way));
}

void Lowering::emit_exit(Value* pc, int64_t offset) {
    const bool flags_dirty = dirty_[kFlagsSlot];
    leave(dirty_values(), flags_dirty, flags_dirty && now_.kind == Flags::Dynamic ? read_dynamic() : now_, pc,
          offset, 0);
}

BasicBlock* Lowering::exit_to(int64_t offset) {
    const llvm::IRBuilder<>::InsertPointGuard keep(b_);
    BasicBlock* block = new_block();
    b_.SetInsertPoint(block);
    emit_exit(nullptr, offset);
    return block;
}

BasicBlock* Lowering::side_exit() {
    if (side_exit_ != nullptr) return side_exit_;
    const llvm::IRBuilder<>::InsertPointGuard keep(b_);
    side_exit_ = new_block();
    b_.SetInsertPoint(side_exit_);
    const bool stuck = checkpoint_.offset == region_.blocks[0].offset;
    leave(checkpoint_.dirty, checkpoint_.flags_dirty, checkpoint_.flags, nullptr, checkpoint_.offset,
          kRegionSideExit | (stuck ? kRegionStuck : 0));
    return side_exit_;
}

void Lowering::guard(Value* ok) {
    BasicBlock* next = new_block();
    b_.CreateCondBr(ok, next, side_exit(), likely_);
    b_.SetInsertPoint(next);
}

void Lowering::poll(int64_t offset) {
    // What guest code waits for in a loop must be read again each time round. As an atomic one, LLVM would
    // keep the load apart from the comparison.
    auto* flag = b_.CreateAlignedLoad(
        b_.getInt32Ty(), state_field(offsetof(GuestState, interrupt), b_.getInt32Ty()), llvm::Align(4),
        /*isVolatile=*/true);
    b_.CreateFence(llvm::AtomicOrdering::Acquire, llvm::SyncScope::SingleThread);
    BasicBlock* next = new_block();
    b_.CreateCondBr(b_.CreateICmpEQ(flag, b_.getInt32(0)), next, exit_to(offset), likely_);
    b_.SetInsertPoint(next);
}

/// Where an indirect branch may go within the region.
const std::vector<int64_t>& Lowering::targets_of(const RegionBlock& block, const Inst& i) const {
    if (!block.targets.empty()) return block.targets;
    static const std::vector<int64_t> kNone;
    if (i.aux == static_cast<uint32_t>(ir::BranchKind::Barrier)) return kNone;
    const bool ret = i.aux == static_cast<uint32_t>(ir::BranchKind::Return);
    return ret ? region_.return_sites : region_.indirect_targets;
}

/// How often the current block went to `offset`, in its `runs` runs.
uint32_t Lowering::taken(int64_t offset) const {
    uint32_t n = 0;
    for (const RegionBlock::Edge& e : region_.blocks[current_].edges)
        if (e.offset == offset) n += e.count;
    return n;
}

/// The block to jump to for `offset`, in the region or on the way out. NZCV must have been stored.
BasicBlock* Lowering::edge_to(int64_t offset) {
    const auto it = by_offset_.find(offset);
    if (it == by_offset_.end()) return exit_to(offset);
    const size_t to = target_of(current_, it->second);
    const BlockInfo& info = info_[to];
    if (to == current_ && info.checks_turns) return info.next_turn;
    if (it->second == current_ && to != current_) return after_first_turn();
    if (!back_edge_[current_][to]) return info.head;
    const llvm::IRBuilder<>::InsertPointGuard keep(b_);
    BasicBlock* block = new_block();
    b_.SetInsertPoint(block);
    poll(offset);
    b_.CreateBr(info.head);
    return block;
}

/// The same in the middle of a block. What has to be looked at before is looked at on this way only: going
/// on, there will be more to look at together.
BasicBlock* Lowering::checked_edge_to(int64_t offset) {
    const llvm::IRBuilder<>::InsertPointGuard keep(b_);
    BasicBlock* block = new_block();
    b_.SetInsertPoint(block);
    const auto unchecked = unchecked_;
    const auto numbers = numbers_;
    check_results();
    b_.CreateBr(edge_to(offset));
    unchecked_ = unchecked;
    numbers_ = numbers;
    return block;
}

void Lowering::jump_to_one_of(const std::vector<int64_t>& offsets, Value* pc) {
    std::set<int64_t> inside;
    for (const int64_t o : offsets)
        if (by_offset_.contains(o)) inside.insert(o);
    BasicBlock* out = new_block();
    if (inside.empty()) {
        b_.CreateBr(out);
    } else {
        // In words from the first one, so that LLVM finds a table dense enough. A misaligned pc becomes a
        // large number.
        const int64_t first = *inside.begin();
        Value* offset = b_.CreateSub(b_.CreateSub(pc, page_base()), c64(static_cast<uint64_t>(first)));
        offset = b_.CreateIntrinsic(llvm::Intrinsic::fshr, {b_.getInt64Ty()}, {offset, offset, c64(2)});
        auto* choice = b_.CreateSwitch(offset, out, static_cast<unsigned>(inside.size()));
        std::vector<uint32_t> weights{1};
        for (const int64_t o : inside) {
            choice->addCase(b_.getInt64(static_cast<uint64_t>(o - first) / 4), edge_to(o));
            weights.push_back(taken(o) + 1);
        }
        if (const RegionBlock& rb = region_.blocks[current_]; rb.runs != 0) {
            uint64_t known = 0;
            for (const RegionBlock::Edge& e : rb.edges) known += e.count;
            weights[0] += rb.runs - static_cast<uint32_t>(std::min<uint64_t>(known, rb.runs));
            choice->setMetadata(llvm::LLVMContext::MD_prof, md_.createBranchWeights(weights));
        }
    }
    b_.SetInsertPoint(out);
    emit_exit(pc);
}

void Lowering::exit_instruction(const Inst& i) {
    const int64_t page = region_.blocks[current_].page();
    const auto leads_back_in = [&](int64_t offset) { return by_offset_.contains(offset); };
    switch (i.op) {
        case Op::Exit: {
            commit();
            const int64_t target = page + static_cast<int64_t>(i.imm);
            if (leads_back_in(target)) store_flags(now_);
            b_.CreateBr(edge_to(target));
            return;
        }
        case Op::ExitIf: {
            commit();
            const int64_t target = page + static_cast<int64_t>(i.imm);
            const bool inside = leads_back_in(target);
            if (inside) store_flags(now_);
            BasicBlock* next = new_block();
            llvm::MDNode* weights = inside ? nullptr : unlikely_;
            if (const uint32_t runs = region_.blocks[current_].runs; runs != 0) {
                const uint32_t times = std::min(taken(target), runs);
                weights = md_.createBranchWeights(times + 1, runs - times + 1);
            }
            b_.CreateCondBr(boolean(i.args[0]),
                            unchecked_.empty() ? edge_to(target) : checked_edge_to(target), next, weights);
            b_.SetInsertPoint(next);
            return;
        }
        case Op::ExitIndirect: {
            commit();
            Value* pc = i64(i.args[0]);
            const auto& targets = targets_of(region_.blocks[current_], i);
            // A tagged or misaligned address is nobody's; the way in sorts it out, but not kRegionStuck.
            guard(b_.CreateICmpEQ(b_.CreateAnd(pc, c64(3)), c64(0)));
            if (targets.empty()) {
                emit_exit(pc);
            } else {
                store_flags(now_);
                jump_to_one_of(targets, pc);
            }
            return;
        }
        default: throw Unsupported{};
    }
}

// ---- Values
// ------------------------------------------------------------------------------------------------------

Value* Lowering::i64(Ref r) {
    Value* v = values_[r];
    llvm::Type* t = v->getType();
    if (t->isIntegerTy(64)) return v;
    if (t->isIntegerTy()) return b_.CreateZExt(v, b_.getInt64Ty());
    throw Unsupported{};
}

Value* Lowering::i32(Ref r) {
    Value* v = values_[r];
    llvm::Type* t = v->getType();
    if (t->isIntegerTy(32)) return v;
    if (t->isIntegerTy(64)) return b_.CreateTrunc(v, b_.getInt32Ty());
    throw Unsupported{};
}

Value* Lowering::fp(Ref r, Type t) {
    Value* v = values_[r];
    llvm::Type* want = t == Type::F64 ? b_.getDoubleTy() : b_.getFloatTy();
    if (v->getType() == want) return v;
    if (v->getType() == v128_) {
        if (t == Type::F64) return b_.CreateExtractElement(v, uint64_t{0});
        return b_.CreateExtractElement(b_.CreateBitCast(v, fp_vector(2)), uint64_t{0});
    }
    // A single out of a double register and the other way round: bits, where they are.
    if (t == Type::F32 && v->getType()->isDoubleTy()) {
        Value* whole = b_.CreateInsertElement(llvm::PoisonValue::get(v128_), v, uint64_t{0});
        return b_.CreateExtractElement(b_.CreateBitCast(whole, fp_vector(2)), uint64_t{0});
    }
    if (t == Type::F64 && v->getType()->isFloatTy())
        return b_.CreateExtractElement(zext_lane(v), uint64_t{0});
    throw Unsupported{};
}

Value* Lowering::zext_lane(Value* scalar) {
    const unsigned lanes = 128 / scalar->getType()->getScalarSizeInBits();
    auto* type = llvm::FixedVectorType::get(scalar->getType(), lanes);
    return b_.CreateBitCast(b_.CreateInsertElement(llvm::Constant::getNullValue(type), scalar, uint64_t{0}),
                            v128_);
}

Value* Lowering::as_v128(Value* v, Type) {
    if (v->getType() == v128_) return v;
    if (v->getType()->isFloatingPointTy() || v->getType()->isIntegerTy()) return zext_lane(v);
    return b_.CreateBitCast(v, v128_);
}

void Lowering::lower(const Inst& i, Ref index) {
    if (i.type == Type::Void && i.op == Op::Const) return;
    if (has_effects(i.op) || i.op == Op::Exit || i.op == Op::ExitIndirect) check_results();
    // Comparisons know NaNs, but which NaN it is may be wrong; and what is executed on a wrong way might
    // leave sticky flags behind.
    const bool reads_bits = i.op == Op::FToInt || i.op == Op::VExtractU || i.op == Op::VExtractS;
    if (reads_bits && !unchecked_.empty()) bits_read_ = true;
    if (i.op == Op::ExitIf && bits_read_) check_results();
    switch (i.op) {
        case Op::InsnStart:
            commit();
            insn_offset_ = region_.blocks[current_].page() + static_cast<int64_t>(i.imm);
            start_instruction(index);
            return;
        case Op::Const:
            def(index, i.type == Type::I32 ? static_cast<Value*>(b_.getInt32(static_cast<uint32_t>(i.imm)))
                                           : b_.getInt64(i.imm));
            return;
        case Op::PcRel: {
            const uint64_t offset = static_cast<uint64_t>(region_.blocks[current_].page()) + i.imm;
            def(index, b_.CreateAdd(page_base(), c64(offset)));
            return;
        }
        case Op::GetX: def(index, slot_value(static_cast<unsigned>(i.imm))); return;
        case Op::GetV: get_vector(i, index); return;
        case Op::GetFlags: flags(index) = now_.kind == Flags::Dynamic ? dynamic_flags() : now_; return;
        case Op::SetX: pending_.push_back({static_cast<unsigned>(i.imm), i64(i.args[0]), {}}); return;
        case Op::SetV: set_vector(i); return;
        case Op::SetFlags: pending_.push_back({kFlagsSlot, nullptr, flags(i.args[0])}); return;
        case Op::LoadField: {
            llvm::Type* t = i.type == Type::I32    ? static_cast<llvm::Type*>(b_.getInt32Ty())
                            : i.type == Type::V128 ? static_cast<llvm::Type*>(v128_)
                                                   : b_.getInt64Ty();
            def(index, load_state(i.imm, t, i.type == Type::I32 ? 4 : 8));
            return;
        }
        case Op::StoreField:
            if (i.aux == 16) {
                store_state(i.imm, vec(i.args[0]), 8);
            } else {
                store_state(i.imm, i.aux == 4 ? i32(i.args[0]) : i64(i.args[0]), i.aux);
            }
            return;
        case Op::Select: {
            Value* c = boolean(i.args[0]);
            if (i.type == Type::I32 || i.type == Type::I64) {
                def(index, b_.CreateSelect(c, integer(i.args[1], i.type), integer(i.args[2], i.type)));
            } else if (i.type == Type::F32 || i.type == Type::F64) {
                def(index, b_.CreateSelect(c, fp(i.args[1], i.type), fp(i.args[2], i.type)));
            } else {
                def(index, b_.CreateSelect(c, vec(i.args[1]), vec(i.args[2])));
            }
            return;
        }
        case Op::Exit:
        case Op::ExitIf:
        case Op::ExitIndirect: exit_instruction(i); return;
        default: break;
    }
    if (lower_integer(i, index) || lower_memory(i, index) || lower_vector(i, index) || lower_fp(i, index) ||
        lower_vector_fp(i, index))
        return;
    throw Unsupported{};
}

}  // namespace arclight::jit::tier2
