#include "frontend/a64/frontend.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "frontend/a64/decode/disassemble.h"
#include "frontend/a64/translate/translator.h"

namespace arclight::frontend::a64 {

namespace {
constexpr unsigned kInsnBytes = 4;
static_assert(std::endian::native == std::endian::little, "A64 instructions are little-endian (B2.6.1)");

class A64Frontend final : public jit::Frontend {
  public:
    explicit A64Frontend(FeatureSet features) : decoder_(features) {}

    CodeLimits code_limits() const override {
        return {.alignment = kInsnBytes,
                .max_block_bytes = kMaxBlockInsns * kInsnBytes,
                .max_block_insns = kMaxBlockInsns};
    }

    void translate(ir::Block& block, std::span<const std::byte> code, uint32_t page_offset,
                   uint32_t translation_flags, unsigned max_insns) const override {
        std::array<uint32_t, kMaxBlockInsns> words;
        const size_t count = std::min(code.size() / kInsnBytes, words.size());
        std::memcpy(words.data(), code.data(), count * kInsnBytes);
        translate_block(block, std::span(words).first(count), page_offset, translation_flags, max_insns,
                        decoder_);
    }

    bool may_promote(uint32_t translation_flags) const override {
        constexpr uint32_t kNot = translation_flag::kSingleStep | translation_flag::kCount |
                                  translation_flag::kIllegal | translation_flag::kBreakpoints;
        return (translation_flags & kNot) == 0;
    }

    uint64_t variant() const override { return decoder_.features().hash(); }

    Listed describe(std::span<const std::byte> code) const override {
        uint32_t word = 0;
        std::memcpy(&word, code.data(), std::min(code.size(), sizeof word));
        return {kInsnBytes, fmt::format("{:08x} {}", word, a64::describe(word))};
    }

  private:
    Decoder decoder_;
};
}  // namespace

std::unique_ptr<const jit::Frontend> make_frontend(FeatureSet features) {
    return std::make_unique<A64Frontend>(features);
}

const jit::Frontend& frontend() {
    static const A64Frontend instance(kDefaultFeatures);
    return instance;
}

}  // namespace arclight::frontend::a64
