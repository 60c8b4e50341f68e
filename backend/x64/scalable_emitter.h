// Emitters of operations on scalable vectors (jit/ir/scalable.h), from GuestState to GuestState.
#pragma once

#include "backend/x64/memory_emitter.h"
#include "jit/ir/scalable.h"

namespace arclight::backend {

/// Whether the host has what they are emitted with: AVX-512 (F, BW, DQ, VL) and BMI2.
bool host_has_scalable_vectors();
/// Whether there is host code for it: such an operation looks at vector and predicate registers in GuestState and at no other guest
/// register. All others call the runtime, which looks at all.
bool is_emitted(const ir::Scalable& s);
/// The V registers that it looks at or changes, a bit each.
uint32_t vector_registers_of(const ir::Scalable& s);

class ScalableEmitter : public MemoryEmitter {
  public:
    using MemoryEmitter::MemoryEmitter;
    void emit_scalable(const Inst& i);
    void emit_access(const Inst& i);
    /// The runtime does it; imm: offset of the guest instruction in its page.
    void cold_operation(const ColdArgs& args);
    void cold_access(const ColdArgs& args);

  private:
    // Registers that an operation works with; the last one as ScalableCopies::edge_size says.
    static constexpr int kBroadcast = 16, kTemporary = 17, kEdge = 18;

    void emit_runtime_call(const Inst& i);
    void call_runtime(const Inst& i, uint32_t insn_offset);
    /// GuestState's registers have the newest V registers that `s` names; the one that it writes has no copies elsewhere.
    void give_up_registers(const ir::Scalable& s);
    Xmm vector(int index) const;
    void load_register(const Xmm& to, unsigned z);
    void store_register(unsigned z, const Xmm& from);
    void load_bits(const Reg64& bits, unsigned size);
    void load_mask(const Xbyak::Opmask& to, unsigned predicate, unsigned size, const Reg64& bits);
    void broadcast(const Xmm& to, Ref scalar);
    size_t reserve_copies(ColdArgs& args);
    void load_copies(const ColdArgs& args);
    Xmm copy_of(unsigned z);
    Xbyak::Opmask governing(const Reg64& bits);
    void compute();
    void compute_fp();
    void multiply(const Xmm& to, const Xmm& a, const Xmm& b);
    void extend(unsigned from_bits, bool is_signed);
    void make_index();
    Xmm half_of(const Xmm& v, bool upper);
    void unpack(bool is_signed);
    // emit_scalable_permute.cpp
    void permute();
    void zip(bool upper);
    void unzip(bool odd);
    void transpose(bool odd);
    void look_up();
    void reverse();
    void extract();
    void permute_wide();
    // emit_scalable_integer.cpp
    void xor_rotate();
    void shift_by_constant();
    void compact();
    void add_products();
    void add_unsigned_halfwords(const Xmm& t, const Xmm& u, const Xmm& w);
    void every_other(const Xmm& to, const Xmm& from, unsigned size, bool odd, bool is_signed);
    void shift(const Xmm& to, const Xmm& from, unsigned size, int by, bool is_signed);
    void reduce();
    Xmm active_or_identity();
    void fold(const Xmm& to, const Xmm& a, const Xmm& b);
    void compare(const Reg64& bits);
    /// The runtime does it where a result is a NaN or, with `tiny`, at the edge of underflow. Returns the cold path.
    size_t check_result(bool tiny, ColdArgs args);
    size_t leave_if_any(ColdArgs args);
    size_t extremum(const ColdArgs& args);
    size_t to_integer(const ColdArgs& args);
    void load_edge(unsigned size);
    void finish(const Xmm& value);
    void store_result();
    // emit_scalable_access.cpp
    void access(const Mem& where);
    void load_segment(const Address& from);

    ir::Scalable s_;
    // Host registers of the operation: its operands, what inactive elements are, the result, and which are active.
    Xmm n_, m_, a_, other_, result_;
    Xbyak::Opmask mask_;
};

}  // namespace arclight::backend
