// What one run of a kernel has met, in a file between `arclight run --profile-sites` and `arclight prepare --profile`.
//
// Lines of words, offsets in hexadecimal from the start of the Image:
//     arclight-sites 1 BYTES CRC     the first: the Image's bytes and their CRC-32
//     device OFFSET COUNT            a load or store, and how often it met a device
//     block OFFSET BYTES COUNT       a translation block, the bytes of its code, and how often it was translated
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "mmu/result.h"

namespace arclight::guestos::prepare {

struct Profile {
    struct Block {
        uint32_t bytes;
        uint64_t count;
    };
    std::map<uint32_t, uint64_t> devices;
    std::map<uint32_t, Block> blocks;
};

/// Of a run of this image.
std::string profile_text(const Profile& profile, std::span<const uint8_t> image);
/// An error is one line without the file's name: the text is none, or is about another image.
Result<Profile> parse_profile(std::string_view text, std::span<const uint8_t> image);

}  // namespace arclight::guestos::prepare
