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

/// A copy of a state stream with a few random changes and a checksum that matches them, so that they reach
/// whoever reads the stream.
inline std::vector<uint8_t> damage(std::vector<uint8_t> stream, std::mt19937_64& random) {
    constexpr size_t kHeader = 12, kChecksum = 4;
    std::vector<uint8_t> body(stream.begin(), stream.end() - kChecksum);
    for (auto changes = 1 + random() % 4; changes != 0; changes--) {
        if (body.size() <= kHeader) break;
        const size_t at = kHeader + random() % (body.size() - kHeader);
        switch (random() % 8) {
            case 0: body.resize(at); break;
            case 1:
                body.insert(body.begin() + static_cast<ptrdiff_t>(at), static_cast<uint8_t>(random()));
                break;
            case 2: body.erase(body.begin() + static_cast<ptrdiff_t>(at)); break;
            case 3: body[at] = 0xff; break;
            case 4: body[at] ^= static_cast<uint8_t>(1 << random() % 8); break;
            default: body[at] = static_cast<uint8_t>(random()); break;
        }
    }
    uint32_t crc = ~0u;
    for (const uint8_t byte : body) {
        crc ^= byte;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb8'8320u : 0);
    }
    for (unsigned i = 0; i < kChecksum; i++) body.push_back(static_cast<uint8_t>(~crc >> (i * 8)));
    return body;
}

inline std::vector<uint8_t> save(const Stateful& part) {
    StateWriter out;
    part.save(out);
    return out.finish();
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
