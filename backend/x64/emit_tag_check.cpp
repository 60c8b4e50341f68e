// Allocation tags (FEAT_MTE): accesses to checked pages (mmu::kCheckedMark), of which each misses in the soft TLB.
//
// Behind the miss, out of line, behind enable_tag_checks():
//
//       test [r14 + rax + tag], mark
//       je   others                           no checked page
//       xor  t, [r14 + rax + tag]
//       rol  t, 8                             the address's own tag is in bits 7:0
//       xor  t, mark << 8
//       cmp  t, 255
//       ja   another                          page, or misaligned
//       mov  rax, [r14 + rax + addend]
//     found:
//       lea  t, [addr]
//       push bytes - 1
//       call tag_check                        compares the tags of all granules
//       lea  rsp, [rsp + 8]
//       je   access
//       jmp  slow path
//     another:                                t is what it was
//     others:
//       call tag_victim                       the victim TLB, with rax = the addend
//       jb   found                            of a checked page
//       je   access                           of another one
//
// Tags of memory are bytes, in the order of the host's addresses of RAM (mmu::TagMemory::bias()). Where all are the address's, there is
// nothing to raise, whatever the CPU's modes are. Where one is not, the slow path knows what that means. Accesses of a group are checked
// once: the tags of all that is between the first and the last byte.
#include "backend/x64/block_compiler.h"
#include "backend/x64/memory_emitter.h"
#include "backend/x64/stub_emitter.h"
#include "jit/tag_checks.h"
#include "mmu/checked_page.h"
#include "mmu/tag_memory.h"
#include "mmu/victim_tlb.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
constexpr int kEntry = static_cast<int>(offsetof(mmu::SoftTlb, entries));
constexpr int kAddend = kEntry + static_cast<int>(offsetof(mmu::TlbEntry, addend));
constexpr int kAddressBits = mmu::kAddressTagShift, kAboveAddress = 64 - kAddressBits;
/// The allocatable registers.
constexpr int kMayHoldAddresses[] = {Operand::RCX, Operand::RDX, Operand::RBX, Operand::RSI,
                                     Operand::RDI, Operand::R8,  Operand::R9,  Operand::R10,
                                     Operand::R11, Operand::R12, Operand::R13, Operand::R15};
constexpr int kEntryLog2 = 5;
constexpr uint32_t kMarkRotated = static_cast<uint32_t>(mmu::kCheckedMark << kAboveAddress), kMostTag = 255;
constexpr unsigned kMarkByte = 1;
constexpr uint8_t kMarkInByte = mmu::kCheckedMark >> (8 * kMarkByte);

constexpr int tag_in_entry(bool write) {
    return kEntry +
           static_cast<int>(write ? offsetof(mmu::TlbEntry, write_tag) : offsetof(mmu::TlbEntry, read_tag));
}
/// rax has its offset from r14 or, of an unprivileged access, its address but for kEntry.
Xbyak::RegExp entry_at_rax(bool unprivileged) { return unprivileged ? Xbyak::RegExp(rax) : r14 + rax; }
}  // namespace

/// `address` = that of the first byte; rax = the addend of that without its tag; [rsp] = how many bytes further the last one is. ZF set:
/// rax = the addend, of the address with its tag. `address` is clobbered, all other registers are kept.
const uint8_t* StubEmitter::emit_tag_check(const Reg64& address) {
    const auto other = [&](unsigned nth) {
        for (const int r : {Operand::RCX, Operand::RDX, Operand::RSI})
            if (r != address.getIdx() && nth-- == 0) return Reg64(r);
        return rax;
    };
    const Reg64 last = other(0), first = other(1);
    as_.align(16);
    const uint8_t* start = as_.here();
    as_.push(last);
    as_.push(first);
    as_.mov(last.cvt32(), dword[rsp + 24]);
    as_.rorx(first, address, kAddressBits);
    as_.shr(first, kAboveAddress);
    as_.add(first, rax);  // the host's
    as_.mov(rax, first);
    as_.sub(rax, address);
    // From here on granules: the first one's tag, and how many more there are.
    as_.add(last, first);
    as_.shr(first, mmu::kTagGranuleBits);
    as_.shr(last, mmu::kTagGranuleBits);
    as_.sub(last, first);
    as_.add(first, qword[r14 + static_cast<int>(offsetof(mmu::SoftTlb, tag_bias))]);
    as_.shr(address, kAddressBits);
    as_.and_(address.cvt32(), 15);
    const uint8_t* next = as_.here();
    as_.cmp(byte[first + last], address.cvt8());
    const Jump differs = as_.jump_if(kNe, true);
    as_.sub(last, 1);
    as_.point(as_.jump_if(kAe, true), next);
    as_.cmp(eax, eax);
    as_.land(differs);
    as_.pop(first);
    as_.pop(last);
    as_.ret();
    return start;
}

