#include "guestos/prepare/section.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "guestos/kernel_file.h"

namespace arclight::guestos::prepare {

namespace {

constexpr std::string_view kMagic = "ARCLSITE";
constexpr uint32_t kVersion = 1;
constexpr uint64_t kAlignment = 8;
constexpr size_t kMaxSites = 1 << 20;

struct Entry {
    uint32_t offset;
    uint32_t kind_and_frequency;
};
static_assert(sizeof(Entry) == 8);

struct Trailer {
    char magic[8];
    uint32_t version;
    uint32_t count;
    uint64_t image_bytes;
    uint32_t crc;
    uint32_t zero;
};
static_assert(sizeof(Trailer) == 32);

uint32_t crc_of(std::span<const uint8_t> table, Trailer trailer) {
    trailer.crc = 0;
    const auto crc = crc32_z(0, table.data(), table.size());
    return static_cast<uint32_t>(crc32_z(crc, reinterpret_cast<const uint8_t*>(&trailer), sizeof trailer));
}

constexpr uint64_t aligned(uint64_t bytes) { return (bytes + kAlignment - 1) & ~(kAlignment - 1); }

/// Not a null pointer: what is wrong with the trailer.
const char* trailer_error(const Trailer& trailer, uint64_t file_bytes) {
    if (trailer.count > kMaxSites || trailer.image_bytes < sizeof(Arm64ImageHeader) ||
        trailer.image_bytes > file_bytes)
        return "its sizes make no sense";
    const uint64_t section = trailer.count * sizeof(Entry) + sizeof(Trailer);
    if (aligned(trailer.image_bytes) + section != file_bytes) return "its sizes are not the file's";
    return trailer.zero != 0 ? "its last bytes are not zero" : nullptr;
}

}  // namespace

Result<void> append_section(Bytes& image, std::span<const Site> sites) {
    if (sites.size() > kMaxSites) return failure("it has {} sites, more than {}", sites.size(), kMaxSites);
    Trailer trailer{.magic = {},
                    .version = kVersion,
                    .count = static_cast<uint32_t>(sites.size()),
                    .image_bytes = image.size(),
                    .crc = 0,
                    .zero = 0};
    std::memcpy(trailer.magic, kMagic.data(), kMagic.size());
    const uint64_t start = aligned(image.size()), end = start + sites.size() * sizeof(Entry);
    const uint64_t room = read_at<Arm64ImageHeader>(image, 0).image_size;
    if (end + sizeof trailer > room)
        return failure("its {} sites take {} bytes behind {}, and only {} are its memory (image_size)",
                       sites.size(), end + sizeof trailer - image.size(), image.size(), room);
    image.resize(end + sizeof trailer);
    for (size_t i = 0; i < sites.size(); ++i) {
        const Entry entry{sites[i].offset, static_cast<uint32_t>(sites[i].kind) |
                                               std::min(sites[i].frequency, kMaxFrequency) << 8};
        std::memcpy(image.data() + start + i * sizeof entry, &entry, sizeof entry);
    }
    trailer.crc = crc_of(std::span(image).subspan(start, end - start), trailer);
    std::memcpy(image.data() + end, &trailer, sizeof trailer);
    return {};
}

Result<std::optional<std::vector<Site>>> take_section(Bytes& image) {
    if (image.size() < sizeof(Arm64ImageHeader) + sizeof(Trailer) ||
        !has_at(image, image.size() - sizeof(Trailer), kMagic))
        return std::nullopt;
    const auto damaged = [](std::string_view why) {
        return failure("its table of sites is damaged ({}): prepare it again", why);
    };
    const auto trailer = read_at<Trailer>(image, image.size() - sizeof(Trailer));
    if (trailer.version != kVersion)
        return failure("its table of sites has version {}, which is not known: prepare it again",
                       trailer.version);
    if (const char* error = trailer_error(trailer, image.size())) return damaged(error);
    const std::span<const uint8_t> table =
        std::span(image).subspan(aligned(trailer.image_bytes), trailer.count * sizeof(Entry));
    if (crc_of(table, trailer) != trailer.crc) return damaged("its checksum is wrong");
    std::vector<Site> sites;
    sites.reserve(trailer.count);
    for (size_t i = 0; i < trailer.count; ++i) {
        const auto entry = read_at<Entry>(table, i * sizeof(Entry));
        const Site site{entry.offset, static_cast<SiteKind>(entry.kind_and_frequency & 0xff),
                        entry.kind_and_frequency >> 8};
        if (site.offset % 4 != 0 || uint64_t{site.offset} + 4 > trailer.image_bytes)
            return damaged("a site is not in the image");
        if (static_cast<size_t>(site.kind) >= kSiteKinds) return damaged("a site is of no known kind");
        if (!sites.empty() && (sites.back().offset > site.offset ||
                               (sites.back().offset == site.offset && sites.back().kind >= site.kind)))
            return damaged("its sites are not in order");
        sites.push_back(site);
    }
    image.resize(trailer.image_bytes);
    return sites;
}

}  // namespace arclight::guestos::prepare
