#include "jit/engine/stored_block.h"

#include <algorithm>
#include <cstring>

namespace arclight::jit {

namespace {
// A record is its size (4 bytes), numbers, and then the guest's code, both halves of the host's, relocations and constants as they
// are in memory. Numbers are LEB128, as DWARF has them (version 5, 7.6); those that may be negative have the sign in bit 0.

constexpr size_t kMostNumber = 10;  ///< bytes of a number
constexpr size_t kHeadNumbers = 16, kExitNumbers = 5, kPointNumbers = 8;
/// More than any block has.
constexpr uint64_t kMostParts = 1 << 16;

class NumberWriter {
  public:
    explicit NumberWriter(char* to) : at_(to) {}
    void add(uint64_t value) {
        for (; value >= 0x80; value >>= 7) *at_++ = static_cast<char>(value | 0x80);
        *at_++ = static_cast<char>(value);
    }
    void add_signed(int64_t value) {
        add(static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63));
    }
    template <typename T>
    void add_bytes(std::span<const T> what) {
        if (!what.empty()) std::memcpy(at_, what.data(), what.size_bytes());
        at_ += what.size_bytes();
    }
    char* end() const { return at_; }

  private:
    char* at_;
};

class NumberReader {
  public:
    explicit NumberReader(std::span<const char> from) : at_(from.data()), end_(from.data() + from.size()) {}
    uint64_t number() {
        uint64_t value = 0;
        for (unsigned shift = 0; shift < 7 * kMostNumber && at_ != end_; shift += 7) {
            const auto byte = static_cast<uint8_t>(*at_++);
            value |= uint64_t{byte & 0x7fu} << shift;
            if (byte < 0x80) return value;
        }
        good_ = false;
        return 0;
    }
    int64_t signed_number() {
        const uint64_t value = number();
        return static_cast<int64_t>(value >> 1 ^ (0 - (value & 1)));
    }
    template <typename T = uint32_t>
    T narrow() {
        const uint64_t value = number();
        good_ = good_ && static_cast<T>(value) == value;
        return static_cast<T>(value);
    }
    /// How many of something follow.
    uint32_t count() {
        const uint64_t value = number();
        good_ = good_ && value <= kMostParts;
        return good_ ? static_cast<uint32_t>(value) : 0;
    }
    template <typename T>
    std::span<const T> bytes(uint32_t count) {
        static_assert(alignof(T) == 1);
        if (size_t{count} * sizeof(T) > static_cast<size_t>(end_ - at_)) {
            good_ = false;
            return {};
        }
        const auto* first = reinterpret_cast<const T*>(at_);
        at_ += size_t{count} * sizeof(T);
        return {first, count};
    }
    bool good() const { return good_; }
    bool complete() const { return good_ && at_ == end_; }

  private:
    const char *at_, *end_;
    bool good_ = true;
};

uint64_t size_of(const auto& span) { return span.size(); }
/// kNoOffset is 0.
uint64_t packed_offset(ImageOffset offset) { return ImageOffset{offset + 1}; }

bool storable(const BlockImage& image) {
    return std::ranges::none_of(image.points, [](const FaultPoint& p) { return p.page != 0; }) &&
           std::max({image.hot.size(), image.cold.size(), image.points.size(), image.locations.size()}) <=
               kMostParts;
}

/// Each by its distance from the one before it.
void add_points(NumberWriter& to, std::span<const FaultPoint> points) {
    FaultPoint last{};
    for (const FaultPoint& p : points) {
        to.add_signed(int64_t{p.access} - last.access);
        to.add_signed(int64_t{p.return_pc} - last.return_pc);
        to.add_signed(int64_t{p.first} - (int64_t{last.first} + last.words));
        to.add(p.words);
        to.add_signed(int64_t{p.insn_offset} - last.insn_offset);
        to.add_signed(int64_t{p.cold} - p.return_pc);
        to.add_signed(int64_t{p.fastmem_start} - p.access);
        to.add_signed(int64_t{p.fastmem_end} - p.fastmem_start);
        last = p;
    }
}

void read_points(NumberReader& from, std::span<FaultPoint> points) {
    FaultPoint last{};
    for (FaultPoint& p : points) {
        p = {};
        p.access = static_cast<uint32_t>(last.access + from.signed_number());
        p.return_pc = static_cast<uint32_t>(last.return_pc + from.signed_number());
        p.first = static_cast<uint32_t>(int64_t{last.first} + last.words + from.signed_number());
        p.words = from.narrow<uint16_t>();
        p.insn_offset = static_cast<uint16_t>((last.insn_offset + from.signed_number()) & 0xfff);
        p.cold = static_cast<uint32_t>(p.return_pc + from.signed_number());
        p.fastmem_start = static_cast<uint32_t>(p.access + from.signed_number());
        p.fastmem_end = static_cast<uint32_t>(p.fastmem_start + from.signed_number());
        last = p;
    }
}

/// What is not aligned in the file.
template <typename T>
using BytesOf = std::array<uint8_t, sizeof(T)>;

template <typename T>
void copy_bytes(std::span<const BytesOf<typename T::value_type>> from, T& to) {
    to.resize(from.size());
    if (!from.empty()) std::memcpy(to.data(), from.data(), from.size_bytes());
}
}  // namespace

