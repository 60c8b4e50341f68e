// Blocks, and the instructions that are about the guest's registers.
#include "jit/llvm/ir_lowering.h"

#include "jit/guest_state.h"
#include "jit/llvm/op_effects.h"
#include "jit/translation_flags.h"

namespace arclight::jit::tier2 {

using ir::Inst;
using ir::Op;
using ir::Ref;
using ir::Type;

namespace {
constexpr unsigned kCheckpointAge = 16;  ///< in instructions: what goes before is done again at a side exit
constexpr unsigned kUncheckedAge = 32;   ///< the same while there are floating-point results to check
}  // namespace

IrLowering::IrLowering(llvm::Module& module, const Region& region)
    : versions_(version_loops(region)),
      register_plan_(plan_registers(versions_.graph)),
      uses_fastmem_((region.translation_flags & translation_flag::kFastmem) != 0),
      b_(module),
      md_(module.getContext()),
      values_(b_),
      flags_(b_),
      registers_(b_, values_, flags_, register_plan_),
      exits_(b_, registers_, region.blocks[0].offset),
      fastmem_(b_, exits_),
      addresses_(b_, values_, registers_, exits_, uses_fastmem_ ? &fastmem_ : nullptr, versions_.accesses),
      memory_(b_, values_, addresses_, uses_fastmem_ ? &fastmem_ : nullptr),
      integers_(b_, values_, flags_),
      vectors_(b_, values_),
      fp_(b_, values_, exits_, (region.translation_flags & translation_flag::kFpSpecial) != 0) {}

llvm::Function* IrLowering::run() {
    b_.begin_function(versions_.accesses.spectre,
                      (versions_.graph.region.translation_flags & translation_flag::kSerial) != 0);
    registers_.declare();
    const size_t n = versions_.graph.region.blocks.size();
    for (size_t k = 0; k < n; ++k) heads_.push_back(b_.new_block());
    next_iteration_.assign(n, nullptr);
    enter();
    try {
        for (size_t k = 0; k < n; ++k) lower_block(k);
    } catch (const Unsupported&) {
        return nullptr;
    }
    return b_.function();
}

/// From the variables' first values to the first block.
void IrLowering::enter() {
    Value* right = registers_.entry_assumption();
    if (right == nullptr) {
        b_.CreateBr(heads_[0]);
        return;
    }
    BasicBlock* wrong = b_.new_block("failed_assumption");
    b_.CreateCondBr(right, heads_[0], wrong, b_.likely());
    b_.SetInsertPoint(wrong);
    exits_.refuse_entry();
}

void IrLowering::lower_block(size_t index) {
    current_ = index;
    const RegionBlock& rb = region_block();
    values_.begin_block(rb.ir);
    registers_.begin_block(index);
    addresses_.begin_block(index);
    fp_.begin_block();
    exits_.forget_checkpoint();
    effects_ = true;
    insn_offset_ = rb.offset;
    b_.SetInsertPoint(heads_[index]);
    registers_.load_known_flags(index);
    hoist_checks();
    for (Ref k = 0; k < rb.ir.insts.size(); ++k) {
        try {
            lower(rb.ir[k], k);
        } catch (const Unsupported&) {
            if (index == 0 && insn_offset_ == rb.offset) throw;
            // Exactly here, not at the checkpoint: it happens every time.
            registers_.drop_pending();
            take_checkpoint();
            b_.CreateBr(exits_.side_exit());
            return;
        }
    }
}

/// An instruction with several effects must be done again whole, and alone: a load before it might see the
/// first.
void IrLowering::start_instruction(Ref index) {
    unsigned effects = 0;
    bool arithmetic = false;
    for (Ref k = index + 1; k < block().insts.size() && block()[k].op != Op::InsnStart; ++k) {
        const Op op = block()[k].op;
        arithmetic |= is_arithmetic(op);
        if (has_effects(block()[k])) effects += uses_fastmem_ && stores_twice(op) ? 2 : 1;
    }
    const unsigned max_age = fp_.has_unchecked() ? kUncheckedAge : kCheckpointAge;
    // The later the checkpoint, the fewer registers are needed as they were: what led to the numbers is not.
    const bool first = arithmetic && !fp_.has_unchecked();
    if (effects_ || effects > 1 || first || exits_.next_instruction() > max_age) take_checkpoint();
    effects_ = effects != 0;
}

void IrLowering::take_checkpoint() {
    fp_.check_results();
    exits_.take_checkpoint(insn_offset_);
}

/// SignPointer, AuthPointer: see GuestState::pac_keys.
void IrLowering::lower_pointer(const Inst& i, Ref index) {
    const size_t masks = offsetof(GuestState, pac_key_masks) + sizeof(GuestState::pac_key_masks[0]) * i.aux;
    const size_t keys = offsetof(GuestState, pac_keys) + sizeof(GuestState::pac_keys[0]) * i.aux;
    const auto state = [&](size_t offset) { return b_.load_state(offset, b_.getInt64Ty()); };
    Value* pointer = values_.i64(i.args[0]);
    Value* copies = b_.CreateAShr(b_.CreateShl(pointer, b_.c64(63 - 55)), b_.c64(63));
    Value* mask = b_.CreateXor(state(masks), b_.CreateAnd(copies, state(masks + 8)));
    const auto wide = [&](Value* v) { return b_.CreateZExt(v, b_.getInt128Ty()); };
    Value* product = b_.CreateMul(wide(b_.CreateXor(b_.CreateAnd(pointer, b_.CreateNot(mask)), state(keys))),
                                  wide(b_.CreateXor(values_.i64(i.args[1]), state(keys + 8))));
    Value* folded = b_.CreateXor(b_.CreateTrunc(product, b_.getInt64Ty()),
                                 b_.CreateTrunc(b_.CreateLShr(product, 64), b_.getInt64Ty()));
    Value* result = b_.CreateXor(pointer, b_.CreateAnd(folded, mask));
    if (i.op == Op::AuthPointer)
        exits_.guard(b_.CreateICmpEQ(b_.CreateAnd(b_.CreateXor(result, copies), mask), b_.c64(0)));
    values_.def(index, result);
}

void IrLowering::lower(const Inst& i, Ref index) {
    if (has_effects(i) || i.op == Op::Exit || i.op == Op::ExitIndirect) fp_.check_results();
    fp_.before(i.op);
    switch (i.op) {
        case Op::InsnStart:
            registers_.commit();
            insn_offset_ = region_block().page() + static_cast<int64_t>(i.imm);
            start_instruction(index);
            return;
        case Op::Const:
            values_.def(index, i.type == Type::I32
                                   ? static_cast<Value*>(b_.getInt32(static_cast<uint32_t>(i.imm)))
                                   : b_.getInt64(i.imm));
            return;
        case Op::PcRel: {
            const uint64_t offset = static_cast<uint64_t>(region_block().page()) + i.imm;
            values_.def(index, b_.CreateAdd(b_.page_base(), b_.c64(offset)));
            return;
        }
        case Op::GetX: registers_.get_x(index); return;
        case Op::GetV: registers_.get_vector(index); return;
        case Op::GetFlags: registers_.get_flags(index); return;
        case Op::SetX: registers_.set_x(i); return;
        case Op::SetV: registers_.set_vector(i); return;
        case Op::SetFlags: registers_.set_flags(i); return;
        case Op::LoadField: {
            llvm::Type* t = i.type == Type::I32    ? static_cast<llvm::Type*>(b_.getInt32Ty())
                            : i.type == Type::V128 ? static_cast<llvm::Type*>(b_.v128())
                                                   : b_.getInt64Ty();
            values_.def(index, b_.load_state(i.imm, t, i.type == Type::I32 ? 4 : 8));
            return;
        }
        case Op::StoreField:
            if (i.aux >= 16) {
                for (size_t at = 0; at < i.aux; at += 16)
                    b_.store_state(i.imm + at, values_.vec(i.args[0]), 8);
            } else {
                b_.store_state(i.imm, i.aux == 4 ? values_.i32(i.args[0]) : values_.i64(i.args[0]), i.aux);
            }
            return;
        case Op::Select: {
            Value* c = values_.boolean(i.args[0]);
            if (i.type == Type::I32 || i.type == Type::I64) {
                values_.def(index, b_.CreateSelect(c, values_.integer(i.args[1], i.type),
                                                   values_.integer(i.args[2], i.type)));
            } else if (i.type == Type::F32 || i.type == Type::F64) {
                values_.def(index,
                            b_.CreateSelect(c, values_.fp(i.args[1], i.type), values_.fp(i.args[2], i.type)));
            } else {
                values_.def(index, b_.CreateSelect(c, values_.vec(i.args[1]), values_.vec(i.args[2])));
            }
            return;
        }
        case Op::CheckZero: exits_.guard(b_.CreateICmpEQ(values_.i64(i.args[0]), b_.c64(0))); return;
        case Op::SignPointer:
        case Op::AuthPointer: lower_pointer(i, index); return;
        case Op::Exit: lower_exit(i); return;
        case Op::ExitIf: lower_conditional_exit(i); return;
        case Op::ExitIndirect: lower_indirect_exit(i); return;
        default: break;
    }
    if (integers_.lower(i, index) || memory_.lower(i, index) || vectors_.lower(i, index) ||
        fp_.lower(i, index))
        return;
    throw Unsupported{};
}

}  // namespace arclight::jit::tier2
