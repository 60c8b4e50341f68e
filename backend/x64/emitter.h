// Internal to backend/x64: the one object that analyses a block, allocates registers and emits code.
//
// Host registers: rbp = &GuestState + kStateBias, r14 = SoftTlb*, rsp = host stack (16-byte aligned), rax and
// xmm15 scratch that any emission may clobber, everything else allocated. A block starts and ends with no
// guest register in a host register.
//
// ---- How to write an emitter
// ------------------------------------------------------------------------------------- An emitter is called
// for one live instruction `i` (index cur_). It must, in this order,
//   1. fetch its operands: use() / use_xmm() give a register that stays put until the instruction is
//   finished;
//      use_rm() / use_xmm_rm() may give a memory operand instead when the value is not in a register anyway;
//      imm32() tells whether an operand is a constant that fits an immediate.
//   2. take temporaries: ScratchGpr t(*this); ScratchXmm t(*this);  rax and xmm15 need no asking, but every
//   call of
//      a function of this class may clobber them.
//   3. call clobber_flags() before the first instruction that writes EFLAGS (VEX-coded SIMD does not,
//   (v)ucomis
//      does). flags_busy() tells whether that costs a store, so that lea, shlx, mulx... may be chosen
//      instead.
//   4. define the result: def() / def_xmm() give a register different from all operands; def_copy() /
//      def_copy_xmm() give a register that holds a copy of an operand (its own if the operand dies here), for
//      two-operand instructions; def_xmm_over() may give the register of an operand that dies here, for a
//      result that is written by the last instruction that reads operands.
// Operands that dies are released by themselves. Values must not be changed in place except through
// def_copy*(). A rare path goes out of line: emit the jump with jump_cold(), continue; the function given is
// called when the hot path is complete, with registers exactly as at the jump; it ends with jump_back(). It
// may use only what it was handed, rax and xmm15, since by then the allocator has moved on. See emit_fp.cpp
// for FAdd, emit_vector.cpp for VAdd.
#pragma once

#include <xbyak/xbyak.h>

#include <array>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "jit/guest_state.h"
#include "jit/host_code.h"
#include "jit/ir/ir.h"
#include "jit/memory_access.h"
#include "jit/runtime_entries.h"
#include "jit/translation_flags.h"

