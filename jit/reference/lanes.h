// Lanes of a V128 by element type, and loops over them.
#pragma once

#include <cstring>
#include <type_traits>

#include "jit/guest_state.h"
#include "jit/ir/ir.h"

namespace arclight::jit::reference {

/// The lanes of type T in a register. memcpy-like access by the union would need a member per type; this is
/// the same thing with the type as a parameter.
template <typename T>
struct Lanes {
    static constexpr unsigned kCount = 16 / sizeof(T);
    T lane[kCount];
    T& operator[](unsigned i) { return lane[i]; }
    const T& operator[](unsigned i) const { return lane[i]; }
};
template <typename T>
Lanes<T> lanes(const V128& v) {
    Lanes<T> r;
    std::memcpy(r.lane, &v, sizeof(v));
    return r;
}
template <typename T>
V128 pack(const Lanes<T>& l) {
    V128 v;
    std::memcpy(&v, l.lane, sizeof(v));
    return v;
}

template <typename T>
inline constexpr unsigned kBits = 8 * sizeof(T);
/// The type twice, and half, as wide, of the same signedness.
template <typename T>
struct WiderOf;
template <>
struct WiderOf<int8_t> {
    using type = int16_t;
};
template <>
struct WiderOf<int16_t> {
    using type = int32_t;
};
template <>
struct WiderOf<int32_t> {
    using type = int64_t;
};
template <>
struct WiderOf<int64_t> {
    using type = __int128;
};
template <>
struct WiderOf<uint8_t> {
    using type = uint16_t;
};
template <>
struct WiderOf<uint16_t> {
    using type = uint32_t;
};
template <>
struct WiderOf<uint32_t> {
    using type = uint64_t;
};
template <>
struct WiderOf<uint64_t> {
    using type = unsigned __int128;
};
template <typename T>
using Wider = typename WiderOf<T>::type;

/// Number of lanes that take part.
template <typename T>
unsigned active(const VectorCall& c) {
    if (ir::vec_scalar(c.aux)) return 1;
    return Lanes<T>::kCount >> (c.q ? 0 : 1);
}

/// Calls f with a value of the unsigned (or signed) type of c.esize.
template <typename F>
void by_unsigned(const VectorCall& c, F f) {
    switch (c.esize & 3) {
        case 0: return f(uint8_t{});
        case 1: return f(uint16_t{});
        case 2: return f(uint32_t{});
        default: return f(uint64_t{});
    }
}
template <typename F>
void by_signed(const VectorCall& c, F f) {
    switch (c.esize & 3) {
        case 0: return f(int8_t{});
        case 1: return f(int16_t{});
        case 2: return f(int32_t{});
        default: return f(int64_t{});
    }
}
template <bool kSigned, typename F>
void by_sign(const VectorCall& c, F f) {
    if constexpr (kSigned) {
        by_signed(c, f);
    } else {
        by_unsigned(c, f);
    }
}

// Element-wise loops over all 128 bits; f's result is truncated to the element.
template <typename T, typename F>
void map1(VectorCall& c, F f) {
    const auto a = lanes<T>(c.a);
    Lanes<T> r;
    for (unsigned i = 0; i < r.kCount; ++i) r[i] = static_cast<T>(f(a[i]));
    c.out = pack(r);
}
template <typename T, typename F>
void map2(VectorCall& c, F f) {
    const auto a = lanes<T>(c.a), b = lanes<T>(c.b);
    Lanes<T> r;
    for (unsigned i = 0; i < r.kCount; ++i) r[i] = static_cast<T>(f(a[i], b[i]));
    c.out = pack(r);
}
/// The same over the lanes that take part; the others become zero.
template <typename T, typename F>
void map1_active(VectorCall& c, F f) {
    const auto a = lanes<T>(c.a);
    Lanes<T> r{};
    for (unsigned i = 0; i < active<T>(c); ++i) r[i] = static_cast<T>(f(a[i]));
    c.out = pack(r);
}
template <typename T, typename F>
void map2_active(VectorCall& c, F f) {
    const auto a = lanes<T>(c.a), b = lanes<T>(c.b);
    Lanes<T> r{};
    for (unsigned i = 0; i < active<T>(c); ++i) r[i] = static_cast<T>(f(a[i], b[i]));
    c.out = pack(r);
}
template <typename T, typename F>
void map3_active(VectorCall& c, F f) {
    const auto a = lanes<T>(c.a), b = lanes<T>(c.b), d = lanes<T>(c.c);
    Lanes<T> r{};
    for (unsigned i = 0; i < active<T>(c); ++i) r[i] = static_cast<T>(f(a[i], b[i], d[i]));
    c.out = pack(r);
}

}  // namespace arclight::jit::reference
