#include "guestos/prepare/kernel_text.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string_view>

#include "guestos/kernel_file.h"
#include "guestos/lightv/symbols.h"

namespace arclight::guestos::prepare {

namespace {

using Image = std::span<const uint8_t>;

constexpr std::array<std::string_view, 5> kWanted = {"_text", "_stext", "_etext", "_sinittext", "_einittext"};
/// Addresses, from wherever the source of the symbols counts.
using Places = std::map<std::string_view, uint64_t>;

constexpr uint64_t align_up(uint64_t value, uint64_t alignment) {
    return (value + alignment - 1) & ~(alignment - 1);
}

/// The kernel's compressed table of symbols. Its parts have no header, so they are found by what must be true of them: each
/// refers to the one before.
class Kallsyms {
  public:
    static std::optional<Places> find(Image image) {
        static constexpr std::string_view kDigits("0\0001\0002\0003\0004\0005\0006\0007\0008\0009\0", 20);
        for (auto at = image.begin();;) {
            at = std::search(at, image.end(), kDigits.begin(), kDigits.end(),
                             [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); });
            if (at == image.end()) return std::nullopt;
            Kallsyms table(image);
            if (table.has_tokens(static_cast<size_t>(at - image.begin())) && table.has_names() &&
                table.has_offsets())
                return table.places();
            ++at;
        }
    }

  private:
    static constexpr unsigned kTokens = 256, kMarkedNames = 256;
    static constexpr uint64_t kMaxBytes = uint64_t{32} << 20;   ///< of all names
    static constexpr uint32_t kFewest = 16, kMost = 4'000'000;  ///< symbols

    explicit Kallsyms(Image image) : image_(image) {}

    bool holds(uint64_t at, uint64_t bytes) const {
        return bytes <= image_.size() && at <= image_.size() - bytes;
    }
    uint32_t word(uint64_t at) const { return read_at<uint32_t>(image_, at); }

    /// kallsyms_token_table, 256 strings, of which those of the digits stand for themselves, and kallsyms_token_index behind
    /// it, where each begins.
    bool has_tokens(uint64_t digits) {
        uint64_t end = digits;
        for (unsigned token = '0'; token < kTokens; ++token) {
            while (end < image_.size() && image_[end] != 0) ++end;
            ++end;
        }
        for (const uint64_t alignment : {4, 8}) {
            const uint64_t index = align_up(end, alignment);
            if (!holds(index, kTokens * 2)) return false;
            for (unsigned i = 0; i < kTokens; ++i) token_at_[i] = read_at<uint16_t>(image_, index + 2 * i);
            if (token_at_[0] != 0 ||
                std::ranges::adjacent_find(token_at_, std::greater_equal()) != token_at_.end() ||
                token_at_['0'] > digits)
                continue;
            tokens_ = digits - token_at_['0'];
            index_end_ = index + uint64_t{kTokens} * 2;
            return true;
        }
        return false;
    }

    /// kallsyms_num_syms, kallsyms_names and kallsyms_markers, which has the place of every 256th name.
    bool has_names() {
        const uint64_t lowest = tokens_ > kMaxBytes ? tokens_ - kMaxBytes : 0;
        for (uint64_t at = tokens_ & ~uint64_t{7}; at >= lowest + 8;) {
            at -= 8;
            const uint32_t count = word(at);
            if (word(at + 4) != 0 || count < kFewest || count > kMost) continue;
            count_at_ = at;
            count_ = count;
            if (names_are_marked()) return true;
        }
        return false;
    }

    struct Name {
        uint64_t at, length;
    };
    /// The name whose length is at `at`; nothing: none before the tokens.
    std::optional<Name> name_at(uint64_t at) const {
        if (at + 2 > tokens_) return std::nullopt;
        uint64_t length = image_[at++];
        if ((length & 0x80) != 0) length = (length & 0x7f) | uint64_t{image_[at++]} << 7;
        if (length == 0 || at + length > tokens_) return std::nullopt;
        return Name{at, length};
    }

    bool names_are_marked() {
        const uint64_t names = count_at_ + 8;
        uint64_t at = names;
        std::vector<uint32_t> marks;
        for (uint32_t i = 0; i < count_; ++i) {
            if (i % kMarkedNames == 0) marks.push_back(static_cast<uint32_t>(at - names));
            const auto name = name_at(at);
            if (!name) return false;
            at = name->at + name->length;
        }
        at = align_up(at, 8);
        for (size_t i = 0; i < marks.size(); ++i)
            if (at + 4 * i + 4 > tokens_ || word(at + 4 * i) != marks[i]) return false;
        return true;
    }

