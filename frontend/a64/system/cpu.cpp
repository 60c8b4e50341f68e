#include "frontend/a64/system/cpu.h"

#include <cstring>

#include "frontend/a64/system/exceptions.h"
#include "frontend/a64/system/fp_control.h"
#include "frontend/a64/system/pointer_auth.h"
#include "frontend/a64/system/translation_flags.h"

namespace arclight::frontend::a64 {

Cpu::Cpu(jit::GuestState& state, Environment& environment, const mmu::GuestMemory& memory,
         const CpuConfig& config)
    : state(state),
      environment(environment),
      memory(memory),
      config(config),
      spsr_of_features(spsr_of(config.features)) {
    translation.options = {.granule_16k = config.features.has(Feature::Granule16),
                           .granule_64k = config.features.has(Feature::Granule64),
                           .small_tables = config.features.has(Feature::Ttst),
                           .tags = config.features.has(Feature::Mte),
                           .lva = config.features.has(Feature::Lva),
                           .lpa = config.features.has(Feature::Lpa),
                           .lpa2 = config.features.has(Feature::Lpa2)};
}

void Cpu::reset(uint64_t pc) {
    el = 1;
    sp_elx = true;
    pan = il = ss = uao = guarded_pages = pac_used = false;
    btype = 0;
    registers = {};
    const mmu::TranslationOptions options = translation.options;
    translation = {};
    translation.options = options;
    for (const SysregRow& row : sysreg_rows())
        if (row.place != nullptr && row.reset) row.place(*this) = *row.reset;
    registers.rvbar = pc;
    registers.cntfrq = environment.counter_frequency();
    translation.update();
    event_register.store(false, std::memory_order_relaxed);

    jit::GuestState& s = state;
    for (uint64_t& x : s.x) x = 0;
    for (jit::V128& v : s.v) v = {};
    for (jit::ScalableUpper& z : s.z_upper) z = {};
    for (uint64_t& p : s.p) p = 0;
    update_vector_length(*this);
    s.sp = s.sp_el1 = 0;
    s.flags = 0;
    s.dit = s.ssbs = 0;
    s.tco = spsr_of_features & kSpsrTco;
    std::memset(s.pac_keys, 0, sizeof s.pac_keys);
    update_pac_masks(*this);
    reset_fp(s);
    s.exclusive_addr = jit::kNoExclusive;
    s.pc = pc;
    pmu_update(*this);
    update_translation_flags(*this);
    environment.translation_changed();
}

}  // namespace arclight::frontend::a64