namespace arclight::backend {

namespace ir = jit::ir;
using ir::Inst;
using ir::kNoRef;
using ir::Op;
using ir::Ref;
using ir::Type;
using Xbyak::Address;
using Xbyak::Operand;
using Xbyak::Reg;
using Xbyak::Reg64;
using Xbyak::Xmm;

namespace translation_flag = jit::translation_flag;
using jit::CodeBuffer;
using jit::CompiledBlock;
using jit::CompileStatus;
using jit::ExitSite;
using jit::FaultPoint;
using jit::kNoCounter;
using jit::kRingEntries;
using jit::kRingHead;
using jit::kUnlinkedEpoch;
using jit::MemoryAccess;
using jit::MemoryKind;
using jit::RegionStub;
using jit::RingEntry;
using jit::SavedLocation;
using jit::Thunks;
using enum jit::RuntimeEntry;

inline constexpr uint32_t kNoSite = ~uint32_t{0};  ///< exit_info of an indirect exit
inline constexpr uint32_t kNever = ~uint32_t{0};
inline constexpr unsigned kVSlot = 32;      ///< slots 0..31 are x0..x30 and sp, 32..63 v0..v31
inline constexpr unsigned kFlagsSlot = 64;  ///< NZCV
inline constexpr unsigned kSlots = 65;
inline constexpr uint8_t kNone = 0xff;

/// x86 condition codes as in jcc; the low bit inverts.
enum Cc : uint8_t { kO, kNo, kB, kAe, kE, kNe, kBe, kA, kS, kNs, kP, kNp, kL, kGe, kLe, kG };
constexpr Cc inverted(Cc cc) { return static_cast<Cc>(cc ^ 1); }

/// What EFLAGS mean for NZCV. N = SF, Z = ZF, V = OF but for the comparisons of FP numbers.
enum class Sense : uint8_t {
    Add,      ///< C = CF
    Sub,      ///< C = !CF
    FCmp,     ///< ucomis a, b
    FCmpRev,  ///< ucomis b, a
};

/// What the allocator knows of one SSA value.
struct Value {
    uint32_t next_use;    ///< next instruction that uses it
    uint32_t last_need;   ///< last instruction that needs it, as an operand or as a guest register to be
                          ///< written back
    Ref home_next;        ///< next value with the same home
    uint8_t reg;          ///< 0..15 GPR, 16..31 xmm, kNone
    uint8_t home;         ///< guest slot whose memory holds the value, kNone
    uint8_t spill;        ///< spill slot that holds it, kNone
    bool live : 1;        ///< must be emitted
    bool flags_live : 1;  ///< a FlagsOf of it is used
    bool folded : 1;      ///< its shift operand became part of it (see analyse.cpp)
};

class BlockEmitter;

/// A jump to be pointed somewhere later: the address just after its rel8 or rel32.
struct Jump {
    uint8_t* end = nullptr;
    bool is_short = false;
};

/// What a cold path may know; copied when it is requested.
struct ColdArgs {
    Ref inst = kNoRef;
    uint8_t reg[6] = {};  ///< register numbers
    uint32_t first = 0;   ///< locations of dirty guest registers, as in a FaultPoint
    uint16_t count = 0;
    uint16_t flag = 0;  ///< for the function's own use
    int64_t imm = 0;
    const uint8_t* resume = nullptr;  ///< where jump_back() goes; set by resume_here()
};
using ColdFn = void (BlockEmitter::*)(const ColdArgs&);

/// Of the instruction of an indirect branch that sample() replaces by a jump.
inline constexpr size_t kIndirectBytes = 5;

class BlockEmitter : public Xbyak::CodeGenerator {
  public:
    using Type = ir::Type;  // not Xbyak's
    BlockEmitter(CodeBuffer& buffer, size_t size);
    Thunks emit_thunks();
    CompiledBlock compile(const ir::Block& block, uint32_t first_site_id, uint32_t counter);
    const uint8_t* emit_region_stub(const RegionStub& stub, const uint8_t* reuse);
    const uint8_t* emit_counted_jump(uint32_t counter, const void* target);
    const uint8_t* emit_sampler(const CompiledBlock& block, uint32_t ring);

  private:
    friend class ScratchGpr;
    friend class ScratchXmm;
    struct TooComplex {};

    // ---- analyse.cpp: one backward pass
    struct Use {
        Ref ref;
        uint32_t after;  ///< next use of ref after this one
    };
    struct Uses {
        Use use[4];
        uint32_t count = 0;
    };
    void analyse();
    void mark_use(uint32_t index, Ref ref);
    /// The value that an I1 expression tests; I1 values are never materialised but tested where they are
    /// used.
    Ref leaf(Ref r) const;
    bool fold_shift(uint32_t index, const Inst& inst);

    // ---- access_groups.cpp
    struct Group {
        int64_t lo, hi;  ///< bytes accessed, relative to the value that the addresses are made from
        bool write;      ///< one of them is a store
        uint32_t accesses;
    };
    static constexpr uint16_t kNoGroup = 0xffff;
    struct Grouped {
        uint16_t group = kNoGroup;
        int32_t at = 0;  ///< where the access begins, as lo
    };
    void group_accesses();
    /// The group's addend is a value like an instruction's result, but that it is dropped, not spilled.
    Ref addend_of(uint16_t group) const { return static_cast<Ref>(block_->insts.size() + group); }
    bool is_addend(Ref r) const { return r != kNoRef && r >= block_->insts.size(); }
    inline static const Inst kGroupInst{.op = Op::Add, .type = Type::I64};

