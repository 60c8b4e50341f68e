// The instruction table as data: names, titles, bit patterns and features, for the decoder, traces and tests.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "frontend/a64/cpu_features.h"

namespace arclight::frontend::a64 {

/// One row of a64.inc.
struct Encoding {
    const char* name;     ///< identifier, such as "ADD_imm"; the handler's too, unless the row names a family
    const char* title;    ///< as in the manual: "ADD (immediate)"
    const char* pattern;  ///< 32 characters, see fields.h
    uint32_t mask, value;  ///< insn & mask == value
    Feature feature;       ///< without it the encoding is UNDEFINED
};

/// All encodings in table order: where two match, the earlier one wins.
std::span<const Encoding> encodings();

/// Finds the rows that a CPU with certain features has. Rows of absent features are left out when it is
/// built, so that they cost nothing when a word is looked up.
class Decoder {
  public:
    explicit Decoder(FeatureSet features);
    /// Index into encodings(), or -1 when unallocated.
    int find(uint32_t insn) const;
    FeatureSet features() const { return features_; }

  private:
    /// Bits 31:22 choose a short list of candidates, [starts_[n], starts_[n + 1]); it keeps table order.
    static constexpr unsigned kBucketShift = 22, kBuckets = 1u << (32 - kBucketShift);
    struct Candidate {
        uint32_t mask, value;
        int row;
    };
    std::vector<Candidate> candidates_;
    std::array<uint32_t, kBuckets + 1> starts_;
    FeatureSet features_;
};

/// Of a CPU with kDefaultFeatures.
const Decoder& default_decoder();
inline int find_encoding(uint32_t insn) { return default_decoder().find(insn); }

}  // namespace arclight::frontend::a64
