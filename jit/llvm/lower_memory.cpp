// Guest memory through the soft TLB. Nothing changes a View while the region runs: whatever does (a fill, a
// TLBI) is done outside, so that what was read there may be kept as long as it is of use. What misses leaves
// the region.
#include "jit/llvm/lowering.h"

namespace arclight::jit::tier2 {

/// A register that is never loaded from memory, but counted up or left alone.
void Lowering::find_stable() {
    stable_.set();
    for (const RegionBlock& rb : region_.blocks) {
        for (const Inst& i : rb.ir.insts) {
            if (i.op != Op::SetX) continue;
            Ref r = i.args[0];
            while (rb.ir[r].op == Op::Add || rb.ir[r].op == Op::Sub) r = rb.ir[r].args[0];
            const Op op = rb.ir[r].op;
            if (op != Op::GetX && op != Op::Const && op != Op::PcRel) stable_.reset(i.imm);
        }
    }
}

Lowering::AddressParts Lowering::address_parts(Ref address) const {
    AddressParts parts;
    Ref root = address;
    while (register_of_[root] == kNoRegister && (inst(root).op == Op::Add || inst(root).op == Op::Sub)) {
        Ref added = inst(root).args[1];
        while (inst(added).nargs != 0 && inst(added).op != Op::Load) added = inst(added).args[0];
        if (inst(added).op == Op::GetX) {
            parts.index = static_cast<unsigned>(inst(added).imm);
        } else if (inst(added).op != Op::Const) {
            parts.index = kOtherIndex;
        }
        root = inst(root).args[0];
    }
    parts.root = root;
    parts.base = inst(root).op == Op::GetX ? static_cast<unsigned>(inst(root).imm) : register_of_[root];
    return parts;
}

Lowering::LastPage& Lowering::last_page(const AddressParts& parts, bool write) {
    LastPage& page = last_pages_[{parts.base, parts.index, write}];
    if (page.tag == nullptr) {
        llvm::IRBuilder<> at(entry_->getTerminator());
        page.tag = at.CreateAlloca(b_.getInt64Ty());
        page.addend = at.CreateAlloca(b_.getInt64Ty());
        at.CreateStore(c64(1), page.tag);  // no page's
        at.CreateStore(c64(0), page.addend);
    }
    return page;
}

Lowering::Page Lowering::look_up(Value* address, Value* wanted, bool write, uint32_t aux) {
    llvm::MDNode* nothing = llvm::MDNode::get(context_, {});
    const auto invariant = [&](Value* from, size_t offset) {
        auto* load = b_.CreateAlignedLoad(
            b_.getInt64Ty(), b_.CreateConstGEP1_64(b_.getInt8Ty(), from, offset), llvm::Align(8));
        load->setMetadata(llvm::LLVMContext::MD_invariant_load, nothing);
        return load;
    };
    Value* view = view_;
    if ((aux & ir::kMemUnprivileged) != 0) {
        auto* load = llvm::cast<llvm::LoadInst>(load_state(offsetof(GuestState, user_view), b_.getPtrTy()));
        load->setMetadata(llvm::LLVMContext::MD_invariant_load, nothing);
        view = load;
    }
    Value* index = b_.CreateAnd(b_.CreateLShr(address, kPageBits - 5), c64((kTlbEntries - 1) << 5));
    Value* entry = b_.CreateGEP(b_.getInt8Ty(), view, index);
    const size_t at = offsetof(View, tlb);
    Value* tag =
        invariant(entry, at + (write ? offsetof(TlbEntry, write_tag) : offsetof(TlbEntry, read_tag)));
    guard(b_.CreateICmpEQ(tag, wanted));
    return {tag, invariant(entry, at + offsetof(TlbEntry, addend))};
}

/// The host address of an access that lies in one page, which the soft TLB has. Most accesses by way of one
/// register are to the page that the last one was to; then the address does not wait for the soft TLB's
/// answer.
Value* Lowering::host_address(Ref ref, unsigned bytes, bool write, uint32_t aux, bool aligned) {
    if ((aux & ir::kMemSpBase) != 0) guard(b_.CreateICmpEQ(b_.CreateAnd(slot_value(31), c64(15)), c64(0)));
    Value* address = i64(ref);
    Value* wanted;
    if (aligned && bytes > 1) {
        wanted = b_.CreateAnd(address, c64(kPageMask | (bytes - 1)));
    } else {
        wanted = b_.CreateAnd(b_.CreateAdd(address, c64(bytes - 1)), c64(kPageMask));
    }
    const auto host = [&](Value* addend) {
        return b_.CreateIntToPtr(b_.CreateAdd(addend, address), b_.getPtrTy());
    };
    const AddressParts parts = address_parts(ref);
    const unsigned base = parts.base;
    const Ref root = parts.root;
    if (base == kNoRegister || (aux & ir::kMemUnprivileged) != 0)
        return host(look_up(address, wanted, write, aux).addend);
    LastPage& last = last_page(parts, write);
    const auto remember = [&](const Page& page) {
        b_.CreateStore(page.tag, last.tag);
        b_.CreateStore(page.addend, last.addend);
    };
    if (last.root != root && !stable_[base]) {
        last.root = root;
        const Page page = look_up(address, wanted, write, aux);
        remember(page);
        return host(page.addend);
    }
    last.root = root;
    BasicBlock *other = new_block(), *next = new_block();
    Value* same = b_.CreateICmpEQ(b_.CreateLoad(b_.getInt64Ty(), last.tag), wanted);
    b_.CreateCondBr(same, next, other, likely_);
    b_.SetInsertPoint(other);
    remember(look_up(address, wanted, write, aux));
    b_.CreateBr(next);
    b_.SetInsertPoint(next);
    return host(b_.CreateLoad(b_.getInt64Ty(), last.addend));
}

Value* Lowering::guest_load(Value* host, llvm::Type* type, unsigned offset) {
    auto* load =
        b_.CreateAlignedLoad(type, b_.CreateConstGEP1_64(b_.getInt8Ty(), host, offset), llvm::Align(1));
    load->setMetadata(llvm::LLVMContext::MD_alias_scope, guest_scope_);
    load->setMetadata(llvm::LLVMContext::MD_noalias, state_scope_);
    return load;
}

void Lowering::guest_store(Value* host, Value* v, unsigned offset) {
    auto* store =
        b_.CreateAlignedStore(v, b_.CreateConstGEP1_64(b_.getInt8Ty(), host, offset), llvm::Align(1));
    store->setMetadata(llvm::LLVMContext::MD_alias_scope, guest_scope_);
    store->setMetadata(llvm::LLVMContext::MD_noalias, state_scope_);
}

Value* Lowering::load_integer(Value* host, const Inst& i, unsigned offset) {
    const unsigned bits = 8u << ir::mem_size_log2(i.aux);
    llvm::Type* type = i.type == Type::I32 ? b_.getInt32Ty() : b_.getInt64Ty();
    Value* v = guest_load(host, b_.getIntNTy(bits), offset);
    if (bits == type->getIntegerBitWidth()) return v;
    return (i.aux & ir::kMemSigned) != 0 ? b_.CreateSExt(v, type) : b_.CreateZExt(v, type);
}

bool Lowering::lower_memory(const Inst& i, Ref index) {
    const unsigned log2 = ir::mem_size_log2(i.aux), unit = 1u << log2;
    const bool aligned = (i.aux & ir::kMemAligned) != 0, serial = (region_.mode & kModeSerial) != 0;
    const bool pair =
        i.op == Op::LoadPair || i.op == Op::LoadPairV || i.op == Op::StorePair || i.op == Op::StorePairV;
    const unsigned bytes = pair ? 2 * unit : unit;
    const auto address = [&](bool write) { return host_address(i.args[0], bytes, write, i.aux, aligned); };
    const auto fence = [&](llvm::AtomicOrdering order) {
        // To other threads' eyes x86 orders plain accesses well enough but for a store and a later load.
        b_.CreateFence(order, serial ? llvm::SyncScope::SingleThread : llvm::SyncScope::System);
    };
    const auto vector_unit = [&](Value* host, unsigned offset) -> Value* {
        if (log2 == 4) return guest_load(host, v128_, offset);
        if (log2 == 3) return zext_lane(guest_load(host, b_.getDoubleTy(), offset));
        return zext_lane(guest_load(host, b_.getIntNTy(8u << log2), offset));
    };
    const auto store_vector_unit = [&](Value* host, Value* v, unsigned offset) {
        if (log2 < 4) v = b_.CreateExtractElement(b_.CreateBitCast(v, int_vector(log2)), uint64_t{0});
        guest_store(host, v, offset);
    };
    const auto store_unit = [&](Value* host, Ref r, unsigned offset) {
        Value* v = i64(r);
        guest_store(host, log2 == 3 ? v : b_.CreateTrunc(v, b_.getIntNTy(8u << log2)), offset);
    };
    switch (i.op) {
        case Op::Load:
            def(index, load_integer(address(false), i, 0));
            if ((i.aux & ir::kMemAcquire) != 0) fence(llvm::AtomicOrdering::Acquire);
            return true;
        case Op::LoadPair: {
            Value* host = address(false);
            def(index, load_integer(host, i, 0));
            def(index + 1, load_integer(host, i, unit));
            return true;
        }
        case Op::PairSecond:
            if (values_[index] == nullptr) throw Unsupported{};
            return true;  // with the first
        case Op::LoadV: def(index, vector_unit(address(false), 0)); return true;
        case Op::LoadPairV: {
            Value* host = address(false);
            def(index, vector_unit(host, 0));
            def(index + 1, vector_unit(host, unit));
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
            Value* host = address(true);
            store_unit(host, i.args[1], 0);
            store_unit(host, i.args[2], unit);
            return true;
        }
        case Op::StoreV: {
            Value* v = vec(i.args[1]);
            store_vector_unit(address(true), v, 0);
            return true;
        }
        case Op::StorePairV: {
            Value *v = vec(i.args[1]), *w = vec(i.args[2]);
            Value* host = address(true);
            store_vector_unit(host, v, 0);
            store_vector_unit(host, w, unit);
            return true;
        }
        case Op::LoadEx: load_exclusive(i, index); return true;
        case Op::StoreEx: store_exclusive(i, index); return true;
        case Op::AtomicRmw: atomic_rmw(i, index); return true;
        case Op::Cas: {
            Value* host = host_address(i.args[0], unit, true, i.aux, true);
            llvm::Type* type = b_.getIntNTy(8u * unit);
            Value* expected = b_.CreateZExtOrTrunc(i64(i.args[1]), type);
            Value* desired = b_.CreateZExtOrTrunc(i64(i.args[2]), type);
            const auto order = llvm::AtomicOrdering::SequentiallyConsistent;
            Value* r = b_.CreateAtomicCmpXchg(host, expected, desired, llvm::Align(unit), order, order);
            r = b_.CreateExtractValue(r, 0);
            def(index, b_.CreateZExtOrTrunc(r, i.type == Type::I32 ? b_.getInt32Ty() : b_.getInt64Ty()));
            return true;
        }
        case Op::ZeroBlock: {
            Value* host = host_address(i.args[0], 1, true, i.aux, true);
            host = b_.CreateIntToPtr(
                b_.CreateAnd(b_.CreatePtrToInt(host, b_.getInt64Ty()), c64(~uint64_t{63})), b_.getPtrTy());
            auto* type = llvm::FixedVectorType::get(b_.getInt64Ty(), 4);
            guest_store(host, llvm::Constant::getNullValue(type), 0);
            guest_store(host, llvm::Constant::getNullValue(type), 32);
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
// ----------------------------------------------

void Lowering::load_exclusive(const Inst& i, Ref index) {
    const unsigned unit = 1u << ir::mem_size_log2(i.aux);
    Value* address = i64(i.args[0]);
    Value* host = host_address(i.args[0], unit, false, i.aux, true);
    auto* load = b_.CreateAlignedLoad(b_.getIntNTy(8u * unit), host, llvm::Align(unit));
    load->setAtomic(llvm::AtomicOrdering::Acquire);
    Value* v = b_.CreateZExtOrTrunc(load, b_.getInt64Ty());
    store_state(offsetof(GuestState, exclusive_value), v);
    store_state(offsetof(GuestState, exclusive_addr), address);
    def(index, b_.CreateZExtOrTrunc(v, i.type == Type::I32 ? b_.getInt32Ty() : b_.getInt64Ty()));
}

void Lowering::store_exclusive(const Inst& i, Ref index) {
    const unsigned unit = 1u << ir::mem_size_log2(i.aux);
    llvm::Type* type = b_.getIntNTy(8u * unit);
    Value* address = i64(i.args[0]);
    Value* held = load_state(offsetof(GuestState, exclusive_addr), b_.getInt64Ty());
    BasicBlock *try_it = new_block(), *done = new_block(), *before = b_.GetInsertBlock();
    b_.CreateCondBr(b_.CreateICmpEQ(held, address), try_it, done, likely_);
    b_.SetInsertPoint(try_it);
    Value* host = host_address(i.args[0], unit, true, i.aux, true);
    Value* expected =
        b_.CreateZExtOrTrunc(load_state(offsetof(GuestState, exclusive_value), b_.getInt64Ty()), type);
    Value* desired = b_.CreateZExtOrTrunc(i64(i.args[1]), type);
    const auto order = llvm::AtomicOrdering::SequentiallyConsistent;
    Value* r = b_.CreateAtomicCmpXchg(host, expected, desired, llvm::Align(unit), order, order);
    Value* failed = b_.CreateZExt(b_.CreateNot(b_.CreateExtractValue(r, 1)), b_.getInt32Ty());
    BasicBlock* tried = b_.GetInsertBlock();
    b_.CreateBr(done);
    b_.SetInsertPoint(done);
    auto* result = b_.CreatePHI(b_.getInt32Ty(), 2);
    result->addIncoming(b_.getInt32(1), before);
    result->addIncoming(failed, tried);
    store_state(offsetof(GuestState, exclusive_addr), c64(kNoExclusive));
    def(index, i.type == Type::I64 ? b_.CreateZExt(result, b_.getInt64Ty()) : result);
}

void Lowering::atomic_rmw(const Inst& i, Ref index) {
    using Rmw = llvm::AtomicRMWInst;
    const unsigned unit = 1u << ir::mem_size_log2(i.aux);
    Value* host = host_address(i.args[0], unit, true, i.aux, true);
    Value* v = b_.CreateZExtOrTrunc(i64(i.args[1]), b_.getIntNTy(8u * unit));
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
    def(index, b_.CreateZExtOrTrunc(old, i.type == Type::I32 ? b_.getInt32Ty() : b_.getInt64Ty()));
}

}  // namespace arclight::jit::tier2