bool StoredBlock::is_of(uint32_t flags, uint32_t offset, bool grouped,
                        std::span<const std::byte> code) const {
    return translation_flags == flags && page_offset == offset && grouping == grouped &&
           guest_code.size() <= code.size() &&
           std::memcmp(guest_code.data(), code.data(), guest_code.size()) == 0;
}

bool append_stored(const StoredBlock& block, std::string& out) {
    const BlockImage& image = block.image;
    if (!storable(image)) return false;
    const size_t start = out.size();
    const size_t numbers =
        kHeadNumbers + image.exits.size() * kExitNumbers + image.points.size() * kPointNumbers;
    const size_t most = sizeof(uint32_t) + numbers * kMostNumber + block.guest_code.size() +
                        image.hot.size() + image.cold.size() + image.relocations.size_bytes() +
                        image.constants.size_bytes() + image.locations.size_bytes();
    out.resize_and_overwrite(start + most, [&](char* p, size_t) {
        NumberWriter to(p + start + sizeof(uint32_t));
        to.add(block.translation_flags);
        to.add(block.page_offset);
        to.add(block.guest_insns);
        to.add(image.body);
        to.add(packed_offset(image.indirect));
        to.add(image.indirect_register);
        to.add(image.indirect_kind);
        to.add(uint64_t{image.counted} | uint64_t{block.spins} << 1 | uint64_t{block.grouping} << 2);
        for (const size_t count : {size_of(block.guest_code), size_of(image.hot), size_of(image.cold),
                                   size_of(image.relocations), size_of(image.constants), size_of(image.exits),
                                   size_of(image.points), size_of(image.locations)})
            to.add(count);
        for (const ImageExit& e : image.exits) {
            for (const ImageOffset offset : {e.jump, e.epoch, e.stub}) to.add(packed_offset(offset));
            to.add_signed(e.target);
            to.add(e.cross_page);
        }
        add_points(to, image.points);
        to.add_bytes(block.guest_code);
        to.add_bytes(image.hot);
        to.add_bytes(image.cold);
        to.add_bytes(image.relocations);
        to.add_bytes(image.constants);
        to.add_bytes(image.locations);
        const auto bytes = static_cast<uint32_t>(to.end() - (p + start));
        std::memcpy(p + start, &bytes, sizeof bytes);
        return start + bytes;
    });
    return true;
}

std::optional<StoredBlock> read_stored(std::span<const char> bytes, size_t at, ImageMemory& memory) {
    uint32_t size = 0;
    if (at > bytes.size() || bytes.size() - at < sizeof size) return std::nullopt;
    std::memcpy(&size, bytes.data() + at, sizeof size);
    if (size < sizeof size || size > bytes.size() - at) return std::nullopt;
    NumberReader from(bytes.subspan(at, size).subspan(sizeof size));
    StoredBlock block;
    BlockImage& image = block.image;
    block.translation_flags = from.narrow();
    block.page_offset = from.narrow();
    block.guest_insns = from.narrow();
    image.body = from.narrow();
    image.indirect = from.narrow() - 1;
    image.indirect_register = from.narrow<uint8_t>();
    image.indirect_kind = from.narrow<uint8_t>();
    const uint64_t is = from.number();
    image.counted = (is & 1) != 0, block.spins = (is & 2) != 0, block.grouping = (is & 4) != 0;
    const uint32_t guest_code = from.count(), hot = from.count(), cold = from.count();
    const uint32_t relocations = from.count(), constants = from.count();
    memory.exits.resize(from.count());
    memory.faults.points.resize(from.count());
    const uint32_t locations = from.count();
    for (ImageExit& e : memory.exits) {
        for (ImageOffset* offset : {&e.jump, &e.epoch, &e.stub}) *offset = from.narrow() - 1;
        e.target = static_cast<int32_t>(from.signed_number());
        e.cross_page = from.number() != 0;
    }
    read_points(from, memory.faults.points);
    block.guest_code = from.bytes<std::byte>(guest_code);
    image.hot = from.bytes<uint8_t>(hot);
    image.cold = from.bytes<uint8_t>(cold);
    image.relocations = from.bytes<PackedRelocation>(relocations);
    copy_bytes(from.bytes<BytesOf<std::array<uint64_t, 2>>>(constants), memory.constants);
    copy_bytes(from.bytes<BytesOf<LocationWord>>(locations), memory.faults.locations);
    image.constants = memory.constants;
    image.exits = memory.exits;
    image.points = memory.faults.points;
    image.locations = memory.faults.locations;
    return from.complete() && !block.guest_code.empty() ? std::optional(block) : std::nullopt;
}

}  // namespace arclight::jit
