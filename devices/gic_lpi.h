#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

namespace arclight::devices {

inline constexpr uint32_t kFirstLpi = 8192;
inline constexpr unsigned kLpiIntidBits = 16;
inline constexpr uint32_t kLpiEnd = 1u << kLpiIntidBits;

/// A set of LPIs, by INTID: kFirstLpi to kLpiEnd - 1.
class LpiSet {
  public:
    bool contains(uint32_t intid) const { return (words_[intid / 64] >> (intid % 64) & 1) != 0; }
    void insert(uint32_t intid) {
        words_[intid / 64] |= uint64_t{1} << (intid % 64);
        used_[intid / 4096] |= uint64_t{1} << (intid / 64 % 64);
    }
    void erase(uint32_t intid) {
        uint64_t& word = words_[intid / 64];
        word &= ~(uint64_t{1} << (intid % 64));
        if (word == 0) used_[intid / 4096] &= ~(uint64_t{1} << (intid / 64 % 64));
    }
    void clear() {
        words_.fill(0);
        used_.fill(0);
    }
    /// In ascending order; f may erase what it is called for.
    template <typename F>
    void for_each(F&& f) const {
        for (uint32_t i = 0; i < used_.size(); i++) {
            for (uint64_t used = used_[i]; used != 0; used &= used - 1) {
                const uint32_t at = i * 64 + static_cast<uint32_t>(std::countr_zero(used));
                for (uint64_t word = words_[at]; word != 0; word &= word - 1)
                    f(at * 64 + static_cast<uint32_t>(std::countr_zero(word)));
            }
        }
    }

  private:
    std::array<uint64_t, kLpiEnd / 64> words_{};
    std::array<uint64_t, kLpiEnd / 4096> used_{};  ///< which words are not zero
};

/// A redistributor's part of locality-specific peripheral interrupts (ARM IHI 0069 section 5.1). The pending table in guest
/// memory is read when LPIs are enabled and written when they are disabled; meanwhile `pending` stands for it. Priorities and
/// enables are read from the configuration table each time, so there is nothing to invalidate.
struct Lpis {
    bool enabled = false;        ///< GICR_CTLR.EnableLPIs
    uint64_t configuration = 0;  ///< GICR_PROPBASER
    uint64_t table = 0;          ///< GICR_PENDBASER; with PTZ as it was written
    LpiSet pending;

    /// How many INTIDs there are by GICR_PROPBASER.IDbits.
    uint32_t end() const {
        const unsigned bits = (configuration & 31) + 1;
        return bits < kLpiIntidBits ? 1u << bits : kLpiEnd;
    }
    bool valid(uint32_t intid) const { return intid >= kFirstLpi && intid < end(); }
};

}  // namespace arclight::devices