    // ---- emit_block.cpp
    void emit(const Inst& i);
    void finish_instruction();
    bool emit_integer(const Inst& i);
    bool emit_bits(const Inst& i);
    bool emit_memory(const Inst& i);
    bool emit_exit(const Inst& i);
    bool emit_fp(const Inst& i);      ///< false: not done inline
    bool emit_vector(const Inst& i);  ///< false: not done inline
    void emit_reference_call(const Inst& i);
    void call_reference(const Inst& i);

    // ---- registers.cpp: values in registers
    const Inst& inst(Ref r) const { return r < block_->insts.size() ? (*block_)[r] : kGroupInst; }
    static bool is_vec(Type t) { return t == Type::F32 || t == Type::F64 || t == Type::V128; }
    bool is_const(Ref r) const { return inst(r).op == Op::Const; }
    /// Constants, also relative to the page: they occupy a register only while it suits.
    bool rematerialisable(Ref r) const;
    /// Whether r is of no use after this instruction.
    bool dies(Ref r) const { return values_[r].last_need <= cur_; }
    /// Whether the operand is a constant that an instruction of this width takes as a sign-extended
    /// immediate.
    bool imm32(Ref r, Type t, int32_t& value) const;

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
    /// Frees a certain register and keeps it from being allocated within this instruction.
    void reserve(unsigned reg);

    static Xbyak::Reg32e r32e(const Reg& r) {
        return Xbyak::Reg32e(r.getIdx(), static_cast<int>(r.getBit()));
    }
    static Reg sized(const Reg64& r, Type t) {
        if (t == Type::I32) return r.cvt32();
        return r;
    }
    unsigned allocate(bool xmm, uint32_t avoid = 0);
    void assign(unsigned reg, Ref r);
    void release(unsigned reg);
    /// Makes the register free, its value safe in memory if anybody needs it.
    void evict(unsigned reg);
    bool in_memory(Ref r) const { return values_[r].home != kNone || values_[r].spill != kNone; }
    int memory_disp(Ref r) const;
    void load_value(unsigned reg, Ref r);
    uint8_t new_spill(Ref r);
    void spill(Ref r);
    void move_home_to_spill(Ref r);
    void move_imm(const Reg64& r, uint64_t value);
    bool try_take_over(Ref result, Ref from);

    // ---- registers.cpp: guest slots
    static int slot_disp(unsigned slot);
    bool slot_dirty(unsigned s) const { return s == kFlagsSlot ? flags_dirty_ : (dirty_ >> s & 1) != 0; }
    void get_slot(unsigned slot, Ref result);
    void set_slot(unsigned slot, Ref value);
    void add_home(Ref r, unsigned slot);
    /// The slot's memory is about to change: values that live there alone move elsewhere.
    void drop_home(unsigned slot);
    void store_slot(unsigned slot, const SavedLocation& from);
    SavedLocation location_of(unsigned slot) const;
    /// Writes all guest registers back that this instruction or a later one needs in memory. Keeps EFLAGS'
    /// meaning.
    void write_back();
    /// Records where the dirty guest registers are now.
    void snapshot(uint32_t& first, uint16_t& count);
    void write_back(const ColdArgs& args);

    // ---- flags.cpp
    bool flags_needed_after() const;
    bool flags_busy() const { return flags_needed_after() && !in_memory(eflags_); }
    void clobber_flags();
    /// As clobber_flags, where the current instruction may fault: NZCV must be in memory.
    void flags_to_memory();
    void save_eflags();
    void store_eflags(int disp);
    void set_eflags(Ref r, Sense s) { eflags_ = r, sense_ = s; }
    void load_eflags(Ref f);
    void load_eflags_from(const Address& stored);
    /// CF = C of the flags value, or its inverse.
    void load_carry(Ref f, bool inverse);
    /// Emits what it takes to test an I1 value by the returned condition; at most EFLAGS and rax change.
    Cc test_condition(Ref c);
    Cc test_flags(Ref f, unsigned arm_cc);
    void emit_cond_compare(const Inst& i);
    void emit_fcmp(const Inst& i);
    bool prefers_reversed_fcmp() const;

