// The IR's meaning, one instruction after the other: what every backend's code must do, and the oracle of
// their tests.
#pragma once

#include <cstdint>
#include <vector>

#include "jit/guest_state.h"
#include "jit/ir/ir.h"
#include "jit/memory_access.h"

namespace arclight::jit::ir {

/// Where an interpreted block's memory accesses go.
class InterpreterMemory {
  public:
    virtual ~InterpreterMemory() = default;
    /// Performs the access at state.access_addr: operands and results in state.access_value, see
    /// memory_access.h. False: it faulted or the CPU must leave; exit_reason, pc and what else describes it
    /// are set.
    virtual bool access(GuestState& state, const MemoryAccess& access) = 0;
};

/// The memory of a virtual CPU: each access takes the slow path, RuntimeEntry::kMemorySlow. It is handed a
/// null return address, since state.insn_offset and the guest registers are precise.
class SlowPathMemory : public InterpreterMemory {
  public:
    bool access(GuestState& state, const MemoryAccess& access) override;
};

/// Runs blocks on a GuestState, which is precise after every instruction: no guest register is anywhere else,
/// and insn_offset is the current instruction's. Where emitted code would leave or look up its target, the
/// block ends with exit_reason, pc and exit_info set, exit_info of a
/// direct exit to kNoLinkSlot.
class Interpreter {
  public:
    Interpreter(GuestState& state, InterpreterMemory& memory) : state_(state), memory_(memory) {}

    /// Runs the block, which must be well formed (ir::verify) and was entered at state.page_base, up to the
    /// exit taken.
    void run(const Block& block);

    /// NZCV, in bits 3:0, of a + b + carry of 32 or 64 bits.
    static constexpr uint32_t nzcv_of_sum(uint64_t a, uint64_t b, unsigned carry, unsigned width) {
        const uint64_t mask = width == 32 ? 0xffff'ffff : ~uint64_t{0};
        a &= mask, b &= mask;
        const unsigned __int128 wide = static_cast<unsigned __int128>(a) + b + carry;
        const uint64_t r = static_cast<uint64_t>(wide) & mask;
        const bool n = (r >> (width - 1)) != 0, c = wide >> width != 0;
        const bool v = (~(a ^ b) & (a ^ r)) >> (width - 1) & 1;
        return n << 3 | (r == 0) << 2 | c << 1 | static_cast<unsigned>(v);
    }

  private:
    // True: the block was left.
    bool step(const Inst& i);
    bool access(const Inst& i, MemoryKind kind);
    bool reference(const Inst& i);
    struct PointerCode {
        uint64_t mask, code;
    };
    PointerCode pointer_code(uint64_t pointer, uint64_t modifier, uint32_t key) const;
    bool leave(ExitReason reason, uint64_t pc);
    bool exit_to(uint64_t offset);
    bool enter_side();

    uint64_t arg(unsigned k) const { return values_[block_->insts[ref_].args[k]].d[0]; }
    V128 vector_arg(unsigned k) const { return values_[block_->insts[ref_].args[k]]; }
    Type type_of_arg(unsigned k) const { return (*block_)[(*block_)[ref_].args[k]].type; }
    void set(uint64_t v) { values_[ref_] = V128{.d = {v, 0}}; }
    uint64_t& x(unsigned k) { return k == 31 ? state_.sp : state_.x[k]; }
    bool set_logic(uint64_t result, unsigned width);

    GuestState& state_;
    InterpreterMemory& memory_;
    const Block* block_ = nullptr;
    std::vector<V128> values_;  ///< by instruction
    V128 second_{};             ///< of the last pair load, for PairSecond
    Ref ref_ = 0;
    uint32_t flags_ = 0;  ///< NZCV of the last operation that makes flags, for FlagsOf
};

/// HelperFn that interprets the block at address `block` with SlowPathMemory: RuntimeEntry::kInterpret.
uint64_t interpret_block(GuestState& state, uint64_t block, uint64_t, uint64_t);

}  // namespace arclight::jit::ir
