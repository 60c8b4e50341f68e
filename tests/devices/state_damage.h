#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <vector>

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

}  // namespace arclight::devices::test
