#include "tests/backend/simd_cases.h"

#include <fmt/format.h>

#include <bit>
#include <limits>

#include "jit/softfloat/convert.h"

namespace arclight::backend::testing {

using jit::V128;
using jit::ir::Op;
using jit::ir::RoundMode;
using jit::ir::Type;
using jit::ir::vec_aux;

namespace {

constexpr unsigned kB = 1, kH = 2, kS = 4, kD = 8, kBHS = 7, kAll = 15;
constexpr RoundMode kRoundings[] = {RoundMode::TieEven, RoundMode::Up,      RoundMode::Down,
                                    RoundMode::Zero,    RoundMode::TieAway, RoundMode::Current};

class Maker {
  public:
    explicit Maker(Op op) : op_(op) {}
    std::vector<SimdCase> cases;

    /// A vector operation for element sizes, with q = 1 and (if there is such an arrangement) q = 0.
    void vector(unsigned sizes, Values values = Values::Integers, std::vector<uint64_t> imms = {0},
                bool is_inline = true) {
        for (unsigned esize = 0; esize < 4; ++esize) {
            if ((sizes >> esize & 1) == 0) continue;
            for (const bool q : {true, false}) {
                for (const uint64_t imm : imms) {
                    SimdCase c{op_};
                    c.aux = vec_aux(esize, q), c.imm = imm, c.esize = esize;
                    c.values = values;
                    c.rounds = values == Values::Floats || values == Values::ToInt;
                    c.is_inline = is_inline;
                    cases.push_back(c);
                }
            }
        }
    }
    void not_inline(auto&& which) {
        for (SimdCase& c : cases)
            if (which(c)) c.is_inline = false;
    }
    void shifts(unsigned first, bool right, bool is_inline = true) {
        for (unsigned esize = 0; esize < 4; ++esize) {
            const unsigned width = 8u << esize;
            std::vector<uint64_t> imms;
            for (unsigned n = first; n < width + (right ? 1 : 0); ++n) imms.push_back(n);
            vector(1u << esize, Values::Integers, imms, is_inline);
        }
    }
    void scalar(Values values = Values::Floats, std::vector<uint32_t> auxs = {0}, bool is_inline = true) {
        for (const Type t : {Type::F32, Type::F64}) {
            for (const uint32_t aux : auxs) {
                SimdCase c{op_};
                c.type = c.scalar = t, c.aux = aux, c.esize = t == Type::F64 ? 3 : 2, c.values = values;
                c.rounds = true, c.is_inline = is_inline;
                cases.push_back(c);
            }
        }
    }
    /// Halves: 4H, 8H and one alone.
    void halves(Values values = Values::Floats, std::vector<uint64_t> imms = {0}, bool is_inline = true) {
        vector(kH, values, imms, is_inline);
        const size_t count = cases.size();
        for (size_t k = 0; k < count; ++k) {
            SimdCase c = cases[k];
            if (c.esize != 1 || jit::ir::vec_q(c.aux)) continue;
            c.aux |= jit::ir::kVecScalar;
            cases.push_back(c);
        }
    }
    void conversion(Type to, Type from, unsigned esize, bool is_inline = true) {
        SimdCase c{op_};
        c.type = to, c.scalar = from, c.esize = esize, c.values = Values::Floats, c.rounds = true;
        c.is_inline = is_inline;
        cases.push_back(c);
    }

