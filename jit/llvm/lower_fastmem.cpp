// Guest memory through fastmem (mmu/fastmem.h): an access is one x86 instruction, and what is not mapped
// there faults.
//
// To LLVM such an instruction is a jump: it goes on behind itself or, if it faults and the page cannot be
// entered where it stands, at the side exit of its checkpoint, with all registers as they were before. That
// is an asm goto, which says in section .guest_ex where it is and where its side exit is (region_exits.cpp makes
// a table of that). Nothing has to be known of pages, only which slot of 512 GiB an address is in, and of
// that only what can be added to it. A sum of a wrong slot's would be some other place in memory: so what the
// accesses of a group add is looked up once for all, but they must be so near to each other that what is in
// the next slot is in its first page, which is never mapped, as the last one is not.
#include <llvm/IR/InlineAsm.h>

#include "jit/llvm/lowering.h"

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

/// What has to be added to the address. Does not depend on it if it is in the slot that was foreseen, so that
/// the access need not wait.
Value* Lowering::fastmem_of(Value* address, uint64_t foreseen, uint32_t aux) {
    llvm::MDNode* nothing = llvm::MDNode::get(context_, {});
    llvm::Type* word = b_.getInt64Ty();
    // Nothing that changes a fastmem is done while a region runs.
    const auto invariant = [&](Value* from, llvm::Type* type) {
        auto* load = b_.CreateAlignedLoad(type, from, llvm::Align(8));
        load->setMetadata(llvm::LLVMContext::MD_invariant_load, nothing);
        return load;
    };
    const bool unprivileged = (aux & ir::kMemUnprivileged) != 0;
    Value* tlb = unprivileged
                     ? invariant(state_field(offsetof(GuestState, user_tlb), b_.getPtrTy()), b_.getPtrTy())
                     : tlb_;
    const auto fastmem = [&](Value* slot) {
        Value* at = b_.CreateConstGEP1_64(b_.getInt8Ty(), tlb, offsetof(mmu::SoftTlb, fastmem_offset));
        return invariant(b_.CreateGEP(word, at, slot), word);
    };
    Value* slot = b_.CreateLShr(address, mmu::kFastmemSlotBits);
    if (foreseen == 0) return fastmem(b_.CreateAnd(slot, c64(kSlotIndices)));
    BasicBlock *other = new_block(), *next = new_block();
    Value* usual = fastmem(c64((foreseen - 1) & kSlotIndices));
    BasicBlock* before = b_.GetInsertBlock();
    b_.CreateCondBr(b_.CreateICmpEQ(slot, c64(foreseen - 1)), next, other, likely_);
    b_.SetInsertPoint(other);
    Value* unusual = fastmem(b_.CreateAnd(slot, c64(kSlotIndices)));
    b_.CreateBr(next);
    b_.SetInsertPoint(next);
    auto* sum = b_.CreatePHI(word, 2);
    sum->addIncoming(usual, before);
    sum->addIncoming(unusual, other);
    return sum;
}

/// The host address of an access that is alone, or of a group's lowest byte.
Value* Lowering::fastmem_address(Ref ref, unsigned bytes, uint64_t foreseen, uint32_t aux, bool aligned) {
    Value* address = i64(ref);
    if (aligned && bytes > 1) guard(b_.CreateICmpEQ(b_.CreateAnd(address, c64(bytes - 1)), c64(0)));
    return b_.CreateIntToPtr(b_.CreateAdd(fastmem_of(address, foreseen, aux), address), b_.getPtrTy());
}

/// The arguments are those of `constraints`; pointers are to what is accessed.
Value* Lowering::may_fault(const FaultingInst& how, const std::vector<Value*>& args) {
    std::vector<llvm::Type*> types;
    for (const Value* a : args) types.push_back(a->getType());
    const std::string text = "1:\t" + how.text +
                             "\n\t.pushsection .guest_ex,\"a\",@progbits\n\t.quad 1b, ${" +
                             std::to_string(how.operands) + ":l}\n\t.popsection";
    // The handler keeps all registers, but not the flags.
    llvm::InlineAsm* code = llvm::InlineAsm::get(llvm::FunctionType::get(how.result, types, false), text,
                                                 how.constraints + ",!i,~{flags}", /*hasSideEffects=*/true);
    BasicBlock* next = new_block();
    llvm::CallBrInst* call = b_.CreateCallBr(code->getFunctionType(), code, next, {side_exit()}, args);
    for (unsigned k = 0; k < args.size(); ++k)
        if (types[k]->isPointerTy())
            call->addParamAttr(k, llvm::Attribute::get(context_, llvm::Attribute::ElementType, how.accessed));
    call->setDoesNotThrow();
    call->setOnlyAccessesArgMemory();
    b_.SetInsertPoint(next);
    return call;
}

