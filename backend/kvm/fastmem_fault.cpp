#include "backend/kvm/fastmem_fault.h"

#include <xbyak/xbyak.h>

namespace arclight::backend::kvm {

using namespace Xbyak::util;

const uint8_t* emit_fastmem_fault(Xbyak::CodeGenerator& s, FastmemFault* cell, FastmemFaultFn handler) {
    const Xbyak::Reg64 saved[] = {rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11};
    const bool avx512 = __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
    const int vectors = avx512 ? 32 : 16, masks = avx512 ? 8 : 0;
    constexpr int kVector = 64, kRedZone = 128, kMasks = 32 * kVector, kGprs = kMasks + 8 * 8,
                  kMxcsr = kGprs + 9 * 8, kFrame = kMxcsr + 8;
    static_assert(kFrame % 16 == 0);
    const uint8_t* start = s.getCurr();
    s.mov(qword[rip + &cell->rsp], rsp);
    s.sub(rsp, kRedZone + kFrame);
    s.and_(rsp, -16);
    for (int i = 0; i < 9; ++i) s.mov(qword[rsp + kGprs + 8 * i], saved[i]);
    // All of them, whole: operations on scalable vectors (x64/emit_scalable.cpp) use 64 bytes of what the handler may clobber.
    const auto vector = [&](int i) -> Xbyak::Xmm {
        if (avx512) return Xbyak::Zmm(i);
        return Xbyak::Ymm(i);
    };
    for (int i = 0; i < vectors; ++i) s.vmovups(ptr[rsp + kVector * i], vector(i));
    for (int i = 0; i < masks; ++i) s.kmovq(ptr[rsp + kMasks + 8 * i], Xbyak::Opmask(i));
    s.stmxcsr(dword[rsp + kMxcsr]);
    s.ldmxcsr(dword[rip + &cell->mxcsr]);
    s.mov(rdi, qword[rip + &cell->host_pc]);
    s.mov(rsi, qword[rip + &cell->address]);
    s.mov(rax, reinterpret_cast<uint64_t>(handler));
    s.call(rax);
    s.mov(qword[rip + &cell->resume], rax);
    s.ldmxcsr(dword[rsp + kMxcsr]);
    for (int i = 0; i < 9; ++i) s.mov(saved[i], qword[rsp + kGprs + 8 * i]);
    for (int i = 0; i < vectors; ++i) s.vmovups(vector(i), ptr[rsp + kVector * i]);
    for (int i = 0; i < masks; ++i) s.kmovq(Xbyak::Opmask(i), ptr[rsp + kMasks + 8 * i]);
    s.mov(rsp, qword[rip + &cell->rsp]);
    s.jmp(qword[rip + &cell->resume]);
    return start;
}

}  // namespace arclight::backend::kvm