    // ---- emit_integer.cpp
    void emit_add(const Inst& i);
    void emit_sub(const Inst& i);
    void emit_carry(const Inst& i);
    void emit_logic(const Inst& i);
    void emit_logic_not(const Inst& i);
    void emit_mul(const Inst& i);
    void emit_mul_high(const Inst& i);
    void emit_div(const Inst& i);
    void emit_shift(const Inst& i);
    void shift_by(Op op, const Reg& d, const Operand& x, const Reg& count);
    void emit_select(const Inst& i);

    // ---- emit_bits.cpp
    void emit_extend(const Inst& i);
    void emit_rbit(const Inst& i);
    void emit_rev(const Inst& i);
    void emit_rev16(const Inst& i);
    void emit_extr(const Inst& i);
    void emit_bit_insert(const Inst& i);
    void emit_bit_extract(const Inst& i);
    void and_const(const Reg& d, uint64_t mask);
    void emit_crc32(const Inst& i);

    // ---- emit_memory.cpp, emit_atomic.cpp
    static MemoryAccess describe_access(const Inst& i);
    /// What must be done before the operands of an access are fetched: NZCV may not be in EFLAGS any more.
    void prepare_access();
    /// Looks the access at `addr` up in the soft TLB; jumps to the slow path on a miss, else leaves the
    /// addend in rax. `temp` is clobbered. `args` has the operands' registers; see cold_memory(). Returns the
    /// cold path's index.
    size_t check_access(const MemoryAccess& access, const Reg64& addr, const Reg64& temp, ColdArgs args);
    /// The same through the fastmem: what is not mapped faults, see FaultPoint::fastmem_start.
    size_t check_fastmem(const MemoryAccess& access, const Reg64& addr, ColdArgs args);
    struct Checked {
        size_t cold;
        Reg64 addend;  ///< to be added to the address
    };
    /// The same as check_access for an access that may be of a group.
    Checked check_grouped(const MemoryAccess& access, const Reg64& addr, ColdArgs args);
    /// Leaves ZF set if the soft TLB has the page, and the entry's place for load_addend in rax.
    void compare_tag(const MemoryAccess& access, const Reg64& addr, const Reg64& temp, int back, int last,
                     bool write);
    void load_addend(const Reg64& addend, bool unprivileged);
    void access_memory(const Inst& i, const ColdArgs& args, const Xbyak::RegExp& where);
    void slow_memory(const ColdArgs& args);
    void cold_grouped(const ColdArgs& args);
    /// Goes to the slow path of the current instruction if cc holds.
    size_t miss_if(Cc cc, const Reg64& addr, ColdArgs args);
    void look_up_fastmem(const Reg64& addr, bool unprivileged);
    void cold_fastmem(const ColdArgs& args);
    /// `jump` leads to the slow path; none if only a fault does.
    size_t miss(Jump jump, const Reg64& addr, ColdArgs args, ColdFn fn = &BlockEmitter::cold_memory);
    /// The next instruction emitted is the access that the last check_access was for.
    void mark_access() { points_.back().access = static_cast<uint32_t>(here() - entry_); }
    bool has_second() const;
    void emit_load(const Inst& i);
    void emit_load_vector(const Inst& i);
    void emit_store(const Inst& i);
    void emit_store_vector(const Inst& i);
    void emit_load_exclusive(const Inst& i);
    void emit_store_exclusive(const Inst& i);
    void emit_rmw(const Inst& i);
    void emit_cas(const Inst& i);
    void emit_zero_block(const Inst& i);
    void emit_check_stack(const Inst& i);
    void cold_memory(const ColdArgs& args);
    void load_sized(const Reg64& dst, const Xbyak::RegExp& from, unsigned log2, bool sign, Type t);
    void load_vector_sized(const Xmm& dst, const Xbyak::RegExp& from, unsigned log2);
    void store_sized(const Xbyak::RegExp& to, const Reg64& src, unsigned log2);
    void store_vector_sized(const Xbyak::RegExp& to, const Xmm& src, unsigned log2);
    static Reg sized_log2(const Reg64& r, unsigned log2);
    Address memory_log2(const Xbyak::RegExp& where, unsigned log2) const;
    void zero_extend(const Reg64& dst, const Reg64& src, unsigned log2);
    void lock_if_shared() {
        if (!serial_) lock();
    }

