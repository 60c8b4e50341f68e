// Moves, permutations and cryptography.
#include "tests/jit/reference/forms.h"

#include "tests/jit/reference/forms_build.h"

namespace arclight::tests {

namespace {
using jit::ir::vec_aux;

struct List {
    std::vector<Form> forms;
    template <typename Emit>
    Form& add(std::string name, Op op, Type type, uint32_t aux, uint64_t imm, std::string args, Emit emit) {
        Form f;
        f.name = std::move(name);
        f.inst = Inst{.op = op, .type = type, .aux = aux, .imm = imm};
        f.encoding = assemble(emit);
        f.args = std::move(args);
        return forms.emplace_back(std::move(f));
    }
};
}  // namespace

std::vector<Form> vector_move_forms() {
    List list;
    using A = va::Assembler;
    for (const bool q : {false, true}) {
        const ResultKind kind = q ? ResultKind::Vector : ResultKind::LowHalf;
        for (unsigned e = 0; e < 4; ++e) {
            if (e == 3 && !q) continue;
            list.add(arranged("dup", e, q), Op::VDup, Type::V128, vec_aux(e, q), 0, "x",
                     [&](A& a) { e == 3 ? a.dup(vec(0, e, q), va::x1) : a.dup(vec(0, e, q), va::w1); });
            for (const unsigned lane : {0u, (16u >> e) - 1}) {
                list.add(arranged("dup_lane", e, q), Op::VDupLane, Type::V128, vec_aux(e, q), lane, "1",
                         [&](A& a) { a.dup(vec(0, e, q), vec(1, e, true), static_cast<int>(lane)); })
                    .result = kind;
            }
            const struct {
                const char* name;
                Op op;
                Binary f;
            } permutes[] = {{"zip1", Op::VZip1, &A::zip1}, {"zip2", Op::VZip2, &A::zip2},
                            {"uzp1", Op::VUzp1, &A::uzp1}, {"uzp2", Op::VUzp2, &A::uzp2},
                            {"trn1", Op::VTrn1, &A::trn1}, {"trn2", Op::VTrn2, &A::trn2}};
            for (const auto& p : permutes) {
                list.add(arranged(p.name, e, q), p.op, Type::V128, vec_aux(e, q), 0, "12",
                         [&](A& a) { (a.*p.f)(vec(0, e, q), vec(1, e, q), vec(2, e, q)); });
            }
        }
        for (const int index : {0, 1, 5, 7, q ? 15 : 6}) {
            list.add(arranged("ext", 0, q), Op::VExt, Type::V128, vec_aux(0, q), static_cast<uint64_t>(index),
                     "12", [&](A& a) { a.ext(vec(0, 0, q), vec(1, 0, q), vec(2, 0, q), index); });
        }
        for (unsigned e = 0; e < 3; ++e) {
            const Unary revs[] = {&A::rev16, &A::rev32, &A::rev64};
            for (unsigned container = e; container < 3; ++container) {
                list.add(arranged("rev", e, q), Op::VRev, Type::V128, vec_aux(e, q), 16u << container, "1",
                         [&, f = revs[container]](A& a) { (a.*f)(vec(0, e, q), vec(1, e, q)); })
                    .result = kind;
            }
        }
        list.add(arranged("tbl", 0, q), Op::VTbl, Type::V128, vec_aux(0, q), 0, "12",
                 [&](A& a) { a.tbl(vec(0, 0, q), vec(1, 0, true), vec(2, 0, q)); })
            .result = kind;
        list.add(arranged("tbx", 0, q), Op::VTbx, Type::V128, vec_aux(0, q), 0, "012",
                 [&](A& a) { a.tbx(vec(0, 0, q), vec(1, 0, true), vec(2, 0, q)); })
            .result = kind;
        const struct {
            const char* name;
            Op op;
            Binary f;
        } logic[] = {{"and", Op::VAnd, &A::and_},
                     {"orr", Op::VOr, &A::orr},
                     {"eor", Op::VXor, &A::eor},
                     {"bic", Op::VAndNot, &A::bic},
                     {"orn", Op::VOrNot, &A::orn}};
        for (const auto& l : logic) {
            list.add(arranged(l.name, 0, q), l.op, Type::V128, vec_aux(0, q), 0, "12",
                     [&](A& a) { (a.*l.f)(vec(0, 0, q), vec(1, 0, q), vec(2, 0, q)); })
                .result = kind;
        }
        list.add(arranged("bsl", 0, q), Op::VBitSelect, Type::V128, vec_aux(0, q), 0, "012",
                 [&](A& a) { a.bsl(vec(0, 0, q), vec(1, 0, q), vec(2, 0, q)); })
            .result = kind;
    }
    for (unsigned e = 0; e < 4; ++e) {
        for (const int lane : {0, 1, static_cast<int>(15u >> e)}) {
            const auto imm = static_cast<uint64_t>(lane);
            list.add("umov", Op::VExtractU, e == 3 ? Type::I64 : Type::I32, vec_aux(e), imm, "1",
                     [&](A& a) {
                         e == 3 ? a.umov(va::x0, vec(1, e, true), lane)
                                : a.umov(va::w0, vec(1, e, true), lane);
                     })
                .result = ResultKind::Integer;
            if (e < 3) {
                list.add("smov_x", Op::VExtractS, Type::I64, vec_aux(e), imm, "1",
                         [&](A& a) { a.smov(va::x0, vec(1, e, true), lane); })
                    .result = ResultKind::Integer;
            }
            if (e < 2) {
                list.add("smov_w", Op::VExtractS, Type::I32, vec_aux(e), imm, "1",
                         [&](A& a) { a.smov(va::w0, vec(1, e, true), lane); })
                    .result = ResultKind::Integer;
            }
            list.add("ins", Op::VInsert, Type::V128, vec_aux(e), imm, "0x", [&](A& a) {
                e == 3 ? a.ins(vec(0, e, true), lane, va::x1) : a.ins(vec(0, e, true), lane, va::w1);
            });
            const int from = static_cast<int>(15u >> e) - lane;
            list.add("ins_lane", Op::VInsertLane, Type::V128, vec_aux(e),
                     imm | static_cast<uint64_t>(from) << 4, "01",
                     [&](A& a) { a.ins(vec(0, e, true), lane, vec(1, e, true), from); });
        }
    }
    // Zero extension and moving halves, by scalar moves.
    list.add("fmov_d", Op::VZext64, Type::V128, 0, 0, "1", [](A& a) { a.fmov(va::d0, va::d1); });
    list.add("fmov_s", Op::VZext32, Type::V128, 0, 0, "1", [](A& a) { a.fmov(va::s0, va::s1); });
    list.add("dup_h", Op::VZext16, Type::V128, 0, 0, "1", [](A& a) { a.dup(va::h0, vec(1, 1, true), 0); });
    list.add("dup_b", Op::VZext8, Type::V128, 0, 0, "1", [](A& a) { a.dup(va::b0, vec(1, 0, true), 0); });
    list.add("dup_d1", Op::VHighToLow, Type::V128, 0, 0, "1",
             [](A& a) { a.dup(va::d0, vec(1, 3, true), 1); });
    list.add("zip1.2D", Op::VCombine, Type::V128, 0, 0, "12",
             [](A& a) { a.zip1(vec(0, 3, true), vec(1, 3, true), vec(2, 3, true)); });
    return std::move(list.forms);
}

std::vector<Form> crypto_forms() {
    List list;
    // VIXL knows none of these but CRC32.
    const struct {
        const char* name;
        Op op;
        const char* args;
        uint32_t encoding;  ///< with v1 and v2 as sources
    } rows[] = {
        {"aese", Op::VAesE, "01", 0x4e284820},           {"aesd", Op::VAesD, "01", 0x4e285820},
        {"aesmc", Op::VAesMc, "1", 0x4e286820},          {"aesimc", Op::VAesImc, "1", 0x4e287820},
        {"sha1c", Op::VSha1C, "012", 0x5e020020},        {"sha1p", Op::VSha1P, "012", 0x5e021020},
        {"sha1m", Op::VSha1M, "012", 0x5e022020},        {"sha1su0", Op::VSha1Su0, "012", 0x5e023020},
        {"sha1h", Op::VSha1H, "1", 0x5e280820},          {"sha1su1", Op::VSha1Su1, "01", 0x5e281820},
        {"sha256h", Op::VSha256H, "012", 0x5e024020},    {"sha256h2", Op::VSha256H2, "012", 0x5e025020},
        {"sha256su0", Op::VSha256Su0, "01", 0x5e282820}, {"sha256su1", Op::VSha256Su1, "012", 0x5e026020},
        {"pmull.1Q", Op::VPMull64, "12", 0x0ee2e020},
    };
    for (const auto& row : rows) {
        Form f;
        f.name = row.name;
        f.inst = Inst{.op = row.op, .type = Type::V128, .aux = vec_aux(2)};
        f.encoding = row.encoding;
        f.args = row.args;
        f.vixl = false;
        list.forms.push_back(std::move(f));
    }

    using A = va::Assembler;
    using Crc = void (A::*)(const va::Register&, const va::Register&, const va::Register&);
    const Crc crcs[] = {&A::crc32b,  &A::crc32h,  &A::crc32w,  &A::crc32x,
                        &A::crc32cb, &A::crc32ch, &A::crc32cw, &A::crc32cx};
    for (uint32_t i = 0; i < 8; ++i) {
        list.add("crc32", Op::Crc32, Type::I32, (i & 3) | (i & 4 ? 8 : 0), 0, "xy",
                 [&, f = crcs[i]](A& a) {
                     (a.*f)(va::w0, va::w1, (i & 3) == 3 ? va::Register(va::x2) : va::Register(va::w2));
                 })
            .result = ResultKind::Integer;
    }
    return std::move(list.forms);
}

}  // namespace arclight::tests
