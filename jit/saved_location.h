// Where guest registers are at a point of a block where their slots in GuestState are stale, and how that is kept: in 2 bytes for a
// register, since there are some 13 of them for each block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace arclight::jit {

/// Where the newest value of a guest register is.
struct SavedLocation {
    enum Kind : uint8_t { Gpr, Xmm128, Xmm64, Xmm32, Constant, PageRelative };
    uint8_t slot;  ///< 0..31 x0..x30 and sp; 32..63 v0..v31; more: see backend::kFirstOperand
    Kind kind;
    uint8_t reg = 0;    ///< x86 encoding, 0..15; 0 where there is a value
    int64_t value = 0;  ///< Constant, or PageRelative to page_base

    bool has_value() const { return kind == Constant || kind == PageRelative; }
    friend bool operator==(const SavedLocation&, const SavedLocation&) = default;
};

/// A word of packed locations. The first one of each has its slot (7 bits), kind (3), register (4), and whether a value follows
/// (2): none, which is 0, or one of 1, 2 or 4 words, the lowest first, that is sign-extended.
using LocationWord = uint16_t;

inline constexpr unsigned value_words(unsigned length) { return length == 3 ? 4 : length; }

inline constexpr size_t kMostLocationWords = 5;

/// Writes it, in at most kMostLocationWords, and says where the next one goes.
inline LocationWord* put_location(const SavedLocation& where, LocationWord* to) {
    const int64_t value = where.has_value() ? where.value : 0;
    const unsigned reg = where.has_value() ? 0 : where.reg;
    const unsigned length = value == 0 ? 0 : value == int16_t(value) ? 1 : value == int32_t(value) ? 2 : 3;
    *to++ = static_cast<LocationWord>(where.slot | where.kind << 7 | reg << 10 | length << 14);
    for (unsigned k = 0; k < value_words(length); ++k) *to++ = static_cast<LocationWord>(value >> 16 * k);
    return to;
}

/// Reads what put_location() wrote, and nothing behind it.
class LocationReader {
  public:
    explicit LocationReader(std::span<const LocationWord> words) : words_(words) {}
    /// Nothing: there are no more.
    std::optional<SavedLocation> next() {
        if (words_.empty()) return std::nullopt;
        const unsigned head = words_[0];
        const size_t words = value_words(head >> 14);
        if (words >= words_.size()) return std::nullopt;
        uint64_t value = 0;
        for (size_t k = 0; k < words; ++k) value |= uint64_t{words_[1 + k]} << 16 * k;
        const unsigned unused = words == 0 ? 0 : static_cast<unsigned>(64 - 16 * words);
        words_ = words_.subspan(1 + words);
        return SavedLocation{.slot = static_cast<uint8_t>(head & 127),
                             .kind = static_cast<SavedLocation::Kind>(head >> 7 & 7),
                             .reg = static_cast<uint8_t>(head >> 10 & 15),
                             .value = static_cast<int64_t>(value << unused) >> unused};
    }

  private:
    std::span<const LocationWord> words_;
};

}  // namespace arclight::jit
