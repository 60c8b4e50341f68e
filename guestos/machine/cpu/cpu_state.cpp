#include "guestos/machine/cpu/cpu_state.h"

#include <cstring>

#include "frontend/a64/system/branch_type.h"
#include "frontend/a64/system/fp_control.h"
#include "frontend/a64/system/pmu.h"
#include "frontend/a64/system/pointer_auth.h"
#include "frontend/a64/system/translation_flags.h"

namespace arclight::guestos {

namespace a64 = frontend::a64;

namespace {
/// Calls `visit(stored, field)` for all that is one field here and one there.
template <typename State, typename Cpu, typename Visit>
void each_register(State& s, Cpu& cpu, Visit visit) {
    auto& g = cpu.state;
    visit(s.threads[0], g.tpidr_el0);
    visit(s.threads[1], g.tpidrro_el0);
    visit(s.threads[2], g.tpidr_el1);
    visit(s.sp[0], g.sp);
    visit(s.sp[1], g.sp_el0);
    visit(s.sp[2], g.sp_el1);
    visit(s.pc, g.pc);
    visit(s.daif, g.daif);
    visit(s.elr, g.elr_el1);
    visit(s.spsr, g.spsr_el1);
    visit(s.contextidr, g.contextidr_el1);
    visit(s.instructions, g.instructions);
    for (unsigned i = 0; i < s.x.size(); ++i) visit(s.x[i], g.x[i]);
    for (unsigned i = 0; i < s.v.size(); ++i)
        for (unsigned half = 0; half < 2; ++half) visit(s.v[i][half], g.v[i].d[half]);

    for (unsigned i = 0; i < s.p.size(); ++i) visit(s.p[i], g.p[i]);
    visit(s.zcr, cpu.registers.zcr);

    visit(s.el, cpu.el);
    visit(s.sp_elx, cpu.sp_elx);
    visit(s.pan, cpu.pan);
    visit(s.il, cpu.il);
    visit(s.ss, cpu.ss);
    visit(s.uao, cpu.uao);
    visit(s.btype, cpu.btype);
    for (unsigned i = 0; i < s.pac_keys.size(); ++i)
        for (unsigned half = 0; half < 2; ++half) visit(s.pac_keys[i][half], g.pac_keys[i][half]);
    visit(s.dit, g.dit);
    visit(s.ssbs, g.ssbs);
    visit(s.tco, g.tco);

    auto& t = cpu.translation;
    visit(s.translation[0], t.sctlr);
    visit(s.translation[1], t.tcr);
    visit(s.translation[2], t.ttbr0);
    visit(s.translation[3], t.ttbr1);
    visit(s.translation[4], t.mair);

    auto& r = cpu.registers;
    unsigned n = 0;
    for (auto* field : {&r.actlr, &r.cpacr, &r.amair, &r.vbar, &r.esr, &r.far, &r.afsr0, &r.afsr1, &r.par,
                        &r.csselr, &r.cntkctl, &r.scxtnum_el0, &r.scxtnum_el1, &r.cntfrq, &r.rvbar, &r.disr})
        visit(s.registers[n++], *field);
    n = 0;
    for (auto* field :
         {&r.mdscr, &r.mdccint, &r.osdtrrx, &r.osdtrtx, &r.oseccr, &r.osdlr, &r.dbgclaim, &r.dbgprcr})
        visit(s.debug[n++], *field);
    n = 0;
    for (auto* field : {&r.gcr, &r.rgsr, &r.tfsr, &r.tfsre0}) visit(s.tags[n++], *field);
    visit(s.os_lock, r.os_lock);
    for (unsigned i = 0; i < s.breakpoints.size(); ++i) {
        visit(s.breakpoints[i][0], r.dbgbvr[i]);
        visit(s.breakpoints[i][1], r.dbgbcr[i]);
    }
    for (unsigned i = 0; i < s.watchpoints.size(); ++i) {
        visit(s.watchpoints[i][0], r.dbgwvr[i]);
        visit(s.watchpoints[i][1], r.dbgwcr[i]);
    }
    n = 0;
}

template <typename State, typename Pmu, typename Visit>
void each_pmu_register(State& s, Pmu& pmu, Visit visit) {
    unsigned n = 0;
    for (auto* field : {&pmu.pmcr, &pmu.selr, &pmu.userenr}) visit(s.pmu[n++], *field);
    n = 0;
    for (auto* field : {&pmu.enabled, &pmu.interrupts, &pmu.overflow}) visit(s.pmu_sets[n++], *field);
    for (n = 0; n < pmu.counters.size(); ++n) {
        visit(s.pmu_counters[n][0], pmu.counters[n].type);
        visit(s.pmu_counters[n][1], pmu.counters[n].count);
    }
}
}  // namespace

CpuState CpuState::capture(const a64::Cpu& cpu) {
    CpuState s;
    each_register(s, cpu, [](auto& stored, const auto& field) { stored = field; });
    for (unsigned i = 0; i < s.z_upper.size(); ++i)
        std::memcpy(s.z_upper[i].data(), cpu.state.z_upper[i].b + sizeof(jit::V128), sizeof s.z_upper[i]);
    s.nzcv = jit::nzcv_from_flags(cpu.state.flags);
    s.fpcr = cpu.state.fpcr;
    s.fpsr = a64::read_fpsr(cpu.state);
    const a64::Pmu pmu = a64::pmu_snapshot(cpu);
    each_pmu_register(s, pmu, [](auto& stored, const auto& field) { stored = field; });
    s.event_register = cpu.event_register;
    return s;
}

void CpuState::apply(a64::Cpu& cpu) const {
    jit::GuestState& g = cpu.state;
    cpu.registers = {};  // the performance monitors stand until pmu_update()
    each_register(*this, cpu, [](const auto& stored, auto& field) { field = stored; });
    for (unsigned i = 0; i < z_upper.size(); ++i)
        std::memcpy(g.z_upper[i].b + sizeof(jit::V128), z_upper[i].data(), sizeof z_upper[i]);
    a64::update_vector_length(cpu);
    g.flags = jit::flags_from_nzcv(nzcv);
    a64::reset_fp(g);
    a64::write_fpcr(g, fpcr);
    a64::write_fpsr(g, fpsr);
    cpu.translation.update();
    a64::update_pac_masks(cpu);
    each_pmu_register(*this, cpu.registers.pmu, [](const auto& stored, auto& field) { field = stored; });
    cpu.event_register = event_register;
    g.exclusive_addr = jit::kNoExclusive;
    g.exit_request = 0;
}

void CpuState::check(devices::StateReader& in) const {
    constexpr uint64_t kDaif = 0xf << 6;
    in.require(el <= 1, "an exception level that is not there");
    in.require((daif & ~kDaif) == 0, "DAIF has other bits");
    constexpr uint64_t kDit = 1 << 24, kSsbs = 1 << 12, kTco = 1 << 25;
    in.require((dit & ~kDit) == 0 && (ssbs & ~kSsbs) == 0 && (tco & ~kTco) == 0, "PSTATE has other bits");
    in.require(btype <= a64::branch_type::kMask, "PSTATE.BTYPE has other bits");
    in.require((nzcv & 0x0fff'ffff) == 0, "NZCV has other bits");
    in.require((fpcr & ~a64::kFpcrMask) == 0, "FPCR has other bits");
    in.require((fpsr & ~a64::kFpsrMask) == 0, "FPSR has other bits");
    in.require(zcr <= 15, "ZCR_EL1 has other bits");
    for (const uint32_t set : pmu_sets)
        in.require((set & ~a64::Pmu::kCounters) == 0, "performance monitors that are not there");
}

}  // namespace arclight::guestos
