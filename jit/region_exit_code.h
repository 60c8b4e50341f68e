// How compiled regions are left: what LLVM's stack maps say of an exit, and the host code that is made of it.
//
// A region is left at hundreds of places, nearly all of them rare, with up to 65 guest registers in host
// registers. To LLVM an exit is one instruction, a statepoint with those values as operands: it may leave
// each value where it is, and its stack map says where that is. The exit stubs, which store the values, are
// written from the stack maps in a tenth of the time that LLVM takes for stores of its own.
//
// The definition belongs to the host's backend (backend/x64/region_exit_stubs.cpp).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace arclight::jit {

/// How NZCV is given at a region exit: as in FlagsKind (jit/llvm/flags_kind.h) up to FCmp64.
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
    Dynamic,  ///< one of the kinds before, as a value, and two operands
    Clean,    ///< not given: GuestState has them
};

/// A region exit. The operands of its statepoint are: GuestState's address, the slots' values, those of the
/// flags, and the address to continue at if that is not a constant.
struct RegionExit {
    std::vector<uint8_t> slots;  ///< 0..31: x0..x30 and sp; 32..63: v0..v31
    uint32_t low = 0;            ///< by vector register: the value is the lower half, the upper half is zero
    uint32_t clear = 0;          ///< of those: the upper half in GuestState must be cleared
    FlagsAtExit flags = FlagsAtExit::Clean;
    bool pc_known = false;
    int32_t offset = 0;  ///< if pc_known: the region's result, less GuestState::page_base
};

/// Where an operand of a statepoint is.
struct ValueLocation {
    enum Kind : uint8_t { Register, Stack, Constant } kind = Constant;
    uint16_t dwarf_register = 0;  ///< Stack: the base
    int64_t value = 0;            ///< Constant; Stack: the displacement
};

/// A statepoint in the code. LLVM may have made several of one exit.
struct RegionExitSite {
    uint64_t exit = 0;                     ///< index of the RegionExit
    size_t end = 0;                        ///< in the code: behind the kExitSiteBytes that LLVM left room for
    std::vector<ValueLocation> locations;  ///< of all operands
};

/// The bytes that a statepoint takes up in the code: room for a jump.
inline constexpr unsigned kExitSiteBytes = 5;

/// Returns `text`, in which each site jumps to its exit stub, followed by the exit stubs; padded to a
/// multiple of 8 bytes. Throws std::runtime_error if a site or a location is not of the expected form.
std::string write_region_exits(std::span<const uint8_t> text, std::span<const RegionExit> exits,
                               std::span<const RegionExitSite> sites);

}  // namespace arclight::jit
