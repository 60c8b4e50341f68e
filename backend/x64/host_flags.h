// Condition flags: which flags value EFLAGS hold, in which sense, and how conditions are tested.
#pragma once

#include "backend/x64/assembler.h"
#include "backend/x64/block_values.h"
#include "backend/x64/constant_pool.h"

namespace arclight::backend {

class GuestSlots;
class RegisterAllocator;

/// What EFLAGS mean for NZCV. N = SF, Z = ZF, V = OF but for the comparisons of FP numbers.
enum class Sense : uint8_t {
    Add,      ///< C = CF
    Sub,      ///< C = !CF
    FCmp,     ///< ucomis a, b
    FCmpRev,  ///< ucomis b, a
};

class HostFlags {
  public:
    HostFlags(Assembler& as, BlockValues& values, RegisterAllocator& regs, GuestSlots& slots,
              ConstantPool& constants)
        : as_(as), values_(values), regs_(regs), slots_(slots), constants_(constants) {}
    void start_block() { raw_ = false, value_ = kNoRef; }
    void finish_instruction() { raw_ = false; }
    /// Of a side path: what they were at the exit where it begins.
    void begin_side(Ref value, Sense sense) { raw_ = false, value_ = value, sense_ = sense; }

    /// The flags value that EFLAGS hold, or kNoRef.
    Ref value() const { return value_; }
    Sense sense() const { return sense_; }
    /// Whether EFLAGS hold nothing that anybody needs.
    bool unused() const { return value_ == kNoRef && !raw_; }
    /// Whether clobber() costs a store. If it does not, EFLAGS may be overwritten.
    bool busy() const;
    /// Before an instruction that writes EFLAGS: saves them if they are needed later.
    void clobber();
    void save();
    /// Sees to it that memory_disp() has flags, whether EFLAGS hold them or not; rax may be clobbered.
    void put_in_memory(Ref f);
    void set(Ref r, Sense s) { value_ = r, sense_ = s; }
    void forget() { value_ = kNoRef; }
    /// Stores EFLAGS, which have this sense, in GuestState::flags' format. They keep their meaning; rax is
    /// clobbered.
    void store(int disp);
    void store(int disp, Sense sense) { sense_ = sense, store(disp); }
    /// EFLAGS = stored flags, as Sense::Add.
    void load_from(const Address& stored);
    /// CF = C of the flags value, or its inverse.
    void load_carry(Ref f, bool inverse);
    /// Emits what it takes to test an I1 value by the returned condition; at most EFLAGS and rax change.
    Cc test_condition(Ref c);

  private:
    bool needed_after() const { return value_ != kNoRef && values_[value_].last_need > values_.cur(); }
    /// Whether they are those of a bitwise operation whose result outlives them: N and Z are the result's, C and V are 0, so that they
    /// need no other place.
    bool are_of_result(Ref f) const;
    /// Puts flags that had no other place back into EFLAGS.
    void make_of_result(Ref f);
    void load(Ref f);
    Cc test_flags(Ref f, unsigned arm_cc);

    Assembler& as_;
    BlockValues& values_;
    RegisterAllocator& regs_;
    GuestSlots& slots_;
    ConstantPool& constants_;
    Ref value_ = kNoRef;
    Sense sense_ = Sense::Add;
    bool raw_ = false;  ///< EFLAGS hold an intermediate result of the current instruction
};

}  // namespace arclight::backend
