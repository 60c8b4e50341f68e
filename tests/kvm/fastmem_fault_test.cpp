// The path of a fastmem fault through ring 3, without a virtual machine: a jump replaces the fault.
#include "backend/kvm/fastmem_fault.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <xbyak/xbyak.h>

#include <array>
#include <new>

namespace arclight::backend::kvm::testing {
namespace {

using namespace Xbyak::util;

bool has_avx512() { return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"); }

Xbyak::Xmm vector(int i) {
    if (has_avx512()) return Xbyak::Zmm(i);
    return Xbyak::Ymm(i);
}

struct Seen {
    uint64_t vectors[32][8];
    uint64_t masks[8];
    uint64_t gprs[16];
};

unsigned calls;
const void* go_on_at;

[[gnu::target("avx512f,avx512bw")]] void zero_high_registers() {
    asm volatile(
        "vpxorq %zmm16, %zmm16, %zmm16\n vpxorq %zmm23, %zmm23, %zmm23\n vpxorq %zmm31, %zmm31, %zmm31\n"
        "kxorq %k0, %k0, %k0\n kxorq %k1, %k1, %k1\n kxorq %k7, %k7, %k7");
}

/// What C++ may do to registers.
const void* handler(const void* pc, uint64_t address) {
    ++calls;
    EXPECT_EQ(pc, &calls);
    EXPECT_EQ(address, 77u);
    asm volatile("vzeroall" ::: "memory");
    if (has_avx512()) zero_high_registers();
    asm volatile("" ::: "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");
    return go_on_at;
}

TEST(FastmemFaultWay, LeavesAllRegistersAsTheyWere) {
    constexpr size_t kBytes = 65536;
    auto* memory = static_cast<uint8_t*>(
        mmap(nullptr, kBytes, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory, MAP_FAILED);
    auto* cell = new (memory) FastmemFault{
        .host_pc = reinterpret_cast<uint64_t>(&calls), .address = 77, .resume = 0, .rsp = 0, .mxcsr = 0x1f80};
    Xbyak::CodeGenerator way(4096, memory + 4096);
    const uint8_t* start = emit_fastmem_fault(way, cell, handler);

    const int vectors = has_avx512() ? 32 : 16, masks = has_avx512() ? 8 : 0;
    std::array<uint64_t, 48> numbers;
    for (size_t k = 0; k < numbers.size(); ++k) numbers[k] = 0x0101'0101'0101'0101 * (k + 1);
    Seen seen{};
    const Xbyak::Reg64 kept[] = {rbx, rbp, r12, r13, r14, r15};
    const int changed[] = {1, 2, 6, 7, 8, 9, 10, 11};  // by the calling convention, but rax
    Xbyak::CodeGenerator c(8192, memory + 8192);
    for (const Xbyak::Reg64& r : kept) c.push(r);
    c.mov(rbx, reinterpret_cast<uint64_t>(numbers.data()));
    for (int i = 0; i < vectors; ++i) c.vpbroadcastq(vector(i), qword[rbx + 8 * i]);
    for (int i = 0; i < masks; ++i) c.kmovq(Xbyak::Opmask(i), qword[rbx + 8 * (32 + i)]);
    for (const int r : changed) c.mov(Xbyak::Reg64(r), qword[rbx + 8 * r]);
    c.mov(rbp, reinterpret_cast<uint64_t>(start));
    c.jmp(rbp);
    go_on_at = c.getCurr();
    c.mov(rbx, reinterpret_cast<uint64_t>(&seen));
    for (int i = 0; i < vectors; ++i) c.vmovups(ptr[rbx + 64 * i], vector(i));
    for (int i = 0; i < masks; ++i)
        c.kmovq(ptr[rbx + static_cast<int>(offsetof(Seen, masks)) + 8 * i], Xbyak::Opmask(i));
    for (const int r : changed)
        c.mov(qword[rbx + static_cast<int>(offsetof(Seen, gprs)) + 8 * r], Xbyak::Reg64(r));
    for (int k = 5; k >= 0; --k) c.pop(kept[k]);
    c.vzeroupper();
    c.ret();
    calls = 0;
    reinterpret_cast<void (*)()>(memory + 8192)();

    EXPECT_EQ(calls, 1u);
    for (int i = 0; i < vectors; ++i)
        for (int lane = 0; lane < (has_avx512() ? 8 : 4); ++lane)
            EXPECT_EQ(seen.vectors[i][lane], numbers[static_cast<size_t>(i)])
                << "vector " << i << ", " << lane;
    for (int i = 0; i < masks; ++i)
        EXPECT_EQ(seen.masks[i], numbers[static_cast<size_t>(32 + i)]) << "k" << i;
    for (const int r : changed) EXPECT_EQ(seen.gprs[r], numbers[static_cast<size_t>(r)]) << "register " << r;
    munmap(memory, kBytes);
}

}  // namespace
}  // namespace arclight::backend::kvm::testing
