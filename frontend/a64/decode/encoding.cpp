#include "frontend/a64/decode/encoding.h"

#include <iterator>

namespace arclight::frontend::a64 {

namespace {
constexpr uint32_t bits_of(const char* pattern, bool mask) {
    uint32_t v = 0;
    for (int i = 0; i < 32; ++i) {
        const bool fixed = pattern[i] == '0' || pattern[i] == '1';
        v = v << 1 | (mask ? fixed : pattern[i] == '1');
    }
    return v;
}

constexpr Encoding kEncodings[] = {
#define INST(name, feature, title, pattern, ...) \
    {#name, title, pattern, bits_of(pattern, true), bits_of(pattern, false), Feature::feature},
#include "frontend/a64/decode/a64.inc"
#undef INST
};
}  // namespace

std::span<const Encoding> encodings() { return kEncodings; }

Decoder::Decoder(FeatureSet features) : features_(features) {
    for (uint32_t b = 0; b < kBuckets; ++b) {
        starts_[b] = static_cast<uint32_t>(candidates_.size());
        for (size_t e = 0; e < std::size(kEncodings); ++e) {
            const Encoding& encoding = kEncodings[e];
            if (!features.has(encoding.feature)) continue;
            if ((b & encoding.mask >> kBucketShift) != encoding.value >> kBucketShift) continue;
            candidates_.push_back({encoding.mask, encoding.value, static_cast<int>(e)});
        }
    }
    starts_[kBuckets] = static_cast<uint32_t>(candidates_.size());
}

int Decoder::find(uint32_t insn) const {
    const uint32_t bucket = insn >> kBucketShift;
    for (uint32_t i = starts_[bucket]; i < starts_[bucket + 1]; ++i)
        if ((insn & candidates_[i].mask) == candidates_[i].value) return candidates_[i].row;
    return -1;
}

const Decoder& default_decoder() {
    static const Decoder decoder(kDefaultFeatures);
    return decoder;
}

}  // namespace arclight::frontend::a64
