// What Xbyak lacks: see assembler.h.
#include "backend/x64/assembler.h"

#include <cstring>

namespace arclight::backend {

using namespace Xbyak::util;

// ---- Jumps

Jump Assembler::jump_if(Cc cc, bool is_short) {
    uint8_t* p = start();
    if (is_short) {
        p = put(p, static_cast<uint16_t>(0x70 | cc));
    } else {
        p = put(p, static_cast<uint16_t>(0x800f | cc << 8));
        p = put(p, uint32_t{0});
    }
    end(p);
    return {here(), is_short};
}

Jump Assembler::jump_always(bool is_short) {
    uint8_t* p = start();
    *p++ = is_short ? 0xeb : 0xe9;
    end(is_short ? put(p, uint8_t{0}) : put(p, uint32_t{0}));
    return {here(), is_short};
}

void Assembler::point(Jump j, const uint8_t* target) const {
    const ptrdiff_t delta = target - j.end;
    uint8_t* end = buffer_.writable(j.end);
    if (j.is_short) {
        if (delta != static_cast<int8_t>(delta)) throw TooComplex{};
        end[-1] = static_cast<uint8_t>(delta);
    } else {
        const int32_t rel = static_cast<int32_t>(delta);
        std::memcpy(end - 4, &rel, 4);
        if (relocations != nullptr) relocations->jump(j.end - 4, target);
    }
}

void Assembler::jump_to(const uint8_t* target) { point(jump_always(false), target); }

void Assembler::jump_to_if(Cc cc, const uint8_t* target) { point(jump_if(cc, false), target); }

void Assembler::jump_indirect(const Operand& target) {
    if (!buffer_.spectre()) return jmp(target);
    mov(r11, target);
    jump_to(thunk_);
}

void Assembler::call_indirect(const Operand& target) {
    if (!buffer_.spectre()) return call(target);
    mov(r11, target);
    call_stub(thunk_);
}

/// What is predicted is the return, to a loop that is never executed otherwise ("retpoline").
const uint8_t* Assembler::emit_indirect_thunk() {
    align(16);
    thunk_ = here();
    Xbyak::Label caught, target;
    call(target);
    L(caught);
    pause();
    lfence();
    jmp(caught);
    L(target);
    mov(qword[rsp], r11);
    ret();
    return thunk_;
}

void Assembler::call_stub(const uint8_t* target) {
    uint8_t* p = start();
    *p++ = 0xe8;
    end(put(p, uint32_t{0}));
    point({here(), false}, target);
}

void Assembler::start_segment() {
    if (recorder == nullptr) return;
    const auto counter = reinterpret_cast<size_t>(recorder->start_segment());
    recorder->mark_uncounted(getSize());
    // Neither EFLAGS nor a register may change.
    push(rax);
    mov(rax, counter);
    push(rcx);
    mov(rcx, qword[rax]);
    lea(rcx, ptr[rcx + 1]);
    mov(qword[rax], rcx);
    pop(rcx);
    pop(rax);
    recorder->mark(getSize(), class_);
}

void Assembler::align_field(unsigned offset) {
    const ClassScope scope(*this, jit::HostClass::Padding);
    const unsigned at = static_cast<unsigned>(reinterpret_cast<uintptr_t>(here()) + offset) & 7;
    if (at > 4) nop(8 - at);
}

// ---- Instructions by condition code

void Assembler::set_if(Cc cc, const Xbyak::Reg8& r) {
    const int index = r.getIdx();
    if (index >= 8 || r.isExt8bit()) db(0x40 | index >> 3);
    db(0x0f);
    db(0x90 | cc);
    db(0xc0 | (index & 7));
}

void Assembler::move_if(Cc cc, const Reg& dst, const Operand& src) {
    switch (cc) {
        case kO: cmovo(dst, src); break;
        case kNo: cmovno(dst, src); break;
        case kB: cmovb(dst, src); break;
        case kAe: cmovae(dst, src); break;
        case kE: cmove(dst, src); break;
        case kNe: cmovne(dst, src); break;
        case kBe: cmovbe(dst, src); break;
        case kA: cmova(dst, src); break;
        case kS: cmovs(dst, src); break;
        case kNs: cmovns(dst, src); break;
        case kP: cmovp(dst, src); break;
        case kNp: cmovnp(dst, src); break;
        case kL: cmovl(dst, src); break;
        case kGe: cmovge(dst, src); break;
        case kLe: cmovle(dst, src); break;
        case kG: cmovg(dst, src); break;
    }
}

// ---- Accesses by size

void Assembler::load_sized(const Reg64& dst, const Mem& from, unsigned log2, bool sign, Type t) {
    if (sign && log2 < (t == Type::I64 ? 3u : 2u))
        load_signed(dst, from, log2, t == Type::I64);
    else
        load(dst, from, log2);
}

void Assembler::load_vector_sized(const Xmm& dst, const Xbyak::RegExp& from, unsigned log2) {
    switch (log2) {
        case 0:
            vpxor(xmm15, xmm15, xmm15);
            vpinsrb(dst, xmm15, byte[from], 0);
            break;
        case 1:
            vpxor(xmm15, xmm15, xmm15);
            vpinsrw(dst, xmm15, word[from], 0);
            break;
        case 2: vmovd(dst, dword[from]); break;
        case 3: vmovq(dst, qword[from]); break;
        default: vmovups(dst, ptr[from]); break;
    }
}

void Assembler::store_vector_sized(const Xbyak::RegExp& to, const Xmm& src, unsigned log2) {
    switch (log2) {
        case 0: vpextrb(byte[to], src, 0); break;
        case 1: vpextrw(word[to], src, 0); break;
        case 2: vmovd(dword[to], src); break;
        case 3: vmovq(qword[to], src); break;
        default: vmovups(ptr[to], src); break;
    }
}

void Assembler::zero_extend(const Reg64& dst, const Reg64& src, unsigned log2) {
    switch (log2) {
        case 0: movzx(dst.cvt32(), src.cvt8()); break;
        case 1: movzx(dst.cvt32(), src.cvt16()); break;
        case 2: mov(dst.cvt32(), src.cvt32()); break;
        default:
            if (dst.getIdx() != src.getIdx()) mov(dst, src);
            break;
    }
}

void Assembler::shift_by(Op op, const Reg& d, const Operand& x, const Reg& count) {
    const Xbyak::Reg32e dst(d.getIdx(), d.getBit()), n(count.getIdx(), count.getBit());
    switch (op) {
        case Op::Shl: shlx(dst, x, n); break;
        case Op::Shr: shrx(dst, x, n); break;
        default: sarx(dst, x, n); break;
    }
}

}  // namespace arclight::backend
