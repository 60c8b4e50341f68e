// Shifts by immediates and by registers, rounding and saturating.
#include "jit/reference/groups.h"
#include "jit/reference/saturate.h"

namespace arclight::jit::reference {

namespace {
using ir::Op;

/// value >> count with any count above 0; `rounding` adds half a unit first.
template <typename T>
T shift_right(T value, unsigned count, bool rounding) {
    constexpr unsigned kWidth = kBits<T>;
    if (count > kWidth) return std::is_signed_v<T> && value < 0 && !rounding ? static_cast<T>(-1) : T{0};
    // The last bit shifted out is what half a unit carries into the result.
    const T shifted_but_one = static_cast<T>(value >> (count - 1));
    const T shifted = static_cast<T>(shifted_but_one >> 1);
    return rounding ? static_cast<T>(shifted + (shifted_but_one & 1)) : shifted;
}
/// value << count, wrapping; `overflow` if the exact result does not fit.
template <typename T>
T shift_left(T value, unsigned count, bool& overflow) {
    using U = std::make_unsigned_t<T>;
    if (count >= kBits<T>) {
        overflow = value != 0;
        return 0;
    }
    const T shifted = static_cast<T>(static_cast<U>(static_cast<uint64_t>(static_cast<U>(value)) << count));
    overflow = static_cast<T>(shifted >> count) != value;
    return shifted;
}
template <typename T>
T limit(T value) {
    return value < 0 ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
}

/// SSHL and its family: by the signed low byte of the second operand.
template <bool kSigned, bool kRounding>
void vshl(GuestState&, VectorCall& c) {
    by_sign<kSigned>(c, [&]<typename T>(T) {
        map2<T>(c, [](T a, T b) {
            const int count = static_cast<int8_t>(b);
            bool overflow;
            return count >= 0 ? shift_left(a, static_cast<unsigned>(count), overflow)
                              : shift_right(a, static_cast<unsigned>(-count), kRounding);
        });
    });
}
template <bool kSigned, bool kRounding>
void vqshl(GuestState& s, VectorCall& c) {
    Saturation q(s);
    by_sign<kSigned>(c, [&]<typename T>(T) {
        map2_active<T>(c, [&](T a, T b) {
            const int count = static_cast<int8_t>(b);
            if (count < 0) return shift_right(a, static_cast<unsigned>(-count), kRounding);
            bool overflow;
            const T r = shift_left(a, static_cast<unsigned>(count), overflow);
            q.note(overflow);
            return overflow ? limit(a) : r;
        });
    });
}
template <bool kSigned>
void vqshl_imm(GuestState& s, VectorCall& c) {
    Saturation q(s);
    const auto count = static_cast<unsigned>(c.imm & 63);
    by_sign<kSigned>(c, [&]<typename T>(T) {
        map1_active<T>(c, [&](T a) {
            bool overflow;
            const T r = shift_left(a, count, overflow);
            q.note(overflow);
            return overflow ? limit(a) : r;
        });
    });
}
/// SQSHLU: a signed operand, an unsigned result.
void vqshlu_imm(GuestState& s, VectorCall& c) {
    Saturation q(s);
    const auto count = static_cast<unsigned>(c.imm & 63);
    by_unsigned(c, [&]<typename T>(T) {
        map1_active<T>(c, [&](T a) {
            const bool negative = static_cast<std::make_signed_t<T>>(a) < 0;
            bool overflow;
            const T r = shift_left(a, count, overflow);
            q.note(negative || overflow);
            return negative ? T{0} : overflow ? std::numeric_limits<T>::max() : r;
        });
    });
}

void vshl_imm(GuestState&, VectorCall& c) {
    const auto count = static_cast<unsigned>(c.imm & 63);
    by_unsigned(c, [&]<typename T>(T) {
        bool overflow;
        map1<T>(c, [&](T a) { return shift_left(a, count, overflow); });
    });
}
template <bool kSigned, bool kRounding>
void vshr_imm(GuestState&, VectorCall& c) {
    by_sign<kSigned>(c, [&]<typename T>(T) {
        const unsigned count = (static_cast<unsigned>(c.imm) - 1) % kBits<T> + 1;
        map1<T>(c, [&](T a) { return shift_right(a, count, kRounding); });
    });
}
void vsli_imm(GuestState&, VectorCall& c) {
    by_unsigned(c, [&]<typename T>(T) {
        const auto count = static_cast<unsigned>(c.imm % kBits<T>);
        const T mask = static_cast<T>(static_cast<T>(-1) << count);
        map2<T>(c, [&](T old, T b) { return (old & ~mask) | (static_cast<uint64_t>(b) << count & mask); });
    });
}
void vsri_imm(GuestState&, VectorCall& c) {
    by_unsigned(c, [&]<typename T>(T) {
        const unsigned count = (static_cast<unsigned>(c.imm) - 1) % kBits<T> + 1;
        const T mask = shift_right(static_cast<T>(-1), count, false);
        map2<T>(c, [&](T old, T b) { return (old & ~mask) | shift_right(b, count, false); });
    });
}
}  // namespace

void add_vector_shift(Table& t) {
    t[Op::VShlImm] = vshl_imm;
    t[Op::VShrSImm] = vshr_imm<true, false>;
    t[Op::VShrUImm] = vshr_imm<false, false>;
    t[Op::VRShrSImm] = vshr_imm<true, true>;
    t[Op::VRShrUImm] = vshr_imm<false, true>;
    t[Op::VSliImm] = vsli_imm;
    t[Op::VSriImm] = vsri_imm;
    t[Op::VShlS] = vshl<true, false>;
    t[Op::VShlU] = vshl<false, false>;
    t[Op::VRShlS] = vshl<true, true>;
    t[Op::VRShlU] = vshl<false, true>;
    t[Op::VQShlS] = vqshl<true, false>;
    t[Op::VQShlU] = vqshl<false, false>;
    t[Op::VQRShlS] = vqshl<true, true>;
    t[Op::VQRShlU] = vqshl<false, true>;
    t[Op::VQShlSImm] = vqshl_imm<true>;
    t[Op::VQShlUImm] = vqshl_imm<false>;
    t[Op::VQShluImm] = vqshlu_imm;
}

}  // namespace arclight::jit::reference
