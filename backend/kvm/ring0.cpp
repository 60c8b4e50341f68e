#include "backend/kvm/ring0.h"

#include <xbyak/xbyak.h>

#include <cstring>
#include <new>

#include "backend/kvm/fastmem_fault.h"
#include "jit/guest_state.h"

namespace arclight::backend::kvm {

using namespace Xbyak::util;

namespace {
constexpr unsigned kVectors = 256;
constexpr unsigned kInvalidateVector = 0x81;
constexpr size_t kPageBytes = 4096;
constexpr uint32_t kHostMxcsr = 0x1f80;  ///< its value at the start of a program

// Segment descriptors (SDM vol. 3, 3.4.5): flat, present; 64-bit code has L set.
constexpr uint64_t kKernelCodeDescriptor = 0x00af'9b00'0000'ffff,
                   kKernelDataDescriptor = 0x00cf'9300'0000'ffff;
constexpr uint64_t kUserDataDescriptor = 0x00cf'f300'0000'ffff, kUserCodeDescriptor = 0x00af'fb00'0000'ffff;

bool pushes_error_code(unsigned vector) {
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 ||
           vector == 30;
}

/// An interrupt gate (SDM vol. 3, 6.14.1).
void set_gate(uint64_t* idt, unsigned vector, const uint8_t* handler, unsigned privilege) {
    const auto address = reinterpret_cast<uint64_t>(handler);
    idt[2 * vector] = (address & 0xffff) | uint64_t{Ring0::kKernelCode} << 16 | uint64_t{0x8e00} << 32 |
                      uint64_t{privilege} << 45 | (address >> 16 & 0xffff) << 48;
    idt[2 * vector + 1] = address >> 32;
}

class Stubs : public Xbyak::CodeGenerator {
  public:
    using CodeGenerator::CodeGenerator;
    using CodeGenerator::mov;

    // Xbyak 6 knows no control registers; all of these are of the two forms mov r64, crN and mov crN, r64.
    struct Control {
        int number;
    };
    static constexpr Control cr2{2}, cr3{3};
    void mov(const Xbyak::Reg64& to, Control from) { control(0x20, from, to); }
    void mov(Control to, const Xbyak::Reg64& from) { control(0x22, to, from); }

    uint8_t* here() const { return const_cast<uint8_t*>(getCurr()); }

    void leave_by(Port port) {
        out_(static_cast<uint8_t>(port), al);
        ud2();  // never resumed here
    }

    const uint8_t* exception(unsigned vector) {
        align(8);
        const uint8_t* start = here();
        if (!pushes_error_code(vector)) push(0);
        leave_by_exception(vector);
        return start;
    }

    /// The error code has been pushed.
    void leave_by_exception(unsigned vector) {
        push(vector);
        if (vector == kPageFault) {
            push(rax);
            push(rax);
            mov(rax, cr2);
            mov(qword[rsp + 8], rax);
            pop(rax);
        } else {
            push(0);
        }
        leave_by(Port::Exception);
    }

    /// A page or protection fault. A fault of translated code becomes a jump to `handler` in ring 3 with all
    /// registers unchanged; other faults are handled as exception().
    const uint8_t* access_fault(unsigned vector, CodeRange code, FastmemFault* cell, const uint8_t* handler) {
        align(16);
        const uint8_t* start = here();
        Xbyak::Label other;
        push(rax);                  // below the error code: [rsp + 8] error, + 16 rip, + 24 cs ...
        push(rcx);                  // now + 16 error, + 24 rip
        mov(rax, qword[rsp + 24]);  // the faulting instruction
        mov(rcx, code.base);
        sub(rax, rcx);
        shr(rax, code.log2);  // zero within the code cache; iretq restores the flags
        jnz(other);
        mov(rcx, reinterpret_cast<uint64_t>(cell));
        mov(rax, qword[rsp + 24]);
        mov(qword[rcx + offsetof(FastmemFault, host_pc)], rax);
        mov(rax, cr2);
        mov(qword[rcx + offsetof(FastmemFault, address)], rax);
        mov(rax, reinterpret_cast<uint64_t>(handler));
        mov(qword[rsp + 24], rax);  // return there instead
        pop(rcx);
        pop(rax);
        add(rsp, 8);  // the error code
        iretq();
        L(other);
        pop(rcx);
        pop(rax);
        leave_by_exception(vector);
        return start;
    }

    /// Invalidates rsi pages at [rdi]; all pages if rsi is 0. Changes rax and rsi.
    void invalidate() {
        Xbyak::Label all, next, done;
        test(rsi, rsi);
        jz(all);
        L(next);
        mov(rax, qword[rdi + rsi * 8 - 8]);
        invlpg(ptr[rax]);
        dec(rsi);
        jnz(next);
        jmp(done);
        L(all);
        mov(rax, cr3);
        mov(cr3, rax);
        L(done);
    }

    void iretq() {
        db(0x48);
        db(0xcf);
    }
    void sysretq() {
        db(0x48);
        db(0x0f);
        db(0x07);
    }

