#include "tests/frontend/a64/ir_interpreter.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "jit/ir/interpreter.h"
#include "jit/memory_semantics.h"

namespace arclight::frontend::a64 {

using namespace jit::ir;

namespace {

constexpr Op kSupported[] = {
    Op::Const,       Op::Add,           Op::Sub,           Op::And,         Op::Or,
    Op::Xor,         Op::AndNot,        Op::OrNot,         Op::XorNot,      Op::Mul,
    Op::UMulHigh,    Op::SMulHigh,      Op::UDiv,          Op::SDiv,        Op::Shl,
    Op::Shr,         Op::Sar,           Op::Ror,           Op::SExt8,       Op::SExt16,
    Op::SExt32,      Op::ZExt8,         Op::ZExt16,        Op::ZExt32,      Op::Clz,
    Op::Cls,         Op::Rbit,          Op::Rev,           Op::Rev16,       Op::Rev32,
    Op::Extr,        Op::BitInsert,     Op::BitExtractU,   Op::BitExtractS, Op::Crc32,
    Op::Select,      Op::BoolToInt,     Op::IsZero,        Op::IsNotZero,   Op::TestBit,
    Op::Not1,        Op::Adc,           Op::Sbc,           Op::FlagsOf,     Op::Cond,
    Op::CondCompare, Op::FlagsFromNzcv, Op::NzcvFromFlags, Op::GetX,        Op::SetX,
    Op::GetFlags,    Op::SetFlags,      Op::GetV,          Op::SetV,        Op::PcRel,
    Op::Load,        Op::Store,         Op::LoadV,         Op::StoreV,      Op::LoadPair,
    Op::LoadPairV,   Op::PairSecond,    Op::StorePair,     Op::StorePairV,  Op::LoadEx,
    Op::LoadExPair,  Op::StoreEx,       Op::StoreExPair,   Op::AtomicRmw,   Op::Cas,
    Op::Fence,       Op::InsnStart,     Op::ExitIf,        Op::Exit,        Op::ExitIndirect,
    Op::VDup,        Op::VCnt,          Op::VAddV,         Op::VExtractU,
};

/// Guest addresses are host addresses, and nothing faults.
class HostMemory : public InterpreterMemory {
  public:
    bool access(jit::GuestState& state, const jit::MemoryAccess& access) override {
        jit::perform_access(state, access, reinterpret_cast<uint8_t*>(state.access_addr));
        return true;
    }
};

}  // namespace

bool unsupported(const Block& block) {
    return std::ranges::any_of(block.insts, [](const Inst& i) {
        return std::ranges::find(kSupported, i.op) == std::end(kSupported);
    });
}

void interpret(const Block& block, MachineState& state) {
    const auto guest = std::make_unique<jit::GuestState>();
    std::copy_n(state.x.begin(), 31, guest->x);
    guest->sp = state.x[31];
    std::ranges::copy(state.v, guest->v);
    guest->flags = jit::flags_from_nzcv(state.nzcv);
    guest->page_base = state.pc & jit::kPageMask;
    guest->exclusive_addr = jit::kNoExclusive;
    HostMemory memory;
    Interpreter(*guest, memory).run(block);
    std::copy_n(guest->x, 31, state.x.begin());
    state.x[31] = guest->sp;
    std::ranges::copy(guest->v, state.v.begin());
    state.nzcv = jit::nzcv_from_flags(guest->flags);
    state.pc = guest->pc;
}

}  // namespace arclight::frontend::a64