/// Looks a page up in the victim TLB where it may be a checked one: rax and `tag` as of emit_victim(). CF set: rax = the addend of the
/// address without its tag, of a checked page. ZF set, and not CF: rax = the addend. Else neither is. `tag` is clobbered, all other
/// registers are kept.
const uint8_t* StubEmitter::emit_tag_victim(const Reg64& tag, bool write) {
    constexpr auto kUses = static_cast<int>(offsetof(mmu::SoftTlb, victim_uses));
    constexpr auto kVictims = static_cast<int>(offsetof(mmu::SoftTlb, victims));
    constexpr auto kTlb = static_cast<int>(offsetof(mmu::VictimTlb::Entry, tlb));
    constexpr auto kVictimAddend = kTlb + static_cast<int>(offsetof(mmu::TlbEntry, addend));
    const int at_tag = kTlb + tag_in_entry(write) - kEntry;
    static_assert(sizeof(mmu::TlbEntry) == 1u << kEntryLog2 &&
                  sizeof(mmu::VictimTlb::Entry) == 2u << kEntryLog2);
    const Reg64 index = tag.getIdx() == Operand::RCX ? rdx : rcx;
    as_.align(16);
    const uint8_t* start = as_.here();
    as_.push(index);
    as_.rorx(index, tag, mmu::kPageBits + mmu::kTlbBits - kEntryLog2);
    as_.xor_(index.cvt32(), eax);
    as_.and_(index.cvt32(), ((1u << mmu::VictimTlb::kBits) - 1) << kEntryLog2);
    as_.mov(rax, qword[r14 + kVictims]);
    as_.lea(rax, ptr[rax + index * 2]);
    as_.pop(index);
    as_.xor_(tag, qword[rax + at_tag]);
    const Jump plain = as_.jump_if(kE, true);
    as_.rol(tag, kAboveAddress);
    as_.xor_(tag, kMarkRotated);
    as_.cmp(tag, kMostTag);
    const Jump miss = as_.jump_if(kA, true);
    as_.sub(dword[r14 + kUses], 1);
    const Jump enough_of_checked = as_.jump_if(kS, true);
    as_.mov(rax, qword[rax + kVictimAddend]);
    as_.stc();
    as_.ret();
    as_.land(plain);
    as_.sub(dword[r14 + kUses], 1);
    const Jump enough = as_.jump_if(kS, true);
    as_.mov(rax, qword[rax + kVictimAddend]);
    as_.cmp(eax, eax);
    as_.ret();
    for (const Jump& jump : {miss, enough_of_checked, enough}) as_.land(jump);
    as_.test(r14, r14);
    as_.ret();
    return start;
}

/// rax = the offset of the entry that has another tag than `temp`, from r14 or, of an unprivileged access, from the entries. Goes on with
/// rax = the addend where the page is a checked one and the allocation tags are right, else jumps; both registers are clobbered then.
MemoryEmitter::TagsDiffer MemoryEmitter::check_tags(const Reg64& temp, const Tagged& what) {
    const Xbyak::RegExp entry = entry_at_rax(what.unprivileged);
    TagsDiffer differ{};
    as_.xor_(temp, qword[entry + tag_in_entry(what.write)]);
    as_.rol(temp, kAboveAddress);
    as_.xor_(temp, kMarkRotated);
    as_.cmp(temp, kMostTag);
    differ.page = as_.jump_if(kA, false);
    as_.mov(rax, qword[entry + kAddend]);
    differ.addend_is_known = as_.here();
    as_.lea(temp, ptr[what.from]);
    if (!what.checked) {
        as_.shr(temp, kAddressBits);
        as_.shl(temp, kAddressBits);
        as_.sub(rax, temp);
        return differ;
    }
    if (what.alignment > 1) as_.and_(temp, -what.alignment);
    as_.push(what.bytes - 1);
    as_.call_stub(ctx_.buffer.assembler().tag_check[static_cast<size_t>(temp.getIdx())]);
    as_.lea(rsp, ptr[rsp + 8]);
    differ.tags = as_.jump_if(kNe, false);
    return differ;
}

void MemoryEmitter::land(const TagsDiffer& differ) {
    for (const Jump& jump : {differ.page, differ.tags})
        if (jump.end != nullptr) as_.land(jump);
}

bool MemoryEmitter::checks_tags() const { return ctx_.buffer.assembler().tag_check[Operand::RCX] != nullptr; }

/// What ColdArgs::reg[kTagRegister] says of a miss that may be that of a checked page: where the tag is.
uint8_t MemoryEmitter::with_tags(const Reg64& tag) const {
    return checks_tags() ? static_cast<uint8_t>(1 + tag.getIdx()) : 0;
}

