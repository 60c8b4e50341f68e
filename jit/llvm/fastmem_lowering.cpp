#include "jit/llvm/fastmem_lowering.h"

#include <llvm/IR/InlineAsm.h>

#include "jit/guest_state.h"

namespace arclight::jit::tier2 {

namespace {
constexpr uint64_t kSlotIndices = mmu::kFastmemSlots - 1;

/// The suffix of an instruction and of an operand's name, by log2 of the bytes.
constexpr char kSuffix[] = {'b', 'w', 'l', 'q'};
constexpr char kOperand[] = {'b', 'w', 'k', 'q'};

std::string operand(unsigned nth, unsigned log2) {
    return std::string("${") + static_cast<char>('0' + nth) + ':' + kOperand[log2] + '}';
}
}  // namespace

Value* FastmemLowering::addend(Value* address, uint64_t predicted, uint32_t aux) {
    llvm::Type* word = b_.getInt64Ty();
    // Nothing that changes a fastmem is done while a region runs.
    const bool unprivileged = (aux & ir::kMemUnprivileged) != 0;
    Value* tlb = unprivileged
                     ? b_.load_invariant(b_.state_field(offsetof(GuestState, user_tlb)), b_.getPtrTy())
                     : b_.tlb();
    const auto fastmem = [&](Value* slot) {
        Value* at = b_.CreateConstGEP1_64(b_.getInt8Ty(), tlb, offsetof(mmu::SoftTlb, fastmem_offset));
        return b_.load_invariant(b_.CreateGEP(word, at, slot), word);
    };
    Value* slot = b_.CreateLShr(address, mmu::kFastmemSlotBits);
    if (predicted == 0) return fastmem(b_.CreateAnd(slot, b_.c64(kSlotIndices)));
    BasicBlock *other = b_.new_block(), *next = b_.new_block();
    Value* usual = fastmem(b_.c64((predicted - 1) & kSlotIndices));
    BasicBlock* before = b_.GetInsertBlock();
    b_.CreateCondBr(b_.CreateICmpEQ(slot, b_.c64(predicted - 1)), next, other, b_.likely());
    b_.SetInsertPoint(other);
    Value* unusual = fastmem(b_.CreateAnd(slot, b_.c64(kSlotIndices)));
    b_.CreateBr(next);
    b_.SetInsertPoint(next);
    auto* sum = b_.CreatePHI(word, 2);
    sum->addIncoming(usual, before);
    sum->addIncoming(unusual, other);
    return sum;
}

/// The arguments are those of `constraints`; pointers are to what is accessed.
Value* FastmemLowering::may_fault(const FaultingInst& how, const std::vector<Value*>& args) {
    std::vector<llvm::Type*> types;
    for (const Value* a : args) types.push_back(a->getType());
    const std::string text = "1:\t" + how.text +
                             "\n\t.pushsection .guest_ex,\"a\",@progbits\n\t.quad 1b, ${" +
                             std::to_string(how.operands) + ":l}\n\t.popsection";
    // The handler keeps all registers, but not the flags.
    llvm::InlineAsm* code = llvm::InlineAsm::get(llvm::FunctionType::get(how.result, types, false), text,
                                                 how.constraints + ",!i,~{flags}", /*hasSideEffects=*/true);
    BasicBlock* next = b_.new_block();
    llvm::CallBrInst* call = b_.CreateCallBr(code->getFunctionType(), code, next, {exits_.side_exit()}, args);
    for (unsigned k = 0; k < args.size(); ++k)
        if (types[k]->isPointerTy())
            call->addParamAttr(
                k, llvm::Attribute::get(b_.getContext(), llvm::Attribute::ElementType, how.accessed));
    call->setDoesNotThrow();
    call->setOnlyAccessesArgMemory();
    b_.SetInsertPoint(next);
    return call;
}

// ---- Loads and stores

Value* FastmemLowering::load(Value* host, unsigned log2, bool is_signed, bool wide, unsigned offset) {
    std::string text;
    if (is_signed && (log2 < 2 || (log2 == 2 && wide))) {
        text = std::string("movs") + kSuffix[log2] + (wide ? "q $1, $0" : "l $1, ${0:k}");
    } else if (log2 < 2) {
        text = std::string("movz") + kSuffix[log2] + "l $1, ${0:k}";
    } else {
        text = log2 == 2 ? "movl $1, ${0:k}" : "movq $1, $0";
    }
    Value* v = may_fault({text, "=r,*m", 2, b_.getInt64Ty(), b_.getIntNTy(8u << log2)},
                         {b_.CreateConstGEP1_64(b_.getInt8Ty(), host, offset)});
    return wide ? v : b_.CreateTrunc(v, b_.getInt32Ty());
}

Value* FastmemLowering::load_vector(Value* host, unsigned log2, unsigned offset) {
    if (log2 < 2) {
        Value* v = load(host, log2, false, true, offset);
        return b_.zext_lane(v);
    }
    const char* text = log2 == 4   ? "vmovups $1, $0"
                       : log2 == 3 ? "vmovsd $1, $0"  // clears the rest
                                   : "vmovss $1, $0";
    return may_fault({text, "=x,*m", 2, b_.v128(), b_.getIntNTy(8u << log2)},
                     {b_.CreateConstGEP1_64(b_.getInt8Ty(), host, offset)});
}

void FastmemLowering::store(Value* host, Value* v, unsigned log2, unsigned offset) {
    const std::string text = std::string("mov") + kSuffix[log2] + ' ' + operand(1, log2) + ", $0";
    may_fault({text, "=*m,r", 2, b_.getVoidTy(), b_.getIntNTy(8u << log2)},
              {b_.CreateConstGEP1_64(b_.getInt8Ty(), host, offset), v});
}

void FastmemLowering::store_vector(Value* host, Value* v, unsigned log2, unsigned offset) {
    if (log2 < 2) {
        Value* low = b_.CreateExtractElement(b_.CreateBitCast(v, b_.int_vector(3)), uint64_t{0});
        return store(host, low, log2, offset);
    }
    const char* text = log2 == 4 ? "vmovups $1, $0" : log2 == 3 ? "vmovsd $1, $0" : "vmovss $1, $0";
    may_fault({text, "=*m,x", 2, b_.getVoidTy(), b_.getIntNTy(8u << log2)},
              {b_.CreateConstGEP1_64(b_.getInt8Ty(), host, offset), v});
}

void FastmemLowering::zero_block(Value* host) {
    for (unsigned offset = 0; offset < 64; offset += 16)
        store_vector(host, llvm::Constant::getNullValue(b_.v128()), 4, offset);
}

// ---- Atomics

/// What was there before.
Value* FastmemLowering::compare_exchange(Value* host, Value* expected, Value* desired, unsigned log2) {
    const std::string text = std::string("lock cmpxchg") + kSuffix[log2] + ' ' + operand(2, log2) + ", $1";
    Value* old = may_fault({text, "={rax},=*m,r,0,*m", 5, b_.getInt64Ty(), b_.getIntNTy(8u << log2)},
                           {host, desired, expected, host});
    return log2 == 3 ? old : b_.CreateTrunc(old, b_.getIntNTy(8u << log2));
}

Value* FastmemLowering::rmw(ir::AtomicKind kind, Value* host, Value* v, unsigned log2) {
    llvm::Type* type = b_.getIntNTy(8u << log2);
    if (kind == ir::AtomicKind::Add || kind == ir::AtomicKind::Swap) {
        const std::string text = std::string(kind == ir::AtomicKind::Add ? "lock xadd" : "xchg") +
                                 kSuffix[log2] + ' ' + operand(0, log2) + ", $1";
        Value* old = may_fault({text, "=r,=*m,0,*m", 4, b_.getInt64Ty(), type}, {host, v, host});
        return b_.CreateZExtOrTrunc(old, type);
    }
    Value* operand = b_.CreateZExtOrTrunc(v, type);
    Value* first = b_.CreateZExtOrTrunc(load(host, log2, false, true, 0), type);
    BasicBlock *before = b_.GetInsertBlock(), *again = b_.new_block(), *done = b_.new_block();
    b_.CreateBr(again);
    b_.SetInsertPoint(again);
    auto* old = b_.CreatePHI(type, 2);
    old->addIncoming(first, before);
    const auto choose = [&](Value* keep) { return b_.CreateSelect(keep, old, operand); };
    Value* wanted = nullptr;
    switch (kind) {
        case ir::AtomicKind::Clear: wanted = b_.CreateAnd(old, b_.CreateNot(operand)); break;
        case ir::AtomicKind::Xor: wanted = b_.CreateXor(old, operand); break;
        case ir::AtomicKind::Set: wanted = b_.CreateOr(old, operand); break;
        case ir::AtomicKind::MaxS: wanted = choose(b_.CreateICmpSGT(old, operand)); break;
        case ir::AtomicKind::MinS: wanted = choose(b_.CreateICmpSLT(old, operand)); break;
        case ir::AtomicKind::MaxU: wanted = choose(b_.CreateICmpUGT(old, operand)); break;
        default: wanted = choose(b_.CreateICmpULT(old, operand)); break;
    }
    llvm::Type* word = b_.getInt64Ty();
    Value* found =
        compare_exchange(host, b_.CreateZExtOrTrunc(old, word), b_.CreateZExtOrTrunc(wanted, word), log2);
    old->addIncoming(found, b_.GetInsertBlock());
    b_.CreateCondBr(b_.CreateICmpEQ(found, old), done, again, b_.likely());
    b_.SetInsertPoint(done);
    return old;
}

}  // namespace arclight::jit::tier2