  private:
    void control(int opcode, Control c, const Xbyak::Reg64& r) {
        db(0x0f);
        db(opcode);
        db(0xc0 | c.number << 3 | r.getIdx());
    }
    void invlpg(const Xbyak::Address&) {  // [rax] only
        db(0x0f);
        db(0x01);
        db(0x38);
    }
};
}  // namespace

Ring0::Ring0(Arena& arena, bool native, CodeRange code, FastmemFaultFn handler) : native_(native) {
    // The caller bounds the number of processors, so there is room.
    auto* gdt = reinterpret_cast<uint64_t*>(arena.take_system_page());
    auto* tss = arena.take_system_page();
    auto* idt = reinterpret_cast<uint64_t*>(arena.take_system_page());
    auto* stack = arena.take_system_page();
    uint8_t* ring0_code = arena.take_system_page();
    uint8_t* ring3_code = arena.take_pages(1);
    auto* cell = new (arena.take_pages(1)) FastmemFault{.mxcsr = kHostMxcsr};
    gdt_ = reinterpret_cast<uint64_t>(gdt);
    tss_ = reinterpret_cast<uint64_t>(tss);
    idt_ = reinterpret_cast<uint64_t>(idt);
    stack_top_ = reinterpret_cast<uint64_t>(stack) + kPageBytes;

    gdt[kKernelCode / 8] = kKernelCodeDescriptor;
    gdt[kKernelCode / 8 + 1] = kKernelDataDescriptor;
    gdt[kUserData / 8] = kUserDataDescriptor;
    gdt[kUserCode / 8] = kUserCodeDescriptor;
    gdt[kTask / 8] = 0x0000'8900'0000'0067 | (tss_ & 0xff'ffff) << 16 | (tss_ >> 24 & 0xff) << 56;
    gdt[kTask / 8 + 1] = tss_ >> 32;
    std::memcpy(tss + 4, &stack_top_, 8);  // RSP0 (SDM vol. 3, 7.7)

    Stubs user(kPageBytes, ring3_code);
    leave_ = reinterpret_cast<uint64_t>(user.here());
    user.ud2();
    user.ret();
    user.align(16);
    invalidate_inside_ = reinterpret_cast<uint64_t>(user.here());
    user.int_(kInvalidateVector);
    user.ret();
    user.align(16);
    const uint8_t* fastmem_fault = emit_fastmem_fault(user, cell, handler);

    Stubs ring0(kPageBytes, ring0_code);
    for (unsigned vector = 0; vector < 32; ++vector) {
        const bool access = vector == kPageFault || vector == kGeneralProtection;
        set_gate(idt, vector,
                 access && native ? ring0.access_fault(vector, code, cell, fastmem_fault)
                                  : ring0.exception(vector),
                 0);
    }
    ring0.align(8);
    return_to_user_ = reinterpret_cast<uint64_t>(ring0.here());
    ring0.iretq();
    ring0.align(8);
    invalidate_outside_ = reinterpret_cast<uint64_t>(ring0.here());
    ring0.invalidate();
    ring0.leave_by(Port::Done);
    ring0.align(8);
    spin_outside_ = reinterpret_cast<uint64_t>(ring0.here());
    Xbyak::Label again;
    ring0.L(again);
    ring0.dec(rsi);
    ring0.jnz(again);
    ring0.leave_by(Port::Done);
    ring0.align(8);
    system_call_ = reinterpret_cast<uint64_t>(ring0.here());
    ring0.leave_by(Port::SystemCall);
    ring0.align(8);
    return_from_system_call_ = reinterpret_cast<uint64_t>(ring0.here());
    ring0.sysretq();
    ring0.align(8);
    set_gate(idt, kInvalidateVector, ring0.here(), 3);
    ring0.push(rax);
    ring0.push(rsi);
    ring0.invalidate();
    ring0.pop(rsi);
    ring0.pop(rax);
    ring0.iretq();
}

void Ring0::load(kvm_sregs& s, const Arena& arena, const Table* root, uint64_t fs_base,
                 uint64_t cr4_features) const {
    const auto segment = [](uint16_t selector, uint8_t type, uint8_t privilege, bool code) {
        kvm_segment out{};
        out.selector = selector;
        out.limit = 0xffff'ffff;
        out.type = type;
        out.present = 1;
        out.dpl = privilege;
        out.s = 1;
        out.l = code;
        out.db = !code;
        out.g = 1;
        return out;
    };
    // PE MP ET NE WP AM PG; PAE OSFXSR OSXMMEXCPT; LME LMA NXE. SCE where SYSCALL arrives at its entry point; elsewhere it
    // traps.
    s.cr0 = 0x8005'0033;
    s.cr4 = 0x620 | cr4_features;
    s.efer = native_ ? 0xd01 : 0xd00;
    s.cr3 = arena.gpa_of(root);
    s.cr2 = 0;
    s.cs = segment(kUserCode, 11, 3, true);
    s.ss = s.ds = s.es = s.fs = s.gs = segment(kUserData, 3, 3, false);
    s.fs.base = fs_base;
    s.tr = {};
    s.tr.base = tss_;
    s.tr.limit = 0x67;
    s.tr.selector = kTask;
    s.tr.type = 11;
    s.tr.present = 1;
    s.ldt = {};
    s.ldt.unusable = 1;
    s.gdt = {};
    s.gdt.base = gdt_;
    s.gdt.limit = kTask + 15;
    s.idt = {};
    s.idt.base = idt_;
    s.idt.limit = kVectors * 16 - 1;
}

}  // namespace arclight::backend::kvm
