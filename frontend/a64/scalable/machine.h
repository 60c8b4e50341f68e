// What the reference functions of scalable operations share: registers, elements, flags.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "frontend/a64/scalable/memory.h"
#include "frontend/a64/scalable/operation.h"
#include "jit/guest_state.h"
#include "jit/ir/ir.h"
#include "jit/ir/scalable.h"

namespace arclight::frontend::a64::scalable {

inline constexpr unsigned kMaxBytes = 64;

struct Vector {
    alignas(64) uint8_t b[kMaxBytes]{};

    template <typename T>
    T at(unsigned i) const {
        T value;
        std::memcpy(&value, b + i * sizeof(T), sizeof(T));
        return value;
    }
    template <typename T>
    void put(unsigned i, std::type_identity_t<T> value) {
        std::memcpy(b + i * sizeof(T), &value, sizeof(T));
    }
    jit::V128 segment(unsigned i) const {
        jit::V128 v;
        std::memcpy(&v, b + 16 * i, sizeof v);
        return v;
    }
    void put_segment(unsigned i, const jit::V128& v) { std::memcpy(b + 16 * i, &v, sizeof v); }
    /// Element i of 8 << size bits, zero-extended; and sign-extended.
    uint64_t get(unsigned size, unsigned i) const {
        uint64_t value = 0;
        std::memcpy(&value, b + (i << size), size_t{1} << size);
        return value;
    }
    int64_t get_signed(unsigned size, unsigned i) const {
        const unsigned unused = 64 - (8u << size);
        return static_cast<int64_t>(get(size, i) << unused) >> unused;
    }
    void set(unsigned size, unsigned i, uint64_t value) {
        std::memcpy(b + (i << size), &value, size_t{1} << size);
    }
};

/// Sign-extended from 8 << size bits; and zero-extended.
constexpr int64_t sign_extend(unsigned size, uint64_t value) {
    const unsigned unused = 64 - (8u << size);
    return static_cast<int64_t>(value << unused) >> unused;
}
constexpr uint64_t zero_extend(unsigned size, uint64_t value) {
    const unsigned unused = 64 - (8u << size);
    return value << unused >> unused;
}

/// The number of elements of a vector that a pattern of PTRUE and CNT names (DecodePredCount).
constexpr unsigned pattern_count(unsigned vector_bytes, unsigned pattern, unsigned element_size) {
    const unsigned count = vector_bytes >> element_size;
    const auto if_enough = [&](unsigned wanted) { return wanted <= count ? wanted : 0; };
    if (pattern == 0) return std::bit_floor(count);
    if (pattern <= 8) return if_enough(pattern);
    if (pattern <= 13) return if_enough(16u << (pattern - 9));
    if (pattern == 29) return count - count % 4;
    if (pattern == 30) return count - count % 3;
    return pattern == 31 ? count : 0;
}

struct Machine : Operation {
    Machine(jit::GuestState& guest, Memory* accesses, const Operation& operation)
        : Operation(operation), state(guest), memory(accesses), bytes(guest.vector_bytes) {}

    jit::GuestState& state;
    Memory* memory;
    const unsigned bytes;  ///< of a vector

    unsigned elements() const { return bytes >> size; }
    unsigned segments() const { return bytes / 16; }

    Vector z(unsigned r) const {
        Vector v;
        std::memcpy(v.b, &state.v[r], 16);
        if (bytes > 16) std::memcpy(v.b + 16, state.z_upper[r].b + 16, bytes - 16);
        return v;
    }
    void set_z(unsigned r, const Vector& v) {
        std::memcpy(&state.v[r], v.b, 16);
        if (bytes > 16) std::memcpy(state.z_upper[r].b + 16, v.b + 16, bytes - 16);
    }
    /// A scalar result: the element, and zeros above it.
    void set_scalar(unsigned r, unsigned element_size, uint64_t value) {
        Vector v;
        v.set(element_size, 0, value);
        set_z(r, v);
    }
    /// One bit for each byte of a vector.
    uint64_t all() const { return bytes == 64 ? ~uint64_t{0} : (uint64_t{1} << bytes) - 1; }
    uint64_t p(unsigned r) const { return state.p[r] & all(); }
    void set_p(unsigned r, uint64_t value) { state.p[r] = value & all(); }
    /// The bits that speak for elements: the lowest ones of each.
    uint64_t element_bits(unsigned element_size) const { return jit::ir::element_bits(element_size, bytes); }
    uint64_t governing() const { return p(g) & element_bits(size); }
    static bool active(uint64_t predicate, unsigned element_size, unsigned i) {
        return (predicate >> (i << element_size) & 1) != 0;
    }

