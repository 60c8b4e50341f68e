// Guest memory through the soft TLB. Nothing changes a SoftTlb while the region runs: whatever does (a fill, a
// TLBI) is done outside, so that what was read there may be kept as long as it is of use. What misses leaves
// the region. Fastmem, where they are used, take the place of that: lower_fastmem.cpp.
#include <llvm/IR/InlineAsm.h>

#include <bit>

#include "jit/llvm/lowering.h"

namespace arclight::jit::tier2 {

void Lowering::declare_page(LastPage& page) {
    llvm::IRBuilder<> at(entry_->getTerminator());
    for (llvm::AllocaInst** v : {&page.minus_tag, &page.addend, &page.limit, &page.write_limit}) {
        if (v == &page.write_limit && !page.shared) continue;
        *v = at.CreateAlloca(b_.getInt64Ty());
        at.CreateStore(c64(0), *v);  // limit 0: nothing lies in it
    }
}

Lowering::LastPage& Lowering::last_page(unsigned number) {
    LastPage& page = last_pages_[number];
    if (page.minus_tag == nullptr) declare_page(page);
    return page;
}

/// For accesses to `span` bytes at most.
void Lowering::remember(const LastPage& last, const Page& page, unsigned span) {
    b_.CreateStore(b_.CreateNeg(page.tag), last.minus_tag);
    b_.CreateStore(page.addend, last.addend);
    Value* limit = c64(page_size_ - (span - 1));
    b_.CreateStore(limit, last.limit);
    if (last.shared)
        b_.CreateStore(page.writable != nullptr ? b_.CreateSelect(page.writable, limit, c64(0)) : limit,
                       last.write_limit);
}

/// The same value, from which LLVM computes nothing in advance: not outside a loop what is seldom needed
/// inside.
Value* Lowering::only_here(Value* v) {
    auto* type = llvm::FunctionType::get(v->getType(), v->getType(), false);
    return b_.CreateCall(type, llvm::InlineAsm::get(type, "", "=r,0", /*hasSideEffects=*/true), v);
}

/// Whether that it lies in one page is a guess, and which.
Guesses Lowering::guessed(const Group& g) { return g.hi - g.lo > int64_t{kPartBytes} ? g.guesses : 0; }

void Lowering::count_wrong_guesses(Value* how_many, Guesses which) {
    const size_t count = offsetof(GuestState, wrong_guesses.count);
    store_state(count, b_.CreateAdd(load_state(count, b_.getInt32Ty(), 4), how_many), 4);
    const size_t names = offsetof(GuestState, wrong_guesses.which);
    Value* chosen = b_.CreateSelect(b_.CreateICmpNE(how_many, b_.getInt32(0)), c64(which), c64(0));
    store_state(names, b_.CreateOr(load_state(names, b_.getInt64Ty()), chosen));
}

/// What the soft TLB has for the page of `address`, if that is `wanted`; else the side exit.
Lowering::Page Lowering::look_up(Value* address, Value* wanted, const Sought& sought) {
    const auto& [write, aux, shared, guessed] = sought;
    if (fastmem_) {
        Value* slot = b_.CreateAnd(address, c64(page_mask_));
        guard(b_.CreateICmpEQ(slot, wanted));
        return {slot, fastmem_of(address, 0, aux)};
    }
    llvm::MDNode* nothing = llvm::MDNode::get(context_, {});
    const auto invariant = [&](Value* from, size_t offset) {
        auto* load = b_.CreateAlignedLoad(
            b_.getInt64Ty(), b_.CreateConstGEP1_64(b_.getInt8Ty(), from, offset), llvm::Align(8));
        load->setMetadata(llvm::LLVMContext::MD_invariant_load, nothing);
        return load;
    };
    Value* tlb = tlb_;
    if ((aux & ir::kMemUnprivileged) != 0) {
        auto* load = llvm::cast<llvm::LoadInst>(load_state(offsetof(GuestState, user_tlb), b_.getPtrTy()));
        load->setMetadata(llvm::LLVMContext::MD_invariant_load, nothing);
        tlb = load;
    }
    Value* index = b_.CreateAnd(b_.CreateLShr(address, kPageBits - 5), c64((mmu::kTlbEntries - 1) << 5));
    Value* entry = b_.CreateGEP(b_.getInt8Ty(), tlb, index);
    const size_t at = offsetof(mmu::SoftTlb, entries);
    Value* tag = invariant(
        entry, at + (write ? offsetof(mmu::TlbEntry, write_tag) : offsetof(mmu::TlbEntry, read_tag)));
    Value* found = b_.CreateICmpEQ(tag, wanted);
    if (guessed != 0) {
        BasicBlock *next = new_block(), *missed = new_block();
        b_.CreateCondBr(found, next, missed, likely_);
        b_.SetInsertPoint(missed);
        count_wrong_guesses(
            b_.CreateZExt(b_.CreateICmpNE(b_.CreateAnd(address, c64(kPageMask)), wanted), b_.getInt32Ty()),
            guessed);
        b_.CreateBr(side_exit());
        b_.SetInsertPoint(next);
    } else {
        guard(found);
    }
    Page page{tag, invariant(entry, at + offsetof(mmu::TlbEntry, addend))};
    if (shared && !write)
        page.writable = b_.CreateICmpEQ(invariant(entry, at + offsetof(mmu::TlbEntry, write_tag)), wanted);
    return page;
}

/// The host address of an access that shares its check with no other one.
Value* Lowering::host_address_alone(Ref ref, unsigned bytes, bool write, uint32_t aux, bool aligned) {
    Value* address = i64(ref);
    Value* wanted;
    if (aligned && bytes > 1) {
        wanted = b_.CreateAnd(address, c64(kPageMask | (bytes - 1)));
    } else {
        wanted = b_.CreateAnd(b_.CreateAdd(address, c64(bytes - 1)), c64(kPageMask));
    }
    return b_.CreateIntToPtr(
        b_.CreateAdd(look_up(address, wanted, {.write = write, .aux = aux}).addend, address), b_.getPtrTy());
}

/// Checks a group, and says where its lowest byte is. Most groups by way of one register are in the page that
/// the last one was in: whether all of it is, one comparison with the distance from the page's start tells.
void Lowering::check_group(Group& g) {
    Value* address = i64(g.root);
    if (g.lo != 0) address = b_.CreateAdd(address, c64(static_cast<uint64_t>(g.lo)));
    const auto span = static_cast<uint64_t>(g.hi - g.lo);
    const auto wanted = [&] {
        return b_.CreateAnd(span > 1 ? b_.CreateAdd(address, c64(span - 1)) : address, c64(kPageMask));
    };
    const auto pointer = [&](Value* base, Value* offset) {
        return b_.CreateIntToPtr(b_.CreateAdd(base, offset), b_.getPtrTy());
    };
    if (fastmem_) {
        g.host = pointer(fastmem_of(address, g.foreseen, 0), address);
        return;
    }
    if (g.page == kNoPage) {
        g.host =
            pointer(look_up(address, wanted(), {.write = g.write, .guessed = guessed(g)}).addend, address);
        return;
    }
    LastPage& last = last_page(g.page);
    if (last.root != g.root && !last.stable) {
        last.root = g.root;
        const Page page = look_up(address, wanted(), {.write = g.write, .guessed = guessed(g)});
        remember(last, page, last.span);
        g.host = pointer(page.addend, address);
        return;
    }
    last.root = g.root;
    BasicBlock *other = new_block(), *next = new_block();
    Value* in_place = address;
    Value* offset = b_.CreateAdd(address, b_.CreateLoad(b_.getInt64Ty(), last.minus_tag));
    llvm::AllocaInst* limit = last.shared && g.write ? last.write_limit : last.limit;
    Value* same = b_.CreateICmpULT(offset, b_.CreateLoad(b_.getInt64Ty(), limit));
    b_.CreateCondBr(same, next, other, likely_);
    b_.SetInsertPoint(other);
    address = only_here(address);
    remember(last,
             look_up(address, wanted(), {.write = g.write, .shared = last.shared, .guessed = guessed(g)}),
             last.span);
    b_.CreateBr(next);
    b_.SetInsertPoint(next);
    // Not by way of the offset: the access need not wait for the check.
    g.host = pointer(b_.CreateLoad(b_.getInt64Ty(), last.addend), in_place);
}

/// The host address of an access that lies in one page, which the soft TLB has.
Value* Lowering::host_address(const Inst& i, Ref index, unsigned bytes, bool write, bool aligned) {
    if ((i.aux & ir::kMemSpBase) != 0) guard(b_.CreateICmpEQ(b_.CreateAnd(slot_value(31), c64(15)), c64(0)));
    BlockInfo& info = info_[current_];
    const uint32_t number = info.group_of[index];
    if (number == kNoGroup && fastmem_) {
        const uint64_t foreseen =
            ir::is_plain_access(i.op) && (i.aux & ir::kMemUnprivileged) == 0 ? i.imm : 0;
        return fastmem_address(i.args[0], bytes, foreseen, i.aux, aligned);
    }
    if (number == kNoGroup) return host_address_alone(i.args[0], bytes, write, i.aux, aligned);
    return host_of_group(i, number, 0);
}

/// Where a part of an access is that belongs to this group: so many bytes from its start.
Value* Lowering::host_of_group(const Inst& i, uint32_t number, unsigned part) {
    Group& g = info_[current_].groups[number];
    if (g.host == nullptr) check_group(g);
    const int64_t at = ir::displaced(*block_, i.args[0]).by + part - g.lo;
    return b_.CreateConstGEP1_64(b_.getInt8Ty(), g.host, static_cast<uint64_t>(at));
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
    const unsigned log2 = ir::mem_size_log2(i.aux), bits = 8u << log2;
    if (fastmem_) return fastmem_load(host, log2, (i.aux & ir::kMemSigned) != 0, i.type != Type::I32, offset);
    llvm::Type* type = i.type == Type::I32 ? b_.getInt32Ty() : b_.getInt64Ty();
    Value* v = guest_load(host, b_.getIntNTy(bits), offset);
    if (bits == type->getIntegerBitWidth()) return v;
    return (i.aux & ir::kMemSigned) != 0 ? b_.CreateSExt(v, type) : b_.CreateZExt(v, type);
}

bool Lowering::lower_memory(const Inst& i, Ref index) {
    const unsigned log2 = ir::mem_size_log2(i.aux), unit = 1u << log2;
    const bool aligned = (i.aux & ir::kMemAligned) != 0,
               serial = (region_.translation_flags & translation_flag::kSerial) != 0;
    const bool pair =
        i.op == Op::LoadPair || i.op == Op::LoadPairV || i.op == Op::StorePair || i.op == Op::StorePairV;
    const unsigned bytes = pair ? 2 * unit : unit;
    const auto address = [&](bool write) { return host_address(i, index, bytes, write, aligned); };
    // What may lie in several pages is there for certain before anything of it is accessed.
    struct Place {
        std::vector<Value*> parts;
        unsigned bytes;
        Value* host(unsigned offset) const { return parts[offset / bytes]; }
        unsigned within(unsigned offset) const { return offset % bytes; }
    };
    const auto place = [&](bool write) -> Place {
        Place p{{address(write)}, bytes};
        const auto& several = info_[current_].parts;
        const auto it = several.find(index);
        if (it == several.end()) return p;
        p.bytes = std::min(unit, kPartBytes);
        for (unsigned k = 1; k < it->second.size(); ++k)
            p.parts.push_back(host_of_group(i, it->second[k], k * p.bytes));
        return p;
    };
    const auto fence = [&](llvm::AtomicOrdering order) {
        // To other threads' eyes x86 orders plain accesses well enough but for a store and a later load.
        b_.CreateFence(order, serial ? llvm::SyncScope::SingleThread : llvm::SyncScope::System);
    };
    const auto vector_unit = [&](const Place& p, unsigned offset) -> Value* {
        Value* host = p.host(offset);
        const unsigned from = p.within(offset);
        if (fastmem_) return fastmem_load_vector(host, log2, from);
        if (log2 < 3) return zext_lane(guest_load(host, b_.getIntNTy(8u << log2), from));
        if (log2 == 4 && p.bytes != kPartBytes) return guest_load(host, v128_, from);
        Value* low = guest_load(host, b_.getDoubleTy(), from);
        if (log2 == 3) return low;
        return b_.CreateInsertElement(zext_lane(low),
                                      guest_load(p.host(offset + kPartBytes), b_.getDoubleTy()), 1);
    };
    const auto vector_to_store = [&](Ref r) {
        return log2 == 3 && get(r)->getType()->isDoubleTy() ? get(r) : vec(r);
    };
    const auto store_vector_unit = [&](const Place& p, Value* v, unsigned offset) {
        Value* host = p.host(offset);
        const unsigned from = p.within(offset);
        if (fastmem_) return fastmem_store_vector(host, v, log2, from);
        if (log2 == 4 && p.bytes != kPartBytes) return guest_store(host, v, from);
        if (v->getType() != v128_) return guest_store(host, v, from);
        v = b_.CreateBitCast(v, int_vector(std::min(log2, 3u)));
        guest_store(host, b_.CreateExtractElement(v, uint64_t{0}), from);
        if (log2 == 4) guest_store(p.host(offset + kPartBytes), b_.CreateExtractElement(v, uint64_t{1}));
    };
    const auto store_unit = [&](Value* host, Ref r, unsigned offset) {
        Value* v = i64(r);
        if (fastmem_) return fastmem_store(host, v, log2, offset);
        guest_store(host, log2 == 3 ? v : b_.CreateTrunc(v, b_.getIntNTy(8u << log2)), offset);
    };
    if (ir::is_plain_access(i.op) && (i.aux & ir::kMemDevice) != 0) throw Unsupported{};
    switch (i.op) {
        case Op::Load:
            def(index, load_integer(address(false), i, 0));
            if ((i.aux & ir::kMemAcquire) != 0) fence(llvm::AtomicOrdering::Acquire);
            return true;
        case Op::LoadPair: {
            const Place p = place(false);
            def(index, load_integer(p.host(0), i, 0));
            def(index + 1, load_integer(p.host(unit), i, p.within(unit)));
            return true;
        }
        case Op::PairSecond:
            if (values_[index] == nullptr) throw Unsupported{};
            return true;  // with the first
        case Op::LoadV: def(index, vector_unit(place(false), 0)); return true;
        case Op::LoadPairV: {
            const Place p = place(false);
            def(index, vector_unit(p, 0));
            def(index + 1, vector_unit(p, unit));
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
            const Place p = place(true);
            store_unit(p.host(0), i.args[1], 0);
            store_unit(p.host(unit), i.args[2], p.within(unit));
            return true;
        }
        case Op::StoreV: {
            Value* v = vector_to_store(i.args[1]);
            store_vector_unit(place(true), v, 0);
            return true;
        }
        case Op::StorePairV: {
            Value *v = vector_to_store(i.args[1]), *w = vector_to_store(i.args[2]);
            const Place p = place(true);
            store_vector_unit(p, v, 0);
            store_vector_unit(p, w, unit);
            return true;
        }
        case Op::LoadEx: load_exclusive(i, index); return true;
        case Op::StoreEx: store_exclusive(i, index); return true;
        case Op::AtomicRmw: atomic_rmw(i, index); return true;
        case Op::Cas: {
            Value* host = host_address(i, index, unit, true, true);
            llvm::Type* type = b_.getIntNTy(8u * unit);
            Value* expected = b_.CreateZExtOrTrunc(i64(i.args[1]), type);
            Value* desired = b_.CreateZExtOrTrunc(i64(i.args[2]), type);
            Value* r = compare_exchange(host, expected, desired, unit);
            def(index, b_.CreateZExtOrTrunc(r, i.type == Type::I32 ? b_.getInt32Ty() : b_.getInt64Ty()));
            return true;
        }
        case Op::ZeroBlock: {
            Value* host = host_address(i, index, 1, true, true);
            host = b_.CreateIntToPtr(
                b_.CreateAnd(b_.CreatePtrToInt(host, b_.getInt64Ty()), c64(~uint64_t{63})), b_.getPtrTy());
            if (fastmem_) {
                fastmem_zero_block(host);
                return true;
            }
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

/// What was there before.
Value* Lowering::compare_exchange(Value* host, Value* expected, Value* desired, unsigned unit) {
    if (fastmem_) {
        llvm::Type* word = b_.getInt64Ty();
        return fastmem_compare_exchange(host, b_.CreateZExtOrTrunc(expected, word),
                                        b_.CreateZExtOrTrunc(desired, word),
                                        static_cast<unsigned>(std::countr_zero(unit)));
    }
    const auto order = llvm::AtomicOrdering::SequentiallyConsistent;
    Value* r = b_.CreateAtomicCmpXchg(host, expected, desired, llvm::Align(unit), order, order);
    return b_.CreateExtractValue(r, 0);
}

void Lowering::load_exclusive(const Inst& i, Ref index) {
    const unsigned unit = 1u << ir::mem_size_log2(i.aux);
    Value* address = i64(i.args[0]);
    Value* host = host_address(i, index, unit, false, true);
    Value* v;
    if (fastmem_) {
        v = fastmem_load(host, ir::mem_size_log2(i.aux), false, true, 0);
    } else {
        auto* load = b_.CreateAlignedLoad(b_.getIntNTy(8u * unit), host, llvm::Align(unit));
        load->setAtomic(llvm::AtomicOrdering::Acquire);
        v = b_.CreateZExtOrTrunc(load, b_.getInt64Ty());
    }
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
    Value* host = host_address(i, index, unit, true, true);
    Value* expected =
        b_.CreateZExtOrTrunc(load_state(offsetof(GuestState, exclusive_value), b_.getInt64Ty()), type);
    Value* desired = b_.CreateZExtOrTrunc(i64(i.args[1]), type);
    Value* found = compare_exchange(host, expected, desired, unit);
    Value* failed = b_.CreateZExt(b_.CreateICmpNE(found, expected), b_.getInt32Ty());
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
    Value* host = host_address(i, index, unit, true, true);
    llvm::Type* result = i.type == Type::I32 ? b_.getInt32Ty() : b_.getInt64Ty();
    if (fastmem_) {
        Value* old =
            fastmem_rmw(static_cast<ir::AtomicKind>(i.imm), host, i64(i.args[1]), ir::mem_size_log2(i.aux));
        def(index, b_.CreateZExtOrTrunc(old, result));
        return;
    }
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
    def(index, b_.CreateZExtOrTrunc(old, result));
}

}  // namespace arclight::jit::tier2
