// Compile-time reading of the bit strings in the instruction tables.
//
// A pattern is 32 characters, most significant bit first: '0' and '1' must match, '-' is ignored, a run of
// one letter is a field. "sf" bits and the like are fields too. A handler takes one argument per run, in
// order from the left:
//     INST(MOVZ, Base, "MOVZ", "z10100101wwiiiiiiiiiiiiiiiiddddd")
//     bool MOVZ(TranslationContext& t, bool sf, Imm<2> hw, Imm<16> imm16, Reg d);
// A row that ends in a family handler and arguments binds them in front of the fields:
//     INST(MUL_vector, AdvSimd, "MUL (vector)", "0Q001110zz1mmmmm100111nnnnnddddd", three_same, Op::VMul,
//     kBHS) bool three_same(TranslationContext& t, Op op, unsigned sizes, bool q, Imm<2> size, Vec m, Vec n,
//     Vec d);
// A handler whose last parameter is Fields gets all fields by their letters, where a letter's runs are one field: that is for
// instructions (SVE's) of which many have operands of one kind in one place.
// A wrong number of arguments, or a field too wide for its type, does not build.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

namespace arclight::frontend::a64 {

enum class Reg : uint8_t {};  ///< 0..31; whether 31 is SP or ZR is for the handler to say
enum class Vec : uint8_t {};  ///< 0..31

constexpr unsigned index(Reg r) { return static_cast<unsigned>(r); }
constexpr unsigned index(Vec v) { return static_cast<unsigned>(v); }

/// An N-bit field.
template <unsigned N>
struct Imm {
    static constexpr unsigned bits = N;
    uint32_t value;
    constexpr operator uint32_t() const { return value; }
    constexpr int64_t sign_extend() const {
        return static_cast<int64_t>(static_cast<uint64_t>(value) << (64 - N)) >> (64 - N);
    }
    constexpr bool bit(unsigned n) const { return (value >> n & 1) != 0; }
};
/// Two fields put together, `hi` above `lo`.
template <unsigned H, unsigned L>
constexpr Imm<H + L> concat(Imm<H> hi, Imm<L> lo) {
    return {hi.value << L | lo.value};
}

struct FixedPattern {
    char text[33];
    consteval FixedPattern(const char (&s)[33]) {
        for (int i = 0; i < 33; ++i) text[i] = s[i];
    }
};

struct FieldRun {
    unsigned lo, width;
};

/// The fields of an instruction by letter, 0 where the pattern has no such letter.
struct Fields {
    std::array<uint32_t, 26> value{};
    constexpr uint32_t operator[](char letter) const { return value[static_cast<size_t>(letter - 'a')]; }
};

namespace detail {
constexpr bool is_field(char c) { return c != '0' && c != '1' && c != '-'; }

template <FixedPattern P>
consteval unsigned count_fields() {
    unsigned n = 0;
    for (int i = 0; i < 32; ++i)
        if (is_field(P.text[i]) && (i == 0 || P.text[i] != P.text[i - 1])) ++n;
    return n;
}

template <FixedPattern P>
consteval auto field_runs() {
    std::array<FieldRun, count_fields<P>()> runs{};
    unsigned n = 0;
    for (int i = 0; i < 32;) {
        if (!is_field(P.text[i])) {
            ++i;
            continue;
        }
        int j = i;
        while (j < 32 && P.text[j] == P.text[i]) ++j;
        runs[n++] = {static_cast<unsigned>(32 - j), static_cast<unsigned>(j - i)};
        i = j;
    }
    return runs;
}

constexpr uint32_t extract(uint32_t insn, FieldRun f) {
    return insn >> f.lo & (f.width == 32 ? ~0u : (1u << f.width) - 1);
}

template <FixedPattern P>
constexpr Fields fields_of(uint32_t insn) {
    Fields fields;
    for (int i = 0; i < 32; ++i) {
        if (!is_field(P.text[i])) continue;
        uint32_t& value = fields.value[static_cast<size_t>(P.text[i] - 'a')];
        value = value << 1 | (insn >> (31 - i) & 1);
    }
    return fields;
}

template <typename T>
struct FieldType;
template <>
struct FieldType<bool> {
    static constexpr unsigned bits = 1;
    static constexpr bool make(uint32_t v) { return v != 0; }
};
template <>
struct FieldType<Reg> {
    static constexpr unsigned bits = 5;
    static constexpr Reg make(uint32_t v) { return static_cast<Reg>(v); }
};
template <>
struct FieldType<Vec> {
    static constexpr unsigned bits = 5;
    static constexpr Vec make(uint32_t v) { return static_cast<Vec>(v); }
};
template <unsigned N>
struct FieldType<Imm<N>> {
    static constexpr unsigned bits = N;
    static constexpr Imm<N> make(uint32_t v) { return {v}; }
};

/// Calls Fn(ctx, bound..., fields...): the row of the table gives the bound arguments, the instruction the
/// rest.
template <FixedPattern P, auto Fn, auto... Bound>
struct HandlerCall {
    template <typename Ctx, typename... Args>
    static bool invoke(bool (*)(Ctx&, Args...), Ctx& ctx, [[maybe_unused]] uint32_t insn) {
        using Parameters = std::tuple<Args...>;
        constexpr auto kBounds = std::make_index_sequence<sizeof...(Bound)>();
        if constexpr ((std::is_same_v<Args, Fields> || ...)) {
            static_assert(sizeof...(Args) == sizeof...(Bound) + 1,
                          "handler arguments do not match what the row binds");
            return by_letter<Parameters>(ctx, insn, kBounds);
        } else {
            static_assert(sizeof...(Args) == sizeof...(Bound) + kRuns.size(),
                          "handler arguments do not match what the row binds and the pattern's fields");
            return in_order<Parameters>(ctx, insn, kBounds, std::make_index_sequence<kRuns.size()>());
        }
    }

