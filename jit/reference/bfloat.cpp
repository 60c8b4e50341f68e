// BFDotAdd on lanes: a plain version, and one by the host's arithmetic, with an environment of its own meanwhile.
#include "jit/reference/bfloat.h"

#include <immintrin.h>

#include "jit/reference/groups.h"
#include "jit/reference/lanes.h"
#include "jit/softfloat/bfloat.h"

namespace arclight::jit::reference {

namespace {
using ir::Op;

/// Rounds to nearest, takes and makes zeros for subnormal numbers, all exceptions masked; what is raised is forgotten.
class FlushingArithmetic {
  public:
    FlushingArithmetic() : before_(_mm_getcsr()) { set(0x9fc0); }
    ~FlushingArithmetic() { set(before_); }
    FlushingArithmetic(const FlushingArithmetic&) = delete;
    FlushingArithmetic& operator=(const FlushingArithmetic&) = delete;

  private:
    static void set(uint32_t control) {
        // The compiler knows of no connection between MXCSR and arithmetic, but of one between arithmetic and memory.
        asm volatile("" ::: "memory");
        _mm_setcsr(control);
        asm volatile("" ::: "memory");
    }
    const uint32_t before_;
};

__m128 load(const V128& v) { return _mm_load_ps(reinterpret_cast<const float*>(&v)); }
void store(V128& v, __m128 singles) { _mm_store_ps(reinterpret_cast<float*>(&v), singles); }

/// The sum of singles, rounded to odd. As doubles first, with what that loses (Knuth's TwoSum, exact: nothing underflows).
__m128 add_to_odd(__m128 x, __m128 y) {
    const __m256d a = _mm256_cvtps_pd(x), b = _mm256_cvtps_pd(y);
    const __m256d sum = _mm256_add_pd(a, b), b_part = _mm256_sub_pd(sum, a);
    const __m256d lost =
        _mm256_add_pd(_mm256_sub_pd(a, _mm256_sub_pd(sum, b_part)), _mm256_sub_pd(b, b_part));
    const auto bits = [](__m256d v) { return _mm256_castpd_si256(v); };
    const __m256i one = _mm256_set1_epi64x(1), rest = _mm256_set1_epi64x((int64_t{1} << 29) - 1);
    // Infinities lose NaNs, which are not meant.
    const __m256i inexact = bits(_mm256_cmp_pd(lost, _mm256_setzero_pd(), _CMP_NEQ_OQ));
    const __m256i too_large = _mm256_srli_epi64(bits(_mm256_xor_pd(lost, sum)), 63);
    __m256i odd = _mm256_sub_epi64(bits(sum), _mm256_and_si256(inexact, too_large));
    odd = _mm256_or_si256(odd, _mm256_and_si256(inexact, one));
    // The lowest bit of a single is set if any below it is.
    odd = _mm256_or_si256(odd, _mm256_add_epi64(_mm256_and_si256(odd, rest), rest));
    return _mm256_cvtpd_ps(_mm256_castsi256_pd(_mm256_andnot_si256(rest, odd)));
}

/// Products of two BFloat16 are exact as singles, but for overflow and what is flushed.
__m128 dot_add(__m128 acc, __m128 a, __m128 b) {
    const __m128 upper = _mm_castsi128_ps(_mm_set1_epi32(static_cast<int>(0xffff0000)));
    const auto lower = [](__m128 v) { return _mm_castsi128_ps(_mm_slli_epi32(_mm_castps_si128(v), 16)); };
    const __m128 first = _mm_mul_ps(lower(a), lower(b));
    const __m128 second = _mm_mul_ps(_mm_and_ps(a, upper), _mm_and_ps(b, upper));
    return add_to_odd(acc, add_to_odd(first, second));
}

/// Neither FPCR.EBF nor AH.
bool host_has_results(const GuestState& s) {
    const softfloat::Environment env(s.fpcr);
    return !env.extended_bfloat && !env.alternative;
}

__m128 default_nans(__m128 v) {
    const __m128 nan = _mm_castsi128_ps(_mm_set1_epi32(softfloat::Single::default_nan()));
    return _mm_blendv_ps(v, nan, _mm_cmpunord_ps(v, v));
}
}  // namespace

void bfloat_dot_plain(GuestState& s, VectorCall& c) {
    const softfloat::Environment env(s.fpcr);
    const auto acc = lanes<uint32_t>(c.a), a = lanes<uint32_t>(c.b), b = lanes<uint32_t>(c.c);
    Lanes<uint32_t> r;
    for (unsigned i = 0; i < r.kCount; ++i) r[i] = softfloat::bfloat_dot_add(env, acc[i], a[i], b[i]);
    c.out = pack(r);
}

void bfloat_dot_host(GuestState& s, VectorCall& c) {
    if (!host_has_results(s)) return bfloat_dot_plain(s, c);
    const FlushingArithmetic arithmetic;
    store(c.out, default_nans(dot_add(load(c.a), load(c.b), load(c.c))));
}

/// Of each row of `a` and of `b` the first pair is multiplied and added, then the second.
void bfloat_matrix_plain(GuestState& s, VectorCall& c) {
    const softfloat::Environment env(s.fpcr);
    const auto a = lanes<uint32_t>(c.b), b = lanes<uint32_t>(c.c);
    auto r = lanes<uint32_t>(c.a);
    for (unsigned i = 0; i < r.kCount; ++i)
        for (unsigned pair = 0; pair < 2; ++pair)
            r[i] = softfloat::bfloat_dot_add(env, r[i], a[(i & 2) + pair], b[(i & 1) * 2 + pair]);
    c.out = pack(r);
}

void bfloat_matrix_host(GuestState& s, VectorCall& c) {
    if (!host_has_results(s)) return bfloat_matrix_plain(s, c);
    const FlushingArithmetic arithmetic;
    const __m128 a = load(c.b), b = load(c.c);
    __m128 r = dot_add(load(c.a), _mm_permute_ps(a, 0b10'10'00'00), _mm_permute_ps(b, 0b10'00'10'00));
    r = dot_add(r, _mm_permute_ps(a, 0b11'11'01'01), _mm_permute_ps(b, 0b11'01'11'01));
    store(c.out, default_nans(r));
}

void add_bfloat(Table& t) {
    t[Op::VBfDot] = bfloat_dot_host;
    t[Op::VBfMmla] = bfloat_matrix_host;
}

}  // namespace arclight::jit::reference
