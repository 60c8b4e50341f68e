#include "tests/jit/reference/vixl_oracle.h"

#include <aarch64/simulator-aarch64.h>

#include <cstring>

namespace arclight::tests {

namespace va = vixl::aarch64;

struct VixlOracle::Machine {
    va::Decoder decoder;
    va::Simulator simulator{&decoder};
};

VixlOracle::VixlOracle() : machine_(std::make_unique<Machine>()) {}
VixlOracle::~VixlOracle() = default;

RunnerResult VixlOracle::run(const Form& form, const RunnerCase& test) {
    va::Simulator& sim = machine_->simulator;
    const uint32_t code[] = {form.encoding, 0xd65f03c0};  // ret
    for (unsigned i = 0; i < 4; ++i) {
        va::Simulator::qreg_t q;
        std::memcpy(q.val, test.v[i], 16);
        sim.WriteQRegister(i, q);
    }
    sim.WriteXRegister(0, 0);
    sim.WriteXRegister(1, static_cast<int64_t>(test.x[0]));
    sim.WriteXRegister(2, static_cast<int64_t>(test.x[1]));
    sim.ReadFpcr().SetRawValue(test.fpcr);
    sim.ReadNzcv().SetRawValue(static_cast<uint32_t>(test.x[0] << 30));
    sim.RunFrom(reinterpret_cast<const va::Instruction*>(code));
    RunnerResult result{};
    const va::Simulator::qreg_t q = sim.ReadQRegister(0);
    std::memcpy(result.v0, q.val, 16);
    // VIXL 5.1 forgets that SCVTF, UCVTF and FCVTN clear the upper half of a destination that they fill half.
    const jit::ir::Op op = form.inst.op;
    const bool converts = op == jit::ir::Op::VSIntToF || op == jit::ir::Op::VUIntToF;
    if (op == jit::ir::Op::VFCvtN || (converts && !jit::ir::vec_q(form.inst.aux))) result.v0[1] = 0;
    if (converts && jit::ir::vec_scalar(form.inst.aux)) result.v0[0] &= 0xffff;
    result.x0 = static_cast<uint64_t>(sim.ReadXRegister(0));
    result.nzcv = sim.ReadNzcv().GetRawValue() & 0xf0000000;
    return mask_result(form, result);
}

}  // namespace arclight::tests
