// Shared by the instruction handlers: registers, block exits, calls of helpers, memory accesses.
#pragma once

#include <cstddef>

#include "frontend/a64/translate/translation_context.h"

namespace arclight::frontend::a64::translate {

using ir::Op;
using ir::Ref;
using ir::Type;

/// Which of two numbers: the condition, after their comparison, for the first.
enum class Pick : uint32_t { GreaterS = 12, GreaterU = 8, LessS = 11, LessU = 3 };

constexpr Type int_type(bool sf) { return sf ? Type::I64 : Type::I32; }
constexpr unsigned int_width(bool sf) { return sf ? 64 : 32; }

// ---- registers
/// Register 31 reads as zero.
inline Ref x(TranslationContext& t, Reg r) { return index(r) == 31 ? t.ir.i64(0) : t.ir.get_x(index(r)); }
/// Register 31 is the stack pointer.
inline Ref xsp(TranslationContext& t, Reg r) { return t.ir.get_x(index(r)); }
/// A write to register 31 is discarded. An I32 value zero-extends.
inline void set_x(TranslationContext& t, Reg r, Ref v) {
    if (index(r) != 31) t.ir.set_x(index(r), v);
}
inline void set_xsp(TranslationContext& t, Reg r, Ref v) { t.ir.set_x(index(r), v); }
/// `v` cut to the width of `type`.
Ref truncate(TranslationContext& t, Type type, Ref v);

// ---- leaving the block
/// Reserved or unallocated: the Undefined Instruction exception. False, for `return undefined(t)`.
bool undefined(TranslationContext& t);
/// Ends the block with an exception or other event at this instruction. False.
bool raise(TranslationContext& t, jit::ExitReason reason, uint32_t info = 0);
/// Ends the block with a jump to `target`, relative to the page. False.
/// The kind is a hint in Exit's aux, for return prediction.
bool exit_to(TranslationContext& t, int64_t target, ir::BranchKind kind = ir::BranchKind::Jump);
/// Ends the block before the next instruction. False.
inline bool exit_to_next(TranslationContext& t) { return exit_to(t, int64_t{t.offset} + 4); }
/// Leaves to `target` if `condition` holds, else goes on. True.
bool exit_if(TranslationContext& t, Ref condition, int64_t target);
/// False, with the trap to the kernel emitted, when FP and SIMD are disabled at this exception level
/// (CPACR_EL1.FPEN). First in every FP and SIMD handler: `if (!check_fp_enabled(t)) return false;`
bool check_fp_enabled(TranslationContext& t);

// ---- helpers in C++
inline Ref call(TranslationContext& t, Helper helper, std::initializer_list<Ref> args,
                Type result = Type::Void) {
    return t.ir.call(result, static_cast<uint64_t>(helper), args, helper_aux(helper));
}

// ---- memory
/// MemAux of a plain access of 1 << size bytes at `base` + `offset`, with the alignment checks that the
/// translation flags ask for. May emit the one of SP, so it comes before the access.
uint32_t mem_aux(TranslationContext& t, unsigned size, Reg base, uint64_t offset, uint32_t flags);
/// The same without a check of SP: the base is another register, or check_sp() came before.
uint32_t mem_aux(const TranslationContext& t, unsigned size, uint32_t flags = 0);
/// ir::kMemUnchecked, if the address is that of an instruction whose form is not checked for tags (D9.6: relative to PC, or to SP
/// with an immediate offset and no writeback), on a CPU that has any.
uint32_t unchecked_if(const TranslationContext& t, bool form);
inline uint32_t unchecked_at_sp(const TranslationContext& t, Reg base) {
    return unchecked_if(t, index(base) == 31);
}
/// AArch64.CheckSPAlignment (D1.3.8.2), if `base` is SP and the translation flags ask for it.
void check_sp(TranslationContext& t, Reg base);
inline Ref load(TranslationContext& t, Type type, Ref address, uint32_t aux) {
    return t.ir.emit(Op::Load, type, {address}, 0, aux);
}
inline void store(TranslationContext& t, Ref address, Ref value, uint32_t aux) {
    t.ir.emit(Op::Store, Type::Void, {address, value}, 0, aux);
}
inline Ref load_v(TranslationContext& t, Ref address, uint32_t aux) {
    return t.ir.emit(Op::LoadV, Type::V128, {address}, 0, aux);
}
inline void store_v(TranslationContext& t, Ref address, Ref value, uint32_t aux) {
    t.ir.emit(Op::StoreV, Type::Void, {address, value}, 0, aux);
}
// Around accesses that have no kMemAcquire or kMemRelease: those of pairs and of vectors. A store-release is followed by a barrier, for
// load-acquires behind it.
inline void fence(TranslationContext& t, ir::FenceKind kind) {
    t.ir.emit(Op::Fence, Type::Void, {}, static_cast<uint64_t>(kind));
}
inline void acquire(TranslationContext& t) { fence(t, ir::FenceKind::Load); }
inline void begin_release(TranslationContext& t) {
    fence(t, ir::FenceKind::Load);
    fence(t, ir::FenceKind::Store);
}
inline void end_release(TranslationContext& t) { fence(t, ir::FenceKind::Full); }

struct Pair {
    Ref first, second;
};
Pair load_pair(TranslationContext& t, Type type, Ref address, uint32_t aux);
void store_pair(TranslationContext& t, Ref address, Pair values, uint32_t aux);
Pair load_pair_v(TranslationContext& t, Ref address, uint32_t aux);
void store_pair_v(TranslationContext& t, Ref address, Pair values, uint32_t aux);

/// address + offset
inline Ref offset_by(TranslationContext& t, Ref address, int64_t offset) {
    return t.ir.add(Type::I64, address, t.ir.i64(static_cast<uint64_t>(offset)));
}

/// Rd = the one of `a` and `b` that is asked for.
bool min_max(TranslationContext& t, Pick pick, Type type, Ref a, Ref b, Reg d);

/// Rm extended and shifted (ExtendReg, ARM ARM J1); `option` is the field of the instruction, shift 0..4.
Ref extend(TranslationContext& t, Type type, Reg m, unsigned option, unsigned shift);

}  // namespace arclight::frontend::a64::translate
