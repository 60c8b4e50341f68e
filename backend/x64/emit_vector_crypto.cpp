// AES, SHA and carry-less multiplication, where the host has instructions for them.
#include "backend/x64/crypto_emitter.h"
#include "backend/x64/simd.h"
#include "jit/reference/host_features.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

namespace {
const jit::reference::HostFeatures& host() {
    static const jit::reference::HostFeatures features = jit::reference::detect_host_features();
    return features;
}
}  // namespace

bool CryptoEmitter::emit_vp_mull64(const Inst& i) {
    if (!host().pclmul) return false;
    {
        const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
        as_.vpclmulqdq(regs_.def_xmm_over(cur(), {i.args[0], i.args[1]}), a, b, 0);
    }
    return true;
}

bool CryptoEmitter::emit_aes_step(const Inst& i) {
    if (!host().aes) return false;
    emit_aes(i);
    return true;
}

bool CryptoEmitter::emit_sha1_step(const Inst& i) {
    if (!host().sha) return false;
    emit_sha1_hash(i);
    return true;
}

void CryptoEmitter::emit_vsha1_h(const Inst& i) {
    const Xmm a = regs_.use_xmm(i.args[0]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0]});
    as_.vpsrld(xmm15, a, 2);
    as_.vpslld(d, a, 30);
    as_.vpor(d, d, xmm15);
    as_.vinsertps(d, d, d, 0x0e);
}

void CryptoEmitter::emit_vsha1_su0(const Inst& i) {
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]), c = regs_.use_xmm(i.args[2]);
    as_.vpalignr(xmm15, b, a, 8);
    as_.vpxor(xmm15, xmm15, a);
    as_.vpxor(regs_.def_xmm_over(cur(), {i.args[0], i.args[1], i.args[2]}), xmm15, c);
}

void CryptoEmitter::emit_vsha1_su1(const Inst& i) {
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const ScratchXmm t(regs_);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0], i.args[1]});
    as_.vpsrldq(t, b, 4);  // d may be a
    as_.vpxor(t, t, a);
    // Rotated by one; the last word also depends on the first one's result.
    as_.vpslldq(xmm15, t, 12);
    as_.vpslld(d, t, 1);
    as_.vpsrld(t, t, 31);
    as_.vpor(d, d, t);
    as_.vpslld(t, xmm15, 2);
    as_.vpsrld(xmm15, xmm15, 30);
    as_.vpxor(d, d, t);
    as_.vpxor(d, d, xmm15);
}

bool CryptoEmitter::emit_sha256_step(const Inst& i) {
    if (!host().sha) return false;
    emit_sha256_hash(i);
    return true;
}

bool CryptoEmitter::emit_vsha256_su0(const Inst& i) {
    if (!host().sha) return false;
    const Xmm b = regs_.use_xmm(i.args[1]);
    regs_.use_xmm(i.args[0]);
    as_.sha256msg1(regs_.def_copy_xmm(cur(), i.args[0]), b);
    return true;
}

bool CryptoEmitter::emit_vsha256_su1(const Inst& i) {
    if (!host().sha) return false;
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]), c = regs_.use_xmm(i.args[2]);
    const Xmm d = regs_.def_xmm(cur());
    as_.vpalignr(d, c, b, 4);
    as_.vpaddd(d, d, a);
    as_.sha256msg2(d, c);
    return true;
}

/// x86 adds the round key at the end of a round, ARM at its start: the key of the x86 instructions is zero.
/// AESE and AESMC, and AESD and AESIMC, are one x86 instruction when nobody sees what is between them.
void CryptoEmitter::emit_aes(const Inst& i) {
    switch (i.op) {
        case Op::VAesE:
        case Op::VAesD: {
            const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
            const Xmm d = regs_.def_xmm_over(cur(), {i.args[0], i.args[1]});
            as_.vpxor(d, a, b);
            Value& v = values_[cur()];
            if (v.next_use != kNever && v.last_need == v.next_use &&
                values_.inst(v.next_use).op == (i.op == Op::VAesE ? Op::VAesMc : Op::VAesImc)) {
                v.folded = true;
                return;
            }
            as_.vpxor(xmm15, xmm15, xmm15);
            i.op == Op::VAesE ? as_.vaesenclast(d, d, xmm15) : as_.vaesdeclast(d, d, xmm15);
            return;
        }
        default: break;
    }
    const Xmm a = regs_.use_xmm(i.args[0]);
    const bool folded = values_[i.args[0]].folded;
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0]});
    if (!folded && i.op == Op::VAesImc) {
        as_.vaesimc(d, a);
        return;
    }
    as_.vpxor(xmm15, xmm15, xmm15);
    if (i.op == Op::VAesImc) {
        as_.vaesdec(d, a, xmm15);
        return;
    }
    if (!folded) as_.vaesdeclast(d, a, xmm15);  // undoes all of a round but MixColumns
    as_.vaesenc(d, folded ? a : d, xmm15);
}

/// x86 has the state the other way round, E in the schedule's first word, and adds the round constant itself,
/// which ARM expects in the schedule.
void CryptoEmitter::emit_sha1_hash(const Inst& i) {
    const Xmm a = regs_.use_xmm(i.args[0]), e = regs_.use_xmm(i.args[1]), w = regs_.use_xmm(i.args[2]);
    const ScratchXmm t(regs_);
    const Xmm d = regs_.def_xmm(cur());
    const uint8_t function = i.op == Op::VSha1C ? 0 : i.op == Op::VSha1P ? 1 : 2;
    static constexpr uint32_t kRound[3] = {0x5a82'7999, 0x6ed9'eba1, 0x8f1b'bcdc};
    as_.vpsubd(t, w, constant(words(kRound[function])));
    as_.vpshufd(t, t, 0x1b);
    as_.vpslldq(xmm15, e, 12);
    as_.vpaddd(t, t, xmm15);
    as_.vpshufd(d, a, 0x1b);
    as_.sha1rnds4(d, t, function);
    as_.vpshufd(d, d, 0x1b);
}

/// sha256rnds2 does two rounds on (F, E, B, A) and (H, G, D, C), lane 0 first, with the words in xmm0.
void CryptoEmitter::emit_sha256_hash(const Inst& i) {
    regs_.reserve(16);
    const bool second = i.op == Op::VSha256H2;  // its first operand is (E, F, G, H)
    const Xmm abcd = regs_.use_xmm(i.args[second ? 1 : 0]), efgh = regs_.use_xmm(i.args[second ? 0 : 1]);
    const Xmm w = regs_.use_xmm(i.args[2]);
    const ScratchXmm t(regs_);
    const Xmm d = regs_.def_xmm(cur());
    as_.vpshufd(t, abcd, 0xb1);
    as_.vpshufd(d, efgh, 0xb1);
    as_.vpunpckhqdq(xmm15, d, t);  // CDGH
    as_.vpunpcklqdq(d, d, t);      // ABEF
    as_.vmovaps(xmm0, w);
    as_.sha256rnds2(xmm15, d);
    as_.vpunpckhqdq(xmm0, w, w);
    as_.sha256rnds2(d, xmm15);
    second ? as_.vpunpcklqdq(d, d, xmm15) : as_.vpunpckhqdq(d, d, xmm15);
    as_.vpshufd(d, d, 0xb1);
}

}  // namespace arclight::backend
