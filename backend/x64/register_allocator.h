// Values in host registers: allocation, spilling, operands and results of emitters.
#pragma once

#include <array>
#include <initializer_list>

#include "backend/x64/assembler.h"
#include "backend/x64/block_values.h"

namespace arclight::backend {

class GuestSlots;
class HostFlags;

class RegisterAllocator {
  public:
    RegisterAllocator(Assembler& as, BlockValues& values, GuestSlots& slots, HostFlags& flags);
    void start_block();
    void finish_instruction() { pinned_ = 0; }

    /// Which values registers and spill slots hold.
    struct Places {
        std::array<Ref, 32> owner;  ///< by register number
        uint64_t spills_used = 0, spills_v_used = 0;
        std::array<Ref, jit::kSpillSlots> spill_owner;
        std::array<Ref, jit::kSpillVSlots> spill_v_owner;
    };
    /// Of a side path: at the exit where it begins.
    const Places& places() const { return places_; }
    void begin_side(const Places& places) { places_ = places, pinned_ = 0; }

    // ---- Operands and results; see emitter.h
    Reg64 use(Ref r);
    Reg use(Ref r, Type t) { return sized(use(r), t); }
    const Operand& use_rm(Ref r, Type t);
    Reg64 def(Ref result);
    Reg def(Ref result, Type t) { return sized(def(result), t); }
    Reg64 def_copy(Ref result, Ref from);
    Reg def_copy(Ref result, Ref from, Type t) { return sized(def_copy(result, from), t); }
    Reg64 def_over(Ref result, std::initializer_list<Ref> operands);
    Reg def_over(Ref result, Type t, std::initializer_list<Ref> operands) {
        return sized(def_over(result, operands), t);
    }
    Xmm use_xmm(Ref r);
    const Operand& use_xmm_rm(Ref r);
    Xmm def_xmm(Ref result);
    Xmm def_copy_xmm(Ref result, Ref from);
    Xmm def_xmm_over(Ref result, std::initializer_list<Ref> operands);

    // ---- Registers
    /// Frees a certain register and keeps it from being allocated within this instruction.
    void reserve(unsigned reg);
    /// A free register, not to be allocated again within this instruction.
    unsigned allocate(bool xmm, uint32_t avoid = 0);
    void unpin(unsigned reg) { pinned_ &= ~(1u << reg); }
    /// Fetches the value into a register that other instructions may take.
    void fetch(Ref r);
    /// Before a call of C++: values needed later leave the registers that the callee may clobber.
    void evict_caller_saved();

    // ---- Memory
    /// The displacement of a value that is in memory.
    int memory_disp(Ref r) const;
    void load_value(unsigned reg, Ref r);
    uint8_t new_spill(Ref r);
    /// Before the guest slot that is the value's home changes.
    void move_home_to_spill(Ref r);

  private:
    /// Loads the value into a register of its kind unless it is in one, and pins that: 0..15 GPR, 16..31 xmm.
    uint8_t use_in_register(Ref r, bool vector);
    void assign(unsigned reg, Ref r);
    void release(unsigned reg);
    /// Makes the register free, its value safe in memory if anybody needs it.
    void evict(unsigned reg);
    void spill(Ref r);
    void move_imm(const Reg64& r, uint64_t value);
    bool try_take_over(Ref result, Ref from);

    Assembler& as_;
    BlockValues& values_;
    GuestSlots& slots_;
    HostFlags& flags_;
    Places places_;
    uint32_t pinned_ = 0;  ///< registers not to be taken within this instruction
    // What use_rm() and use_xmm_rm() return references to.
    std::array<Address, 3> mem_operand_;
    std::array<Reg, 3> reg_operand_;
    unsigned operand_count_ = 0;
};

/// A general register for the rest of the instruction or the scope, whichever ends first.
class ScratchGpr : public Reg64 {
  public:
    explicit ScratchGpr(RegisterAllocator& regs)
        : Reg64(static_cast<int>(regs.allocate(false))), regs_(regs) {}
    ~ScratchGpr() { regs_.unpin(static_cast<unsigned>(getIdx())); }
    ScratchGpr(const ScratchGpr&) = delete;
    ScratchGpr& operator=(const ScratchGpr&) = delete;

  private:
    RegisterAllocator& regs_;
};

/// The same for xmm registers.
class ScratchXmm : public Xmm {
  public:
    explicit ScratchXmm(RegisterAllocator& regs)
        : Xmm(static_cast<int>(regs.allocate(true)) - 16), regs_(regs) {}
    ~ScratchXmm() { regs_.unpin(static_cast<unsigned>(getIdx()) + 16); }
    ScratchXmm(const ScratchXmm&) = delete;
    ScratchXmm& operator=(const ScratchXmm&) = delete;

  private:
    RegisterAllocator& regs_;
};

}  // namespace arclight::backend
