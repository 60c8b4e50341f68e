// Arclight's intermediate representation: typed SSA for one translation block.
//
// A block is a straight line with one entry and several exits (ExitIf leaves in the middle), so SSA needs no
// phis. A superblock is a tree of such lines (SidePath), and needs none either. An instruction is its own result;
// operands are indices of earlier instructions.
//
// Integer typing rule. Every integer value is 64 bits wide. An I32 operation reads the low 32 bits of its
// integer operands and its result is zero-extended. So an I64 value may stand as an operand of an I32
// operation (truncation) and the other way round (zero extension) with no conversion: exactly how A64 W
// registers and x86 32-bit instructions behave. Floating point: an F32/F64 value has undefined bits above its
// width. A V128 may stand where an fp operand is asked for (its lane 0); the other direction needs
// VZext32/VZext64, except in SetV, which zero-extends.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace arclight::jit::ir {

enum class Type : uint8_t { Void, I1, I32, I64, F32, F64, V128, Flags };

enum class Op : uint16_t {
#define OP(name, result, args, effects) name,
#include "jit/ir/opcodes.inc"
#undef OP
    Count
};

using Ref = uint32_t;  ///< index into Block::insts
inline constexpr Ref kNoRef = ~Ref{0};

struct Inst {
    Op op;
    Type type;
    uint8_t nargs = 0;
    uint32_t aux = 0;
    Ref args[3] = {kNoRef, kNoRef, kNoRef};
    uint64_t imm = 0;
};
static_assert(sizeof(Inst) == 32);

// ---- aux encodings
/// CheckZero's, where it is no number of a key: the value is not 0 where scalable instructions trap.
inline constexpr uint32_t kCheckScalableTrap = 8;
// MemAux: bits 3:0 log2 bytes of one unit, then flags.
inline constexpr uint32_t kMemSizeMask = 0xf;
inline constexpr uint32_t kMemSigned = 1u << 4;
inline constexpr uint32_t kMemAcquire = 1u << 5;
inline constexpr uint32_t kMemRelease = 1u << 6;
inline constexpr uint32_t kMemUnprivileged = 1u << 7;  ///< LDTR/STTR executed at EL1
inline constexpr uint32_t kMemAligned =
    1u << 8;  ///< must be aligned to the whole access, else an alignment fault
/// The address is SP plus mem_sp_offset() modulo 16, and SP must be 16-byte aligned, else a stack alignment
/// fault. For plain accesses without kMemAligned; others come after a CheckStack.
inline constexpr uint32_t kMemSpBase = 1u << 9;
inline constexpr unsigned kMemSpOffsetShift = 10;  ///< 4 bits
constexpr unsigned mem_sp_offset(uint32_t aux) { return aux >> kMemSpOffsetShift & 15; }
inline constexpr uint32_t kMemDevice = 1u << 14;  ///< a device was found there: no use trying RAM first
inline constexpr uint32_t kMemTagged =
    1u << 15;  ///< an address with a tag (GuestState::address_tag) was found there
/// LoadPair and StorePair of units of 8 bytes: one access for other CPUs where it is aligned to 16 bytes.
inline constexpr uint32_t kMemWhole = 1u << 16;
/// The address's tag is not compared with that of memory (MTE). For slow paths: emitted code compares none.
inline constexpr uint32_t kMemUnchecked = 1u << 17;
/// In a superblock: neither it nor what is near it shares a look-up of the soft TLB with others. Not for slow paths.
inline constexpr uint32_t kMemAlone = 1u << 18;
constexpr unsigned mem_size_log2(uint32_t aux) { return aux & kMemSizeMask; }
/// Loads and stores that are neither exclusive nor atomic. Inst::imm of one may predict where its address
/// falls (jit/engine/predict.h).
constexpr bool is_plain_access(Op op) {
    switch (op) {
        case Op::Load:
        case Op::LoadPair:
        case Op::LoadV:
        case Op::LoadPairV:
        case Op::Store:
        case Op::StorePair:
        case Op::StoreV:
        case Op::StorePairV: return true;
        default: return false;
    }
}