  private:
    Op op_;
};

std::vector<uint32_t> rounding_auxs(bool exact) {
    std::vector<uint32_t> r;
    for (const RoundMode m : kRoundings) r.push_back(static_cast<uint32_t>(m));
    if (exact) r.push_back(static_cast<uint32_t>(RoundMode::Exact));
    return r;
}
std::vector<uint64_t> up_to(uint64_t n) {
    std::vector<uint64_t> r;
    for (uint64_t k = 0; k < n; ++k) r.push_back(k);
    return r;
}

uint64_t replicate(unsigned esize, uint64_t v) {
    constexpr uint64_t kOnes[4] = {0x0101010101010101, 0x0001000100010001, 0x0000000100000001, 1};
    return esize == 3 ? v : (v & ((uint64_t{1} << (8u << esize)) - 1)) * kOnes[esize];
}

}  // namespace

std::string SimdCase::describe() const {
    return fmt::format("{} type {} aux {:#x} imm {:#x}", jit::ir::info(op).name, static_cast<int>(type), aux,
                       imm);
}

std::vector<SimdCase> simd_cases(Op op) {
    Maker m(op);
    const auto q0 = [](const SimdCase& c) { return !jit::ir::vec_q(c.aux); };
    switch (op) {
        // ---- scalar
        case Op::FAdd:
        case Op::FSub:
        case Op::FMul:
        case Op::FMulX:
        case Op::FDiv:
        case Op::FSqrt:
        case Op::FMulAdd:
        case Op::FMax:
        case Op::FMin:
        case Op::FMaxNum:
        case Op::FMinNum:
        case Op::FRecpStep:
        case Op::FNeg:
        case Op::FAbs: m.scalar(); break;
        case Op::FRsqrtStep:
        case Op::FRecpEst:
        case Op::FRsqrtEst:
        case Op::FRecpExp: m.scalar(Values::Floats, {0}, false); break;
        case Op::FRint: m.scalar(Values::ToInt, rounding_auxs(true)); break;
        case Op::FRintWithin:
            m.scalar(Values::ToInt, {3 | 32 << 8, 5 | 32 << 8, 3 | 64 << 8, 5 | 64 << 8});
            break;
        case Op::FCvt32To64: m.conversion(Type::F64, Type::F32, 2); break;
        case Op::FCvt64To32: m.conversion(Type::F32, Type::F64, 3); break;
        case Op::FCvt16To32: m.conversion(Type::F32, Type::F32, 1); break;
        case Op::FCvt16To64: m.conversion(Type::F64, Type::F32, 1); break;
        case Op::FCvt32To16: m.conversion(Type::V128, Type::F32, 2); break;
        case Op::FCvt64To16: m.conversion(Type::V128, Type::F64, 3, false); break;
        case Op::FCvtXN: m.conversion(Type::F32, Type::F64, 3, false); break;
        case Op::FToSInt:
        case Op::FToUInt:
            for (const Type from : {Type::F32, Type::F64, Type::V128})
                for (const Type to : {Type::I32, Type::I64})
                    for (const RoundMode mode : kRoundings)
                        for (const uint64_t fraction : {0, 1, 17, 32}) {
                            SimdCase c{op};
                            c.type = to, c.scalar = from, c.imm = fraction, c.values = Values::ToInt;
                            c.esize = from == Type::F64 ? 3 : from == Type::F32 ? 2 : 1, c.rounds = true;
                            c.aux = static_cast<uint32_t>(mode) | c.esize << 4;
                            c.is_inline = fraction == 0;
                            if (fraction == 0 || mode == RoundMode::Zero) m.cases.push_back(c);
                        }
            break;
        case Op::FToJavaScript: {
            SimdCase c{op};
            c.type = Type::I64, c.scalar = Type::F64, c.values = Values::ToInt, c.rounds = true;
            m.cases.push_back(c);
            break;
        }
        case Op::SIntToHalf:
        case Op::UIntToHalf:
            for (const uint32_t width : {32, 64})
                for (const uint64_t fraction : {0, 1, 31}) {
                    SimdCase c{op};
                    c.imm = fraction, c.aux = width, c.esize = width == 64 ? 3 : 2, c.rounds = true;
                    c.is_inline = fraction == 0;
                    m.cases.push_back(c);
                }
            break;
        case Op::SIntToF:
        case Op::UIntToF:
            for (const Type to : {Type::F32, Type::F64})
                for (const uint32_t width : {32, 64})
                    for (const uint64_t fraction : {0, 1, 31, 32, 64}) {
                        SimdCase c{op};
                        c.type = to, c.imm = fraction, c.aux = width, c.esize = width == 64 ? 3 : 2;
                        c.rounds = true;
                        if (fraction <= width) m.cases.push_back(c);
                    }
            break;
        case Op::FCmp:
        case Op::FCondCompare:
            for (const uint32_t signalling : {0, 16})
                for (const uint64_t nzcv : {0, 5, 10}) {
                    for (const unsigned esize : {1, 2, 3}) {
                        SimdCase c{op};
                        c.type = Type::Flags;
                        c.scalar = esize == 3 ? Type::F64 : esize == 2 ? Type::F32 : Type::V128;
                        c.aux = esize | signalling, c.imm = nzcv, c.esize = esize;
                        c.values = Values::Floats, c.rounds = true;
                        m.cases.push_back(c);
                    }
                }
            break;
        case Op::IntToF:
            for (const Type t : {Type::F32, Type::F64}) {
                SimdCase c{op};
                c.type = t;
                m.cases.push_back(c);
            }
            break;
        case Op::FToInt:
            for (const bool wide : {false, true}) {
                SimdCase c{op};
                c.type = wide ? Type::I64 : Type::I32, c.scalar = wide ? Type::F64 : Type::F32;
                m.cases.push_back(c);
            }
            break;

        // ---- vectors: bits, lanes
        case Op::VConst:
            m.vector(kD, Values::Integers,
                     {0, ~uint64_t{0}, 0x0123456789abcdef, 0x0101010101010101, 0x3ff0000000000000});
            break;
        case Op::VAnd:
        case Op::VOr:
        case Op::VXor:
        case Op::VAndNot:
        case Op::VOrNot:
        case Op::VNot:
        case Op::VBitSelect: m.vector(kB); break;
        case Op::VZext64:
        case Op::VZext32:
        case Op::VZext16:
        case Op::VZext8:
        case Op::VHighToLow:
        case Op::VCombine: m.vector(kB); break;
        case Op::VDup: m.vector(kAll); break;
        case Op::VDupLane:
        case Op::VInsert:
        case Op::VExtractU:
        case Op::VExtractS:
            for (unsigned esize = 0; esize < (op == Op::VExtractS ? 3 : 4); ++esize)
                m.vector(1u << esize, Values::Integers, up_to(16u >> esize));
            if (op == Op::VExtractU || op == Op::VExtractS)
                for (SimdCase& c : m.cases) c.type = jit::ir::vec_q(c.aux) ? Type::I64 : Type::I32;
            break;
        case Op::VInsertLane:
            for (unsigned esize = 0; esize < 4; ++esize)
                for (unsigned to = 0; to < 16u >> esize; to += esize == 0 ? 5 : 1)
                    for (unsigned from = 0; from < 16u >> esize; ++from)
                        m.vector(1u << esize, Values::Integers, {to | from << 4});
            break;

        // ---- arithmetic
        case Op::VAdd:
        case Op::VSub:
        case Op::VNeg:
        case Op::VAbs:
        case Op::VCmpEq:
        case Op::VCmpGtS:
        case Op::VCmpGeS:
        case Op::VCmpGtU:
        case Op::VCmpGeU:
        case Op::VCmpTst: m.vector(kAll); break;
        case Op::VMul:
        case Op::VMaxS:
        case Op::VMaxU:
        case Op::VMinS:
        case Op::VMinU:
        case Op::VAbdS:
        case Op::VAbdU:
        case Op::VHAddS:
        case Op::VHAddU:
        case Op::VRHAddS:
        case Op::VRHAddU:
        case Op::VHSubS:
        case Op::VHSubU: m.vector(kBHS); break;
        case Op::VCnt:
        case Op::VRbit: m.vector(kB); break;
        case Op::VClz:
        case Op::VCls: m.vector(kBHS, Values::Integers, {0}, false); break;
        case Op::VURecpEst:
        case Op::VURsqrtEst: m.vector(kS, Values::Integers, {0}, false); break;
        case Op::VSDot:
        case Op::VUDot:
        case Op::VUSDot:
        case Op::VSMmla:
        case Op::VUMmla:
        case Op::VUSMmla: m.vector(kS); break;

        // ---- shifts
        case Op::VShlImm:
        case Op::VSliImm: m.shifts(0, false); break;
        case Op::VShrSImm:
        case Op::VShrUImm:
        case Op::VRShrSImm:
        case Op::VRShrUImm:
        case Op::VSriImm: m.shifts(1, true); break;
        case Op::VQShlSImm:
        case Op::VQShlUImm:
        case Op::VQShluImm: m.shifts(0, false, false); break;
        case Op::VShlS:
        case Op::VShlU:
            m.vector(kAll, Values::Counts);
            m.not_inline([&](const SimdCase& c) { return c.esize < 2 || (c.esize == 3 && op == Op::VShlS); });
            break;
        case Op::VRShlS:
        case Op::VRShlU:
        case Op::VQShlS:
        case Op::VQShlU:
        case Op::VQRShlS:
        case Op::VQRShlU: m.vector(kAll, Values::Counts, {0}, false); break;

        // ---- saturation
        case Op::VQAddS:
        case Op::VQAddU:
        case Op::VQSubS:
        case Op::VQSubU:
        case Op::VQAbs:
        case Op::VQNeg: m.vector(kAll); break;
        case Op::VSuqadd:
        case Op::VUsqadd: m.vector(kAll, Values::Integers, {0}, false); break;
        case Op::VQDMulH:
        case Op::VQRDMulH:
            m.vector(kH | kS);
            m.not_inline([](const SimdCase& c) { return c.esize == 2; });
            break;
        case Op::VQRDMlah:
        case Op::VQRDMlsh:
        case Op::VQDMull: m.vector(kH | kS, Values::Integers, {0}, false); break;
        case Op::VQXtnS:
        case Op::VQXtnU:
        case Op::VQXtun:
            m.vector(kBHS);
            for (SimdCase& c : m.cases) ++c.esize;  // interesting wide elements
            break;

        // ---- two widths
        case Op::VXtn:
        case Op::VSxtl:
        case Op::VUxtl:
        case Op::VMullS:
        case Op::VMullU:
        case Op::VAddlPS:
        case Op::VAddlPU: m.vector(kBHS); break;
        case Op::VPMul8:
        case Op::VPMull8: m.vector(kB, Values::Integers, {0}, false); break;
        case Op::VPMull64: m.vector(kD); break;

        // ---- across and pairwise
        case Op::VAddP:
            m.vector(kAll);
            m.not_inline([&](const SimdCase& c) { return c.esize == 3 && q0(c); });
            break;
        case Op::VMaxPS:
        case Op::VMaxPU:
        case Op::VMinPS:
        case Op::VMinPU: m.vector(kBHS); break;
        case Op::VAddV:
        case Op::VMaxVS:
        case Op::VMaxVU:
        case Op::VMinVS:
        case Op::VMinVU:
        case Op::VAddlVS:
        case Op::VAddlVU:
            m.vector(kBHS);
            m.not_inline([&](const SimdCase& c) { return c.esize == 2 && q0(c); });
            break;

        // ---- permutations
        case Op::VZip1:
        case Op::VZip2:
        case Op::VUzp1:
        case Op::VUzp2:
        case Op::VTrn1:
        case Op::VTrn2:
            m.vector(kAll);
            m.not_inline([&](const SimdCase& c) { return c.esize == 3 && q0(c); });
            break;
        case Op::VExt:
            for (const uint64_t n : up_to(16)) m.vector(kB, Values::Integers, {n});
            std::erase_if(m.cases, [&](const SimdCase& c) { return q0(c) && c.imm > 7; });
            break;
        case Op::VRev:
            m.vector(kB, Values::Integers, {16, 32, 64});
            m.vector(kH, Values::Integers, {32, 64});
            m.vector(kS, Values::Integers, {64});
            break;
        case Op::VTbl:
        case Op::VTbx: m.vector(kB, Values::Indexes); break;

        // ---- floating point
        case Op::VFNeg:
        case Op::VFAbs: m.vector(kH | kS | kD, Values::Floats); break;
        case Op::VFCmpEq:
        case Op::VFCmpGe:
        case Op::VFCmpGt:
            m.vector(kS | kD, Values::Floats);
            m.halves();
            break;
        case Op::VFAdd:
        case Op::VFSub:
        case Op::VFMul:
        case Op::VFMulX:
        case Op::VFDiv:
        case Op::VFSqrt:
        case Op::VFMulAdd:
        case Op::VFMax:
        case Op::VFMin:
        case Op::VFMaxNum:
        case Op::VFMinNum:
        case Op::VFRecpStep:
            m.vector(kS | kD, Values::Floats);
            m.not_inline([&](const SimdCase& c) { return c.esize == 3 && q0(c); });
            m.halves();
            break;
        case Op::VFAddP:
        case Op::VFMaxP:
        case Op::VFMinP:
        case Op::VFMaxNumP:
        case Op::VFMinNumP:
            m.vector(kS | kD, Values::Floats);
            m.not_inline([&](const SimdCase& c) { return c.esize == 3 && q0(c); });
            break;
        case Op::VFRsqrtStep:
        case Op::VFRecpEst:
        case Op::VFRsqrtEst:
            m.vector(kS | kD, Values::Floats, {0}, false);
            m.halves(Values::Floats, {0}, false);
            break;
        case Op::VFRecpExp: m.halves(Values::Floats, {0}, false); break;
        case Op::VFMulAddH:
            m.vector(kS, Values::Floats);
            for (SimdCase& c : m.cases) c.esize = 1;
            m.vector(kS, Values::Floats);
            break;
        case Op::VFRintWithin:
            m.vector(kS | kD, Values::ToInt, {3 | 32 << 8, 5 | 32 << 8, 3 | 64 << 8, 5 | 64 << 8});
            break;
        case Op::VBfCvtN:
            m.vector(kH, Values::Floats);
            for (SimdCase& c : m.cases) c.esize = 2;
            break;
        case Op::VBfDot:
        case Op::VBfMmla: m.vector(kS, Values::Floats, {0}, false); break;
        case Op::VFMaxV:
        case Op::VFMinV:
        case Op::VFMaxNumV:
        case Op::VFMinNumV:
            m.vector(kS, Values::Floats);
            m.not_inline(q0);
            break;
        case Op::VFRint:
            for (const uint32_t mode : rounding_auxs(true)) m.vector(kS | kD, Values::ToInt, {mode});
            m.not_inline([&](const SimdCase& c) {
                return (c.esize == 3 && q0(c)) || static_cast<RoundMode>(c.imm) == RoundMode::TieAway;
            });
            for (const uint32_t mode : rounding_auxs(true)) m.vector(kH, Values::ToInt, {mode});
            m.halves(Values::ToInt);
            break;
        case Op::VFToSInt:
        case Op::VFToUInt:
            for (const RoundMode mode : kRoundings)
                m.vector(kS | kD, Values::ToInt, {static_cast<uint64_t>(mode)});
            m.vector(kS | kD, Values::ToInt, {3 | 1 << 8, 3 | 17 << 8, 3 | 32 << 8});
            m.not_inline([&](const SimdCase& c) {
                return (c.esize == 3 && (q0(c) || op == Op::VFToUInt)) || c.imm > 7 ||
                       static_cast<RoundMode>(c.imm) == RoundMode::TieAway;
            });
            for (const RoundMode mode : kRoundings)
                m.vector(kH, Values::ToInt, {static_cast<uint64_t>(mode)});
            m.halves(Values::ToInt, {3 | 1 << 8, 3 | 9 << 8, 3 | 16 << 8});
            m.not_inline([](const SimdCase& c) { return c.esize == 1 && c.imm >> 8 == 16; });  // out of range
            break;
        case Op::VSIntToF:
        case Op::VUIntToF:
            m.vector(kS | kD, Values::Integers, {0, 1, 31, 32});
            m.vector(kD, Values::Integers, {64});
            m.not_inline([&](const SimdCase& c) { return c.esize == 3 && (q0(c) || op == Op::VUIntToF); });
            m.halves(Values::Integers, {0, 1, 15, 16});
            for (SimdCase& c : m.cases) c.rounds = true;
            break;
        case Op::VFCvtL: m.vector(kH | kS, Values::Floats); break;
        case Op::VFCvtN:
        case Op::VFCvtXN:
            m.vector(op == Op::VFCvtN ? kH | kS : kS, Values::Floats, {0}, op == Op::VFCvtN);
            for (SimdCase& c : m.cases) ++c.esize;
            break;

        // ---- cryptography
        case Op::VAesE:
        case Op::VAesD:
        case Op::VAesMc:
        case Op::VAesImc:
        case Op::VSha1C:
        case Op::VSha1P:
        case Op::VSha1M:
        case Op::VSha1H:
        case Op::VSha1Su0:
        case Op::VSha1Su1:
        case Op::VSha256H:
        case Op::VSha256H2:
        case Op::VSha256Su0:
        case Op::VSha256Su1: m.vector(kS); break;
        default: break;
    }
    return m.cases;
}

// ---- Operands

namespace {

struct FormatBits {
    unsigned width, fraction;
};
constexpr FormatBits format_of(unsigned esize) {
    return esize == 1 ? FormatBits{16, 10} : esize == 2 ? FormatBits{32, 23} : FormatBits{64, 52};
}

/// A number around the edges of the format.
uint64_t float_bits(std::mt19937_64& random, unsigned esize) {
    const auto [width, fraction] = format_of(esize);
    const uint64_t sign = (random() & 1) << (width - 1), frac_mask = (uint64_t{1} << fraction) - 1;
    const uint64_t max_exp = (uint64_t{1} << (width - 1 - fraction)) - 1, bias = max_exp >> 1;
    // Few bits set, so that exact results and ties happen.
    const auto sparse = [&] {
        switch (random() % 4) {
            case 0: return uint64_t{0};
            case 1: return uint64_t{1} << random() % fraction;
            case 2: return frac_mask ^ (random() & random() & random() & frac_mask);
            default: return random() & frac_mask;
        }
    };
    switch (random() % 18) {
        case 0: return sign;
        case 1: return sign | max_exp << fraction;
        case 2: return sign | max_exp << fraction | uint64_t{1} << (fraction - 1) | (random() & frac_mask);
        case 3: {  // signalling, perhaps with the lowest bit alone
            const uint64_t payload = random() % 2 == 0 ? 1 : (random() & (frac_mask >> 1)) | 2;
            return sign | max_exp << fraction | payload;
        }
        case 4: return sign | (random() % 2 == 0 ? 1 + random() % 3 : sparse());  // subnormal
        case 5: return sign | ((uint64_t{1} << fraction) + random() % 5 - 2);     // smallest normal
        case 6: return sign | ((max_exp << fraction) - 1 - random() % 3);         // largest
        case 7: return sign | (bias << fraction);                                 // one
        case 8: return sign | ((bias << fraction) - random() % 4);
        case 9: return sign | (bias / 2 + random() % 4) << fraction | sparse();          // tiny when squared
        case 10: return sign | (bias + bias / 2 + random() % 4) << fraction | sparse();  // huge when squared
        case 11: return sign | (1 + random() % 3) << fraction | sparse();
        case 12: return sign | (max_exp - 1 - random() % 3) << fraction | sparse();
        case 13: return sign | (random() % max_exp) << fraction | sparse();
        case 14:  // around the smallest normal number of the next narrower format
            if (esize == 1) return sign;
            return sign | ((esize == 3 ? 0x3810'0000'0000'0000 + random() % (1 << 30) - (1 << 29)
                                       : 0x3880'0000 + random() % (1 << 14) - (1 << 13)));
        default: return sign | (bias - 3 + random() % 7) << fraction | sparse();
    }
}

/// A number around those where conversion to an integer changes its nature.
uint64_t near_integer(std::mt19937_64& random, unsigned esize) {
    if (random() % 4 == 0) return float_bits(random, esize);
    static constexpr double kEdges[] = {0,
                                        1,
                                        2,
                                        3,
                                        127,
                                        1024,
                                        32768,
                                        65536,
                                        8388608,
                                        16777216,
                                        2147483648.0,
                                        4294967296.0,
                                        4503599627370496.0,
                                        9007199254740992.0,
                                        9223372036854775808.0,
                                        18446744073709551616.0};
    const double steps[] = {0, 0.25, 0.5, 0.75, 1, 1.5, 0.49999999999999994};
    double v = kEdges[random() % std::size(kEdges)] +
               steps[random() % std::size(steps)] * (random() % 2 == 0 ? 1 : -1);
    if (random() % 2 == 0) v = -v;
    const uint64_t nudge = random() % 3 - 1;
    if (esize == 3) return std::bit_cast<uint64_t>(v) + nudge;
    if (esize == 1) {
        namespace sf = jit::softfloat;
        sf::Environment env(0);
        return sf::convert<sf::Half, sf::Double>(env, std::bit_cast<uint64_t>(v), env.rounding) + nudge;
    }
    return std::bit_cast<uint32_t>(static_cast<float>(v)) + static_cast<uint32_t>(nudge);
}

}  // namespace

/// What makes the product with `a` (for a division: the quotient) about the smallest normal number.
template <typename F, typename U>
uint64_t tiny_partner(uint64_t bits, bool division, uint64_t nudge) {
    const F a = std::bit_cast<F>(static_cast<U>(bits)), smallest = std::numeric_limits<F>::min();
    const F b = division ? a / smallest : smallest / a;
    return std::bit_cast<U>(b) + static_cast<U>(nudge % 3 - 1);
}

/// The same for a product of halves: an exponent such that both make 2^-14 or so.
uint64_t SimdOperands::tiny_half_partner(uint64_t bits) {
    const uint64_t exp = bits >> 10 & 31;
    return (random_() & 0x83ff) | ((exp > 16 ? 0 : 16 - exp) + random_() % 2) << 10;
}

uint64_t SimdOperands::element(unsigned esize, Values values) {
    const unsigned width = 8u << esize;
    switch (values) {
        case Values::Floats: return float_bits(random_, esize);
        case Values::ToInt: return near_integer(random_, esize);
        case Values::Indexes: return random_() % 40 == 0 ? random_() : random_() % 20;
        case Values::Counts: {
            const uint64_t low = random_() % 8 == 0 ? random_() : random_() % (2 * width + 6) - width - 3;
            return (random_() & ~uint64_t{0xff}) | (low & 0xff);
        }
        case Values::Integers: break;
    }
    const uint64_t sign = uint64_t{1} << (width - 1);
    switch (random_() % 8) {
        case 0: return sign + random_() % 3 - 1;
        case 1: return random_() % 3 - 1;
        case 2: return (uint64_t{1} << random_() % width) + random_() % 3 - 1;
        case 3: return random_() >> random_() % 64;
        case 4: return ~(random_() >> random_() % 64);
        default: return random_();
    }
}

V128 SimdOperands::next(const SimdCase& c, unsigned arg) {
    const Values values = c.values == Values::Indexes && arg == 0                       ? Values::Integers
                          : c.values == Values::Indexes && c.op == Op::VTbx && arg == 1 ? Values::Integers
                          : c.values == Values::Counts && arg == 0                      ? Values::Integers
                                                                                        : c.values;
    // Mostly ordinary lanes, so that one special lane is seen among them.
    const bool calm = random_() % 2 == 0;
    V128 v;
    for (unsigned half = 0; half < 2; ++half) {
        v.d[half] = 0;
        for (unsigned k = 0; k < 64; k += 8u << c.esize) {
            const uint64_t ordinary_bits = ordinary(c, arg).d[half] >> k;
            uint64_t bits = calm && random_() % 8 != 0 ? ordinary_bits : element(c.esize, values);
            if (values == Values::Floats && c.esize >= 2 && random_() % 8 == 0) {
                const bool fused = c.op == Op::FMulAdd || c.op == Op::VFMulAdd;
                const bool division = c.op == Op::FDiv || c.op == Op::VFDiv;
                const uint64_t partner = last_.d[half] >> k;
                if (fused && arg == 0) {
                    bits = random_() % 2 << ((8u << c.esize) - 1);
                } else if (arg == (fused ? 2 : 1)) {
                    bits = c.esize == 3 ? tiny_partner<double, uint64_t>(partner, division, random_())
                                        : tiny_partner<float, uint32_t>(partner, division, random_());
                }
            }
            if (values == Values::Floats && c.esize == 1 && random_() % 8 == 0)
                bits = tiny_half_partner(last_.d[half] >> k);
            const uint64_t mask = c.esize == 3 ? ~uint64_t{0} : (uint64_t{1} << (8u << c.esize)) - 1;
            v.d[half] |= (bits & mask) << k;
        }
    }
    last_ = v;
    return v;
}

V128 SimdOperands::ordinary(const SimdCase& c, unsigned arg) {
    static constexpr uint64_t kFloat[4][3] = {{},
                                              {0x3e00, 0x4100, 0x3c00},
                                              {0x3fc00000, 0x40200000, 0x41100000},
                                              {0x3ff8000000000000, 0x4004000000000000, 0x4022000000000000}};
    const bool is_float = c.values == Values::Floats || c.values == Values::ToInt;
    const uint64_t v = replicate(c.esize, is_float ? kFloat[c.esize][arg] : arg == 0 ? 9 : arg + 3);
    return V128{.d = {v, v}};
}

}  // namespace arclight::backend::testing
