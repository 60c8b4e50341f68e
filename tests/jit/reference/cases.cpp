#include "tests/jit/reference/cases.h"

#include <fmt/format.h>

#include <cstring>
#include <memory>

#include "jit/reference/reference.h"

namespace arclight::tests {

using jit::V128;

RunnerCase make_case(const Form& form, Rng& rng, uint32_t fpcr) {
    RunnerCase test{};
    V128 v[4];
    const unsigned e = form.operand_esize;
    const bool fp = form.operands == OperandKind::Fp;
    for (V128& r : v) {
        for (unsigned i = 0; i < 16u >> e; ++i)
            set_lane(r, e, i, fp ? fp_operand(rng, e) : int_operand(rng, e));
    }
    for (unsigned i = 0; fp && i < 16u >> e; ++i) {
        uint64_t a = get_lane(v[1], e, i), b = get_lane(v[2], e, i), c = get_lane(v[3], e, i);
        relate_fp(rng, e, a, b, c);
        set_lane(v[2], e, i, b);
        set_lane(v[3], e, i, c);
        if (rng() % 4 == 0) set_lane(v[0], e, i, c);
    }
    std::memcpy(test.v, v, sizeof(v));
    for (uint64_t& x : test.x) x = int_operand(rng, rng() % 2 ? 2 : 3) ^ (rng() % 4 ? 0 : rng() << 32);
    test.fpcr = fpcr;
    return test;
}

RunnerResult run_reference(const Form& form, const RunnerCase& test) {
    static const auto state = std::make_unique<jit::GuestState>();
    state->fpcr = test.fpcr;
    state->fpsr = 0;
    jit::VectorCall call{};
    jit::describe(call, form.inst);
    std::memset(&call.out, 0xa5, sizeof(call.out));  // must be overwritten
    V128* operands[] = {&call.a, &call.b, &call.c};
    for (size_t i = 0; i < form.args.size(); ++i) {
        V128& operand = *operands[i];
        // Nothing may depend on what is beside an integer operand.
        operand.d[1] = 0x5a5a5a5a5a5a5a5a;
        switch (form.args[i]) {
            case 'x': operand.d[0] = test.x[0]; break;
            case 'y': operand.d[0] = test.x[1]; break;
            case 'c': operand.d[0] = test.x[0] & 1; break;
            default: std::memcpy(&operand, test.v[form.args[i] - '0'], 16);
        }
    }
    jit::reference_function(form.inst.op)(*state, call);
    RunnerResult result{};
    switch (form.result) {
        case ResultKind::Vector:
        case ResultKind::LowHalf: std::memcpy(result.v0, &call.out, 16); break;
        case ResultKind::Integer: result.x0 = call.out.d[0]; break;
        case ResultKind::JavaScript:
            result.x0 = static_cast<uint32_t>(call.out.d[0]);
            result.nzcv = static_cast<uint32_t>(call.out.d[0] >> 32) << 30;
            break;
        case ResultKind::Flags: result.nzcv = jit::nzcv_from_flags(call.out.d[0]); break;
    }
    result.fpsr = state->fpsr;
    return mask_result(form, result);
}

RunnerResult mask_result(const Form& form, RunnerResult result) {
    if (form.result != ResultKind::Vector) result.v0[1] = 0;
    if (form.result != ResultKind::Vector && form.result != ResultKind::LowHalf) result.v0[0] = 0;
    const bool javascript = form.result == ResultKind::JavaScript;
    if (form.result != ResultKind::Integer && !javascript) result.x0 = 0;
    if (form.result != ResultKind::Flags && !javascript) result.nzcv = 0;
    return result;
}

std::string difference(const Form& form, const RunnerCase& test, const RunnerResult& mine,
                       const RunnerResult& other, bool flags) {
    const bool same = mine.v0[0] == other.v0[0] && mine.v0[1] == other.v0[1] && mine.x0 == other.x0 &&
                      mine.nzcv == other.nzcv && (!flags || mine.fpsr == other.fpsr);
    if (same) return "";
    std::string text =
        fmt::format("{} ({} imm {:x} aux {:x}) {:08x} fpcr {:08x}\n", form.name,
                    jit::ir::info(form.inst.op).name, form.inst.imm, form.inst.aux, form.encoding, test.fpcr);
    for (unsigned i = 0; i < 4; ++i)
        text += fmt::format("  v{} {:016x}_{:016x}\n", i, test.v[i][1], test.v[i][0]);
    text += fmt::format("  x1 {:016x} x2 {:016x}\n", test.x[0], test.x[1]);
    for (const auto& [who, r] : {std::pair{"reference", &mine}, std::pair{"oracle   ", &other}}) {
        text += fmt::format("  {} {:016x}_{:016x} x0 {:x} nzcv {:08x} fpsr {:08x}\n", who, r->v0[1], r->v0[0],
                            r->x0, r->nzcv, r->fpsr);
    }
    return text;
}

}  // namespace arclight::tests