    // ---- emit_exits.cpp
    void emit_exit_if(const Inst& i);
    void emit_direct_exit(int64_t target);
    void emit_indirect_exit(const Inst& i);
    void emit_runtime_exit(const Inst& i);
    void emit_call(const Inst& i);
    uint32_t new_site(int64_t target, bool cross_page);
    bool only_exit_follows() const;
    bool is_backward(int64_t target) const;
    static bool is_cross_page(int64_t target) { return target < 0 || target >= 4096; }
    void cold_side_exit(const ColdArgs& args);
    void cold_site_stub(const ColdArgs& args);
    void cold_interrupted(const ColdArgs& args);
    void emit_counter(uint32_t counter);
    void cold_promote(const ColdArgs& args);
    void cold_indirect(const ColdArgs& args);

    // ---- simd.cpp: what the floating point and vector emitters share
    /// Sixteen bytes of read-only data at the start of the code buffer; equal ones are stored once.
    Address constant(uint64_t low, uint64_t high);
    Address constant(uint64_t both) { return constant(both, both); }
    bool fp_slow() const { return (block_->translation_flags & translation_flag::kFpSlow) != 0; }
    /// Whether the upper half of a vector is known to be zero.
    bool upper_is_zero(Ref r) const;
    /// Jumps to a cold path that knows the registers of the result and of all operands. They must have been
    /// fetched by use() or use_xmm(), and the result may not have taken the place of an operand.
    size_t cold_if(Cc cc, ColdFn fn = &BlockEmitter::cold_reference, uint16_t flag = 0);
    /// The operation again, by its reference function.
    void cold_reference(const ColdArgs& args);
    /// The same unless the result is zero or subnormal, see check_scalar().
    void cold_unless_subnormal(const ColdArgs& args);
    /// Sets FPSR.QC.
    void cold_saturated(const ColdArgs& args);
    /// Goes on with the next cold path: for several jumps to one.
    void cold_join(const ColdArgs&) {}

    // ---- emit_fp*.cpp, emit_vector*.cpp: false: not done inline
    bool emit_fp_convert(const Inst& i);
    bool emit_vector_logic(const Inst& i);
    bool emit_vector_arithmetic(const Inst& i);
    bool emit_vector_compare(const Inst& i);
    bool emit_vector_shift(const Inst& i);
    bool emit_vector_saturate(const Inst& i);
    bool emit_vector_widen(const Inst& i);
    bool emit_vector_reduce(const Inst& i);
    bool emit_vector_permute(const Inst& i);
    bool emit_vector_lanes(const Inst& i);
    bool emit_vector_fp(const Inst& i);
    bool emit_vector_convert(const Inst& i);
    bool emit_vector_crypto(const Inst& i);

    using Vex3 = void (CodeGenerator::*)(const Xmm&, const Xmm&, const Operand&);
    using VexFp3 = void (CodeGenerator::*)(const Xmm&, const Operand&, const Operand&);
    using VexShift = void (CodeGenerator::*)(const Xmm&, const Operand&, uint8_t);
    /// One instruction d = a op b that raises no flags.
    void emit_vex(const Inst& i, Vex3 op);
    /// What can go wrong with a result: it is a NaN, or it is tiny (the smallest normal number, inexact).
    enum class FpRisk : uint8_t { Nan, NanOrTiny };
    void check_scalar(const Xmm& d, bool is_double, FpRisk risk);
    void emit_fp_binary(const Inst& i, VexFp3 single, VexFp3 dbl, FpRisk risk);
    void emit_fp_extremum(const Inst& i, bool maximum);
    void emit_fmuladd(const Inst& i);
    void emit_fp_sign(const Inst& i);
    void emit_frecpstep(const Inst& i);
    void emit_frint(const Inst& i);
    /// x rounded to an integral value as FRINT* does, without signalling Inexact; xmm15 is clobbered. For
    /// TieAway, which jumps to a cold path for large numbers and NaNs, `t` is clobbered too.
    void round_scalar(const Xmm& d, const Xmm& x, bool is_double, ir::RoundMode mode, const Xmm& t);
    void emit_fcondcompare(const Inst& i);
    void emit_f_to_int(const Inst& i);
    void emit_int_to_f(const Inst& i);
    void cold_large_unsigned(const ColdArgs& args);

