#include "frontend/a64/decode/encoding.h"

#include <array>
#include <vector>

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
#define INST(name, title, pattern, ...) \
    {#name, title, pattern, bits_of(pattern, true), bits_of(pattern, false)},
#include "frontend/a64/decode/a64.inc"
#undef INST
};

// Bits 31:22 choose a short list; every list keeps table order.
constexpr unsigned kBucketShift = 22;
struct Buckets {
    std::array<std::vector<uint16_t>, 1u << (32 - kBucketShift)> lists;
    Buckets() {
        for (size_t e = 0; e < std::size(kEncodings); ++e) {
            const uint32_t mask = kEncodings[e].mask >> kBucketShift,
                           value = kEncodings[e].value >> kBucketShift;
            for (uint32_t b = 0; b < lists.size(); ++b)
                if ((b & mask) == value) lists[b].push_back(static_cast<uint16_t>(e));
        }
    }
};
}  // namespace

std::span<const Encoding> encodings() { return kEncodings; }

int find_encoding(uint32_t insn) {
    static const Buckets buckets;
    for (const uint16_t e : buckets.lists[insn >> kBucketShift])
        if ((insn & kEncodings[e].mask) == kEncodings[e].value) return e;
    return -1;
}

}  // namespace arclight::frontend::a64
