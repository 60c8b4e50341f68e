#include "jit/llvm/memory_lowering.h"

#include <bit>

#include "jit/guest_state.h"

namespace arclight::jit::tier2 {

using ir::Inst;
using ir::Op;
using ir::Ref;
using ir::Type;

Value* MemoryLowering::load_integer(Value* host, const Inst& i, unsigned offset) {
    const unsigned log2 = ir::mem_size_log2(i.aux), bits = 8u << log2;
    if (fastmem_ != nullptr)
        return fastmem_->load(host, log2, (i.aux & ir::kMemSigned) != 0, i.type != Type::I32, offset);
    llvm::Type* type = i.type == Type::I32 ? b_.getInt32Ty() : b_.getInt64Ty();
    Value* v = b_.guest_load(host, b_.getIntNTy(bits), offset);
    if (bits == type->getIntegerBitWidth()) return v;
    return (i.aux & ir::kMemSigned) != 0 ? b_.CreateSExt(v, type) : b_.CreateZExt(v, type);
}

bool MemoryLowering::lower(const Inst& i, Ref index) {
    const unsigned log2 = ir::mem_size_log2(i.aux), unit = 1u << log2;
    const bool aligned = (i.aux & ir::kMemAligned) != 0;
    const bool pair =
        i.op == Op::LoadPair || i.op == Op::LoadPairV || i.op == Op::StorePair || i.op == Op::StorePairV;
    const unsigned bytes = pair ? 2 * unit : unit;
    const auto address = [&](bool write) { return addresses_.host_address(i, index, bytes, write, aligned); };
    // What may lie in several pages is there for certain before anything of it is accessed.
    struct HostAddress {
        std::vector<Value*> parts;
        unsigned bytes;  ///< of each part
        Value* host(unsigned offset) const { return parts[offset / bytes]; }
        unsigned within(unsigned offset) const { return offset % bytes; }
    };
    const auto locate = [&](bool write) -> HostAddress {
        HostAddress p{{address(write)}, bytes};
        const std::vector<uint32_t>* groups = addresses_.parts_of(index);
        if (groups == nullptr) return p;
        p.bytes = std::min(unit, kPartBytes);
        for (unsigned k = 1; k < groups->size(); ++k)
            p.parts.push_back(addresses_.host_of_group(i, (*groups)[k], k * p.bytes));
        return p;
    };
    const auto fence = [&](llvm::AtomicOrdering order) {
        // The host orders plain accesses as acquire and release ask, except a store before a later load. LLVM's
        // own fence is not enough to keep its passes from it: MachineSink does not see that MEMBARRIER and MFENCE
        // order memory, and moves an earlier load into a later block (MachineInstr::isSafeToMove, LLVM 19).
        b_.compiler_barrier();
        if (order == llvm::AtomicOrdering::SequentiallyConsistent) b_.CreateFence(order);
    };
    const auto vector_unit = [&](const HostAddress& p, unsigned offset) -> Value* {
        Value* host = p.host(offset);
        const unsigned from = p.within(offset);
        if (fastmem_ != nullptr) return fastmem_->load_vector(host, log2, from);
        if (log2 < 3) return b_.zext_lane(b_.guest_load(host, b_.getIntNTy(8u << log2), from));
        if (log2 == 4 && p.bytes != kPartBytes) return b_.guest_load(host, b_.v128(), from);
        Value* low = b_.guest_load(host, b_.getDoubleTy(), from);
        if (log2 == 3) return low;
        return b_.CreateInsertElement(b_.zext_lane(low),
                                      b_.guest_load(p.host(offset + kPartBytes), b_.getDoubleTy()), 1);
    };
    const auto vector_to_store = [&](Ref r) {
        return log2 == 3 && values_.get(r)->getType()->isDoubleTy() ? values_.get(r) : values_.vec(r);
    };
    const auto store_vector_unit = [&](const HostAddress& p, Value* v, unsigned offset) {
        Value* host = p.host(offset);
        const unsigned from = p.within(offset);
        if (fastmem_ != nullptr) return fastmem_->store_vector(host, v, log2, from);
        if (log2 == 4 && p.bytes != kPartBytes) return b_.guest_store(host, v, from);
        if (v->getType() != b_.v128()) return b_.guest_store(host, v, from);
        v = b_.CreateBitCast(v, b_.int_vector(std::min(log2, 3u)));
        b_.guest_store(host, b_.CreateExtractElement(v, uint64_t{0}), from);
        if (log2 == 4) b_.guest_store(p.host(offset + kPartBytes), b_.CreateExtractElement(v, uint64_t{1}));
    };
    const auto store_unit = [&](Value* host, Ref r, unsigned offset) {
        Value* v = values_.i64(r);
        if (fastmem_ != nullptr) return fastmem_->store(host, v, log2, offset);
        b_.guest_store(host, log2 == 3 ? v : b_.CreateTrunc(v, b_.getIntNTy(8u << log2)), offset);
    };
    if (ir::is_plain_access(i.op) && (i.aux & (ir::kMemDevice | ir::kMemTagged)) != 0) throw Unsupported{};
    switch (i.op) {
        case Op::Load:
            values_.def(index, load_integer(address(false), i, 0));
            if ((i.aux & ir::kMemAcquire) != 0) fence(llvm::AtomicOrdering::Acquire);
            return true;
        case Op::LoadPair: {
            const HostAddress p = locate(false);
            if ((i.aux & ir::kMemWhole) != 0) {
                Value* both = fastmem_ != nullptr ? fastmem_->load_vector(p.host(0), 4, 0)
                                                  : b_.guest_load(p.host(0), b_.v128(), 0);
                both = b_.CreateBitCast(both, b_.int_vector(3));
                values_.def(index, b_.CreateExtractElement(both, uint64_t{0}));
                values_.def(index + 1, b_.CreateExtractElement(both, uint64_t{1}));
                return true;
            }
            values_.def(index, load_integer(p.host(0), i, 0));
            values_.def(index + 1, load_integer(p.host(unit), i, p.within(unit)));
            return true;
        }
        case Op::PairSecond:
            if (values_.get(index) == nullptr) throw Unsupported{};
            return true;  // with the first
        case Op::LoadV: values_.def(index, vector_unit(locate(false), 0)); return true;
        case Op::LoadPairV: {
            const HostAddress p = locate(false);
            values_.def(index, vector_unit(p, 0));
            values_.def(index + 1, vector_unit(p, unit));
            return true;
        }
        case Op::Store: {
            Value* host = address(true);
            const bool release = (i.aux & ir::kMemRelease) != 0;
            if (release) fence(llvm::AtomicOrdering::Release);
            store_unit(host, i.args[1], 0);
            if (release) fence(llvm::AtomicOrdering::SequentiallyConsistent);
            return true;
        }
        case Op::StorePair: {
            const HostAddress p = locate(true);
            if ((i.aux & ir::kMemWhole) != 0) {
                Value* both = llvm::Constant::getNullValue(b_.int_vector(3));
                for (unsigned k = 0; k < 2; ++k)
                    both = b_.CreateInsertElement(both, values_.i64(i.args[k + 1]), k);
                both = b_.CreateBitCast(both, b_.v128());
                if (fastmem_ != nullptr)
                    fastmem_->store_vector(p.host(0), both, 4, 0);
                else
                    b_.guest_store(p.host(0), both, 0);
                return true;
            }
            store_unit(p.host(0), i.args[1], 0);
            store_unit(p.host(unit), i.args[2], p.within(unit));
            return true;
        }
        case Op::StoreV: {
            Value* v = vector_to_store(i.args[1]);
            store_vector_unit(locate(true), v, 0);
            return true;
        }
        case Op::StorePairV: {
            Value *v = vector_to_store(i.args[1]), *w = vector_to_store(i.args[2]);
            const HostAddress p = locate(true);
            store_vector_unit(p, v, 0);
            store_vector_unit(p, w, unit);
            return true;
        }
        case Op::LoadEx: load_exclusive(i, index); return true;
        case Op::StoreEx: store_exclusive(i, index); return true;
        case Op::AtomicRmw: atomic_rmw(i, index); return true;
        case Op::Cas: {
            Value* host = addresses_.host_address(i, index, unit, true, true);
            llvm::Type* type = b_.getIntNTy(8u * unit);
            Value* expected = b_.CreateZExtOrTrunc(values_.i64(i.args[1]), type);
            Value* desired = b_.CreateZExtOrTrunc(values_.i64(i.args[2]), type);
            Value* r = compare_exchange(host, expected, desired, unit);
            values_.def(index,
                        b_.CreateZExtOrTrunc(r, i.type == Type::I32 ? b_.getInt32Ty() : b_.getInt64Ty()));
            return true;
        }
        case Op::ZeroBlock: {
            Value* host = addresses_.host_address(i, index, 1, true, true);
            host = b_.CreateIntToPtr(
                b_.CreateAnd(b_.CreatePtrToInt(host, b_.getInt64Ty()), b_.c64(~uint64_t{63})), b_.getPtrTy());
            if (fastmem_ != nullptr) {
                fastmem_->zero_block(host);
                return true;
            }
            auto* type = llvm::FixedVectorType::get(b_.getInt64Ty(), 4);
            b_.guest_store(host, llvm::Constant::getNullValue(type), 0);
            b_.guest_store(host, llvm::Constant::getNullValue(type), 32);
            return true;
        }
        case Op::Fence:
            switch (static_cast<ir::FenceKind>(i.imm)) {
                case ir::FenceKind::Load: fence(llvm::AtomicOrdering::Acquire); break;
                case ir::FenceKind::Store: fence(llvm::AtomicOrdering::Release); break;
                case ir::FenceKind::Full: fence(llvm::AtomicOrdering::SequentiallyConsistent); break;
                case ir::FenceKind::Instruction: throw Unsupported{};
            }
            return true;
        default: return false;
    }
}

// ---- Exclusives and atomics, as in tier 1 (backend/x64/emit_atomic.cpp)

/// What was there before.
Value* MemoryLowering::compare_exchange(Value* host, Value* expected, Value* desired, unsigned unit) {
    if (fastmem_ != nullptr) {
        llvm::Type* word = b_.getInt64Ty();
        return fastmem_->compare_exchange(host, b_.CreateZExtOrTrunc(expected, word),
                                          b_.CreateZExtOrTrunc(desired, word),
                                          static_cast<unsigned>(std::countr_zero(unit)));
    }
    const auto order = llvm::AtomicOrdering::SequentiallyConsistent;
    Value* r = b_.CreateAtomicCmpXchg(host, expected, desired, llvm::Align(unit), order, order);
    return b_.CreateExtractValue(r, 0);
}

void MemoryLowering::load_exclusive(const Inst& i, Ref index) {
    const unsigned unit = 1u << ir::mem_size_log2(i.aux);
    Value* address = values_.i64(i.args[0]);
    Value* host = addresses_.host_address(i, index, unit, false, true);
    Value* v;
    if (fastmem_ != nullptr) {
        v = fastmem_->load(host, ir::mem_size_log2(i.aux), false, true, 0);
    } else {
        auto* load = b_.CreateAlignedLoad(b_.getIntNTy(8u * unit), host, llvm::Align(unit));
        load->setAtomic(llvm::AtomicOrdering::Acquire);
        v = b_.CreateZExtOrTrunc(load, b_.getInt64Ty());
    }
    b_.store_state(offsetof(GuestState, exclusive_value), v);
    b_.store_state(offsetof(GuestState, exclusive_addr), address);
    values_.def(index, b_.CreateZExtOrTrunc(v, i.type == Type::I32 ? b_.getInt32Ty() : b_.getInt64Ty()));
}

void MemoryLowering::store_exclusive(const Inst& i, Ref index) {
    const unsigned unit = 1u << ir::mem_size_log2(i.aux);
    llvm::Type* type = b_.getIntNTy(8u * unit);
    Value* address = values_.i64(i.args[0]);
    Value* held = b_.load_state(offsetof(GuestState, exclusive_addr), b_.getInt64Ty());
    BasicBlock *try_it = b_.new_block(), *done = b_.new_block(), *before = b_.GetInsertBlock();
    b_.CreateCondBr(b_.CreateICmpEQ(held, address), try_it, done, b_.likely());
    b_.SetInsertPoint(try_it);
    Value* host = addresses_.host_address(i, index, unit, true, true);
    Value* expected =
        b_.CreateZExtOrTrunc(b_.load_state(offsetof(GuestState, exclusive_value), b_.getInt64Ty()), type);
    Value* desired = b_.CreateZExtOrTrunc(values_.i64(i.args[1]), type);
    Value* found = compare_exchange(host, expected, desired, unit);
    Value* failed = b_.CreateZExt(b_.CreateICmpNE(found, expected), b_.getInt32Ty());
    BasicBlock* tried = b_.GetInsertBlock();
    b_.CreateBr(done);
    b_.SetInsertPoint(done);
    auto* result = b_.CreatePHI(b_.getInt32Ty(), 2);
    result->addIncoming(b_.getInt32(1), before);
    result->addIncoming(failed, tried);
    b_.store_state(offsetof(GuestState, exclusive_addr), b_.c64(kNoExclusive));
    values_.def(index, i.type == Type::I64 ? b_.CreateZExt(result, b_.getInt64Ty()) : result);
}

void MemoryLowering::atomic_rmw(const Inst& i, Ref index) {
    using Rmw = llvm::AtomicRMWInst;
    const unsigned unit = 1u << ir::mem_size_log2(i.aux);
    Value* host = addresses_.host_address(i, index, unit, true, true);
    llvm::Type* result = i.type == Type::I32 ? b_.getInt32Ty() : b_.getInt64Ty();
    if (fastmem_ != nullptr) {
        Value* old = fastmem_->rmw(static_cast<ir::AtomicKind>(i.imm), host, values_.i64(i.args[1]),
                                   ir::mem_size_log2(i.aux));
        values_.def(index, b_.CreateZExtOrTrunc(old, result));
        return;
    }
    Value* v = b_.CreateZExtOrTrunc(values_.i64(i.args[1]), b_.getIntNTy(8u * unit));
    Rmw::BinOp op = Rmw::Xchg;
    switch (static_cast<ir::AtomicKind>(i.imm)) {
        case ir::AtomicKind::Add: op = Rmw::Add; break;
        case ir::AtomicKind::Clear:
            op = Rmw::And;
            v = b_.CreateNot(v);
            break;
        case ir::AtomicKind::Xor: op = Rmw::Xor; break;
        case ir::AtomicKind::Set: op = Rmw::Or; break;
        case ir::AtomicKind::MaxS: op = Rmw::Max; break;
        case ir::AtomicKind::MinS: op = Rmw::Min; break;
        case ir::AtomicKind::MaxU: op = Rmw::UMax; break;
        case ir::AtomicKind::MinU: op = Rmw::UMin; break;
        case ir::AtomicKind::Swap: op = Rmw::Xchg; break;
    }
    Value* old =
        b_.CreateAtomicRMW(op, host, v, llvm::Align(unit), llvm::AtomicOrdering::SequentiallyConsistent);
    values_.def(index, b_.CreateZExtOrTrunc(old, result));
}

}  // namespace arclight::jit::tier2
