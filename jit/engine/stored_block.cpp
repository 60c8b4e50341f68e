#include "jit/engine/stored_block.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace arclight::jit {

namespace {
struct Head {
    uint32_t bytes;  ///< of all, this included
    uint32_t translation_flags, page_offset, guest_insns;
    uint32_t body, indirect;
    uint8_t indirect_register, indirect_kind, counted, spins, grouping;
    uint8_t unused[3];
    // How many of each follow, in this order; each begins at an aligned place.
    uint32_t guest_code, hot, cold, relocations, constants, exits, points, locations;
};

constexpr size_t aligned(size_t bytes) { return (bytes + kStoredAlignment - 1) & ~(kStoredAlignment - 1); }

template <typename T>
void append(std::string& out, std::span<const T> what) {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= kStoredAlignment);
    out.append(reinterpret_cast<const char*>(what.data()), what.size_bytes());
    out.resize(aligned(out.size()));
}

/// Takes spans off the front of what follows a Head.
class Reader {
  public:
    explicit Reader(std::span<const char> rest) : rest_(rest) {}
    template <typename T>
    std::span<const T> take(uint32_t count) {
        const size_t bytes = aligned(size_t{count} * sizeof(T));
        if (bytes > rest_.size()) {
            good_ = false;
            return {};
        }
        const auto* first = reinterpret_cast<const T*>(rest_.data());
        rest_ = rest_.subspan(bytes);
        return {first, count};
    }
    bool complete() const { return good_ && rest_.empty(); }

  private:
    std::span<const char> rest_;
    bool good_ = true;
};

uint32_t size_of(const auto& span) { return static_cast<uint32_t>(span.size()); }
}  // namespace

bool StoredBlock::is_of(uint32_t flags, uint32_t offset, bool grouped,
                        std::span<const std::byte> code) const {
    return translation_flags == flags && page_offset == offset && grouping == grouped &&
           guest_code.size() <= code.size() &&
           std::memcmp(guest_code.data(), code.data(), guest_code.size()) == 0;
}

void append_stored(const StoredBlock& block, std::string& out) {
    const BlockImage& image = block.image;
    const size_t start = out.size();
    Head head{.bytes = 0,
              .translation_flags = block.translation_flags,
              .page_offset = block.page_offset,
              .guest_insns = block.guest_insns,
              .body = image.body,
              .indirect = image.indirect,
              .indirect_register = image.indirect_register,
              .indirect_kind = image.indirect_kind,
              .counted = image.counted,
              .spins = block.spins,
              .grouping = block.grouping,
              .unused = {},
              .guest_code = size_of(block.guest_code),
              .hot = size_of(image.hot),
              .cold = size_of(image.cold),
              .relocations = size_of(image.relocations),
              .constants = size_of(image.constants),
              .exits = size_of(image.exits),
              .points = size_of(image.points),
              .locations = size_of(image.locations)};
    append(out, std::span<const Head>(&head, 1));
    append(out, block.guest_code);
    append(out, image.hot);
    append(out, image.cold);
    append(out, image.relocations);
    append(out, image.constants);
    append(out, image.exits);
    append(out, image.points);
    append(out, image.locations);
    head.bytes = static_cast<uint32_t>(out.size() - start);
    std::memcpy(out.data() + start, &head, sizeof head);
}

std::optional<StoredBlock> read_stored(std::span<const char> bytes, size_t at) {
    if (at % kStoredAlignment != 0 || at > bytes.size() || bytes.size() - at < aligned(sizeof(Head)))
        return std::nullopt;
    Head head;
    std::memcpy(&head, bytes.data() + at, sizeof head);
    if (head.bytes < aligned(sizeof head) || head.bytes > bytes.size() - at) return std::nullopt;
    Reader reader(bytes.subspan(at, head.bytes).subspan(aligned(sizeof head)));
    StoredBlock block{.translation_flags = head.translation_flags,
                      .page_offset = head.page_offset,
                      .guest_insns = head.guest_insns,
                      .spins = head.spins != 0,
                      .grouping = head.grouping != 0,
                      .guest_code = {},
                      .image = {}};
    block.guest_code = reader.take<std::byte>(head.guest_code);
    BlockImage& image = block.image;
    image.body = head.body;
    image.indirect = head.indirect;
    image.indirect_register = head.indirect_register;
    image.indirect_kind = head.indirect_kind;
    image.counted = head.counted != 0;
    image.hot = reader.take<uint8_t>(head.hot);
    image.cold = reader.take<uint8_t>(head.cold);
    image.relocations = reader.take<Relocation>(head.relocations);
    image.constants = reader.take<std::array<uint64_t, 2>>(head.constants);
    image.exits = reader.take<ImageExit>(head.exits);
    image.points = reader.take<FaultPoint>(head.points);
    image.locations = reader.take<SavedLocation>(head.locations);
    return reader.complete() && !block.guest_code.empty() ? std::optional(block) : std::nullopt;
}

}  // namespace arclight::jit