enum class AtomicKind : uint64_t { Add, Clear, Xor, Set, MaxS, MinS, MaxU, MinU, Swap };
enum class FenceKind : uint64_t { Load, Store, Full, Instruction };
/// Barrier: what follows is fetched anew, so interrupts are looked for before it (ISB).
enum class BranchKind : uint32_t { Jump, Call, Return, Barrier };
/// EnterPage's aux: the superblock has been in the page before.
inline constexpr uint32_t kEnterKnown = 16;
/// Pages of a superblock.
inline constexpr unsigned kMaxPages = 16;
/// FRINT and FCVT rounding. Current is FPCR.RMode; Exact also signals inexact (FRINTX).
enum class RoundMode : uint32_t { TieEven, Up, Down, Zero, TieAway, Current, Exact, Odd };

// CallAux
inline constexpr uint32_t kCallMayRaise = 1u << 0;  ///< may set exit_request, which is checked after the call
inline constexpr uint32_t kCallReadsState = 1u << 1;   ///< registers are written back before the call
inline constexpr uint32_t kCallWritesState = 1u << 2;  ///< cached registers are dropped after the call
inline constexpr uint32_t kCallEndsBlock =
    1u << 3;  ///< the helper set state.pc and a reason: leave after it, always
inline constexpr uint32_t kCallSystem = kCallMayRaise | kCallReadsState | kCallWritesState;
/// The helper does integer arithmetic only and does not look at the guest's floating-point environment, which
/// stays loaded meanwhile (jit/host_fp.h).
inline constexpr uint32_t kCallInteger = 1u << 4;
/// Called only if the 4 bytes of GuestState at `field` are not 0: no arguments, no result.
constexpr uint32_t call_if(size_t field) { return static_cast<uint32_t>(field) << 16; }
constexpr uint32_t call_condition(uint32_t aux) { return aux >> 16; }

// VecAux
constexpr uint32_t vec_aux(unsigned esize, bool q = true) { return esize | (q ? 16u : 0u); }
constexpr unsigned vec_esize(uint32_t aux) { return aux & 3; }
constexpr bool vec_q(uint32_t aux) { return (aux & 16) != 0; }
/// Without q, of floating-point operations on halves: only lane 0 takes part, what is above it in the result is zero.
inline constexpr uint32_t kVecScalar = 32;
constexpr bool vec_scalar(uint32_t aux) { return (aux & kVecScalar) != 0; }

// ---- opcode properties
struct OpInfo {
    const char* name;
    const char* result;
    const char* args;
    char effects;  ///< P, Q, S, M or X; see opcodes.inc
};
const OpInfo& info(Op op);

/// Of a superblock: instructions that are executed where a conditional exit is taken, which does not leave then. Their operands are
/// their own or those of the instructions before the exit.
struct SidePath {
    Ref exit;   ///< the ExitIf, on a path that begins before this one
    Ref begin;  ///< up to where the next one begins, or the end
};

struct Block {
    std::vector<Inst> insts;
    std::vector<SidePath> sides;     ///< behind the line that is entered, by `begin`
    uint64_t pa = 0;                 ///< physical address of the first instruction
    uint32_t translation_flags = 0;  ///< translation flags (part of the key)
    uint32_t guest_bytes = 0;        ///< length of the guest code covered
    uint32_t guest_insns = 0;
    bool superblock = false;  ///< of several blocks, one behind the other (jit/engine/superblocks.h)

    void clear() { insts.clear(), sides.clear(), guest_bytes = guest_insns = 0, superblock = false; }
    const Inst& operator[](Ref r) const { return insts[r]; }
};

/// A value as another one plus a constant, by way of sums and differences with small constants.
struct Displaced {
    Ref root;
    int64_t by;
};
Displaced displaced(const Block& block, Ref r);

