// What a compiled region was made of, as it is kept on disk beside its code: another run makes the same
// region again when the same guest code is found at the same places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace arclight::jit {

struct RegionShape {
    struct Block {
        int64_t offset;               ///< as RegionBlock::offset
        std::vector<std::byte> code;  ///< the guest's, as TranslationBlock::guest_code
        bool operator==(const Block&) const = default;
    };
    uint32_t translation_flags = 0;
    std::vector<Block> blocks;  ///< the entry first
    std::vector<int64_t> return_sites, indirect_targets;

    bool operator==(const RegionShape&) const = default;
    std::string bytes() const;
    /// Nothing: these are no shape's bytes.
    static std::optional<RegionShape> parse(std::string_view bytes);
};

}  // namespace arclight::jit
