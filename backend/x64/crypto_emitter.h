// Emitters of AES, SHA and carry-less multiplication.
#pragma once

#include "backend/x64/simd_emitter.h"

namespace arclight::backend {

class CryptoEmitter : public SimdEmitter {
  public:
    using SimdEmitter::SimdEmitter;

    // ---- emit_vector_crypto.cpp
    bool emit_vp_mull64(const Inst& i);
    bool emit_aes_step(const Inst& i);
    bool emit_sha1_step(const Inst& i);
    void emit_vsha1_h(const Inst& i);
    void emit_vsha1_su0(const Inst& i);
    void emit_vsha1_su1(const Inst& i);
    bool emit_sha256_step(const Inst& i);
    bool emit_vsha256_su0(const Inst& i);
    bool emit_vsha256_su1(const Inst& i);

  private:
    void emit_aes(const Inst& i);
    void emit_sha1_hash(const Inst& i);
    void emit_sha256_hash(const Inst& i);
};

}  // namespace arclight::backend
