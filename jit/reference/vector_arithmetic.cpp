// Element-wise integer arithmetic and comparisons without saturation.
#include <algorithm>

#include "jit/reference/groups.h"
#include "jit/reference/lanes.h"
#include "jit/softfloat/estimate.h"

namespace arclight::jit::reference {

namespace {
using ir::Op;

// A reference function that computes `expression` of the elements a and b. Unsigned elements where the sign
// does not matter, so that overflow wraps. Elements narrower than int are promoted, which keeps one more bit
// in a + b.
#define EACH(by, expression)                                                                   \
    [](GuestState&, VectorCall& c) {                                                           \
        by(c, [&]<typename T>(T) {                                                             \
            map2<T>(c, []([[maybe_unused]] T a, [[maybe_unused]] T b) { return expression; }); \
        });                                                                                    \
    }
#define UNSIGNED(expression) EACH(by_unsigned, expression)
#define SIGNED(expression) EACH(by_signed, expression)
#define MASK(condition) static_cast<T>((condition) ? -1 : 0)

// Halving operations without a wider type: a + b = 2 (a & b) + (a ^ b), a - b = (a ^ b) - 2 (~a & b).
template <typename T>
T halving_add(T a, T b) {
    return static_cast<T>((a & b) + ((a ^ b) >> 1));
}
template <typename T>
T rounding_halving_add(T a, T b) {
    return static_cast<T>((a | b) - ((a ^ b) >> 1));
}
template <typename T>
T halving_sub(T a, T b) {
    return static_cast<T>(((a ^ b) >> 1) - (static_cast<T>(~a) & b));
}
template <typename T>
T wrapping_sub(T a, T b) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<U>(static_cast<U>(a) - static_cast<U>(b)));
}
template <typename T>
T product(T a, T b) {
    return static_cast<T>(static_cast<uint64_t>(a) * b);  // 64 bits: a product of uint16_t would overflow int
}

template <typename A, typename B = A>
void dot(VectorCall& c) {
    const auto acc = lanes<uint32_t>(c.a);
    const auto a = lanes<A>(c.b);
    const auto b = lanes<B>(c.c);
    Lanes<uint32_t> r;
    for (unsigned i = 0; i < 4; ++i) {
        r[i] = acc[i];
        for (unsigned j = 4 * i; j < 4 * i + 4; ++j) r[i] += static_cast<uint32_t>(a[j] * b[j]);
    }
    c.out = pack(r);
}
void vsdot(GuestState&, VectorCall& c) { dot<int8_t>(c); }
void vudot(GuestState&, VectorCall& c) { dot<uint8_t>(c); }
void vusdot(GuestState&, VectorCall& c) { dot<uint8_t, int8_t>(c); }

template <typename A, typename B = A>
void matrix_multiply(GuestState&, VectorCall& c) {
    const auto a = lanes<A>(c.b);
    const auto b = lanes<B>(c.c);
    auto r = lanes<uint32_t>(c.a);
    for (unsigned i = 0; i < 4; ++i)
        for (unsigned k = 0; k < 8; ++k)
            r[i] += static_cast<uint32_t>(a[(i & 2) * 4 + k] * b[(i & 1) * 8 + k]);
    c.out = pack(r);
}

void vurecpest(GuestState&, VectorCall& c) {
    map1<uint32_t>(c, [](uint32_t a) { return softfloat::unsigned_recip_estimate(a); });
}
void vursqrtest(GuestState&, VectorCall& c) {
    map1<uint32_t>(c, [](uint32_t a) { return softfloat::unsigned_rsqrt_estimate(a); });
}
}  // namespace

void add_vector_arithmetic(Table& t) {
    t[Op::VAdd] = UNSIGNED(a + b);
    t[Op::VSub] = UNSIGNED(a - b);
    t[Op::VMul] = UNSIGNED(product(a, b));
    t[Op::VNeg] = UNSIGNED(0 - a);
    t[Op::VAbs] = SIGNED(a < 0 ? wrapping_sub(T{0}, a) : a);
    t[Op::VCmpEq] = UNSIGNED(MASK(a == b));
    t[Op::VCmpGtS] = SIGNED(MASK(a > b));
    t[Op::VCmpGeS] = SIGNED(MASK(a >= b));
    t[Op::VCmpGtU] = UNSIGNED(MASK(a > b));
    t[Op::VCmpGeU] = UNSIGNED(MASK(a >= b));
    t[Op::VCmpTst] = UNSIGNED(MASK((a & b) != 0));
    t[Op::VMaxS] = SIGNED(std::max(a, b));
    t[Op::VMaxU] = UNSIGNED(std::max(a, b));
    t[Op::VMinS] = SIGNED(std::min(a, b));
    t[Op::VMinU] = UNSIGNED(std::min(a, b));
    t[Op::VAbdS] = SIGNED(a > b ? wrapping_sub(a, b) : wrapping_sub(b, a));
    t[Op::VAbdU] = UNSIGNED(a > b ? a - b : b - a);
    t[Op::VHAddS] = SIGNED(halving_add(a, b));
    t[Op::VHAddU] = UNSIGNED(halving_add(a, b));
    t[Op::VRHAddS] = SIGNED(rounding_halving_add(a, b));
    t[Op::VRHAddU] = UNSIGNED(rounding_halving_add(a, b));
    t[Op::VHSubS] = SIGNED(halving_sub(a, b));
    t[Op::VHSubU] = UNSIGNED(halving_sub(a, b));
    t[Op::VURecpEst] = vurecpest;
    t[Op::VURsqrtEst] = vursqrtest;
    t[Op::VSDot] = vsdot;
    t[Op::VUDot] = vudot;
    t[Op::VUSDot] = vusdot;
    t[Op::VSMmla] = matrix_multiply<int8_t>;
    t[Op::VUMmla] = matrix_multiply<uint8_t>;
    t[Op::VUSMmla] = matrix_multiply<uint8_t, int8_t>;
}

}  // namespace arclight::jit::reference
