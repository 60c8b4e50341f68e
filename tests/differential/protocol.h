/* What the harness and the AArch64 runner program say to each other, and the address layout both use. Plain
 * C: the runner is freestanding. All fields little-endian, as both sides are. */
#ifndef ARCLIGHT_TESTS_DIFFERENTIAL_PROTOCOL_H
#define ARCLIGHT_TESTS_DIFFERENTIAL_PROTOCOL_H

#include <stdint.h>

/* High enough that a truncated address is noticed, and free in a host process with or without
 * AddressSanitizer. The arena lies within 1 MiB of all code, so that literal loads reach it. */
#define DIFF_CODE_VA 0x123456700000ull
#define DIFF_CODE_BYTES 0x40000u
#define DIFF_ARENA_VA (DIFF_CODE_VA + DIFF_CODE_BYTES)
#define DIFF_ARENA_BYTES 8192u
#define DIFF_FILLER 0xd43bd5a0u /* BRK #0xdead: what surrounds a sequence */

#define DIFF_BATCH_MAGIC 0x41524344u

typedef struct DiffState {
    uint64_t x[31];
    uint64_t sp;
    uint64_t pc;
    uint64_t tpidr;
    uint32_t nzcv; /* bits 31:28 */
    uint32_t fpcr;
    uint32_t fpsr;
    uint32_t reserved;
    uint64_t v[32][2];
} DiffState;

/* Harness to runner: a header, the arena, then for each case a DiffCase and its words. */
typedef struct DiffHeader {
    uint32_t magic;
    uint32_t cases;
    uint64_t bytes; /* of everything after the header */
} DiffHeader;

typedef struct DiffCase {
    DiffState state;
    uint32_t code_offset; /* bytes from DIFF_CODE_VA */
    uint32_t words;       /* padded to an even number in the stream */
    uint64_t reserved;
} DiffCase;

/* Runner to harness: for each case a DiffResult and the changed 16-byte granules of the arena. */
enum { DIFF_SIGNAL_ILL = 4, DIFF_SIGNAL_TRAP = 5, DIFF_SIGNAL_BUS = 7, DIFF_SIGNAL_SEGV = 11 };

typedef struct DiffResult {
    DiffState state;
    uint32_t signal;
    uint32_t granules;
    uint64_t fault_address;
} DiffResult;

typedef struct DiffGranule {
    uint64_t index;
    uint64_t reserved;
    uint64_t data[2];
} DiffGranule;

#endif