    /// Register 31: zero, or the stack pointer.
    uint64_t x_or_zero(unsigned r) const { return r == 31 ? 0 : state.x[r]; }
    uint64_t x_or_sp(unsigned r) const { return r == 31 ? state.sp : state.x[r]; }
    void set_x(unsigned r, uint64_t value) {
        if (r != 31) state.x[r] = value;
    }
    void set_x_or_sp(unsigned r, uint64_t value) { (r == 31 ? state.sp : state.x[r]) = value; }

    void set_nzcv(bool negative, bool zero, bool carry, bool overflow) {
        state.flags =
            jit::flags_from_nzcv(static_cast<uint32_t>(negative) << 31 | static_cast<uint32_t>(zero) << 30 |
                                 static_cast<uint32_t>(carry) << 29 | static_cast<uint32_t>(overflow) << 28);
    }
    bool carry() const { return (state.flags >> jit::kFlagCBit & 1) != 0; }
    /// PredTest(): N: the first active element is true; Z: none is; C: the last one is not.
    void set_flags_by(uint64_t mask, uint64_t result, unsigned element_size) {
        mask &= element_bits(element_size);
        if (mask == 0) return set_nzcv(false, true, true, false);
        const unsigned first = static_cast<unsigned>(std::countr_zero(mask));
        const unsigned last = 63 - static_cast<unsigned>(std::countl_zero(mask));
        set_nzcv((result >> first & 1) != 0, (result & mask) == 0, (result >> last & 1) == 0, false);
    }

    unsigned pattern_count(unsigned pattern, unsigned element_size) const {
        return scalable::pattern_count(bytes, pattern, element_size);
    }
    /// A predicate of which the first `count` elements are true.
    uint64_t first_elements(unsigned count, unsigned element_size) const {
        const unsigned bits = count << element_size;
        return element_bits(element_size) & (bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1);
    }
};

/// Calls f with a value of the unsigned type of 8 << size bits; and with one of the signed type.
template <typename F>
void by_unsigned(unsigned size, F f) {
    switch (size) {
        case 0: return f(uint8_t{});
        case 1: return f(uint16_t{});
        case 2: return f(uint32_t{});
        default: return f(uint64_t{});
    }
}
template <typename F>
void by_signed(unsigned size, F f) {
    by_unsigned(size, [&]<typename T>(T) { f(std::make_signed_t<T>{}); });
}

/// `merged` where the predicate is true, else `otherwise`.
inline Vector select(const Machine& m, uint64_t predicate, const Vector& chosen, const Vector& otherwise) {
    Vector r = otherwise;
    for (unsigned i = 0; i < m.elements(); ++i)
        if (Machine::active(predicate, m.size, i)) r.set(m.size, i, chosen.get(m.size, i));
    return r;
}

/// Z of the destination: f(i) in the elements for which `predicate` is true, the others as they were.
template <typename F>
void merge(Machine& m, uint64_t predicate, F f) {
    Vector r = m.z(m.d);
    for (unsigned i = 0; i < m.elements(); ++i)
        if (Machine::active(predicate, m.size, i)) r.set(m.size, i, f(i));
    m.set_z(m.d, r);
}
template <typename F>
void merge(Machine& m, F f) {
    merge(m, m.governing(), f);
}
/// f(i) in all elements of it.
template <typename F>
void each(Machine& m, F f) {
    Vector r;
    for (unsigned i = 0; i < m.elements(); ++i) r.set(m.size, i, f(i));
    m.set_z(m.d, r);
}

}  // namespace arclight::frontend::a64::scalable
