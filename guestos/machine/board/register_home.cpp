#include "guestos/machine/board/register_home.h"

namespace arclight::guestos {

Result<void> check_registers(const RunOptions& options, bool host_has_them) {
    if (options.registers == RegisterHome::Memory) return {};
    if (options.jit != JitTier::Tier1)
        return failure("--registers simd: the other tiers have guest registers elsewhere: --jit tier1");
    if (options.accel == Accel::Kvm)
        return failure("--registers simd is for translated code in this process: --accel process");
    if (!host_has_them) return failure("--registers simd: this host has no AVX-512 (AVX512F and AVX512VL)");
    return {};
}

}  // namespace arclight::guestos
