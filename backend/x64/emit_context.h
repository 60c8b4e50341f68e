// All that emitters work with: one object a code buffer.
#pragma once

#include <array>
#include <utility>
#include <vector>

#include "backend/x64/assembler.h"
#include "backend/x64/block_values.h"
#include "backend/x64/cold_paths.h"
#include "backend/x64/constant_pool.h"
#include "backend/x64/fault_map_builder.h"
#include "backend/x64/guest_slots.h"
#include "backend/x64/host_flags.h"
#include "backend/x64/register_allocator.h"
#include "backend/x64/scalable_copies.h"

namespace arclight::backend {

struct EmitContext {
    EmitContext(jit::CodeBuffer& code_buffer, size_t size);
    EmitContext(const EmitContext&) = delete;
    EmitContext& operator=(const EmitContext&) = delete;
    void start_block(const ir::Block& block, uint32_t first_link);
    void finish_instruction();
    /// `jump` leads to where the side path of the current instruction, an exit, will be emitted.
    void keep_for_side(size_t side, Jump jump);
    /// It is emitted here: everything is as it was at the exit.
    void begin_side(size_t side);

    jit::CodeBuffer& buffer;
    Assembler as;
    ConstantPool constants;
    BlockValues values;
    FaultMapBuilder faults;
    RegisterAllocator regs;
    GuestSlots slots;
    HostFlags flags;
    ColdPaths cold;
    const jit::SharedStubs* stubs = nullptr;

    // ---- The block
    uint32_t first_link_slot = 0;  ///< number of its first direct exit's link slot
    /// Of the block's first instruction, from the page that code is being emitted of: a superblock has several. Index: `page`.
    std::array<int64_t, ir::kMaxPages> start_offset{};
    uint8_t page = 0;
    uint32_t insn_offset = 0;  ///< of the current one
    uint32_t translation_flags = 0;
    bool serial = false;   ///< one CPU: atomics need no lock
    bool fastmem = false;  ///< accesses go through the fastmem, not the soft TLB
    /// Operations on scalable vectors are emitted where is_emitted(), not done by the runtime, and floating point that flushes: the host
    /// has AVX-512 (F, BW, DQ, VL), and zmm16 and up are free.
    const bool scalable_vectors;
    ScalableCopies copies;
    std::vector<ScalableCopies> copies_behind;  ///< what cold paths find behind such operations
    std::vector<jit::LinkSlot> exits;
    const uint8_t* indirect = nullptr;  ///< as in CompiledBlock
    uint8_t indirect_register = 0, indirect_kind = 0;

  private:
    /// Where a side path begins.
    struct SideStart {
        Jump jump;
        RegisterAllocator::Places places;
        GuestSlots::Newest newest;
        Ref flags;
        Sense sense;
        uint8_t page;
        uint32_t insn_offset;
        std::vector<std::pair<Ref, Value>> values;  ///< those that are somewhere
    };
    std::vector<SideStart> sides_;
};

}  // namespace arclight::backend
