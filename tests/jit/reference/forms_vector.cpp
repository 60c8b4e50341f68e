// Integer vector arithmetic: one row of a table for each shape of instruction.
#include "tests/jit/reference/forms_build.h"

namespace arclight::tests {

namespace {
using A = va::Assembler;
using jit::ir::vec_aux;

// Element sizes as a set.
constexpr unsigned kB = 1, kH = 2, kS = 4, kBHS = 7, kAll = 15;

struct Row1 {
    const char* name;
    Op op;
    Unary f;
    unsigned esizes;
    const char* args = "1";
};
struct Row2 {
    const char* name;
    Op op;
    Binary f;
    unsigned esizes;
    const char* args = "12";
};
struct RowImm {
    const char* name;
    Op op;
    WithImm f;
    bool left;  ///< 0..size-1, else 1..size
    const char* args = "1";
};

Form form(std::string name, Op op, unsigned esize, bool q, uint64_t imm, const char* args,
          uint32_t encoding) {
    Form f;
    f.name = std::move(name);
    f.inst = Inst{.op = op, .type = Type::V128, .aux = vec_aux(esize, q), .imm = imm};
    f.encoding = encoding;
    f.args = args;
    f.result = q ? ResultKind::Vector : ResultKind::LowHalf;
    f.operand_esize = esize;
    return f;
}

template <typename F>
void each_arrangement(unsigned esizes, F f) {
    for (unsigned e = 0; e < 4; ++e) {
        if (!(esizes >> e & 1)) continue;
        if (e < 3) f(e, false);
        f(e, true);
    }
}

void add(std::vector<Form>& forms, const Row1& row) {
    each_arrangement(row.esizes, [&](unsigned e, bool q) {
        forms.push_back(form(arranged(row.name, e, q), row.op, e, q, 0, row.args,
                             assemble([&](A& a) { (a.*row.f)(vec(0, e, q), vec(1, e, q)); })));
    });
}
void add(std::vector<Form>& forms, const Row2& row) {
    each_arrangement(row.esizes, [&](unsigned e, bool q) {
        forms.push_back(form(arranged(row.name, e, q), row.op, e, q, 0, row.args,
                             assemble([&](A& a) { (a.*row.f)(vec(0, e, q), vec(1, e, q), vec(2, e, q)); })));
    });
}
void add(std::vector<Form>& forms, const RowImm& row) {
    each_arrangement(kAll, [&](unsigned e, bool q) {
        const int size = 8 << e, first = row.left ? 0 : 1;
        for (const int imm : {first, first + 1, size / 2, size - 2, size - 1 + first}) {
            forms.push_back(form(arranged(row.name, e, q), row.op, e, q, static_cast<uint64_t>(imm), row.args,
                                 assemble([&](A& a) { (a.*row.f)(vec(0, e, q), vec(1, e, q), imm); })));
        }
    });
}

/// Results of all 128 bits whatever q would be.
void add_wide(std::vector<Form>& forms, const char* name, Op op, unsigned esize, const char* args,
              uint32_t encoding, unsigned operand_esize) {
    Form f = form(std::string(name) + "." + "BHSD"[esize], op, esize, true, 0, args, encoding);
    f.operand_esize = operand_esize;
    forms.push_back(std::move(f));
}
}  // namespace

std::vector<Form> vector_integer_forms() {
    std::vector<Form> forms;
    const Row2 binary[] = {
        {"add", Op::VAdd, &A::add, kAll},          {"sub", Op::VSub, &A::sub, kAll},
        {"mul", Op::VMul, &A::mul, kBHS},          {"cmeq", Op::VCmpEq, &A::cmeq, kAll},
        {"cmgt", Op::VCmpGtS, &A::cmgt, kAll},     {"cmge", Op::VCmpGeS, &A::cmge, kAll},
        {"cmhi", Op::VCmpGtU, &A::cmhi, kAll},     {"cmhs", Op::VCmpGeU, &A::cmhs, kAll},
        {"cmtst", Op::VCmpTst, &A::cmtst, kAll},   {"smax", Op::VMaxS, &A::smax, kBHS},
        {"umax", Op::VMaxU, &A::umax, kBHS},       {"smin", Op::VMinS, &A::smin, kBHS},
        {"umin", Op::VMinU, &A::umin, kBHS},       {"sabd", Op::VAbdS, &A::sabd, kBHS},
        {"uabd", Op::VAbdU, &A::uabd, kBHS},       {"shadd", Op::VHAddS, &A::shadd, kBHS},
        {"uhadd", Op::VHAddU, &A::uhadd, kBHS},    {"srhadd", Op::VRHAddS, &A::srhadd, kBHS},
        {"urhadd", Op::VRHAddU, &A::urhadd, kBHS}, {"shsub", Op::VHSubS, &A::shsub, kBHS},
        {"uhsub", Op::VHSubU, &A::uhsub, kBHS},    {"sshl", Op::VShlS, &A::sshl, kAll},
        {"ushl", Op::VShlU, &A::ushl, kAll},       {"srshl", Op::VRShlS, &A::srshl, kAll},
        {"urshl", Op::VRShlU, &A::urshl, kAll},    {"pmul", Op::VPMul8, &A::pmul, kB},
    };
    for (const Row2& row : binary) add(forms, row);
    // Pairwise operations define the upper half.
    const Row2 pairwise[] = {
        {"addp", Op::VAddP, &A::addp, kAll},    {"smaxp", Op::VMaxPS, &A::smaxp, kBHS},
        {"umaxp", Op::VMaxPU, &A::umaxp, kBHS}, {"sminp", Op::VMinPS, &A::sminp, kBHS},
        {"uminp", Op::VMinPU, &A::uminp, kBHS},
    };
    const size_t first_pairwise = forms.size();
    for (const Row2& row : pairwise) add(forms, row);
    for (size_t i = first_pairwise; i < forms.size(); ++i) forms[i].result = ResultKind::Vector;

    const Row1 unary[] = {
        {"neg", Op::VNeg, &A::neg, kAll},
        {"abs", Op::VAbs, &A::abs, kAll},
        {"clz", Op::VClz, &A::clz, kBHS},
        {"cls", Op::VCls, &A::cls, kBHS},
        {"cnt", Op::VCnt, &A::cnt, kB},
        {"rbit", Op::VRbit, &A::rbit, kB},
        {"not", Op::VNot, &A::not_, kB},
        {"urecpe", Op::VURecpEst, &A::urecpe, kS},
        {"ursqrte", Op::VURsqrtEst, &A::ursqrte, kS},
    };
    for (const Row1& row : unary) add(forms, row);
    const RowImm shifts[] = {
        {"shl", Op::VShlImm, &A::shl, true},        {"sshr", Op::VShrSImm, &A::sshr, false},
        {"ushr", Op::VShrUImm, &A::ushr, false},    {"srshr", Op::VRShrSImm, &A::srshr, false},
        {"urshr", Op::VRShrUImm, &A::urshr, false}, {"sli", Op::VSliImm, &A::sli, true, "01"},
        {"sri", Op::VSriImm, &A::sri, false, "01"},
    };
    for (const RowImm& row : shifts) add(forms, row);

    for (unsigned e = 0; e < 3; ++e) {
        add_wide(forms, "xtn", Op::VXtn, e, "1",
                 assemble([&](A& a) { a.xtn(vec(0, e, false), vec(1, e + 1, true)); }), e + 1);
        add_wide(forms, "sxtl", Op::VSxtl, e, "1",
                 assemble([&](A& a) { a.sxtl(vec(0, e + 1, true), vec(1, e, false)); }), e);
        add_wide(forms, "uxtl", Op::VUxtl, e, "1",
                 assemble([&](A& a) { a.uxtl(vec(0, e + 1, true), vec(1, e, false)); }), e);
        const auto lengthening = [&](const char* name, Op op, Binary f) {
            add_wide(forms, name, op, e, "12",
                     assemble([&](A& a) { (a.*f)(vec(0, e + 1, true), vec(1, e, false), vec(2, e, false)); }),
                     e);
        };
        lengthening("smull", Op::VMullS, &A::smull);
        lengthening("umull", Op::VMullU, &A::umull);
        if (e == 0) lengthening("pmull", Op::VPMull8, &A::pmull);
        for (const bool q : {false, true}) {
            const auto pairs = [&](const char* name, Op op, Unary f) {
                const va::VRegister d = e == 2 && !q ? va::VRegister(0, va::kFormat1D) : vec(0, e + 1, q);
                forms.push_back(form(arranged(name, e, q), op, e, q, 0, "1",
                                     assemble([&](A& a) { (a.*f)(d, vec(1, e, q)); })));
            };
            pairs("saddlp", Op::VAddlPS, &A::saddlp);
            pairs("uaddlp", Op::VAddlPU, &A::uaddlp);
            if (e == 2 && !q) continue;
            const auto across = [&](const char* name, Op op, Unary f, unsigned result_esize) {
                forms.push_back(form(arranged(name, e, q), op, e, q, 0, "1",
                                     assemble([&](A& a) { (a.*f)(scalar(0, result_esize), vec(1, e, q)); })));
                forms.back().result = ResultKind::Vector;
            };
            across("addv", Op::VAddV, &A::addv, e);
            across("smaxv", Op::VMaxVS, &A::smaxv, e);
            across("umaxv", Op::VMaxVU, &A::umaxv, e);
            across("sminv", Op::VMinVS, &A::sminv, e);
            across("uminv", Op::VMinVU, &A::uminv, e);
            across("saddlv", Op::VAddlVS, &A::saddlv, e + 1);
            across("uaddlv", Op::VAddlVU, &A::uaddlv, e + 1);
        }
    }
    for (const bool q : {false, true}) {
        const auto dot = [&](const char* name, Op op, Binary f) {
            forms.push_back(form(arranged(name, 2, q), op, 2, q, 0, "012",
                                 assemble([&](A& a) { (a.*f)(vec(0, 2, q), vec(1, 0, q), vec(2, 0, q)); })));
            forms.back().operand_esize = 0;
        };
        dot("sdot", Op::VSDot, &A::sdot);
        dot("udot", Op::VUDot, &A::udot);
    }
    // VIXL 5.1 does not know these.
    const auto mixed = [&](const char* name, Op op, bool q, uint32_t encoding) {
        forms.push_back(form(name, op, 2, q, 0, "012", encoding));
        forms.back().operand_esize = 0;
        forms.back().vixl = false;
    };
    mixed("usdot.2S", Op::VUSDot, false, 0x0e829c20);
    mixed("usdot.4S", Op::VUSDot, true, 0x4e829c20);
    mixed("smmla", Op::VSMmla, true, 0x4e82a420);
    mixed("ummla", Op::VUMmla, true, 0x6e82a420);
    mixed("usmmla", Op::VUSMmla, true, 0x4e82ac20);
    return forms;
}

std::vector<Form> vector_saturating_forms() {
    std::vector<Form> forms;
    const Row2 binary[] = {
        {"sqadd", Op::VQAddS, &A::sqadd, kAll},
        {"uqadd", Op::VQAddU, &A::uqadd, kAll},
        {"sqsub", Op::VQSubS, &A::sqsub, kAll},
        {"uqsub", Op::VQSubU, &A::uqsub, kAll},
        {"sqshl", Op::VQShlS, &A::sqshl, kAll},
        {"uqshl", Op::VQShlU, &A::uqshl, kAll},
        {"sqrshl", Op::VQRShlS, &A::sqrshl, kAll},
        {"uqrshl", Op::VQRShlU, &A::uqrshl, kAll},
        {"sqdmulh", Op::VQDMulH, &A::sqdmulh, kH | kS},
        {"sqrdmulh", Op::VQRDMulH, &A::sqrdmulh, kH | kS},
        {"sqrdmlah", Op::VQRDMlah, &A::sqrdmlah, kH | kS, "012"},
        {"sqrdmlsh", Op::VQRDMlsh, &A::sqrdmlsh, kH | kS, "012"},
    };
    for (const Row2& row : binary) add(forms, row);
    const Row1 unary[] = {
        {"sqabs", Op::VQAbs, &A::sqabs, kAll},
        {"sqneg", Op::VQNeg, &A::sqneg, kAll},
        {"suqadd", Op::VSuqadd, &A::suqadd, kAll, "01"},
        {"usqadd", Op::VUsqadd, &A::usqadd, kAll, "01"},
    };
    for (const Row1& row : unary) add(forms, row);
    const RowImm shifts[] = {
        {"sqshl_imm", Op::VQShlSImm, &A::sqshl, true},
        {"uqshl_imm", Op::VQShlUImm, &A::uqshl, true},
        {"sqshlu", Op::VQShluImm, &A::sqshlu, true},
    };
    for (const RowImm& row : shifts) add(forms, row);
    for (unsigned e = 0; e < 3; ++e) {
        const auto narrowing = [&](const char* name, Op op, Unary f) {
            add_wide(forms, name, op, e, "1",
                     assemble([&](A& a) { (a.*f)(vec(0, e, false), vec(1, e + 1, true)); }), e + 1);
        };
        narrowing("sqxtn", Op::VQXtnS, &A::sqxtn);
        narrowing("uqxtn", Op::VQXtnU, &A::uqxtn);
        narrowing("sqxtun", Op::VQXtun, &A::sqxtun);
        if (e == 0) continue;
        add_wide(forms, "sqdmull", Op::VQDMull, e, "12",
                 assemble([&](A& a) { a.sqdmull(vec(0, e + 1, true), vec(1, e, false), vec(2, e, false)); }),
                 e);
    }
    // With q = 0 these define the upper half, as the instructions do.
    for (Form& f : forms) f.result = ResultKind::Vector;
    return forms;
}

}  // namespace arclight::tests