// ---- Loads and stores
// --------------------------------------------------------------------------------------------

Value* Lowering::fastmem_load(Value* host, unsigned log2, bool is_signed, bool wide, unsigned offset) {
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

Value* Lowering::fastmem_load_vector(Value* host, unsigned log2, unsigned offset) {
    if (log2 < 2) {
        Value* v = fastmem_load(host, log2, false, true, offset);
        return zext_lane(v);
    }
    const char* text = log2 == 4   ? "vmovups $1, $0"
                       : log2 == 3 ? "vmovsd $1, $0"  // clears the rest
                                   : "vmovss $1, $0";
    return may_fault({text, "=x,*m", 2, v128_, b_.getIntNTy(8u << log2)},
                     {b_.CreateConstGEP1_64(b_.getInt8Ty(), host, offset)});
}

void Lowering::fastmem_store(Value* host, Value* v, unsigned log2, unsigned offset) {
    const std::string text = std::string("mov") + kSuffix[log2] + ' ' + operand(1, log2) + ", $0";
    may_fault({text, "=*m,r", 2, b_.getVoidTy(), b_.getIntNTy(8u << log2)},
              {b_.CreateConstGEP1_64(b_.getInt8Ty(), host, offset), v});
}

void Lowering::fastmem_store_vector(Value* host, Value* v, unsigned log2, unsigned offset) {
    if (log2 < 2) {
        Value* low = b_.CreateExtractElement(b_.CreateBitCast(v, int_vector(3)), uint64_t{0});
        return fastmem_store(host, low, log2, offset);
    }
    const char* text = log2 == 4 ? "vmovups $1, $0" : log2 == 3 ? "vmovsd $1, $0" : "vmovss $1, $0";
    may_fault({text, "=*m,x", 2, b_.getVoidTy(), b_.getIntNTy(8u << log2)},
              {b_.CreateConstGEP1_64(b_.getInt8Ty(), host, offset), v});
}

void Lowering::fastmem_zero_block(Value* host) {
    for (unsigned offset = 0; offset < 64; offset += 16)
        fastmem_store_vector(host, llvm::Constant::getNullValue(v128_), 4, offset);
}

// ---- Atomics
// -----------------------------------------------------------------------------------------------------

/// What was there before.
Value* Lowering::fastmem_compare_exchange(Value* host, Value* expected, Value* desired, unsigned log2) {
    const std::string text = std::string("lock cmpxchg") + kSuffix[log2] + ' ' + operand(2, log2) + ", $1";
    Value* old = may_fault({text, "={rax},=*m,r,0,*m", 5, b_.getInt64Ty(), b_.getIntNTy(8u << log2)},
                           {host, desired, expected, host});
    return log2 == 3 ? old : b_.CreateTrunc(old, b_.getIntNTy(8u << log2));
}

Value* Lowering::fastmem_rmw(ir::AtomicKind kind, Value* host, Value* v, unsigned log2) {
    llvm::Type* type = b_.getIntNTy(8u << log2);
    if (kind == ir::AtomicKind::Add || kind == ir::AtomicKind::Swap) {
        const std::string text = std::string(kind == ir::AtomicKind::Add ? "lock xadd" : "xchg") +
                                 kSuffix[log2] + ' ' + operand(0, log2) + ", $1";
        Value* old = may_fault({text, "=r,=*m,0,*m", 4, b_.getInt64Ty(), type}, {host, v, host});
        return b_.CreateZExtOrTrunc(old, type);
    }
    Value* operand = b_.CreateZExtOrTrunc(v, type);
    Value* first = b_.CreateZExtOrTrunc(fastmem_load(host, log2, false, true, 0), type);
    BasicBlock *before = b_.GetInsertBlock(), *again = new_block(), *done = new_block();
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
    Value* found = fastmem_compare_exchange(host, b_.CreateZExtOrTrunc(old, word),
                                            b_.CreateZExtOrTrunc(wanted, word), log2);
    old->addIncoming(found, b_.GetInsertBlock());
    b_.CreateCondBr(b_.CreateICmpEQ(found, old), done, again, likely_);
    b_.SetInsertPoint(done);
    return old;
}

}  // namespace arclight::jit::tier2
