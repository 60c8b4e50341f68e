#include "frontend/a64/system/fp_control.h"

#include "jit/host_fp.h"

namespace arclight::frontend::a64 {

namespace host_fp = jit::host_fp;

void reset_fp(jit::GuestState& state) {
    state.fpcr = state.fpsr = 0;
    host_fp::reset(state);
}

uint32_t read_fpsr(const jit::GuestState& state) {
    return (state.fpsr | host_fp::exceptions(state)) & kFpsrMask;
}

void write_fpsr(jit::GuestState& state, uint32_t value) {
    state.fpsr = value & kFpsrMask;
    host_fp::set_exceptions(state, 0);
}

void write_fpcr(jit::GuestState& state, uint32_t value) {
    state.fpcr = value & kFpcrMask;
    host_fp::set_rounding(state, static_cast<jit::softfloat::Rounding>(value >> 22 & 3));
}

}  // namespace arclight::frontend::a64