/// One line an instruction, values as %n.
std::string print(const Block& block);
/// Empty when the block is well formed, else what is wrong and where.
std::string verify(const Block& block);

// ---- Builder
/// Appends instructions, folds constants and forwards guest registers: GetX after SetX yields the value,
/// repeated GetX yields the first one.
class Builder {
  public:
    explicit Builder(Block& block) : block_(block) { reset(); }
    void reset();

    Ref emit(Op op, Type type, std::initializer_list<Ref> args = {}, uint64_t imm = 0, uint32_t aux = 0);

    // Constants and integer arithmetic; `t` is I32 or I64.
    Ref i64(uint64_t v) { return constant(Type::I64, v); }
    Ref i32(uint32_t v) { return constant(Type::I32, v); }
    Ref constant(Type t, uint64_t v);
    Ref bin(Op op, Type t, Ref a, Ref b);
    Ref un(Op op, Type t, Ref a) { return emit(op, t, {a}); }
    Ref add(Type t, Ref a, Ref b) { return bin(Op::Add, t, a, b); }
    Ref sub(Type t, Ref a, Ref b) { return bin(Op::Sub, t, a, b); }
    Ref select(Type t, Ref c, Ref a, Ref b) { return emit(Op::Select, t, {c, a, b}); }
    bool is_const(Ref r) const { return block_[r].op == Op::Const; }
    uint64_t const_value(Ref r) const { return block_[r].imm; }

    // Guest registers (index 31 of get_x/set_x is the stack pointer; XZR is the frontend's business).
    Ref get_x(unsigned index);
    void set_x(unsigned index, Ref value);
    Ref get_flags();
    void set_flags(Ref flags);
    /// FlagsOf must follow its operation immediately; call this right after bin(). Never folded away when v
    /// is a constant: `raw` emission is used by add_with_flags and friends.
    Ref flags_of(Ref v) { return emit(Op::FlagsOf, Type::Flags, {v}); }
    Ref bin_raw(Op op, Type t, Ref a, Ref b) { return emit(op, t, {a, b}); }
    Ref cond(unsigned cc) { return emit(Op::Cond, Type::I1, {get_flags()}, cc); }
    Ref get_v(Type t, unsigned index);
    void set_v(unsigned index, Ref value);
    Ref load_field(Type t, size_t offset) { return emit(Op::LoadField, t, {}, offset); }
    void store_field(Ref v, size_t offset, unsigned bytes) {
        emit(Op::StoreField, Type::Void, {v}, offset, bytes);
    }

    /// Marks the start of a guest instruction at `offset` in its page.
    void insn_start(uint32_t offset, uint32_t encoding);
    /// A C++ helper; forgets cached registers when aux says that it writes state.
    Ref call(Type result, uint64_t id, std::initializer_list<Ref> args, uint32_t aux);

    /// Scalable or ScalableAccess (scalable.h): `first` and `second` are the call's arguments, `scalar` is what the operation has of
    /// its own.
    void scalable(Op op, uint64_t operation, Ref first, Ref second, Ref scalar, uint32_t aux);
    /// Vector registers have changed without SetV.
    void forget_vectors();

    /// Guest registers that are known to hold addresses relative to the block's page are written once more, relative to the
    /// page that is `delta` bytes further on, which an EnterPage has just made the block's.
    void rebase_addresses(int64_t delta);

    /// The values that guest registers are known to have; kNoRef: not known.
    struct Registers {
        Ref x[32], v[32], flags;
    };
    const Registers& registers() const { return known_; }
    /// What follows is executed where they have these.
    void set_registers(const Registers& known) { known_ = known; }

    Block& block() { return block_; }

  private:
    Ref fold(Op op, Type t, Ref a, Ref b);
    Block& block_;
    Registers known_;
};

}  // namespace arclight::jit::ir
