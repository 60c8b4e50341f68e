#include "devices/state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace arclight::devices {

using detail::StateTag;

namespace {

constexpr std::string_view kMagic = "ARCSTATE";
constexpr uint32_t kFormat = 1;
constexpr size_t kHeaderSize = kMagic.size() + 4;
constexpr size_t kChecksumSize = 4;
constexpr uint32_t kPartVersion = 1;

// CRC-32 of ISO 3309, reflected.
constexpr std::array<uint32_t, 256> make_crc_table() {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < table.size(); i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (0xedb8'8320 & (0 - (value & 1)));
        table[i] = value;
    }
    return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

uint32_t crc32(std::span<const uint8_t> bytes) {
    uint32_t value = ~0u;
    for (const uint8_t byte : bytes) value = value >> 8 ^ kCrcTable[(value ^ byte) & 0xff];
    return ~value;
}

uint64_t little_endian(std::span<const uint8_t> bytes) {
    uint64_t value = 0;
    for (size_t i = bytes.size(); i-- != 0;) value = value << 8 | bytes[i];
    return value;
}

}  // namespace

// ---- writing

StateWriter::StateWriter() : out_(kMagic.begin(), kMagic.end()) { put_integer(kFormat, 4); }

void StateWriter::put_integer(uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; i++) out_.push_back(static_cast<uint8_t>(value >> (i * 8)));
}

void StateWriter::bytes(std::span<const uint8_t> bytes) {
    put_tag(StateTag::Bytes);
    put_integer(bytes.size(), 8);
    out_.insert(out_.end(), bytes.begin(), bytes.end());
}

// Returns where the length goes.
size_t StateWriter::open(std::string_view name, uint32_t version) {
    name = name.substr(0, 255);
    put_tag(StateTag::Section);
    put_integer(name.size(), 1);
    out_.insert(out_.end(), name.begin(), name.end());
    put_integer(version, 4);
    const size_t start = out_.size();
    put_integer(0, 8);
    return start;
}

void StateWriter::close(size_t start) {
    const uint64_t length = out_.size() - start - 8;
    for (unsigned i = 0; i < 8; i++) out_[start + i] = static_cast<uint8_t>(length >> (i * 8));
}

Result<std::vector<uint8_t>> StateWriter::finish() {
    if (error_) return std::unexpected(*error_);
    put_integer(crc32(out_), kChecksumSize);
    return std::move(out_);
}

// ---- reading

namespace {
/// A name from a stream may be any bytes; an error is one line.
std::string printable(std::string_view name) {
    std::string text(name);
    std::ranges::replace_if(
        text, [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
    return text;
}
}  // namespace

StateReader::StateReader(std::span<const uint8_t> stream) : in_(stream) {
    if (stream.size() < kHeaderSize + kChecksumSize ||
        std::memcmp(stream.data(), kMagic.data(), kMagic.size()) != 0) {
        fail("not a saved state");
        return;
    }
    limit_ = stream.size() - kChecksumSize;
    if (crc32(stream.first(limit_)) != little_endian(stream.subspan(limit_))) {
        fail("the checksum does not match");
        return;
    }
    at_ = kMagic.size();
    const uint64_t format = get_integer(4);
    if (format != kFormat) fail(fmt::format("format {} is not known", format));
}

void StateReader::fail(std::string why) {
    if (!error_) error_ = std::move(why);
    at_ = limit_;
}

uint64_t StateReader::get_integer(unsigned size) {
    if (!ok()) return 0;
    if (limit_ - at_ < size) {
        fail("a value is missing");
        return 0;
    }
    const uint64_t value = little_endian(in_.subspan(at_, size));
    at_ += size;
    return value;
}

void StateReader::expect(StateTag tag) {
    if (!ok()) return;
    const auto found = static_cast<StateTag>(get_integer(1));
    if (ok() && found != tag) fail("a value has another type");
}

void StateReader::bytes(std::vector<uint8_t>& value, uint64_t limit) {
    expect(StateTag::Bytes);
    const uint64_t length = get_integer(8);
    if (ok() && (length > limit || length > limit_ - at_)) fail("a run of bytes is too long");
    value.clear();
    if (!ok()) return;
    const auto from = in_.subspan(at_, length);
    value.assign(from.begin(), from.end());
    at_ += length;
}

std::optional<std::string_view> StateReader::next_section() const {
    if (!ok() || limit_ - at_ < 2 || static_cast<StateTag>(in_[at_]) != StateTag::Section)
        return std::nullopt;
    const size_t size = in_[at_ + 1];
    if (limit_ - at_ - 2 < size) return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(&in_[at_]) + 2, size);
}

StateReader::Outer StateReader::open(std::string_view name, uint32_t newest) {
    const Outer outer{limit_, version_};
    const auto found = next_section();
    if (!found || *found != name) {
        fail(found ? fmt::format("section '{}' in place of '{}'", printable(*found), name)
                   : fmt::format("section '{}' is missing", name));
        return outer;
    }
    at_ += 2 + found->size();
    const auto version = static_cast<uint32_t>(get_integer(4));
    if (ok() && (version == 0 || version > newest))
        fail(fmt::format("section '{}' has version {}, newer than {}", name, version, newest));
    const uint64_t length = get_integer(8);
    if (ok() && length > limit_ - at_) fail(fmt::format("section '{}' is cut off", name));
    if (!ok()) return outer;
    limit_ = at_ + length;
    version_ = version;
    return outer;
}

void StateReader::close(std::string_view name, Outer outer) {
    if (ok() && at_ != limit_) fail(fmt::format("section '{}' has more than it should", name));
    limit_ = outer.limit;
    version_ = outer.version;
    if (!ok()) at_ = limit_;
}

StateResult StateReader::result() const {
    if (error_) return std::unexpected(*error_);
    return {};
}

StateResult StateReader::finish() {
    if (ok() && at_ != limit_) fail("there is more than there should be");
    return result();
}

// ---- all parts

void StatefulParts::add(std::string name, Stateful& part) { parts_.emplace_back(std::move(name), &part); }

void StatefulParts::quiesce() {
    for (const auto& [name, part] : parts_) part->quiesce();
}

void StatefulParts::resume() {
    for (const auto& [name, part] : parts_) part->resume();
}

Result<std::vector<uint8_t>> StatefulParts::save() const {
    StateWriter out;
    for (const auto& [name, part] : parts_) out.section(name, kPartVersion, [&] { part->save(out); });
    return out.finish();
}

StateResult StatefulParts::load(std::span<const uint8_t> stream) {
    StateReader in(stream);
    for (const auto& [name, part] : parts_) {
        const auto loaded = in.section(name, kPartVersion, [&] { return part->load(in); });
        if (!loaded) return failure("saved state, {}: {}", name, loaded.error());
    }
    if (const auto finished = in.finish(); !finished) return failure("saved state: {}", finished.error());
    return {};
}

}  // namespace arclight::devices
