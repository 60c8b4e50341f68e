// What the program and the module with LLVM in it (libarclight_tier2.so) must agree on.
#pragma once

#include <cstdint>

#include "jit/guest_state.h"
#include "jit/llvm/region.h"
#include "jit/llvm/region_compiler.h"

namespace arclight::jit {

/// Differs when the IR or a layout that both sides use does: a module of another build is refused.
constexpr uint64_t region_interface() {
    uint64_t hash = 0xcbf2'9ce4'8422'2325;
    const auto add = [&](uint64_t v) { hash = (hash ^ v) * 0x100'0000'01b3; };
#define OP(name, result, args, effects) \
    for (const char c : #name #args) add(static_cast<uint64_t>(c));
#include "jit/ir/opcodes.inc"
#undef OP
    for (const uint64_t size :
         {sizeof(GuestState), sizeof(mmu::SoftTlb), sizeof(ir::Inst), sizeof(ir::Block), sizeof(RegionBlock),
          sizeof(Region), sizeof(RegionCode), sizeof(RegionDump), sizeof(CodeRoom)})
        add(size);
    return hash;
}
inline constexpr uint64_t kRegionInterface = region_interface();

inline constexpr const char* kRegionModule = "libarclight_tier2.so";
inline constexpr const char* kInterfaceSymbol = "arclight_tier2_interface";
inline constexpr const char* kCreateSymbol = "arclight_tier2_create";
using CreateRegionCompiler = RegionCompiler* (*)(bool avx512);

}  // namespace arclight::jit
