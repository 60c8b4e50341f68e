// What the floating point and vector emitters share: constants, checks of results, reference functions.
#pragma once

#include "backend/x64/emitter.h"
#include "backend/x64/simd.h"

namespace arclight::backend {

class SimdEmitter : public Emitter {
  public:
    using Emitter::Emitter;
    /// Goes on with the next cold path: for several jumps to one.
    void cold_join(const ColdArgs&) {}

    // ---- emit_reference.cpp
    /// Any operation, slowly: operands and result through GuestState::vector_call.
    void emit_reference_call(const Inst& i);

    // ---- emit_simd.cpp
    /// Jumps to a cold path that knows the registers of the result and of all operands. They must have been
    /// fetched by use() or use_xmm(), and the result may not have taken the place of an operand.
    size_t cold_if(Cc cc, ColdFn fn = cold_fn<&SimdEmitter::cold_reference>, uint16_t flag = 0);
    /// The operation again, by its reference function.
    void cold_reference(const ColdArgs& args);
    /// Sets FPSR.QC.
    void cold_saturated(const ColdArgs& args);
    /// The same unless the result is zero or subnormal, see check_scalar().
    void cold_unless_subnormal(const ColdArgs& args);

    // ---- emit_fp_modes.cpp
    /// Whether the operation's emitter does what FPCR asks for; else its reference function does.
    bool obeys_fpcr(const Inst& i) const;
    void cold_unless_zero(const ColdArgs& args);
    void cold_flush_compared(const ColdArgs& args);

  protected:
    /// Which lanes of a register take part.
    struct Lanes {
        bool is_double;
        uint8_t mask;
        bool scalar;
    };
    static constexpr size_t kNoGuard = ~size_t{0};
    /// FPCR.FZ.
    bool flushes() const;
    /// FPCR.DN.
    bool keeps_no_payloads() const;
    Lanes operand_lanes(const Inst& i) const;
    /// Leads to the reference function if FPCR flushes an operand, or `lets_nans_through` and FPCR asks for the default NaN for one. As
    /// cold_if() asks for, when all registers are there; resume_guard() behind what computes.
    size_t guard_operands(const Inst& i, bool lets_nans_through = false);
    /// With FPCR.FZ the same for operands, and if the result is tiny or a NaN, which has been computed in xmm16: rounded towards zero,
    /// raising nothing.
    size_t guard_result(const Inst& i);
    void resume_guard(size_t guard);
    /// With FPCR.FZ, of a sum or difference of guarded operands: the reference function if it is tiny or a NaN.
    void check_sum(const Xmm& d, const Inst& i);
    /// The reference function if a lane is a NaN.
    void check_nan(const Xmm& d, const Lanes& lanes);
    /// Two numbers as they compare with FPCR.FZ, in xmm16 and xmm17.
    void flush_compared(const Xmm& a, const Xmm& b, bool is_double);
    using Vex3 = simd::Vex3;
    using VexFp3 = simd::VexFp3;
    /// What can go wrong with a result: it is a NaN, or it is tiny (the smallest normal number, inexact).
    enum class FpRisk : uint8_t { Nan, NanOrTiny };
    /// Sixteen bytes of read-only data.
    Address constant(uint64_t low, uint64_t high) { return ctx_.constants.address(low, high); }
    Address constant(uint64_t both) { return constant(both, both); }
    void call_reference(const Inst& i);
    /// Whether the upper half of a vector is known to be zero.
    bool upper_is_zero(Ref r) const;
    void check_scalar(const Xmm& d, bool is_double, FpRisk risk);
    void check_vector(const Xmm& d, bool is_double, FpRisk risk,
                      const Xmm& t);  ///< `t`: clobbered if NanOrTiny
    size_t check_infinite(const Xmm& a, const Xmm& b, bool is_double, const Xmm& t);
    /// The operand, its upper half cleared into `t` if it must not raise flags.
    Xmm quiet_upper(const Inst& i, unsigned arg, const Xmm& t);
    /// One instruction d = a op b that raises no flags.
    void emit_vex(const Inst& i, Vex3 op);

  private:
    void classify(const Xbyak::Opmask& k, const Xmm& x, const Lanes& lanes, uint8_t classes);
    void classify_operands(const Inst& i, const uint8_t* regs, const Lanes& lanes, uint8_t classes);
    void test_lanes(const Lanes& lanes);
};

}  // namespace arclight::backend
