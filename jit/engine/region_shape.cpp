#include "jit/engine/region_shape.h"

#include <cstring>

namespace arclight::jit {

namespace {
constexpr uint32_t kMaxBlocks = 1024, kMaxCode = 4096, kMaxOffsets = 65536;

template <typename T>
void put(std::string& out, const T& value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <typename T>
void put_all(std::string& out, const std::vector<T>& values) {
    put(out, static_cast<uint32_t>(values.size()));
    out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

struct Reader {
    std::string_view left;
    bool good = true;

    template <typename T>
    T get() {
        T value{};
        if (left.size() < sizeof value) {
            good = false;
            return value;
        }
        std::memcpy(&value, left.data(), sizeof value);
        left.remove_prefix(sizeof value);
        return value;
    }
    template <typename T>
    std::vector<T> all(uint32_t most) {
        const auto count = get<uint32_t>();
        if (count > most || left.size() / sizeof(T) < count) {
            good = false;
            return {};
        }
        std::vector<T> values(count);
        if (count != 0) std::memcpy(values.data(), left.data(), count * sizeof(T));
        left.remove_prefix(count * sizeof(T));
        return values;
    }
};
}  // namespace

std::string RegionShape::bytes() const {
    std::string out;
    put(out, translation_flags);
    put(out, static_cast<uint32_t>(blocks.size()));
    for (const Block& b : blocks) {
        put(out, b.offset);
        put_all(out, b.code);
    }
    put_all(out, return_sites);
    put_all(out, indirect_targets);
    return out;
}

std::optional<RegionShape> RegionShape::parse(std::string_view bytes) {
    Reader in{bytes};
    RegionShape shape;
    shape.translation_flags = in.get<uint32_t>();
    const auto blocks = in.get<uint32_t>();
    if (blocks == 0 || blocks > kMaxBlocks) return std::nullopt;
    for (uint32_t k = 0; k < blocks && in.good; ++k) {
        const auto offset = in.get<int64_t>();
        shape.blocks.push_back({offset, in.all<std::byte>(kMaxCode)});
        const uint64_t in_page = static_cast<uint64_t>(offset) & 4095;
        const size_t bytes = shape.blocks.back().code.size();
        if (bytes == 0 || in_page + bytes > 4096) return std::nullopt;
    }
    shape.return_sites = in.all<int64_t>(kMaxOffsets);
    shape.indirect_targets = in.all<int64_t>(kMaxOffsets);
    if (!in.good || !in.left.empty() || shape.blocks[0].offset < 0 || shape.blocks[0].offset > 4095)
        return std::nullopt;
    return shape;
}

}  // namespace arclight::jit
