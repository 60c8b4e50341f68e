// AArch64 side of the QEMU test: runs single instructions on given registers. Usage: runner CASES RESULTS
#include <sys/mman.h>

#include <cstdio>
#include <vector>

#include "tests/jit/reference/guest/record.h"

extern "C" void run_case(const RunnerCase* in, RunnerResult* out, const void* code);
asm(R"(
    .text
    .globl run_case
    .type run_case, %function
run_case:
    stp x29, x30, [sp, #-32]!
    str x19, [sp, #16]
    mov x19, x1
    mov x9, x2
    ldp q0, q1, [x0]
    ldp q2, q3, [x0, #32]
    ldr w10, [x0, #80]
    msr fpcr, x10
    msr fpsr, xzr
    ldp x1, x2, [x0, #64]
    lsl x11, x1, #30
    msr nzcv, x11
    mov x0, #0
    blr x9
    mrs x10, nzcv
    mrs x11, fpsr
    msr fpcr, xzr
    str q0, [x19]
    str x0, [x19, #16]
    stp w10, w11, [x19, #24]
    ldr x19, [sp, #16]
    ldp x29, x30, [sp], #32
    ret
    .size run_case, .-run_case
)");

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    std::FILE* in = std::fopen(argv[1], "rb");
    std::FILE* out = std::fopen(argv[2], "wb");
    RunnerHeader header;
    if (!in || !out || std::fread(&header, sizeof(header), 1, in) != 1) return 3;
    std::vector<uint32_t> encodings((header.instructions + 1) / 2 * 2);
    if (std::fread(encodings.data(), 4, encodings.size(), in) != encodings.size()) return 4;

    const size_t bytes = header.instructions * 8 + 4096;
    auto* code = static_cast<uint32_t*>(
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (code == MAP_FAILED) return 5;
    for (uint32_t i = 0; i < header.instructions; ++i) {
        code[2 * i] = encodings[i];
        code[2 * i + 1] = 0xd65f03c0;  // ret
    }
    __builtin___clear_cache(reinterpret_cast<char*>(code), reinterpret_cast<char*>(code) + bytes);

    for (uint32_t i = 0; i < header.cases; ++i) {
        RunnerCase test;
        RunnerResult result;
        if (std::fread(&test, sizeof(test), 1, in) != 1) return 6;
        run_case(&test, &result, code + 2 * test.instruction);
        if (std::fwrite(&result, sizeof(result), 1, out) != 1) return 7;
    }
    return std::fclose(out) == 0 ? 0 : 8;
}
