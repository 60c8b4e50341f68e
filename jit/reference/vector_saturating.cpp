// Saturating arithmetic: everything that may set FPSR.QC but shifts.
#include "jit/reference/groups.h"
#include "jit/reference/saturate.h"

namespace arclight::jit::reference {

namespace {
using ir::Op;

template <typename T>
void saturate_add(Saturation& q, T a, T b, T& r) {
    const bool overflow = __builtin_add_overflow(a, b, &r);
    q.note(overflow);
    // For signed elements both operands then have the same sign.
    if (overflow) r = a < 0 ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
}
template <typename T>
void saturate_sub(Saturation& q, T a, T b, T& r) {
    const bool overflow = __builtin_sub_overflow(a, b, &r);
    q.note(overflow);
    if (overflow)
        r = a < 0 || std::is_unsigned_v<T> ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
}

template <bool kSigned>
void vqadd(GuestState& s, VectorCall& c) {
    Saturation q(s);
    by_sign<kSigned>(c, [&]<typename T>(T) {
        map2_active<T>(c, [&](T a, T b) {
            T r;
            return saturate_add(q, a, b, r), r;
        });
    });
}
template <bool kSigned>
void vqsub(GuestState& s, VectorCall& c) {
    Saturation q(s);
    by_sign<kSigned>(c, [&]<typename T>(T) {
        map2_active<T>(c, [&](T a, T b) {
            T r;
            return saturate_sub(q, a, b, r), r;
        });
    });
}
/// SUQADD (kSigned: the accumulator is signed, the other operand is not) and USQADD (the other way round).
template <bool kSigned>
void vqadd_mixed(GuestState& s, VectorCall& c) {
    Saturation q(s);
    by_sign<kSigned>(c, [&]<typename T>(T) {
        using Other = std::conditional_t<kSigned, std::make_unsigned_t<T>, std::make_signed_t<T>>;
        map2_active<T>(c, [&](T a, T bits) {
            const auto b = static_cast<Other>(bits);
            T r;
            const bool overflow = __builtin_add_overflow(a, b, &r);
            q.note(overflow);
            if (!overflow) return r;
            return kSigned || static_cast<std::make_signed_t<T>>(bits) >= 0 ? std::numeric_limits<T>::max()
                                                                            : T{0};
        });
    });
}

void vqabs(GuestState& s, VectorCall& c) {
    Saturation q(s);
    by_signed(c, [&]<typename T>(T) {
        map1_active<T>(c, [&](T a) {
            T r = a;
            if (a < 0) saturate_sub(q, T{0}, a, r);
            return r;
        });
    });
}
void vqneg(GuestState& s, VectorCall& c) {
    Saturation q(s);
    by_signed(c, [&]<typename T>(T) {
        map1_active<T>(c, [&](T a) {
            T r;
            return saturate_sub(q, T{0}, a, r), r;
        });
    });
}

/// Calls f with a signed type that has a doubling multiply: 16 or 32 bits.
template <typename F>
void by_multiplicand(const VectorCall& c, F f) {
    if (c.esize == 1) return f(int16_t{});
    f(int32_t{});
}

/// SQDMULH, SQRDMULH, SQRDMLAH, SQRDMLSH: high half of acc:0 + 2 a b (+ rounding). Everything is halved, so
/// that it fits a type twice as wide.
template <typename T>
T doubling_high(Saturation& q, T acc, T a, T b, int sign, bool rounding) {
    using W = Wider<T>;
    W sum = static_cast<W>(acc) * (W{1} << (kBits<T> - 1)) + sign * (static_cast<W>(a) * b);
    if (rounding) sum += W{1} << (kBits<T> - 2);
    return q.clamp<T>(static_cast<W>(sum >> (kBits<T> - 1)));
}
template <bool kRounding>
void vqdmulh(GuestState& s, VectorCall& c) {
    Saturation q(s);
    by_multiplicand(c, [&]<typename T>(T) {
        map2_active<T>(c, [&](T a, T b) { return doubling_high<T>(q, 0, a, b, 1, kRounding); });
    });
}
template <int kSign>
void vqrdmla(GuestState& s, VectorCall& c) {
    Saturation q(s);
    by_multiplicand(c, [&]<typename T>(T) {
        map3_active<T>(c, [&](T acc, T a, T b) { return doubling_high<T>(q, acc, a, b, kSign, true); });
    });
}

void vqdmull(GuestState& s, VectorCall& c) {
    Saturation q(s);
    by_multiplicand(c, [&]<typename T>(T) {
        using W = Wider<T>;
        const auto a = lanes<T>(c.a), b = lanes<T>(c.b);
        Lanes<W> r;
        for (unsigned i = 0; i < r.kCount; ++i) {
            const W product = static_cast<W>(a[i]) * b[i];
            saturate_add(q, product, product, r[i]);
        }
        c.out = pack(r);
    });
}

/// SQXTN, UQXTN, SQXTUN from elements of type From; esize is that of the result.
template <typename From, typename To>
void narrow(Saturation& q, VectorCall& c) {
    const auto a = lanes<From>(c.a);
    Lanes<To> r{};
    for (unsigned i = 0; i < a.kCount; ++i) {
        if constexpr (std::is_signed_v<From>) {
            r[i] = q.clamp<To>(a[i]);
        } else {
            const bool over = a[i] > std::numeric_limits<To>::max();
            q.note(over);
            r[i] = over ? std::numeric_limits<To>::max() : static_cast<To>(a[i]);
        }
    }
    c.out = pack(r);
}
template <bool kFromSigned, bool kToSigned>
void vqxtn(GuestState& s, VectorCall& c) {
    Saturation q(s);
    using std::conditional_t;
    const auto narrow_from = [&]<typename S, typename T>(S, T) {
        narrow<conditional_t<kFromSigned, std::make_signed_t<S>, S>,
               conditional_t<kToSigned, std::make_signed_t<T>, T>>(q, c);
    };
    switch (c.esize) {
        case 0: return narrow_from(uint16_t{}, uint8_t{});
        case 1: return narrow_from(uint32_t{}, uint16_t{});
        default: return narrow_from(uint64_t{}, uint32_t{});
    }
}
}  // namespace

void add_vector_saturating(Table& t) {
    t[Op::VQAddS] = vqadd<true>;
    t[Op::VQAddU] = vqadd<false>;
    t[Op::VQSubS] = vqsub<true>;
    t[Op::VQSubU] = vqsub<false>;
    t[Op::VSuqadd] = vqadd_mixed<true>;
    t[Op::VUsqadd] = vqadd_mixed<false>;
    t[Op::VQAbs] = vqabs;
    t[Op::VQNeg] = vqneg;
    t[Op::VQDMulH] = vqdmulh<false>;
    t[Op::VQRDMulH] = vqdmulh<true>;
    t[Op::VQRDMlah] = vqrdmla<1>;
    t[Op::VQRDMlsh] = vqrdmla<-1>;
    t[Op::VQDMull] = vqdmull;
    t[Op::VQXtnS] = vqxtn<true, true>;
    t[Op::VQXtnU] = vqxtn<false, false>;
    t[Op::VQXtun] = vqxtn<true, false>;
}

}  // namespace arclight::jit::reference
