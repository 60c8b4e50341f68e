#include "devices/virtio/image_format.h"

#include <cstring>

namespace arclight::devices::virtio {

namespace {

using namespace std::string_view_literals;
using Bytes = std::span<const uint8_t>;

struct Magic {
    size_t offset;
    std::string_view bytes;
    ImageFormat format;
};

// At a file's start. The first match counts.
constexpr Magic kMagics[] = {
    {0, "QFI\xfb\0\0\0\1"sv, {"qcow (version 1)", false}},
    {0, "QFI\xfb"sv, {"qcow2", false}},
    {0, "QED\0"sv, {"qed", false}},
    {0, "KDMV"sv, {"vmdk", false}},
    {0, "COWD"sv, {"vmdk", false}},
    {0, "conectix"sv, {"vhd", false}},
    {0, "vhdxfile"sv, {"vhdx", false}},
    {64, "\x7f\x10\xda\xbe"sv, {"vdi", false}},
    {0, "WithoutFreeSpace"sv, {"parallels", false}},
    {0, "WithouFreSpacExt"sv, {"parallels", false}},
    {0, "Bochs Virtual HD Image"sv, {"bochs", false}},
    {0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop"sv, {"cloop", false}},
    {0, "\x3a\xff\x26\xed"sv, {"Android's sparse image", false}},
    {0, "\x1f\x8b\x08"sv, {"gzip", true}},
    {0, "\xfd\x37zXZ\0"sv, {"xz", true}},
    {0, "\x28\xb5\x2f\xfd"sv, {"zstd", true}},
    {4, "1AY&SY"sv, {"bzip2", true}},
    {0, "\x04\x22\x4d\x18"sv, {"lz4", true}},
    {0, "7z\xbc\xaf\x27\x1c"sv, {"7z", true}},
    {0, "PK\3\4"sv, {"zip", true}},
};
constexpr ImageFormat kVmdkDescriptor = {"vmdk", false};
constexpr ImageFormat kFixedVhd = {"vhd", false};
constexpr ImageFormat kDmg = {"dmg", false};

bool has(Bytes bytes, size_t offset, std::string_view magic) {
    return bytes.size() >= offset + magic.size() &&
           std::memcmp(bytes.data() + offset, magic.data(), magic.size()) == 0;
}

uint32_t big_endian_32(Bytes bytes, size_t offset) {
    uint32_t value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return __builtin_bswap32(value);
}

// A vmdk of several files begins in a text: comments and empty lines, then its version.
bool is_vmdk_descriptor(Bytes bytes) {
    std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto drop_line = [&text] {
        const size_t end = text.find('\n');
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
    };
    while (!text.empty()) {
        if (text[0] == '#') {
            drop_line();
        } else if (text[0] == ' ' || text[0] == '\r' || text[0] == '\n') {
            const size_t content = text.find_first_not_of(" \r");
            if (content == text.npos || text[content] != '\n') return false;
            drop_line();
        } else {
            break;
        }
    }
    if (!text.starts_with("version=") || text.size() < 10) return false;
    return text[8] >= '1' && text[8] <= '3' && (text[9] == '\n' || text[9] == '\r');
}

// A vhd of fixed size is raw but for its last 512 bytes. Those belong to the format if their checksum is right: the
// complement of the sum of all other bytes.
bool is_vhd_footer(Bytes last) {
    constexpr size_t kFooter = 512, kChecksum = 64;
    if (last.size() != kFooter || !has(last, 0, "conectix")) return false;
    uint32_t sum = 0;
    for (size_t i = 0; i < kFooter; i++)
        if (i < kChecksum || i >= kChecksum + 4) sum += last[i];
    return big_endian_32(last, kChecksum) == ~sum;
}

// Version 4, and the trailer's own size.
bool is_dmg_trailer(Bytes last) { return last.size() == 512 && has(last, 0, "koly\0\0\0\4\0\0\2\0"sv); }

}  // namespace

const ImageFormat* probe_image_format(Bytes first, Bytes last) {
    for (const Magic& magic : kMagics)
        if (has(first, magic.offset, magic.bytes)) return &magic.format;
    if (is_vmdk_descriptor(first)) return &kVmdkDescriptor;
    if (is_vhd_footer(last)) return &kFixedVhd;
    if (is_dmg_trailer(last)) return &kDmg;
    return nullptr;
}

}  // namespace arclight::devices::virtio