  private:
    static constexpr auto kRuns = field_runs<P>();

    template <typename Parameters, typename Ctx, size_t... B>
    static bool by_letter(Ctx& ctx, uint32_t insn, std::index_sequence<B...>) {
        static_assert((kSameKind<decltype(Bound), std::tuple_element_t<B, Parameters>> && ...),
                      "a bound argument does not fit its parameter");
        return Fn(ctx, Bound..., fields_of<P>(insn));
    }
    template <typename Parameters, typename Ctx, size_t... B, size_t... I>
    static bool in_order(Ctx& ctx, [[maybe_unused]] uint32_t insn, std::index_sequence<B...>,
                         std::index_sequence<I...>) {
        constexpr size_t kBound = sizeof...(B);
        static_assert((kSameKind<decltype(Bound), std::tuple_element_t<B, Parameters>> && ...),
                      "a bound argument does not fit its parameter");
        static_assert(
            ((FieldType<std::tuple_element_t<kBound + I, Parameters>>::bits == kRuns[I].width) && ...),
            "a field's width does not match its argument");
        return Fn(ctx, Bound...,
                  FieldType<std::tuple_element_t<kBound + I, Parameters>>::make(extract(insn, kRuns[I]))...);
    }
    /// Scoped enumerations and bool must be the parameter's own; numbers convert.
    template <typename Given, typename Parameter>
    static constexpr bool kSameKind = std::is_same_v<Given, Parameter> ||
                                      (std::is_convertible_v<Given, unsigned> &&
                                       std::is_integral_v<Parameter> && !std::is_same_v<Given, bool> &&
                                       !std::is_same_v<Parameter, bool>);
};
}  // namespace detail

/// Calls handler Fn(ctx, Bound..., fields...) for `insn`, which must match P.
template <typename Ctx, FixedPattern P, auto Fn, auto... Bound>
bool call_handler(Ctx& ctx, uint32_t insn) {
    return detail::HandlerCall<P, Fn, Bound...>::invoke(Fn, ctx, insn);
}

}  // namespace arclight::frontend::a64