    size_t check_infinite(const Xmm& a, const Xmm& b, bool is_double, const Xmm& t);
    void check_vector(const Xmm& d, bool is_double, FpRisk risk, const Xmm& t);
    /// The operand, its upper half cleared into `t` if it must not raise flags.
    Xmm quiet_upper(const Inst& i, unsigned arg, const Xmm& t);
    void emit_vfp_binary(const Inst& i, VexFp3 single, VexFp3 dbl, FpRisk risk);
    void emit_vfp_compare(const Inst& i, uint8_t predicate);
    void emit_vfp_extremum(const Inst& i, bool maximum);
    void emit_vfp_pairwise_extremum(const Inst& i, bool maximum);
    void emit_vfp_extremum_across(const Inst& i, bool maximum);
    void extremum(const Xmm& d, const Xmm& a, const Xmm& b, bool is_double, bool maximum);
    void emit_vfmuladd(const Inst& i);
    bool emit_vf_to_int(const Inst& i);
    bool emit_vint_to_f(const Inst& i);

    void emit_vmul(const Inst& i);
    void emit_vhalving(const Inst& i);
    void emit_vcompare(const Inst& i);
    void shift_right(const Xmm& d, const Xmm& a, unsigned esize, unsigned count, bool is_signed);
    void shift_left(const Xmm& d, const Xmm& a, unsigned esize, unsigned count);
    void emit_vshift_insert(const Inst& i);
    bool emit_vshift_by_register(const Inst& i);
    void jump_if_saturated(const Inst& i, const Xmm& equal);
    bool emit_vqadd(const Inst& i);
    void emit_vqnarrow(const Inst& i);
    void emit_vmull(const Inst& i);
    void add_long_pairs(const Xmm& d, const Xmm& a, unsigned esize, bool is_signed, const Xmm& t);
    bool emit_vpairwise(const Inst& i);
    bool emit_vacross(const Inst& i);
    void emit_vextract(const Inst& i);
    void emit_vinsert_lane(const Inst& i);
    void emit_aes(const Inst& i);
    void emit_sha1_hash(const Inst& i);
    void emit_sha256_hash(const Inst& i);

    // ---- emission helpers
    static Xbyak::RegExp at(int disp) { return Xbyak::util::rbp + disp; }
    static int field(size_t offset) { return static_cast<int>(offset) - jit::kStateBias; }
    uint8_t* here() const { return const_cast<uint8_t*>(getCurr()); }
    Jump jump_if(Cc cc, bool is_short);
    Jump jump_always(bool is_short);
    void land(Jump j) { point(j, here()); }
    static void point(Jump j, const uint8_t* target);
    void jump_to(const uint8_t* target);
    void jump_to_if(Cc cc, const uint8_t* target);
    void call_thunk(const uint8_t* target);
    /// nops such that a 4-byte field `offset` bytes ahead lies within an aligned quadword.
    void align_field(unsigned offset);
    void set_if(Cc cc, const Xbyak::Reg8& r);
    void move_if(Cc cc, const Reg& dst, const Operand& src);
    /// jcc to a cold path; returns its index for cold_[].
    size_t jump_cold(Cc cc, ColdFn fn, const ColdArgs& args = {});
    size_t add_cold(Jump j, ColdFn fn, const ColdArgs& args);
    void resume_here(size_t cold);
    void jump_back(const ColdArgs& args) { jump_to(args.resume); }
    void load_target(int64_t target);

