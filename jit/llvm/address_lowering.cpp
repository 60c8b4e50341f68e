#include "jit/llvm/address_lowering.h"

#include <llvm/IR/InlineAsm.h>

#include "jit/guest_state.h"

namespace arclight::jit::tier2 {

using ir::Inst;
using ir::Op;
using ir::Ref;

AddressLowering::AddressLowering(RegionIrBuilder& b, BlockValues& values, GuestRegisters& registers,
                                 RegionExitBuilder& exits, FastmemLowering* fastmem, const AccessPlan& plan)
    : b_(b),
      values_(values),
      registers_(registers),
      exits_(exits),
      fastmem_(fastmem),
      plan_(plan),
      page_size_(fastmem != nullptr ? uint64_t{1} << mmu::kFastmemSlotBits : kPageSize),
      page_mask_(~(page_size_ - 1)),
      pages_(plan.pages.size()) {}

void AddressLowering::begin_block(size_t block) {
    block_ = &plan_.blocks[block];
    hosts_.assign(block_->groups.size(), nullptr);
    for (PageVariables& page : pages_) page.root = ir::kNoRef;
}

// ---- Pages

void AddressLowering::declare_page(PageVariables& page, bool shared) {
    llvm::IRBuilder<> at(b_.entry()->getTerminator());
    for (llvm::AllocaInst** v : {&page.minus_tag, &page.addend, &page.limit, &page.write_limit}) {
        if (v == &page.write_limit && !shared) continue;
        *v = at.CreateAlloca(b_.getInt64Ty());
        at.CreateStore(b_.c64(0), *v);  // limit 0: nothing lies in it
    }
}

AddressLowering::PageVariables& AddressLowering::page_variables(unsigned number) {
    PageVariables& page = pages_[number];
    if (page.minus_tag == nullptr) declare_page(page, plan_.pages[number].shared);
    return page;
}

/// For accesses to `span` bytes at most.
void AddressLowering::remember(const PageVariables& variables, bool shared, const Page& page, unsigned span) {
    b_.CreateStore(b_.CreateNeg(page.tag), variables.minus_tag);
    b_.CreateStore(page.addend, variables.addend);
    Value* limit = b_.c64(page_size_ - (span - 1));
    b_.CreateStore(limit, variables.limit);
    if (shared)
        b_.CreateStore(page.writable != nullptr ? b_.CreateSelect(page.writable, limit, b_.c64(0)) : limit,
                       variables.write_limit);
}

/// What the soft TLB has for the page of `address`, if that is `wanted`; else the side exit.
AddressLowering::Page AddressLowering::look_up(Value* address, Value* wanted, const LookUp& what) {
    const auto& [write, aux, shared, assumed] = what;
    if (fastmem_ != nullptr) {
        Value* slot = b_.CreateAnd(address, b_.c64(page_mask_));
        exits_.guard(b_.CreateICmpEQ(slot, wanted));
        return {slot, fastmem_->addend(address, 0, aux)};
    }
    // Assembly, since LLVM takes for certain what the branch below decides.
    const auto mask = [&](Value* addend, Value* tag) -> Value* {
        if (!plan_.spectre) return addend;
        llvm::Type* word = b_.getInt64Ty();
        auto* type = llvm::FunctionType::get(word, {word, word, word, word}, false);
        llvm::InlineAsm* code =
            llvm::InlineAsm::get(type, "cmpq $2, $3\n\tcmovneq $4, $0", "=&r,0,r,r,r,~{flags}",
                                 /*hasSideEffects=*/false);
        // Address 0 if it is not there: nothing is mapped in the first page of a process.
        Value* host = b_.CreateCall(code, {b_.CreateAdd(addend, address), tag, wanted, b_.c64(0)});
        return b_.CreateSub(host, address);
    };
    const auto invariant = [&](Value* from, size_t offset) {
        return b_.load_invariant(b_.CreateConstGEP1_64(b_.getInt8Ty(), from, offset), b_.getInt64Ty());
    };
    Value* tlb = b_.tlb();
    if ((aux & ir::kMemUnprivileged) != 0)
        tlb = b_.mark_invariant(b_.load_state(offsetof(GuestState, user_tlb), b_.getPtrTy()));
    Value* index = b_.CreateAnd(b_.CreateLShr(address, kPageBits - 5), b_.c64((mmu::kTlbEntries - 1) << 5));
    Value* entry = b_.CreateGEP(b_.getInt8Ty(), tlb, index);
    const size_t at = offsetof(mmu::SoftTlb, entries);
    Value* tag = invariant(
        entry, at + (write ? offsetof(mmu::TlbEntry, write_tag) : offsetof(mmu::TlbEntry, read_tag)));
    Value* found = b_.CreateICmpEQ(tag, wanted);
    if (assumed != 0) {
        BasicBlock *next = b_.new_block(), *missed = b_.new_block();
        b_.CreateCondBr(found, next, missed, b_.likely());
        b_.SetInsertPoint(missed);
        exits_.count_failed_assumptions(
            b_.CreateZExt(b_.CreateICmpNE(b_.CreateAnd(address, b_.c64(kPageMask)), wanted), b_.getInt32Ty()),
            assumed);
        b_.CreateBr(exits_.side_exit());
        b_.SetInsertPoint(next);
    } else {
        exits_.guard(found);
    }
    Page page{tag, mask(invariant(entry, at + offsetof(mmu::TlbEntry, addend)), tag)};
    if (shared && !write)
        page.writable = b_.CreateICmpEQ(invariant(entry, at + offsetof(mmu::TlbEntry, write_tag)), wanted);
    return page;
}

/// The host address of an access that shares its check with no other one.
Value* AddressLowering::host_address_alone(Ref ref, unsigned bytes, bool write, uint32_t aux, bool aligned) {
    Value* address = values_.i64(ref);
    Value* wanted;
    if (aligned && bytes > 1) {
        wanted = b_.CreateAnd(address, b_.c64(kPageMask | (bytes - 1)));
    } else {
        wanted = b_.CreateAnd(b_.CreateAdd(address, b_.c64(bytes - 1)), b_.c64(kPageMask));
    }
    return b_.CreateIntToPtr(
        b_.CreateAdd(look_up(address, wanted, {.write = write, .aux = aux}).addend, address), b_.getPtrTy());
}

/// Checks a group; returns where its lowest byte is. Most groups by way of one register are in the page that
/// the last one was in: whether all of it is, one comparison with the distance from the page's start tells.
Value* AddressLowering::check_group(const AccessGroup& g) {
    Value* address = values_.i64(g.root);
    if (g.lo != 0) address = b_.CreateAdd(address, b_.c64(static_cast<uint64_t>(g.lo)));
    const auto span = static_cast<uint64_t>(g.hi - g.lo);
    const auto wanted = [&] {
        return b_.CreateAnd(span > 1 ? b_.CreateAdd(address, b_.c64(span - 1)) : address, b_.c64(kPageMask));
    };
    const auto pointer = [&](Value* base, Value* offset) {
        return b_.CreateIntToPtr(b_.CreateAdd(base, offset), b_.getPtrTy());
    };
    if (fastmem_ != nullptr)
        return pointer(fastmem_->addend(address, plan_.spectre ? 0 : g.predicted, 0), address);
    if (g.page == kNoPage)
        return pointer(look_up(address, wanted(), {.write = g.write, .assumed = g.assumed()}).addend,
                       address);
    const auto& [stable, shared, page_span] = plan_.pages[g.page];
    PageVariables& last = page_variables(g.page);
    if (last.root != g.root && !stable) {
        last.root = g.root;
        const Page page = look_up(address, wanted(), {.write = g.write, .assumed = g.assumed()});
        remember(last, shared, page, page_span);
        return pointer(page.addend, address);
    }
    last.root = g.root;
    BasicBlock *other = b_.new_block(), *next = b_.new_block();
    Value* in_place = address;
    Value* offset = b_.CreateAdd(address, b_.CreateLoad(b_.getInt64Ty(), last.minus_tag));
    llvm::AllocaInst* limit = shared && g.write ? last.write_limit : last.limit;
    Value* same = b_.CreateICmpULT(offset, b_.CreateLoad(b_.getInt64Ty(), limit));
    b_.CreateCondBr(same, next, other, b_.likely());
    b_.SetInsertPoint(other);
    address = b_.hoist_barrier(address);
    remember(last, shared,
             look_up(address, wanted(), {.write = g.write, .shared = shared, .assumed = g.assumed()}),
             page_span);
    b_.CreateBr(next);
    b_.SetInsertPoint(next);
    // Not by way of the offset: the access need not wait for the check.
    return pointer(b_.CreateLoad(b_.getInt64Ty(), last.addend), in_place);
}

/// The host address of an access by fastmem that belongs to no group.
Value* AddressLowering::fastmem_address(Ref ref, unsigned bytes, uint64_t predicted, uint32_t aux,
                                        bool aligned) {
    Value* address = values_.i64(ref);
    if (aligned && bytes > 1)
        exits_.guard(b_.CreateICmpEQ(b_.CreateAnd(address, b_.c64(bytes - 1)), b_.c64(0)));
    return b_.CreateIntToPtr(b_.CreateAdd(fastmem_->addend(address, predicted, aux), address), b_.getPtrTy());
}

AddressLowering::HoistedGroup AddressLowering::check_hoisted(const AccessGroup& g, Value* start,
                                                             int64_t stride) {
    llvm::Type* word = b_.getInt64Ty();
    PageVariables page;
    declare_page(page, /*shared=*/false);
    const unsigned span = g.span();
    BasicBlock *other = b_.new_block(), *next = b_.new_block();
    const auto offset = [&] { return b_.CreateAdd(start, b_.CreateLoad(word, page.minus_tag)); };
    Value* same = b_.CreateICmpULT(offset(), b_.CreateLoad(word, page.limit));
    b_.CreateCondBr(same, next, other, b_.likely());
    b_.SetInsertPoint(other);
    Value* last_byte = b_.CreateAdd(start, b_.c64(span - 1));
    remember(page, /*shared=*/false,
             look_up(start, b_.CreateAnd(last_byte, b_.c64(page_mask_)),
                     {.write = g.write, .assumed = g.assumed()}),
             span);
    b_.CreateBr(next);
    b_.SetInsertPoint(next);
    Value* host = b_.CreateAdd(start, b_.CreateLoad(word, page.addend));
    if (stride == 0) return {host, nullptr};
    const auto step = static_cast<uint64_t>(std::abs(stride));
    Value* room = stride < 0 ? offset() : b_.CreateSub(b_.c64(page_size_ - span), offset());
    return {host, b_.CreateAdd(b_.CreateUDiv(room, b_.c64(step)), b_.c64(1))};
}

// ---- Accesses

Value* AddressLowering::host_address(const Inst& i, Ref index, unsigned bytes, bool write, bool aligned) {
    if ((i.aux & ir::kMemSpBase) != 0)
        exits_.guard(b_.CreateICmpEQ(b_.CreateAnd(registers_.value(31), b_.c64(15)), b_.c64(0)));
    const uint32_t number = block_->group_of[index];
    if (number == kNoGroup && fastmem_ != nullptr) {
        const uint64_t predicted =
            ir::is_plain_access(i.op) && (i.aux & ir::kMemUnprivileged) == 0 && !plan_.spectre ? i.imm : 0;
        return fastmem_address(i.args[0], bytes, predicted, i.aux, aligned);
    }
    if (number == kNoGroup) return host_address_alone(i.args[0], bytes, write, i.aux, aligned);
    return host_of_group(i, number, 0);
}

const std::vector<uint32_t>* AddressLowering::parts_of(Ref index) const {
    const auto it = block_->parts.find(index);
    return it != block_->parts.end() ? &it->second : nullptr;
}

Value* AddressLowering::host_of_group(const Inst& i, uint32_t number, unsigned part) {
    const AccessGroup& g = block_->groups[number];
    if (hosts_[number] == nullptr) hosts_[number] = check_group(g);
    const int64_t at = ir::displaced(values_.block(), i.args[0]).by + part - g.lo;
    return b_.CreateConstGEP1_64(b_.getInt8Ty(), hosts_[number], static_cast<uint64_t>(at));
}

}  // namespace arclight::jit::tier2
