#include "guestos/monitor/register_text.h"

#include <fmt/format.h>

#include <charconv>

#include "frontend/a64/system/exceptions.h"

namespace arclight::guestos {

namespace a64 = frontend::a64;

namespace {
constexpr unsigned kRegisters = 31, kVectors = 32;
constexpr uint64_t kFpenShift = 20, kFpenMask = 3;  // CPACR_EL1.FPEN (ARM ARM D19.2.30)
}  // namespace

std::string register_text(const a64::Cpu& cpu) {
    const jit::GuestState& state = cpu.state;
    std::string text = fmt::format(" PC={:016x} ", state.pc);
    for (unsigned i = 0; i < kRegisters; ++i)
        text += fmt::format("X{:02}={:016x}{}", i, state.x[i], (i + 2) % 3 != 0 ? ' ' : '\n');
    text += fmt::format(" SP={:016x}\n", state.sp);
    const uint64_t pstate = a64::pstate_to_spsr(cpu);
    const auto flag = [&](unsigned bit, char name) { return (pstate >> bit & 1) != 0 ? name : '-'; };
    text += fmt::format("PSTATE={:08x} {}{}{}{} EL{}{}", pstate, flag(31, 'N'), flag(30, 'Z'), flag(29, 'C'),
                        flag(28, 'V'), cpu.el, cpu.sp_elx ? 'h' : 't');
    const uint64_t access = cpu.registers.cpacr >> kFpenShift & kFpenMask;
    const bool enabled = access == 3 || (access == 1 && cpu.el != 0);
    if (!enabled) return text + "    FPU disabled\n";
    text += fmt::format("    FPCR={:08x} FPSR={:08x}\n", state.fpcr, state.fpsr);
    for (unsigned i = 0; i < kVectors; ++i)
        text += fmt::format("Q{:02}={:016x}:{:016x}{}", i, state.v[i].d[1], state.v[i].d[0],
                            i % 2 != 0 ? '\n' : ' ');
    return text;
}

std::optional<uint64_t> register_by_name(const a64::Cpu& cpu, std::string_view name) {
    if (name == "pc") return cpu.state.pc;
    if (name == "sp") return cpu.state.sp;
    if (name == "lr") return cpu.state.x[30];
    if (!name.starts_with('x')) return {};
    unsigned number = 0;
    const std::string_view digits = name.substr(1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size() || number >= kRegisters) return {};
    return cpu.state.x[number];
}

}  // namespace arclight::guestos
