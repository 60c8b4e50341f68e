#include "tests/fuzz/driver/mutate.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace arclight::fuzz {
namespace {

std::span<const uint8_t> bytes_of(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

/// Where `what` is, from a random place on; the size of `bytes` if it is not there.
size_t find_from(const Bytes& bytes, size_t from, std::span<const uint8_t> what) {
    const auto begin = bytes.begin() + static_cast<ptrdiff_t>(from);
    auto at = std::search(begin, bytes.end(), what.begin(), what.end());
    if (at == bytes.end()) at = std::search(bytes.begin(), bytes.end(), what.begin(), what.end());
    return static_cast<size_t>(at - bytes.begin());
}

}  // namespace

void Mutator::overwrite(Bytes& bytes, size_t at, std::span<const uint8_t> what) {
    for (size_t i = 0; i < what.size() && at + i < bytes.size(); i++) bytes[at + i] = what[i];
}

void Mutator::insert(Bytes& bytes, std::span<const uint8_t> what) {
    if (bytes.size() + what.size() > max_size_) return;
    const auto at = static_cast<ptrdiff_t>(below(bytes.size() + 1));
    bytes.insert(bytes.begin() + at, what.begin(), what.end());
}

void Mutator::replace_number(Bytes& bytes) {
    if (comparisons_.empty()) return write_integer(bytes);
    const Comparison& c = comparisons_[below(comparisons_.size())];
    uint64_t from = c.left, to = c.right;
    if (below(2) != 0) std::swap(from, to);
    // Programs widen before they compare, so the input may hold fewer bytes; and it may hold them big end first.
    unsigned size = c.size;
    while (size > 1 && below(2) != 0) size /= 2;
    if (below(4) == 0) to += below(3) - 1;
    if (below(4) == 0) {
        from = std::byteswap(from) >> (64 - size * 8);
        to = std::byteswap(to) >> (64 - size * 8);
    }
    uint8_t pattern[8], replacement[8];
    std::memcpy(pattern, &from, 8);
    std::memcpy(replacement, &to, 8);
    const size_t at = find_from(bytes, below(bytes.size()), {pattern, size});
    if (at < bytes.size()) {
        overwrite(bytes, at, {replacement, size});
    } else if (below(8) == 0) {
        overwrite(bytes, below(bytes.size()), {replacement, size});
    }
}

void Mutator::replace_string(Bytes& bytes) {
    if (strings_.empty()) return replace_number(bytes);
    const StringComparison& s = strings_[below(strings_.size())];
    std::span<const uint8_t> from(s.left.data(), s.size), to(s.right.data(), s.size);
    if (below(2) != 0) std::swap(from, to);
    const size_t at = find_from(bytes, below(bytes.size()), from);
    if (at < bytes.size()) {
        overwrite(bytes, at, to);
    } else {
        insert(bytes, to);
    }
}

void Mutator::write_integer(Bytes& bytes) {
    constexpr uint64_t kEdges[] = {0,
                                   1,
                                   2,
                                   7,
                                   8,
                                   15,
                                   16,
                                   31,
                                   32,
                                   63,
                                   64,
                                   127,
                                   128,
                                   255,
                                   256,
                                   511,
                                   512,
                                   4095,
                                   4096,
                                   0x7fff,
                                   0x8000,
                                   0xffff,
                                   0x10000,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   0x100000000,
                                   ~0ull,
                                   ~0ull - 1,
                                   1ull << 63,
                                   (1ull << 63) - 1,
                                   0x40000000,
                                   0x48000000};
    const size_t size = size_t{1} << below(4);
    if (bytes.size() < size) return;
    const size_t at = below(bytes.size() - size + 1);
    uint64_t value = 0;
    std::memcpy(&value, &bytes[at], size);
    if (below(2) != 0) {
        value = kEdges[below(std::size(kEdges))];
    } else {
        value += below(33) - 16;
    }
    if (below(4) == 0) value = std::byteswap(value) >> (64 - size * 8);
    std::memcpy(&bytes[at], &value, size);
}

void Mutator::change(Bytes& bytes, const Bytes& other) {
    if (bytes.empty()) bytes.push_back(static_cast<uint8_t>(below(256)));
    const size_t at = below(bytes.size());
    const size_t length = 1 + below(std::min<size_t>(bytes.size() - at, size_t{1} << below(9)));
    const auto first = bytes.begin() + static_cast<ptrdiff_t>(at);
    switch (below(14)) {
        case 0: bytes[at] ^= static_cast<uint8_t>(1u << below(8)); break;
        case 1: bytes[at] = static_cast<uint8_t>(below(256)); break;
        case 2: bytes.erase(first, first + static_cast<ptrdiff_t>(length)); break;
        case 3: {
            Bytes fresh(1 + below(16));
            for (uint8_t& byte : fresh) byte = static_cast<uint8_t>(below(256));
            insert(bytes, fresh);
            break;
        }
        case 4: insert(bytes, Bytes(first, first + static_cast<ptrdiff_t>(length))); break;
        case 5:
            overwrite(bytes, below(bytes.size()), Bytes(first, first + static_cast<ptrdiff_t>(length)));
            break;
        case 6:
            if (!other.empty()) {
                const size_t from = below(other.size());
                const size_t count = 1 + below(other.size() - from);
                const std::span<const uint8_t> piece(other.data() + from, count);
                if (below(2) != 0) {
                    insert(bytes, piece);
                } else {
                    overwrite(bytes, at, piece);
                }
            }
            break;
        case 7:
            if (!words_.empty()) insert(bytes, bytes_of(words_[below(words_.size())]));
            break;
        case 8:
            if (!words_.empty()) overwrite(bytes, at, bytes_of(words_[below(words_.size())]));
            break;
        case 9: replace_string(bytes); break;
        case 10:
        case 11: replace_number(bytes); break;
        default: write_integer(bytes); break;
    }
}

Bytes Mutator::mutate(const Bytes& parent, const Bytes& other) {
    Bytes bytes = parent;
    for (uint64_t changes = 1 + below(uint64_t{1} << below(4)); changes != 0; changes--) change(bytes, other);
    if (bytes.size() > max_size_) bytes.resize(max_size_);
    return bytes;
}

}  // namespace arclight::fuzz
