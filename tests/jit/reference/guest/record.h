// The files between the test on the host and the runner in the guest: instructions, then cases; results come
// back.
#pragma once

#include <cstdint>

struct RunnerHeader {
    uint32_t instructions;  ///< followed by that number of encodings, padded to an even number
    uint32_t cases;
};

/// Register contents before one instruction. NZCV are bits 1:0 of x[0] at N and Z.
struct alignas(16) RunnerCase {
    uint64_t v[4][2];
    uint64_t x[2];  ///< x1 and x2
    uint32_t fpcr;
    uint32_t instruction;  ///< index
    uint64_t reserved;
};
static_assert(sizeof(RunnerCase) == 96);

/// And after it.
struct alignas(16) RunnerResult {
    uint64_t v0[2];
    uint64_t x0;
    uint32_t nzcv;
    uint32_t fpsr;
};
static_assert(sizeof(RunnerResult) == 32);