/// Where an access goes on that has its addend. Before some there is more to do.
const uint8_t* MemoryEmitter::behind_check(const ColdArgs& args) const {
    const auto number = static_cast<size_t>(args.imm);
    const uint8_t* access = ctx_.faults.access(number);
    if (const Inst& i = values_.inst(args.inst); ir::is_plain_access(i.op) && (i.aux & ir::kMemRelease) == 0)
        return access;
    const FaultPoint& point = ctx_.faults.point(number);
    return access - point.access + point.fastmem_start;
}

/// Goes on behind the check, with the addend in `addend`, where `what` is in a checked page and the tags are right, or where the victim
/// TLB has the page. Else comes back, with rax and the register of the tag clobbered.
void MemoryEmitter::try_behind_miss(const ColdArgs& args, const Reg64& addend, const Tagged& what) {
    if (args.reg[kTagRegister] == 0) return try_victim(args, addend, what.write);
    const Reg64 temp(args.reg[kTagRegister] - 1);
    const Xbyak::RegExp entry = entry_at_rax(what.unprivileged);
    const int tag = tag_in_entry(what.write);
    const uint8_t* access = behind_check(args);
    const auto go_on = [&] {
        if (addend.getIdx() != Operand::RAX) as_.mov(addend, rax);
        as_.jump_to(access);
    };
    as_.test(byte[entry + (tag + static_cast<int>(kMarkByte))], kMarkInByte);
    const Jump others = as_.jump_if(kE, false);
    const TagsDiffer differ = check_tags(temp, what);
    go_on();
    if (args.flag == 0) {
        as_.land(others);
        return land(differ);
    }
    as_.land(differ.page);
    as_.xor_(temp, kMarkRotated);
    as_.ror(temp, kAboveAddress);
    as_.xor_(temp, qword[entry + tag]);
    as_.land(others);
    as_.call_stub(ctx_.buffer.assembler().tag_victim[what.write ? 1 : 0][static_cast<size_t>(temp.getIdx())]);
    as_.jump_to_if(kB, differ.addend_is_known);
    const Jump miss = as_.jump_if(kNe, true);
    go_on();
    as_.land(miss);
    land({.page = {}, .tags = differ.tags, .addend_is_known = nullptr});
}

void MemoryEmitter::try_behind_miss(const ColdArgs& args, const Reg64& addend, bool write,
                                    Tagged (MemoryEmitter::*what)(const ColdArgs&) const) {
    if (args.reg[kTagRegister] == 0) return try_victim(args, addend, write);
    try_behind_miss(args, addend, (this->*what)(args));
}

MemoryEmitter::Tagged MemoryEmitter::tagged(const ColdArgs& args) const {
    const Inst& i = values_.inst(args.inst);
    const jit::MemoryAccess access = describe_access(i);
    const auto bytes = access.bytes();
    return {.from = place_of(args).plus(0),
            .bytes = bytes,
            .write = access.writes(),
            .checked = (i.aux & ir::kMemUnchecked) == 0,
            .unprivileged = access.is_unprivileged(),
            .alignment = access.kind == jit::MemoryKind::ZeroBlock ? static_cast<int>(bytes) : 1};
}

/// All of the group whose first access it is.
MemoryEmitter::Tagged MemoryEmitter::tagged_group(const ColdArgs& args) const {
    const GroupedAccess grouped = values_.grouped(args.inst);
    const AccessGroup& g = values_.group(grouped.group);
    bool checked = false;
    const auto& insts = values_.block().insts;
    for (Ref r = g.first; r < insts.size(); ++r)
        checked |= values_.grouped(r).group == grouped.group && (insts[r].aux & ir::kMemUnchecked) == 0;
    return {.from = place_of(args).plus(static_cast<int>(g.lo) - grouped.at),
            .bytes = static_cast<unsigned>(g.hi - g.lo),
            .write = g.write,
            .checked = checked};
}

void BlockCompiler::emit_tag_checks(CodeCursor& cursor) {
    auto& a = ctx_.buffer.assembler();
    ctx_.as.setSize(cursor.hot.start);
    for (const int r : kMayHoldAddresses) {
        const auto index = static_cast<size_t>(r);
        a.tag_check[index] = StubEmitter(ctx_).emit_tag_check(Reg64(r));
        for (const bool write : {false, true})
            a.tag_victim[write ? 1 : 0][index] = StubEmitter(ctx_).emit_tag_victim(Reg64(r), write);
    }
    cursor.hot.start = ctx_.as.getSize();
}

}  // namespace arclight::backend

namespace arclight::jit {
void enable_tag_checks(CodeBuffer& buffer) {
    if (buffer.spectre()) return;
    CodeBuffer::Assembler& a = buffer.assembler();
    a.compiler.emit_tag_checks(a.cursor);
    buffer.reset();
}
}  // namespace arclight::jit
