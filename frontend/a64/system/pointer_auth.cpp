#include "frontend/a64/system/pointer_auth.h"

#include <array>
#include <bit>
#include <iterator>

#include "frontend/a64/system/cpu.h"
#include "mmu/bits.h"

namespace arclight::frontend::a64 {

void update_pac_masks(Cpu& cpu) {
    constexpr uint64_t kTopByte = ~uint64_t{0} << 56;
    for (unsigned data = 0; data < 2; ++data) {
        uint64_t mask[2];
        for (unsigned half = 0; half < 2; ++half) {
            const mmu::TranslationRegs::Half& h = cpu.translation.half[half];
            const bool tagged = h.tbi && (data != 0 || !h.tbid);
            mask[half] = (bit(55) - bit(h.va_bits)) | (tagged ? 0 : kTopByte);
        }
        cpu.state.pac_masks[data][0] = mask[0];
        cpu.state.pac_masks[data][1] = mask[0] ^ mask[1];
    }
    constexpr uint64_t kEnables[] = {bit(31), bit(30), bit(27), bit(13)};  // EnIA, EnIB, EnDA, EnDB
    for (unsigned key = 0; key < std::size(kEnables); ++key) {
        const bool enabled = (cpu.translation.sctlr & kEnables[key]) != 0;
        cpu.pac_used |= enabled;
        for (unsigned half = 0; half < 2; ++half)
            cpu.state.pac_key_masks[key][half] = enabled ? cpu.state.pac_masks[key / 2][half] : 0;
    }
}

// ---- QARMA (Avanzi, "The QARMA Block Cipher Family", 2017), as the manual's ComputePAC uses it: QARMA-64 with 5 or 3 rounds
// on 16 cells of 4 bits.

namespace {

using Cells = std::array<uint8_t, 16>;

constexpr uint64_t get(uint64_t v, unsigned cell) { return v >> 4 * cell & 15; }

template <typename F>
constexpr uint64_t each_cell(F&& f) {
    uint64_t out = 0;
    for (unsigned i = 0; i < 16; ++i) out |= static_cast<uint64_t>(f(i)) << 4 * i;
    return out;
}

constexpr Cells inverse(const Cells& of) {
    Cells out{};
    for (uint8_t i = 0; i < 16; ++i) out[of[i]] = i;
    return out;
}

// From which cell each comes.
constexpr Cells kShuffle = {13, 6, 11, 0, 7, 12, 1, 10, 8, 3, 14, 5, 2, 9, 4, 15},
                kInverseShuffle = inverse(kShuffle);
constexpr Cells kTweakShuffle = {4, 5, 6, 7, 11, 2, 3, 8, 12, 13, 14, 15, 0, 1, 10, 9};
constexpr uint32_t kTweakRotated = 1u << 2 | 1u << 4 | 1u << 7 | 1u << 11 | 1u << 12 | 1u << 15 | 1u << 14;

constexpr Cells kSubstitute5 = {11, 6, 8, 15, 12, 0, 9, 14, 3, 7, 4, 5, 13, 2, 1, 10};
constexpr Cells kSubstitute3 = {10, 13, 14, 6, 15, 7, 3, 5, 9, 8, 0, 12, 11, 1, 2, 4};

constexpr uint64_t permute(uint64_t v, const Cells& from) {
    return each_cell([&](unsigned i) { return get(v, from[i]); });
}
constexpr uint64_t substitute(uint64_t v, const Cells& by) {
    return each_cell([&](unsigned i) { return by[get(v, i)]; });
}

constexpr uint64_t rotate_cell(uint64_t cell, unsigned by) { return (cell << by | cell >> (4 - by)) & 15; }

/// The involutory MixColumns: cell by cell of a column, rotations of the other three by 1 and 2.
constexpr uint64_t mix_columns(uint64_t v) {
    uint64_t out = 0;
    for (unsigned column = 0; column < 4; ++column) {
        const uint64_t a = get(v, column), b = get(v, column + 4), c = get(v, column + 8),
                       d = get(v, column + 12);
        const uint64_t t0 = rotate_cell(c, 1) ^ rotate_cell(b, 2) ^ rotate_cell(a, 1);
        const uint64_t t1 = rotate_cell(d, 1) ^ rotate_cell(b, 1) ^ rotate_cell(a, 2);
        const uint64_t t2 = rotate_cell(d, 2) ^ rotate_cell(c, 1) ^ rotate_cell(a, 1);
        const uint64_t t3 = rotate_cell(d, 1) ^ rotate_cell(c, 2) ^ rotate_cell(b, 1);
        out |= t3 << 4 * column | t2 << 4 * (column + 4) | t1 << 4 * (column + 8) | t0 << 4 * (column + 12);
    }
    return out;
}

/// The next tweak: cells shuffled, and some of them stepped by a shift register.
constexpr uint64_t next_tweak(uint64_t v) {
    return each_cell([&](unsigned i) {
        const uint64_t cell = get(v, kTweakShuffle[i]);
        if ((kTweakRotated >> i & 1) == 0) return cell;
        return cell >> 1 | ((cell ^ cell >> 1) & 1) << 3;
    });
}
constexpr uint64_t previous_tweak(uint64_t v) {
    constexpr Cells kFrom = inverse(kTweakShuffle);
    return each_cell([&](unsigned i) {
        const uint64_t cell = get(v, kFrom[i]);
        if ((kTweakRotated >> kFrom[i] & 1) == 0) return cell;
        return (cell << 1 & 15) | ((cell & 1) ^ cell >> 3);
    });
}
static_assert(previous_tweak(next_tweak(0x0123'4567'89ab'cdef)) == 0x0123'4567'89ab'cdef);
static_assert(mix_columns(mix_columns(0x0123'4567'89ab'cdef)) == 0x0123'4567'89ab'cdef);

}  // namespace

uint64_t qarma(uint64_t data, uint64_t modifier, uint64_t low, uint64_t high, bool qarma3) {
    static constexpr uint64_t kRoundConstants[] = {0, 0x1319'8a2e'0370'7344, 0xa409'3822'299f'31d0,
                                                   0x082e'fa98'ec4e'6c89, 0x4528'21e6'38d0'1377};
    static constexpr uint64_t kAlpha = 0xc0ac'29b7'c97c'50dd;
    static constexpr Cells kInverse5 = inverse(kSubstitute5), kInverse3 = inverse(kSubstitute3);
    const Cells &sub = qarma3 ? kSubstitute3 : kSubstitute5, &inverse_sub = qarma3 ? kInverse3 : kInverse5;
    const unsigned last = qarma3 ? 2 : 4;
    const uint64_t modified_high = std::rotr(high, 1) ^ high >> 63;

    uint64_t tweak = modifier, v = data ^ high;
    for (unsigned i = 0; i <= last; ++i) {
        v ^= low ^ tweak ^ kRoundConstants[i];
        if (i > 0) v = mix_columns(permute(v, kShuffle));
        v = substitute(v, sub);
        tweak = next_tweak(tweak);
    }
    v ^= modified_high ^ tweak;
    v = substitute(mix_columns(permute(v, kShuffle)), sub);
    v = mix_columns(permute(v, kShuffle)) ^ low;
    v = substitute(permute(v, kInverseShuffle), inverse_sub);
    v = permute(mix_columns(v), kInverseShuffle) ^ high ^ tweak;
    for (unsigned i = 0; i <= last; ++i) {
        v = substitute(v, inverse_sub);
        if (i < last) v = permute(mix_columns(v), kInverseShuffle);
        tweak = previous_tweak(tweak);
        v ^= kRoundConstants[last - i] ^ low ^ tweak ^ kAlpha;
    }
    return v ^ modified_high;
}

}  // namespace arclight::frontend::a64
