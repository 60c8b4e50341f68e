// Scalable operations (SVE): what translated code asks the runtime to do, and what a back end may do itself instead.
//
// An operation names registers and works on their state, as the instruction does; it knows no length, since that is
// GuestState::vector_bytes when it runs. Those of the lane families do for each 128 bits what an operation of the IR does for
// one vector: `variant` is its ir::Op. All others are functions of their own (operations.inc).
#pragma once

#include <cstdint>

namespace arclight::frontend::a64::scalable {

enum class Kind : uint16_t {
#define SCALABLE(name) name,
#include "frontend/a64/scalable/operations.inc"
#undef SCALABLE
    Count
};

struct Operation {
    Kind kind{};
    uint16_t variant = 0;                ///< what the row of the instruction binds
    uint8_t d = 0, n = 0, m = 0, a = 0;  ///< registers: destination, first and second source, addend
    uint8_t g = 0;                       ///< governing predicate
    uint8_t size = 0;                    ///< elements of 8 << size bits
    uint32_t imm = 0;
    uint8_t k = 0, s = 0, x = 0;  ///< what else an instruction has

    /// As the two arguments of a call.
    constexpr uint64_t first() const {
        return uint64_t{static_cast<uint16_t>(kind)} | uint64_t{variant} << 16 | uint64_t{d} << 32 |
               uint64_t{n} << 37 | uint64_t{m} << 42 | uint64_t{a} << 47 | uint64_t{g} << 52 |
               uint64_t{size} << 56;
    }
    constexpr uint64_t second() const {
        return uint64_t{imm} | uint64_t{k} << 32 | uint64_t{s} << 40 | uint64_t{x} << 48;
    }
    static constexpr Operation unpack(uint64_t first, uint64_t second) {
        const auto field = [](uint64_t word, unsigned lsb, unsigned bits) {
            return static_cast<uint8_t>(word >> lsb & ((1u << bits) - 1));
        };
        Operation o;
        o.kind = static_cast<Kind>(first & 0xffff);
        o.variant = static_cast<uint16_t>(first >> 16);
        o.d = field(first, 32, 5), o.n = field(first, 37, 5), o.m = field(first, 42, 5),
        o.a = field(first, 47, 5);
        o.g = field(first, 52, 4), o.size = field(first, 56, 3);
        o.imm = static_cast<uint32_t>(second);
        o.k = field(second, 32, 8), o.s = field(second, 40, 8), o.x = field(second, 48, 8);
        return o;
    }
};

}  // namespace arclight::frontend::a64::scalable
