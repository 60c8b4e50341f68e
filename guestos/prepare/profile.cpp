#include "guestos/prepare/profile.h"

#include <fmt/format.h>
#include <zlib.h>

#include <sstream>

namespace arclight::guestos::prepare {

namespace {
std::string first_line(std::span<const uint8_t> image) {
    return fmt::format("arclight-sites 1 {} {:08x}", image.size(), crc32_z(0, image.data(), image.size()));
}
}  // namespace

std::string profile_text(const Profile& profile, std::span<const uint8_t> image) {
    std::string text = first_line(image) + "\n";
    for (const auto& [offset, count] : profile.devices)
        text += fmt::format("device {:x} {}\n", offset, count);
    for (const auto& [offset, block] : profile.blocks)
        text += fmt::format("block {:x} {} {}\n", offset, block.bytes, block.count);
    return text;
}

Result<Profile> parse_profile(std::string_view text, std::span<const uint8_t> image) {
    std::istringstream lines{std::string(text)};
    std::string line;
    if (!std::getline(lines, line) || !line.starts_with("arclight-sites 1 "))
        return failure("it does not begin with 'arclight-sites 1'");
    if (line != first_line(image)) return failure("it is about another kernel");
    Profile profile;
    for (unsigned number = 2; std::getline(lines, line); ++number) {
        std::istringstream words(line);
        std::string kind, rest;
        uint32_t offset = 0;
        uint64_t count = 0;
        Profile::Block block{};
        words >> kind >> std::hex >> offset >> std::dec;
        if (kind == "device" && words >> count && !(words >> rest))
            profile.devices[offset] = count;
        else if (kind == "block" && words >> block.bytes >> block.count && !(words >> rest))
            profile.blocks[offset] = block;
        else
            return failure("line {} is none of a profile's", number);
    }
    return profile;
}

}  // namespace arclight::guestos::prepare
