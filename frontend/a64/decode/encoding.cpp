#include "frontend/a64/decode/encoding.h"

#include <algorithm>
#include <iterator>
#include <numeric>

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
    // A row is in the buckets that its fixed bits agree with: all values of the other bits, counted by
    // carrying over the fixed ones.
    const auto each_bucket = [&](auto&& visit) {
        for (size_t row = 0; row < std::size(kEncodings); ++row) {
            const Encoding& encoding = kEncodings[row];
            if (!features.has(encoding.feature)) continue;
            const uint32_t open = ~(encoding.mask >> kBucketShift) & (kBuckets - 1);
            uint32_t bits = 0;
            do {
                visit(encoding.value >> kBucketShift | bits, encoding, static_cast<int>(row));
                bits = (bits - open) & open;
            } while (bits != 0);
        }
    };
    starts_.fill(0);
    each_bucket([&](uint32_t bucket, const Encoding&, int) { ++starts_[bucket + 1]; });
    std::partial_sum(starts_.begin(), starts_.end(), starts_.begin());
    candidates_.resize(starts_[kBuckets]);
    std::array<uint32_t, kBuckets> next;
    std::copy_n(starts_.begin(), kBuckets, next.begin());
    each_bucket([&](uint32_t bucket, const Encoding& encoding, int row) {
        candidates_[next[bucket]++] = {encoding.mask, encoding.value, row};
    });
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
