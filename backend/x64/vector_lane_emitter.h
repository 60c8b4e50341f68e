// Emitters of vector operations on bits, between lanes, and between elements of two widths.
#pragma once

#include "backend/x64/simd_emitter.h"

namespace arclight::backend {

class VectorLaneEmitter : public SimdEmitter {
  public:
    using SimdEmitter::SimdEmitter;

    // ---- emit_vector_lanes.cpp
    void emit_vhigh_to_low(const Inst& i);
    void emit_vcombine(const Inst& i);
    void emit_vdup(const Inst& i);
    void emit_vdup_lane(const Inst& i);
    void emit_vinsert(const Inst& i);
    void emit_vextract(const Inst& i);
    void emit_vinsert_lane(const Inst& i);

    // ---- emit_vector_logic.cpp
    void emit_vconst(const Inst& i);
    void emit_vand(const Inst& i);
    void emit_vor(const Inst& i);
    void emit_vxor(const Inst& i);
    void emit_vand_not(const Inst& i);
    void emit_vor_not(const Inst& i);
    void emit_vnot(const Inst& i);
    void emit_vbit_select(const Inst& i);
    void emit_vzext64(const Inst& i);
    void emit_vzext32(const Inst& i);
    void emit_vzext_small(const Inst& i);

    // ---- emit_vector_permute.cpp
    bool emit_vpermute(const Inst& i);

    // ---- emit_vector_reduce.cpp
    bool emit_vpairwise(const Inst& i);
    bool emit_vacross(const Inst& i);

    // ---- emit_vector_widen.cpp
    bool emit_vxtn(const Inst& i);
    bool emit_vextend_long(const Inst& i);
    bool emit_vmultiply_long(const Inst& i);
    bool emit_vaddlp(const Inst& i);

  private:
    void emit_vmull(const Inst& i);
    void add_long_pairs(const Xmm& d, const Xmm& a, unsigned esize, bool is_signed, const Xmm& t);
};

}  // namespace arclight::backend
