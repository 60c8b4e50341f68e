// Allocation tags (FEAT_MTE): accesses to checked pages (mmu::kCheckedMark), of which each misses in the soft TLB.
//
// Behind the miss, out of line, behind enable_tag_checks():
//
//     test [r14 + rax + tag], mark          else the victim TLB is asked, as ever
//     shl  t, 8; shr t, 8                   the page without the address's own tag
//     xor  t, [r14 + rax + tag]
//     cmp  t, mark
//     jne  slow path                        another page, or misaligned
//     lea  t, [addr]
//     add  eax, (bytes - 1) << 20
//     call tag_check                        compares the tags of all granules
//     je   access
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

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
constexpr int kEntry = static_cast<int>(offsetof(mmu::SoftTlb, entries));
constexpr int kAddend = kEntry + static_cast<int>(offsetof(mmu::TlbEntry, addend));
constexpr int kUserTlb = ARCLIGHT_STATE_DISP(user_tlb);
constexpr int kLastShift = 20;  ///< in eax, above the entry's offset
constexpr uint32_t kOffsetMask = static_cast<uint32_t>(mmu::kTlbEntries * sizeof(mmu::TlbEntry) - 1);
static_assert(kOffsetMask >> kLastShift == 0);
constexpr int kAddressBits = mmu::kAddressTagShift, kAboveAddress = 64 - kAddressBits;
/// The allocatable registers.
constexpr int kMayHoldAddresses[] = {Operand::RCX, Operand::RDX, Operand::RBX, Operand::RSI,
                                     Operand::RDI, Operand::R8,  Operand::R9,  Operand::R10,
                                     Operand::R11, Operand::R12, Operand::R13, Operand::R15};
constexpr unsigned kMarkByte = 1;
constexpr uint8_t kMarkInByte = mmu::kCheckedMark >> (8 * kMarkByte);

constexpr int tag_in_entry(bool write) {
    return kEntry +
           static_cast<int>(write ? offsetof(mmu::TlbEntry, write_tag) : offsetof(mmu::TlbEntry, read_tag));
}
/// rax has its offset from r14 or, of an unprivileged access, its address but for kEntry.
Xbyak::RegExp entry_at_rax(bool unprivileged) { return unprivileged ? Xbyak::RegExp(rax) : r14 + rax; }
}  // namespace

/// `address` = that of the first byte; eax = the offset of its entry in the soft TLB, and how many bytes further the last one is. ZF set:
/// rax = the addend, of the address with its tag. `address` is clobbered, all other registers are kept.
const uint8_t* StubEmitter::emit_tag_check(const Reg64& address, bool unprivileged) {
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
    as_.mov(last.cvt32(), eax);
    as_.shr(last.cvt32(), kLastShift);
    as_.and_(eax, kOffsetMask);
    if (unprivileged) {
        as_.mov(first, qword[at(kUserTlb)]);
        as_.mov(rax, qword[first + rax + kAddend]);
    } else {
        as_.mov(rax, qword[r14 + rax + kAddend]);
    }
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

/// rax = the offset of the entry that has another tag than `temp`, from r14 or, of an unprivileged access, from the entries. Goes on with
/// rax = the addend where the page is a checked one and the allocation tags are right, else jumps; both registers are clobbered then.
MemoryEmitter::TagsDiffer MemoryEmitter::check_tags(const Reg64& temp, const Tagged& what) {
    const Xbyak::RegExp entry = entry_at_rax(what.unprivileged);
    const int tag = tag_in_entry(what.write);
    as_.shl(temp, kAboveAddress);
    as_.shr(temp, kAboveAddress);
    as_.xor_(temp, qword[entry + tag]);
    as_.cmp(temp, static_cast<uint32_t>(mmu::kCheckedMark));
    TagsDiffer differ{as_.jump_if(kNe, false), {}};
    as_.lea(temp, ptr[what.from]);
    if (!what.checked) {
        as_.mov(rax, qword[entry + kAddend]);
        as_.shr(temp, kAddressBits);
        as_.shl(temp, kAddressBits);
        as_.sub(rax, temp);
        return differ;
    }
    if (what.alignment > 1) as_.and_(temp, -what.alignment);
    if (what.unprivileged) as_.sub(rax, qword[at(kUserTlb)]);
    if (what.bytes > 1) as_.add(eax, (what.bytes - 1) << kLastShift);
    as_.call_stub(
        ctx_.buffer.assembler().tag_check[what.unprivileged ? 1 : 0][static_cast<size_t>(temp.getIdx())]);
    differ.tags = as_.jump_if(kNe, false);
    return differ;
}

void MemoryEmitter::land(const TagsDiffer& differ) {
    for (const Jump& jump : {differ.page, differ.tags})
        if (jump.end != nullptr) as_.land(jump);
}

bool MemoryEmitter::checks_tags() const {
    return ctx_.buffer.assembler().tag_check[0][Operand::RCX] != nullptr;
}

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
    const jit::FaultPoint point = ctx_.faults.map().points[number];
    return access - point.access + point.fastmem_start;
}

/// Goes on behind the check, with the addend in `addend`, where `what` is in a checked page and the tags are right. Comes back with all
/// as it was where the entry is no checked one, and else jumps, with rax and the register of the tag clobbered.
MemoryEmitter::TagsDiffer MemoryEmitter::try_checked(const ColdArgs& args, const Reg64& addend,
                                                     const Tagged& what) {
    if (args.reg[kTagRegister] == 0) return {};
    const Reg64 temp(args.reg[kTagRegister] - 1);
    const Xbyak::RegExp entry = entry_at_rax(what.unprivileged);
    const int tag = tag_in_entry(what.write);
    as_.test(byte[entry + (tag + static_cast<int>(kMarkByte))], kMarkInByte);
    const Jump plain = as_.jump_if(kE, false);
    const TagsDiffer differ = check_tags(temp, what);
    if (addend.getIdx() != Operand::RAX) as_.mov(addend, rax);
    as_.jump_to(behind_check(args));
    as_.land(plain);
    return differ;
}

MemoryEmitter::TagsDiffer MemoryEmitter::try_checked(const ColdArgs& args, const Reg64& addend,
                                                     Tagged (MemoryEmitter::*what)(const ColdArgs&) const) {
    if (args.reg[kTagRegister] == 0) return {};
    return try_checked(args, addend, (this->*what)(args));
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
    auto& stubs = ctx_.buffer.assembler().tag_check;
    ctx_.as.setSize(cursor.first_hot);
    for (const bool unprivileged : {false, true})
        for (const int r : kMayHoldAddresses)
            stubs[unprivileged ? 1 : 0][static_cast<size_t>(r)] =
                StubEmitter(ctx_).emit_tag_check(Reg64(r), unprivileged);
    cursor.first_hot = ctx_.as.getSize();
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
