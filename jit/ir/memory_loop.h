// Loops that copy or fill memory, known by what their block does: libraries' and the kernel's memcpy and memset, copies to and from
// programs, and what compilers make of such loops. As LLVM's LoopIdiomRecognize, but on guest code: so whole turns at once are
// exact, with every register, and only where nothing can fault (guestos/machine/cpu/memory_loops.cpp).
//
// A turn is one execution of the block, from its start to the exit that leads back there.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "jit/ir/ir.h"

namespace arclight::jit::ir {

struct MemoryLoop {
    /// GuestState's: 0 to 30, 31 is SP.
    static constexpr uint8_t kNoRegister = 32;
    static constexpr unsigned kMaxBytes = 256;  ///< of a turn
    static constexpr unsigned kZeroed = 64;     ///< by Op::ZeroBlock

    enum class Kind : uint8_t {
        Copy,
        DelayedCopy,  ///< a turn stores what the turn before has loaded into registers
        Fill,
        Zero,  ///< 64 bytes at a time, at aligned addresses (DC ZVA)
    };
    /// The first byte of the first turn: the sum of the registers that there are, and a constant.
    struct Place {
        uint8_t base = kNoRegister, index = kNoRegister;
        int64_t plus = 0;
        bool unprivileged = false;  ///< kMemUnprivileged
        uint64_t address(const uint64_t* x) const {
            return static_cast<uint64_t>(plus) + x[base] + (index == kNoRegister ? 0 : x[index]);
        }
    };
    /// A part of what a turn stores, and where its value is.
    struct Unit {
        uint16_t offset;  ///< from the lowest address
        uint8_t bytes;    ///< 1 to 16
        bool vector;      ///< a V register
        uint8_t reg;      ///< kNoRegister: a constant
        uint64_t value;   ///< the constant
    };
    struct Induction {
        uint8_t reg;
        int64_t step;
        bool word;  ///< modulo 2^32; a turn makes its upper half zero
    };
    /// What the exit compares after a turn: registers plus constants. One moves with the turns, towards the other.
    struct Count {
        enum class Until : uint8_t {
            NotEqual,
            Above,
            NotBelow,
            Below,
            NotAbove,
            Greater,
            NotLess,
            Less,
            NotGreater,
            Positive,
            Negative,
            Masked
        };
        Until until = Until::NotEqual;  ///< the loop goes on as long as a is so to b
        uint8_t a = kNoRegister, b = kNoRegister;
        int64_t plus_a = 0, plus_b = 0;  ///< after the first turn
        int64_t step = 0;                ///< of a - b, a turn
        uint64_t mask = ~uint64_t{0};    ///< of a - b; Masked: of a
    };

    Kind kind = Kind::Copy;
    Place to, from;
    uint32_t bytes = 0;       ///< that a turn stores, without gaps
    bool down = false;        ///< each turn's are below the last one's, else above
    std::vector<Unit> units;  ///< of Fill, and the registers of DelayedCopy
    std::vector<Induction> inductions;
    Count count;
    uint8_t is_zeroed =
        kNoRegister;  ///< of Zero: a register with kZeroed in it, else it is another loop; the kernel reads it from DCZID_EL0
    uint32_t least = 0;  ///< turns for which a call of C++ is worth its price; a power of two

    /// How many turns at least are followed by another one, if the registers are x[0..31] (SP is x[31]) now.
    uint64_t turns(const uint64_t* x) const;
};

/// Null: the block is no such loop.
std::unique_ptr<MemoryLoop> find_memory_loop(const Block& block);

/// Has the block run `loop`, found in it, by Op::MemoryLoop when it begins; `loop` stays as long as the block's code.
void run_memory_loop(Block& block, const MemoryLoop& loop);

}  // namespace arclight::jit::ir