    /// kallsyms_offsets, by address: before the names and kallsyms_relative_base, or (Linux 6.4 and later) behind the tokens.
    bool has_offsets() {
        const uint64_t bytes = uint64_t{count_} * 4;
        const uint64_t base = 8;
        if (count_at_ >= bytes + base + 8) {
            offsets_ = (count_at_ - base - bytes) & ~uint64_t{7};
            if (ascending()) return true;
        }
        offsets_ = align_up(index_end_, 8);
        return ascending();
    }
    bool ascending() const {
        if (!holds(offsets_, uint64_t{count_} * 4)) return false;
        for (uint32_t i = 1; i < count_; ++i)
            if (word(offsets_ + 4 * uint64_t{i}) < word(offsets_ + 4 * uint64_t{i} - 4)) return false;
        return word(offsets_) < word(offsets_ + 4 * uint64_t{count_} - 4);  // zeros are none
    }

    Places places() const {
        Places places;
        uint64_t at = count_at_ + 8;
        std::string text;
        for (uint32_t i = 0; i < count_; ++i) {
            const auto name = name_at(at);
            if (!name) break;
            text.clear();
            for (uint64_t k = 0; k < name->length && text.size() < 64; ++k)
                for (uint64_t c = tokens_ + token_at_[image_[name->at + k]]; c < index_end_ && image_[c] != 0;
                     ++c)
                    text.push_back(static_cast<char>(image_[c]));
            at = name->at + name->length;
            // The first character is the symbol's type.
            const auto* const wanted =
                text.empty() ? kWanted.end() : std::ranges::find(kWanted, std::string_view(text).substr(1));
            if (wanted != kWanted.end()) places.emplace(*wanted, word(offsets_ + 4 * uint64_t{i}));
        }
        return places;
    }

    Image image_;
    std::array<uint16_t, kTokens> token_at_{};
    uint64_t tokens_ = 0, index_end_ = 0, count_at_ = 0, offsets_ = 0;
    uint32_t count_ = 0;
};

/// Where the code section of the EFI stub's header begins, which is _stext (the EFI header of an arm64 Linux).
std::optional<uint64_t> start_of_text(Image image) {
    const uint64_t pe = read_at<Arm64ImageHeader>(image, 0).pe_header_offset;
    constexpr uint64_t kBaseOfCode = 24 + 20;
    if (!has_at(image, 0, "MZ") || !has_at(image, pe, std::string_view("PE\0\0", 4)) ||
        pe + kBaseOfCode + 4 > image.size())
        return std::nullopt;
    return read_at<uint32_t>(image, pe + kBaseOfCode);
}

Result<std::vector<TextRange>> ranges_of(Image image, const Places& places) {
    const auto stext = places.find("_stext");
    if (stext == places.end()) return failure("it has no symbol _stext");
    // Kernels without CONFIG_KALLSYMS_ALL have symbols of their text only.
    uint64_t start = 0;
    if (const auto text = places.find("_text"); text != places.end())
        start = text->second;
    else if (const auto code = start_of_text(image))
        start = stext->second - *code;
    else
        return failure("it has no symbol _text");
    std::vector<TextRange> ranges;
    for (const auto& [first, last] : {std::pair("_stext", "_etext"), std::pair("_sinittext", "_einittext")}) {
        const auto begin = places.find(first), end = places.find(last);
        if (begin == places.end() || end == places.end()) continue;
        const uint64_t from = begin->second - start, to = end->second - start;
        if (from >= to || to > image.size())
            return failure("its symbols {} and {} are not those of this image", first, last);
        ranges.push_back({static_cast<uint32_t>(from), static_cast<uint32_t>(to)});
    }
    if (ranges.empty()) return failure("it has no symbol _etext");
    return ranges;
}

}  // namespace

Result<std::vector<TextRange>> kernel_text(Image image, const std::string& system_map) {
    Places places;
    if (!system_map.empty()) {
        const auto symbols = Symbols::read(system_map);
        if (!symbols) return std::unexpected(symbols.error());
        for (const std::string_view name : kWanted)
            if (const auto address = (*symbols)->find(std::string(name))) places.emplace(name, *address);
    } else if (auto found = Kallsyms::find(image)) {
        places = std::move(*found);
    } else {
        return failure("it has no symbols inside; give its System.map by --symbols");
    }
    return ranges_of(image, places);
}

}  // namespace arclight::guestos::prepare
