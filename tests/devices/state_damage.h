#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "devices/state.h"

namespace arclight::devices::test {

inline constexpr size_t kStreamHeader = 12, kStreamChecksum = 4;

/// The stream with a checksum that matches in place of its last four bytes.
inline std::vector<uint8_t> sealed(std::vector<uint8_t> stream) {
    stream.erase(stream.end() - kStreamChecksum, stream.end());
    uint32_t crc = ~0u;
    for (const uint8_t byte : stream) {
        crc ^= byte;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb8'8320u : 0);
    }
    for (unsigned i = 0; i < kStreamChecksum; i++) stream.push_back(static_cast<uint8_t>(~crc >> (i * 8)));
    return stream;
}

/// A copy of a state stream with a few random changes and a checksum that matches them, so that they reach
/// whoever reads the stream.
inline std::vector<uint8_t> damage(std::vector<uint8_t> stream, std::mt19937_64& random) {
    for (auto changes = 1 + random() % 4; changes != 0; changes--) {
        const size_t end = stream.size() - kStreamChecksum;
        if (end <= kStreamHeader) break;
        const size_t at = kStreamHeader + random() % (end - kStreamHeader);
        const auto place = stream.begin() + static_cast<ptrdiff_t>(at);
        switch (random() % 8) {
            case 0: stream.erase(place + kStreamChecksum, stream.end()); break;
            case 1: stream.insert(place, static_cast<uint8_t>(random())); break;
            case 2: stream.erase(place); break;
            case 3: *place = 0xff; break;
            case 4: *place ^= static_cast<uint8_t>(1 << random() % 8); break;
            default: *place = static_cast<uint8_t>(random()); break;
        }
    }
    return sealed(std::move(stream));
}

inline std::vector<uint8_t> save(const Stateful& part) {
    StateWriter out;
    part.save(out);
    return out.finish().value();
}

/// The error, or nothing.
inline std::string load(Stateful& part, const std::vector<uint8_t>& stream) {
    StateReader in(stream);
    if (const auto loaded = part.load(in); !loaded) return loaded.error();
    const auto finished = in.finish();
    return finished ? std::string() : finished.error();
}

/// Calls use(damaged stream), which loads it and tells whether that succeeded, and uses the part in any case.
/// Most damage must be noticed.
template <typename Use>
void survives_damage(const std::vector<uint8_t>& stream, std::mt19937_64& random, Use&& use) {
    constexpr unsigned kRounds = 400;
    unsigned refused = 0;
    for (unsigned round = 0; round < kRounds; round++) refused += use(damage(stream, random)) ? 0 : 1;
    EXPECT_GT(refused, kRounds / 4);
}

}  // namespace arclight::devices::test
