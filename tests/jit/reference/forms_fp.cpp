// Floating point, scalar and vector.
#include "tests/jit/reference/forms_build.h"

namespace arclight::tests {

namespace {
using A = va::Assembler;
using jit::ir::vec_aux;

struct List {
    std::vector<Form> forms;
    template <typename Emit>
    Form& add(std::string name, Op op, Type type, uint32_t aux, uint64_t imm, const char* args,
              unsigned operand_esize, Emit emit) {
        Form f;
        f.name = std::move(name);
        f.inst = Inst{.op = op, .type = type, .aux = aux, .imm = imm};
        f.encoding = assemble(emit);
        f.args = args;
        f.operands = OperandKind::Fp;
        f.operand_esize = operand_esize;
        return forms.emplace_back(std::move(f));
    }
};

Type fp_type(unsigned esize) { return esize == 3 ? Type::F64 : Type::F32; }
uint64_t mode(RoundMode m) { return static_cast<uint64_t>(m); }

struct Pair {
    const char* name;
    Op scalar, vector;  ///< Count: none
};
struct BinaryRow : Pair {
    Binary f;
};
struct UnaryRow : Pair {
    Unary f;
};
constexpr Op kNone = Op::Count;

const BinaryRow kBinary[] = {
    {{"fadd", Op::FAdd, Op::VFAdd}, &A::fadd},
    {{"fsub", Op::FSub, Op::VFSub}, &A::fsub},
    {{"fmul", Op::FMul, Op::VFMul}, &A::fmul},
    {{"fmulx", Op::FMulX, Op::VFMulX}, &A::fmulx},
    {{"fdiv", Op::FDiv, Op::VFDiv}, &A::fdiv},
    {{"fmax", Op::FMax, Op::VFMax}, &A::fmax},
    {{"fmin", Op::FMin, Op::VFMin}, &A::fmin},
    {{"fmaxnm", Op::FMaxNum, Op::VFMaxNum}, &A::fmaxnm},
    {{"fminnm", Op::FMinNum, Op::VFMinNum}, &A::fminnm},
    {{"frecps", Op::FRecpStep, Op::VFRecpStep}, &A::frecps},
    {{"frsqrts", Op::FRsqrtStep, Op::VFRsqrtStep}, &A::frsqrts},
    {{"fcmeq", kNone, Op::VFCmpEq}, &A::fcmeq},
    {{"fcmge", kNone, Op::VFCmpGe}, &A::fcmge},
    {{"fcmgt", kNone, Op::VFCmpGt}, &A::fcmgt},
    {{"faddp", kNone, Op::VFAddP}, &A::faddp},
    {{"fmaxp", kNone, Op::VFMaxP}, &A::fmaxp},
    {{"fminp", kNone, Op::VFMinP}, &A::fminp},
    {{"fmaxnmp", kNone, Op::VFMaxNumP}, &A::fmaxnmp},
    {{"fminnmp", kNone, Op::VFMinNumP}, &A::fminnmp},
};
const UnaryRow kUnary[] = {
    {{"fsqrt", Op::FSqrt, Op::VFSqrt}, &A::fsqrt},
    {{"fneg", Op::FNeg, Op::VFNeg}, &A::fneg},
    {{"fabs", Op::FAbs, Op::VFAbs}, &A::fabs},
    {{"frecpe", Op::FRecpEst, Op::VFRecpEst}, &A::frecpe},
    {{"frsqrte", Op::FRsqrtEst, Op::VFRsqrtEst}, &A::frsqrte},
    {{"frecpx", Op::FRecpExp, kNone}, &A::frecpx},
};
const struct {
    const char* name;
    RoundMode mode;
    Unary f;
} kRint[] = {
    {"frintn", RoundMode::TieEven, &A::frintn}, {"frintp", RoundMode::Up, &A::frintp},
    {"frintm", RoundMode::Down, &A::frintm},    {"frintz", RoundMode::Zero, &A::frintz},
    {"frinta", RoundMode::TieAway, &A::frinta}, {"frinti", RoundMode::Current, &A::frinti},
    {"frintx", RoundMode::Exact, &A::frintx},
};
const struct {
    const char* name;
    RoundMode mode;
    uint32_t bits;
    Unary f;
} kRintWithin[] = {
    {"frint32z", RoundMode::Zero, 32, &A::frint32z},
    {"frint32x", RoundMode::Current, 32, &A::frint32x},
    {"frint64z", RoundMode::Zero, 64, &A::frint64z},
    {"frint64x", RoundMode::Current, 64, &A::frint64x},
};
using ToInt = void (A::*)(const va::Register&, const va::VRegister&);
const struct {
    const char* name;
    RoundMode mode;
    ToInt s, u;
    Unary vs, vu;
} kToInt[] = {
    {"fcvtn", RoundMode::TieEven, &A::fcvtns, &A::fcvtnu, &A::fcvtns, &A::fcvtnu},
    {"fcvtp", RoundMode::Up, &A::fcvtps, &A::fcvtpu, &A::fcvtps, &A::fcvtpu},
    {"fcvtm", RoundMode::Down, &A::fcvtms, &A::fcvtmu, &A::fcvtms, &A::fcvtmu},
    {"fcvta", RoundMode::TieAway, &A::fcvtas, &A::fcvtau, &A::fcvtas, &A::fcvtau},
};

void add_conversions_to_int(List& list, unsigned e) {
    for (const unsigned width : {2u, 3u}) {
        const Type type = width == 3 ? Type::I64 : Type::I32;
        const va::Register rd = width == 3 ? va::Register(va::x0) : va::Register(va::w0);
        const auto add = [&](std::string name, Op op, RoundMode m, uint64_t fraction_bits, auto emit) {
            const auto aux = static_cast<uint32_t>(mode(m) | e << 4);
            list.add(std::move(name), op, type, aux, fraction_bits, "1", e, emit).result =
                ResultKind::Integer;
        };
        for (const auto& row : kToInt) {
            add(std::string(row.name) + "s", Op::FToSInt, row.mode, 0,
                [&](A& a) { (a.*row.s)(rd, scalar(1, e)); });
            add(std::string(row.name) + "u", Op::FToUInt, row.mode, 0,
                [&](A& a) { (a.*row.u)(rd, scalar(1, e)); });
        }
        for (const int bits : {0, 1, 13, 8 << width}) {
            add("fcvtzs", Op::FToSInt, RoundMode::Zero, static_cast<uint64_t>(bits),
                [&](A& a) { a.fcvtzs(rd, scalar(1, e), bits); });
            add("fcvtzu", Op::FToUInt, RoundMode::Zero, static_cast<uint64_t>(bits),
                [&](A& a) { a.fcvtzu(rd, scalar(1, e), bits); });
        }
    }
}
/// Halves come out in a vector.
void add_conversions_from_int(List& list, unsigned e) {
    const bool half = e == 1;
    const Type type = half ? Type::V128 : fp_type(e);
    for (const unsigned width : {2u, 3u}) {
        const va::Register rn = width == 3 ? va::Register(va::x1) : va::Register(va::w1);
        for (const int bits : {0, 1, 13, 8 << width}) {
            const auto imm = static_cast<uint64_t>(bits);
            list.add("scvtf", half ? Op::SIntToHalf : Op::SIntToF, type, 8u << width, imm, "x", e,
                     [&](A& a) { a.scvtf(scalar(0, e), rn, bits); });
            list.add("ucvtf", half ? Op::UIntToHalf : Op::UIntToF, type, 8u << width, imm, "x", e,
                     [&](A& a) { a.ucvtf(scalar(0, e), rn, bits); });
        }
    }
}
void add_compares(List& list, unsigned e) {
    for (const bool signalling : {false, true}) {
        const uint32_t aux = e | (signalling ? 16 : 0);
        list.add(signalling ? "fcmpe" : "fcmp", Op::FCmp, Type::Flags, aux, 0, "12", e,
                 [&](A& a) {
                     signalling ? a.fcmpe(scalar(1, e), scalar(2, e)) : a.fcmp(scalar(1, e), scalar(2, e));
                 })
            .result = ResultKind::Flags;
        for (const unsigned nzcv : {0u, 5u, 15u}) {
            const auto flags = static_cast<va::StatusFlags>(nzcv << 28);
            list.add("fccmp", Op::FCondCompare, Type::Flags, aux, nzcv, "c12", e,
                     [&](A& a) {
                         signalling ? a.fccmpe(scalar(1, e), scalar(2, e), flags, va::eq)
                                    : a.fccmp(scalar(1, e), scalar(2, e), flags, va::eq);
                     })
                .result = ResultKind::Flags;
        }
    }
}
void add_format_conversions(List& list) {
    const auto fcvt = [&](const char* name, Op op, Type type, unsigned from, unsigned to) {
        list.add(name, op, type, 0, 0, "1", from, [&](A& a) { a.fcvt(scalar(0, to), scalar(1, from)); })
            .alternative_half = from == 1 || to == 1;
    };
    fcvt("fcvt_sd", Op::FCvt32To64, Type::F64, 2, 3);
    fcvt("fcvt_ds", Op::FCvt64To32, Type::F32, 3, 2);
    fcvt("fcvt_hs", Op::FCvt16To32, Type::F32, 1, 2);
    fcvt("fcvt_hd", Op::FCvt16To64, Type::F64, 1, 3);
    fcvt("fcvt_sh", Op::FCvt32To16, Type::V128, 2, 1);
    fcvt("fcvt_dh", Op::FCvt64To16, Type::V128, 3, 1);
    list.add("fcvtxn", Op::FCvtXN, Type::F32, 0, 0, "1", 3, [](A& a) { a.fcvtxn(va::s0, va::d1); });
}
/// Of halves the frontend makes two permutations and the operation on lanes.
bool is_pairwise(Op op) {
    switch (op) {
        case Op::VFAddP:
        case Op::VFMaxP:
        case Op::VFMinP:
        case Op::VFMaxNumP:
        case Op::VFMinNumP: return true;
        default: return false;
    }
}
/// What singles, doubles and halves have.
void add_lanes(List& list, unsigned e, bool q) {
    const auto add = [&](const char* name, Op op, uint64_t imm, const char* args, auto emit) -> Form& {
        return list.add(arranged(name, e, q), op, Type::V128, vec_aux(e, q), imm, args, e, emit);
    };
    for (const BinaryRow& row : kBinary) {
        if (e == 1 && is_pairwise(row.vector)) continue;
        add(row.name, row.vector, 0, "12",
            [&](A& a) { (a.*row.f)(vec(0, e, q), vec(1, e, q), vec(2, e, q)); });
    }
    for (const UnaryRow& row : kUnary) {
        if (row.vector == kNone) continue;
        Form& f = add(row.name, row.vector, 0, "1", [&](A& a) { (a.*row.f)(vec(0, e, q), vec(1, e, q)); });
        const bool pure = row.vector == Op::VFNeg || row.vector == Op::VFAbs;
        if (pure && !q) f.result = ResultKind::LowHalf;
    }
    for (const auto& row : kRint) {
        add(row.name, Op::VFRint, mode(row.mode), "1", [&](A& a) { (a.*row.f)(vec(0, e, q), vec(1, e, q)); });
    }
    for (const auto& row : kToInt) {
        add(row.name, Op::VFToSInt, mode(row.mode), "1",
            [&](A& a) { (a.*row.vs)(vec(0, e, q), vec(1, e, q)); });
        add(row.name, Op::VFToUInt, mode(row.mode), "1",
            [&](A& a) { (a.*row.vu)(vec(0, e, q), vec(1, e, q)); });
    }
    for (const int bits : {0, 1, 13, 8 << e}) {
        const auto fraction = static_cast<uint64_t>(bits);
        const uint64_t imm = mode(RoundMode::Zero) | fraction << 8;
        add("fcvtzs", Op::VFToSInt, imm, "1", [&](A& a) { a.fcvtzs(vec(0, e, q), vec(1, e, q), bits); });
        add("fcvtzu", Op::VFToUInt, imm, "1", [&](A& a) { a.fcvtzu(vec(0, e, q), vec(1, e, q), bits); });
        add("scvtf", Op::VSIntToF, fraction, "1", [&](A& a) {
            a.scvtf(vec(0, e, q), vec(1, e, q), bits);
        }).operands = OperandKind::Int;
        add("ucvtf", Op::VUIntToF, fraction, "1", [&](A& a) {
            a.ucvtf(vec(0, e, q), vec(1, e, q), bits);
        }).operands = OperandKind::Int;
    }
    add("fmla", Op::VFMulAdd, 0, "012", [&](A& a) { a.fmla(vec(0, e, q), vec(1, e, q), vec(2, e, q)); });
}
}  // namespace

std::vector<Form> scalar_fp_forms() {
    List list;
    for (const unsigned e : {2u, 3u}) {
        const auto named = [&](const char* name) { return std::string(name) + " " + "BHSD"[e]; };
        for (const BinaryRow& row : kBinary) {
            if (row.scalar == kNone) continue;
            list.add(named(row.name), row.scalar, fp_type(e), 0, 0, "12", e,
                     [&](A& a) { (a.*row.f)(scalar(0, e), scalar(1, e), scalar(2, e)); });
        }
        for (const UnaryRow& row : kUnary) {
            if (row.scalar == kNone) continue;
            list.add(named(row.name), row.scalar, fp_type(e), 0, 0, "1", e,
                     [&](A& a) { (a.*row.f)(scalar(0, e), scalar(1, e)); });
        }
        for (const auto& row : kRintWithin) {
            list.add(named(row.name), Op::FRintWithin, fp_type(e),
                     static_cast<uint32_t>(mode(row.mode)) | row.bits << 8, 0, "1", e,
                     [&](A& a) { (a.*row.f)(scalar(0, e), scalar(1, e)); });
        }
        for (const auto& row : kRint) {
            list.add(named(row.name), Op::FRint, fp_type(e), static_cast<uint32_t>(row.mode), 0, "1", e,
                     [&](A& a) { (a.*row.f)(scalar(0, e), scalar(1, e)); });
        }
        list.add(named("fmadd"), Op::FMulAdd, fp_type(e), 0, 0, "312", e,
                 [&](A& a) { a.fmadd(scalar(0, e), scalar(1, e), scalar(2, e), scalar(3, e)); });
        add_conversions_to_int(list, e);
        add_conversions_from_int(list, e);
        add_compares(list, e);
        const va::Register rd = e == 3 ? va::Register(va::x0) : va::Register(va::w0);
        const va::Register rn = e == 3 ? va::Register(va::x1) : va::Register(va::w1);
        list.add(named("fmov_to_int"), Op::FToInt, e == 3 ? Type::I64 : Type::I32, 0, 0, "1", e,
                 [&](A& a) { a.fmov(rd, scalar(1, e)); })
            .result = ResultKind::Integer;
        list.add(named("fmov_from_int"), Op::IntToF, fp_type(e), 0, 0, "x", e,
                 [&](A& a) { a.fmov(scalar(0, e), rn); });
    }
    add_format_conversions(list);
    list.add("fjcvtzs", Op::FToJavaScript, Type::I64, 0, 0, "1", 3, [](A& a) { a.fjcvtzs(va::w0, va::d1); })
        .result = ResultKind::JavaScript;
    return std::move(list.forms);
}

std::vector<Form> vector_fp_forms() {
    List list;
    const auto each = [](auto f) {
        f(2u, false);
        f(2u, true);
        f(3u, true);
    };
    each([&](unsigned e, bool q) {
        const auto add = [&](const char* name, Op op, uint64_t imm, const char* args, auto emit) -> Form& {
            return list.add(arranged(name, e, q), op, Type::V128, vec_aux(e, q), imm, args, e, emit);
        };
        add_lanes(list, e, q);
        for (const auto& row : kRintWithin) {
            add(row.name, Op::VFRintWithin, mode(row.mode) | row.bits << 8, "1",
                [&](A& a) { (a.*row.f)(vec(0, e, q), vec(1, e, q)); });
        }
        // Across four lanes there are instructions of their own; across two, the scalar pairwise ones.
        const struct {
            const char* name;
            Op op;
            Unary four, two;
        } across[] = {{"fmaxv", Op::VFMaxV, &A::fmaxv, &A::fmaxp},
                      {"fminv", Op::VFMinV, &A::fminv, &A::fminp},
                      {"fmaxnmv", Op::VFMaxNumV, &A::fmaxnmv, &A::fmaxnmp},
                      {"fminnmv", Op::VFMinNumV, &A::fminnmv, &A::fminnmp}};
        for (const auto& row : across) {
            const Unary f = e == 2 && q ? row.four : row.two;
            add(row.name, row.op, 0, "1", [&](A& a) { (a.*f)(scalar(0, e), vec(1, e, q)); });
        }
    });
    const auto convert = [&](const char* name, Op op, unsigned aux_esize, unsigned operand_esize, auto emit) {
        list.add(name, op, Type::V128, vec_aux(aux_esize), 0, "1", operand_esize, emit).alternative_half =
            aux_esize == 1;
    };
    convert("fcvtl.4S", Op::VFCvtL, 1, 1, [](A& a) { a.fcvtl(vec(0, 2, true), vec(1, 1, false)); });
    convert("fcvtl.2D", Op::VFCvtL, 2, 2, [](A& a) { a.fcvtl(vec(0, 3, true), vec(1, 2, false)); });
    convert("fcvtn.4H", Op::VFCvtN, 1, 2, [](A& a) { a.fcvtn(vec(0, 1, false), vec(1, 2, true)); });
    convert("fcvtn.2S", Op::VFCvtN, 2, 3, [](A& a) { a.fcvtn(vec(0, 2, false), vec(1, 3, true)); });
    convert("fcvtxn.2S", Op::VFCvtXN, 2, 3, [](A& a) { a.fcvtxn(vec(0, 2, false), vec(1, 3, true)); });
    return std::move(list.forms);
}

std::vector<Form> half_forms() {
    List list;
    add_lanes(list, 1, false);
    add_lanes(list, 1, true);
    // Scalars. Of FNEG and FABS the frontend clears the rest.
    const auto add = [&](const char* name, Op op, uint64_t imm, const char* args, auto emit) -> Form& {
        return list.add(std::string(name) + " H", op, Type::V128, vec_aux(1, false) | jit::ir::kVecScalar,
                        imm, args, 1, emit);
    };
    const va::VRegister h0 = scalar(0, 1), h1 = scalar(1, 1), h2 = scalar(2, 1), h3 = scalar(3, 1);
    for (const BinaryRow& row : kBinary)
        if (!is_pairwise(row.vector))
            add(row.name, row.vector, 0, "12", [&](A& a) { (a.*row.f)(h0, h1, h2); });
    for (const UnaryRow& row : kUnary) {
        const Op op = row.vector == kNone ? Op::VFRecpExp : row.vector;
        if (op != Op::VFNeg && op != Op::VFAbs) add(row.name, op, 0, "1", [&](A& a) { (a.*row.f)(h0, h1); });
    }
    for (const auto& row : kRint)
        add(row.name, Op::VFRint, mode(row.mode), "1", [&](A& a) { (a.*row.f)(h0, h1); });
    for (const auto& row : kToInt) {
        add(row.name, Op::VFToSInt, mode(row.mode), "1", [&](A& a) { (a.*row.vs)(h0, h1); });
        add(row.name, Op::VFToUInt, mode(row.mode), "1", [&](A& a) { (a.*row.vu)(h0, h1); });
    }
    for (const int bits : {0, 1, 13, 16}) {
        const auto fraction = static_cast<uint64_t>(bits);
        add("scvtf", Op::VSIntToF, fraction, "1", [&](A& a) { a.scvtf(h0, h1, bits); }).operands =
            OperandKind::Int;
        add("ucvtf", Op::VUIntToF, fraction, "1", [&](A& a) { a.ucvtf(h0, h1, bits); }).operands =
            OperandKind::Int;
    }
    add("fmadd", Op::VFMulAdd, 0, "312", [&](A& a) { a.fmadd(h0, h1, h2, h3); });
    add_conversions_to_int(list, 1);
    add_conversions_from_int(list, 1);
    add_compares(list, 1);

    // Products of narrow numbers added to wider ones. VIXL 5.1 knows few of them, and of FMLAL has the rules of NaNs wrong:
    // it quiets factors before it looks for signalling operands.
    const auto mixed = [&](const char* name, Op op, uint32_t aux, const char* args, unsigned operand_esize,
                           uint32_t encoding) -> Form& {
        Form& f = list.add(name, op, Type::V128, aux, 0, args, operand_esize, [](A& a) { a.nop(); });
        f.encoding = encoding;
        f.vixl = false;
        return f;
    };
    for (const unsigned e : {1u, 2u}) {
        mixed("fmlal.4S", Op::VFMulAddH, vec_aux(2), "012", e, 0x4e22ec20);
        mixed("fmlal.2S", Op::VFMulAddH, vec_aux(2, false), "012", e, 0x0e22ec20);
    }
    mixed("bfcvtn", Op::VBfCvtN, vec_aux(1), "1", 2, 0x0ea16820);
    mixed("bfdot.4S", Op::VBfDot, vec_aux(2), "012", 2, 0x6e42fc20);
    mixed("bfmmla", Op::VBfMmla, vec_aux(2), "012", 2, 0x6e42ec20);
    return std::move(list.forms);
}

}  // namespace arclight::tests
