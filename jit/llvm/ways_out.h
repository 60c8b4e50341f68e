// Internal to jit/llvm: the ways out of a region.
//
// A region is left at hundreds of places, nearly all of them rare, with up to 65 guest registers in host
// registers. To LLVM a way out is one instruction, a statepoint with those values as operands: it may leave
// each where it is, and its stack map says where that is. The stores are written from that: a tenth of the
// time that LLVM takes for stores of its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jit/region_abi.h"

namespace arclight::jit::tier2 {

/// How NZCV is told at a way out: as in Flags::Kind up to FCmp64.
enum class FlagsAtExit : uint8_t {
    Packed,  ///< one value, as in GuestState::flags
    Add32,   ///< two operands; likewise the next ones
    Add64,
    Sub32,
    Sub64,
    Logic32,  ///< the result
    Logic64,
    FCmp32,
    FCmp64,
    Dynamic,  ///< one of those before, and two operands
    Clean,    ///< not at all: they are in GuestState
};

/// A statepoint's operands are: GuestState's address, the slots' values, those of the flags, and if the
/// address to go on at is not known, that.
struct WayOut {
    std::vector<uint8_t> slots;  ///< as in Lowering: 0..31 x0..x30 and sp, 32..63 v0..v31
    uint32_t low = 0;            ///< by vector register: the value is the lower half, zeros are above
    uint32_t clear = 0;          ///< of those: in GuestState the upper half may be something else
    FlagsAtExit flags = FlagsAtExit::Clean;
    bool pc_known = false;
    int32_t offset = 0;  ///< if it is: what is to be returned, less GuestState::page_base
};

/// The room that a statepoint takes, for a jump.
inline constexpr unsigned kWayOutBytes = 5;

/// The section in which asm gotos say where an instruction that may fault is and where to go on then: two
/// addresses for each (lower_fastmem.cpp).
inline constexpr const char* kFaultSection = ".guest_ex";

/// At the very end of the code: so many FaultingAccess lie before it, by rising `access`.
struct CodeEnd {
    uint32_t function;  ///< where it begins in the section
    uint32_t faults;
    uint64_t magic;
    static constexpr uint64_t kMagic = 0x3c6b'1f9e'52d8'a704;
};

/// Writes the ways out into an object file with the function `region`, whose statepoints' numbers are indices
/// in `ways`, and takes its stack maps away; the table of instructions
/// that may fault goes behind the code. Throws std::runtime_error if it is not as it should be.
std::string add_ways_out(const std::string& object, const std::vector<WayOut>& ways);

}  // namespace arclight::jit::tier2
