// AArch64 side of the SVE test: runs single instructions. Usage: runner CASES RESULTS [STATES]
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <ucontext.h>

#include <cstdio>
#include <vector>

#include "tests/frontend/a64/sve/case.h"

using namespace sve_test;

extern "C" {
uint64_t saved_sp;
void run_case(State* state);
void after_case();
}
asm(R"(
    .arch armv8.2-a+sve
    .text
    .globl run_case, after_case
    .type run_case, %function
run_case:
    sub sp, sp, #176
    stp x19, x20, [sp]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    adrp x1, saved_sp
    mov x2, sp
    str x2, [x1, :lo12:saved_sp]
    mov sp, x0
    add x1, sp, #400
    ldr p0, [x1]
    wrffr p0.b
    .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    add x1, sp, #(272 + 8 * \n)
    ldr p\n, [x1]
    .endr
    .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    add x1, sp, #(448 + 64 * \n)
    ldr z\n, [x1]
    .endr
    ldr x1, [sp, #248]
    msr nzcv, x1
    ldr x1, [sp, #256]
    msr fpcr, x1
    ldr x1, [sp, #264]
    msr fpsr, x1
    .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    ldr x\n, [sp, #(8 * \n)]
    .endr
    b code_page
after_case:
    .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    str x\n, [sp, #(8 * \n)]
    .endr
    mrs x1, nzcv
    str x1, [sp, #248]
    mrs x1, fpsr
    str x1, [sp, #264]
    msr fpcr, xzr
    .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    add x1, sp, #(272 + 8 * \n)
    str p\n, [x1]
    .endr
    rdffr p0.b
    add x1, sp, #400
    str p0, [x1]
    .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    add x1, sp, #(448 + 64 * \n)
    str z\n, [x1]
    .endr
    adrp x1, saved_sp
    ldr x2, [x1, :lo12:saved_sp]
    mov sp, x2
    ldp x19, x20, [sp]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #176
    ret
)");

static Result result;
static void on_signal(int number, siginfo_t* info, void* context) {
    result.status = number == SIGILL ? 1 : 2;
    result.sum = number == SIGILL ? 0 : reinterpret_cast<uint64_t>(info->si_addr) / kPage;
    static_cast<ucontext_t*>(context)->uc_mcontext.pc = reinterpret_cast<uint64_t>(&after_case);
}

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    std::FILE* in = std::fopen(argv[1], "rb");
    std::FILE* out = std::fopen(argv[2], "wb");
    std::FILE* states = argc > 3 ? std::fopen(argv[3], "wb") : nullptr;
    if (in == nullptr || out == nullptr) return 3;
    static uint8_t stack[65536];
    const stack_t alternate = {.ss_sp = stack, .ss_flags = 0, .ss_size = sizeof stack};
    sigaltstack(&alternate, nullptr);
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (const int number : {SIGILL, SIGSEGV, SIGBUS}) sigaction(number, &action, nullptr);

    constexpr uint64_t kCodePage = 0x100'0000;
    const auto map = [](uint64_t at, uint64_t bytes, int protection) {
        return mmap(reinterpret_cast<void*>(at), bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                    -1, 0) != MAP_FAILED;
    };
    if (!map(kCodePage, kPage, PROT_READ | PROT_WRITE | PROT_EXEC) ||
        !map(kMemory, kMemoryBytes, PROT_READ | PROT_WRITE))
        return 5;
    auto* code = reinterpret_cast<uint32_t*>(kCodePage);
    auto* memory = reinterpret_cast<uint8_t*>(kMemory);
    code[1] =
        0x1400'0000 |
        (static_cast<uint32_t>((reinterpret_cast<uint64_t>(&after_case) - (kCodePage + 4)) / 4) & 0x3ff'ffff);

    alignas(16) static State state;
    Case c;
    uint32_t length = 0;
    while (std::fread(&c, sizeof c, 1, in) == 1) {
        if (c.vector_bytes != length) prctl(PR_SVE_SET_VL, static_cast<int>(length = c.vector_bytes));
        fill(state, memory, c);
        code[0] = c.insn;
        __builtin___clear_cache(reinterpret_cast<char*>(code), reinterpret_cast<char*>(code + 2));
        result = {};
        run_case(&state);
        if (result.status == 0) result.sum = sum_of(state, memory, c);
        std::fwrite(&result, sizeof result, 1, out);
        if (states != nullptr) std::fwrite(&state, sizeof state, 1, states);
    }
    return std::fclose(out) == 0 && (states == nullptr || std::fclose(states) == 0) ? 0 : 8;
}
