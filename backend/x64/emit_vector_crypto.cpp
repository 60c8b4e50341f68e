// AES, SHA and carry-less multiplication, where the host has instructions for them.
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

bool BlockEmitter::emit_vector_crypto(const Inst& i) {
    switch (i.op) {
        case Op::VPMull64:
            if (!host().pclmul) return false;
            {
                const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
                vpclmulqdq(def_xmm_over(cur_, {i.args[0], i.args[1]}), a, b, 0);
            }
            return true;
        case Op::VAesE:
        case Op::VAesD:
        case Op::VAesMc:
        case Op::VAesImc:
            if (!host().aes) return false;
            emit_aes(i);
            return true;
        case Op::VSha1C:
        case Op::VSha1P:
        case Op::VSha1M:
            if (!host().sha) return false;
            emit_sha1_hash(i);
            return true;
        case Op::VSha1H: {
            const Xmm a = use_xmm(i.args[0]);
            const Xmm d = def_xmm_over(cur_, {i.args[0]});
            vpsrld(xmm15, a, 2);
            vpslld(d, a, 30);
            vpor(d, d, xmm15);
            vinsertps(d, d, d, 0x0e);
            return true;
        }
        case Op::VSha1Su0: {
            const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]), c = use_xmm(i.args[2]);
            vpalignr(xmm15, b, a, 8);
            vpxor(xmm15, xmm15, a);
            vpxor(def_xmm_over(cur_, {i.args[0], i.args[1], i.args[2]}), xmm15, c);
            return true;
        }
        case Op::VSha1Su1: {
            const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
            const ScratchXmm t(*this);
            const Xmm d = def_xmm_over(cur_, {i.args[0], i.args[1]});
            vpsrldq(t, b, 4);  // d may be a
            vpxor(t, t, a);
            // Rotated by one; the last word also depends on the first one's result.
            vpslldq(xmm15, t, 12);
            vpslld(d, t, 1);
            vpsrld(t, t, 31);
            vpor(d, d, t);
            vpslld(t, xmm15, 2);
            vpsrld(xmm15, xmm15, 30);
            vpxor(d, d, t);
            vpxor(d, d, xmm15);
            return true;
        }
        case Op::VSha256H:
        case Op::VSha256H2:
            if (!host().sha) return false;
            emit_sha256_hash(i);
            return true;
        case Op::VSha256Su0: {
            if (!host().sha) return false;
            const Xmm b = use_xmm(i.args[1]);
            use_xmm(i.args[0]);
            sha256msg1(def_copy_xmm(cur_, i.args[0]), b);
            return true;
        }
        case Op::VSha256Su1: {
            if (!host().sha) return false;
            const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]), c = use_xmm(i.args[2]);
            const Xmm d = def_xmm(cur_);
            vpalignr(d, c, b, 4);
            vpaddd(d, d, a);
            sha256msg2(d, c);
            return true;
        }
        default: return false;
    }
}

/// x86 adds the round key at the end of a round, ARM at its start: the key of the x86 instructions is zero.
/// AESE and AESMC, and AESD and AESIMC, are one x86 instruction when nobody sees what is between them.
void BlockEmitter::emit_aes(const Inst& i) {
    switch (i.op) {
        case Op::VAesE:
        case Op::VAesD: {
            const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
            const Xmm d = def_xmm_over(cur_, {i.args[0], i.args[1]});
            vpxor(d, a, b);
            Value& v = values_[cur_];
            if (v.next_use != kNever && v.last_need == v.next_use &&
                inst(v.next_use).op == (i.op == Op::VAesE ? Op::VAesMc : Op::VAesImc)) {
                v.folded = true;
                return;
            }
            vpxor(xmm15, xmm15, xmm15);
            i.op == Op::VAesE ? vaesenclast(d, d, xmm15) : vaesdeclast(d, d, xmm15);
            return;
        }
        default: break;
    }
    const Xmm a = use_xmm(i.args[0]);
    const bool folded = values_[i.args[0]].folded;
    const Xmm d = def_xmm_over(cur_, {i.args[0]});
    if (!folded && i.op == Op::VAesImc) {
        vaesimc(d, a);
        return;
    }
    vpxor(xmm15, xmm15, xmm15);
    if (i.op == Op::VAesImc) {
        vaesdec(d, a, xmm15);
        return;
    }
    if (!folded) vaesdeclast(d, a, xmm15);  // undoes all of a round but MixColumns
    vaesenc(d, folded ? a : d, xmm15);
}

/// x86 has the state the other way round, E in the schedule's first word, and adds the round constant itself,
/// which ARM expects in the schedule.
void BlockEmitter::emit_sha1_hash(const Inst& i) {
    const Xmm a = use_xmm(i.args[0]), e = use_xmm(i.args[1]), w = use_xmm(i.args[2]);
    const ScratchXmm t(*this);
    const Xmm d = def_xmm(cur_);
    const uint8_t function = i.op == Op::VSha1C ? 0 : i.op == Op::VSha1P ? 1 : 2;
    static constexpr uint32_t kRound[3] = {0x5a82'7999, 0x6ed9'eba1, 0x8f1b'bcdc};
    vpsubd(t, w, constant(words(kRound[function])));
    vpshufd(t, t, 0x1b);
    vpslldq(xmm15, e, 12);
    vpaddd(t, t, xmm15);
    vpshufd(d, a, 0x1b);
    sha1rnds4(d, t, function);
    vpshufd(d, d, 0x1b);
}

/// sha256rnds2 does two rounds on (F, E, B, A) and (H, G, D, C), lane 0 first, with the words in xmm0.
void BlockEmitter::emit_sha256_hash(const Inst& i) {
    reserve(16);
    const bool second = i.op == Op::VSha256H2;  // its first operand is (E, F, G, H)
    const Xmm abcd = use_xmm(i.args[second ? 1 : 0]), efgh = use_xmm(i.args[second ? 0 : 1]);
    const Xmm w = use_xmm(i.args[2]);
    const ScratchXmm t(*this);
    const Xmm d = def_xmm(cur_);
    vpshufd(t, abcd, 0xb1);
    vpshufd(d, efgh, 0xb1);
    vpunpckhqdq(xmm15, d, t);  // CDGH
    vpunpcklqdq(d, d, t);      // ABEF
    vmovaps(xmm0, w);
    sha256rnds2(xmm15, d);
    vpunpckhqdq(xmm0, w, w);
    sha256rnds2(d, xmm15);
    second ? vpunpcklqdq(d, d, xmm15) : vpunpckhqdq(d, d, xmm15);
    vpshufd(d, d, 0xb1);
}

}  // namespace arclight::backend