    struct Cold {
        Jump jump;
        ColdFn fn;
        ColdArgs args;
    };

    CodeBuffer& buffer_;
    static constexpr unsigned kConstants = 1024;
    std::map<std::pair<uint64_t, uint64_t>, unsigned> constants_;
    const Thunks* thunks_ = nullptr;
    const ir::Block* block_ = nullptr;
    uint32_t cur_ = 0;
    uint32_t first_site_ = 0;
    uint32_t block_offset_ = 0;  ///< of the first instruction in its page
    uint32_t insn_offset_ = 0;
    bool serial_ = false;
    bool fastmem_ = false;

    std::vector<Group> groups_;
    std::vector<Grouped> grouped_;  ///< by instruction
    std::vector<Value> values_;     ///< by instruction, then by group
    std::vector<Uses> uses_;
    std::array<Ref, 32> owner_;  ///< by register number
    uint32_t pinned_ = 0;        ///< registers not to be taken within this instruction
    uint64_t spills_used_ = 0, spills_v_used_ = 0;
    std::array<Ref, jit::kSpillSlots> spill_owner_;
    std::array<Ref, jit::kSpillVSlots> spill_v_owner_;

    // Guest slots. Invariants: a dirty slot's value is in a register or rematerialisable (NZCV: in EFLAGS or
    // a spill slot), and no value has a dirty slot as its home.
    std::array<Ref, kSlots> slot_;           ///< value of a dirty slot
    std::array<Ref, kSlots> home_head_;      ///< values that the slot's memory holds
    std::array<uint32_t, kSlots> observed_;  ///< last instruction that may need a dirty slot in memory
    uint64_t dirty_ = 0;
    bool flags_dirty_ = false;

    Ref eflags_ = kNoRef;  ///< the flags value that EFLAGS hold
    Sense sense_ = Sense::Add;
    bool raw_flags_ = false;  ///< EFLAGS hold an intermediate result of the current instruction

    std::vector<Cold> cold_;
    std::vector<ExitSite> exits_;
    uint8_t* indirect_ = nullptr;  ///< as in CompiledBlock
    uint8_t indirect_register_ = 0;
    std::vector<FaultPoint> points_;
    std::vector<SavedLocation> locations_;
    const uint8_t* entry_ = nullptr;
    const uint8_t* cold_start_ = nullptr;

    std::array<Address, 3> mem_operand_;
    std::array<Reg, 3> reg_operand_;
    unsigned operand_count_ = 0;
};

/// A general register for the rest of the instruction or the scope, whichever ends first.
class ScratchGpr : public Reg64 {
  public:
    explicit ScratchGpr(BlockEmitter& e) : Reg64(static_cast<int>(e.allocate(false))), e_(e) {}
    ~ScratchGpr() { e_.pinned_ &= ~(1u << getIdx()); }
    ScratchGpr(const ScratchGpr&) = delete;
    ScratchGpr& operator=(const ScratchGpr&) = delete;

  private:
    BlockEmitter& e_;
};

/// The same for xmm registers.
class ScratchXmm : public Xmm {
  public:
    explicit ScratchXmm(BlockEmitter& e) : Xmm(static_cast<int>(e.allocate(true)) - 16), e_(e) {}
    ~ScratchXmm() { e_.pinned_ &= ~(1u << (getIdx() + 16)); }
    ScratchXmm(const ScratchXmm&) = delete;
    ScratchXmm& operator=(const ScratchXmm&) = delete;

  private:
    BlockEmitter& e_;
};

}  // namespace arclight::backend

/// The code cache's two halves are filled upwards: hot paths in the first, cold stubs in the second.
struct arclight::jit::CodeBuffer::Assembler {
    size_t hot = 0, cold = 0;  ///< next free byte of each half, as offsets from base()
    size_t first_hot = 0;      ///< behind the thunks
    backend::BlockEmitter emitter;
};
