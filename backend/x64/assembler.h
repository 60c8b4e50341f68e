// Xbyak's assembler and what it lacks: jumps to be pointed later, instructions by condition code, accesses by
// size.
//
// Xbyak writes to one view of the code cache; all addresses that others see are of the other one, where code is
// executed.
#pragma once

#include <utility>

#include "backend/x64/class_recorder.h"
#include "backend/x64/relocation_recorder.h"
#include "backend/x64/types.h"
#include "jit/host_code.h"

namespace arclight::backend {

/// A jump to be pointed somewhere later: the address just after its rel8 or rel32.
struct Jump {
    const uint8_t* end = nullptr;
    bool is_short = false;
};

class Assembler : public Encoder {
  public:
    using Type = ir::Type;  // not Xbyak's
    explicit Assembler(const jit::CodeBuffer& buffer, size_t size)
        : Encoder(size, buffer.writable(buffer.base())), buffer_(buffer) {}

    const uint8_t* here() const { return buffer_.base() + getSize(); }
    /// The operand at `address`, which is in the code cache.
    Xbyak::RegRip at_address(const void* address) const {
        return Xbyak::util::rip + static_cast<const void*>(buffer_.writable(address));
    }
    Jump jump_if(Cc cc, bool is_short);
    Jump jump_always(bool is_short);
    void land(Jump j) { point(j, here()); }
    void point(Jump j, const uint8_t* target) const;
    void jump_to(const uint8_t* target);
    void jump_to_if(Cc cc, const uint8_t* target);
    void call_stub(const uint8_t* target);
    /// To an address in a register or in memory. With CodeBuffer::spectre() by way of r11 and the thunk, so that no branch
    /// predictor that guest code has trained is asked.
    void jump_indirect(const Operand& target);
    void call_indirect(const Operand& target);
    /// Says what the instructions from here on are for, where somebody asks (`recorder`); returns what was said before.
    jit::HostClass set_class(jit::HostClass c) {
        if (recorder != nullptr) recorder->mark(getSize(), c);
        return std::exchange(class_, c);
    }
    /// Likewise that they are executed by themselves: they are preceded by what counts them, and keep all registers.
    void start_segment();
    ClassRecorder* recorder = nullptr;
    RelocationRecorder* relocations = nullptr;  ///< null: nobody asks
    /// SharedStubs::indirect_thunk.
    const uint8_t* emit_indirect_thunk();
    /// nops such that a 4-byte field `offset` bytes ahead lies within an aligned quadword.
    void align_field(unsigned offset);
    void set_if(Cc cc, const Xbyak::Reg8& r);
    void move_if(Cc cc, const Reg& dst, const Operand& src);

    // Accesses of 1 << log2 bytes; vector loads clear what is above them and may clobber xmm15.
    void load_sized(const Reg64& dst, const Mem& from, unsigned log2, bool sign, Type t);
    void load_vector_sized(const Xmm& dst, const Xbyak::RegExp& from, unsigned log2);
    void store_sized(const Mem& to, const Reg64& src, unsigned log2) { store(to, src, log2); }
    void store_vector_sized(const Xbyak::RegExp& to, const Xmm& src, unsigned log2);
    void zero_extend(const Reg64& dst, const Reg64& src, unsigned log2);
    /// Shl, Shr or Sar without touching EFLAGS.
    void shift_by(Op op, const Reg& d, const Operand& x, const Reg& count);

  private:
    const jit::CodeBuffer& buffer_;
    const uint8_t* thunk_ = nullptr;
    jit::HostClass class_ = jit::HostClass::Work;
};

/// What is emitted while it lives is for that purpose.
class ClassScope {
  public:
    ClassScope(Assembler& as, jit::HostClass c) : as_(as), before_(as.set_class(c)) {}
    ~ClassScope() { as_.set_class(before_); }
    ClassScope(const ClassScope&) = delete;
    ClassScope& operator=(const ClassScope&) = delete;

  private:
    Assembler& as_;
    const jit::HostClass before_;
};

}  // namespace arclight::backend
