// An initramfs of whatever names: the archive can be read back, each path once and after what holds it.
#include "guestos/cpio.h"

#include <set>
#include <string>

#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace guestos;

uint64_t field(std::span<const uint8_t> header, unsigned index) {
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        const uint8_t c = header[6 + index * 8 + i];
        value = value << 4 | static_cast<uint64_t>(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return value;
}

std::string_view text(std::span<const uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void read_back(const Bytes& archive) {
    const std::span<const uint8_t> all(archive);
    require(all.size() % 4 == 0, "an archive's length is a multiple of four");
    std::set<std::string> seen;
    for (size_t at = 0;;) {
        require(at + 110 <= all.size() && text(all.subspan(at, 6)) == "070701",
                "an entry begins with its magic");
        const auto header = all.subspan(at, 110);
        const uint64_t size = field(header, 6), name_size = field(header, 11);
        require(name_size >= 1 && name_size <= all.size() - at - 110, "a name is inside");
        const std::string name(text(all.subspan(at + 110, name_size - 1)));
        const size_t data = (at + 110 + name_size + 3) & ~size_t{3};
        if (name == "TRAILER!!!") return;
        require(data <= all.size() && size <= all.size() - data, "a file is inside");
        require(seen.insert(name).second, "a path is there once");
        const size_t slash = name.rfind('/');
        require(slash == std::string::npos || seen.contains(name.substr(0, slash)),
                "what holds a file comes before it");
        at = (data + size + 3) & ~size_t{3};
    }
}

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    CpioArchive archive;
    while (!in.empty()) {
        const uint8_t what = in.u8();
        const std::string path(text(in.bytes(what >> 2 & 15)));
        // A name that ends early or is none is the caller's to refuse.
        if (path.find('\0') != std::string::npos || path.empty() ||
            path.find("TRAILER!!!") != std::string::npos)
            continue;
        switch (what & 3) {
            case 0: archive.add_directory(path, in.u16()); break;
            case 1: {
                const auto content = in.bytes(in.u8());
                archive.add_file(path, Bytes(content.begin(), content.end()), in.u16());
                break;
            }
            case 2: archive.add_link(path, text(in.bytes(in.u8()))); break;
            default: archive.add_character_device(path, in.u32(), in.u32(), in.u16()); break;
        }
    }
    read_back(archive.encode());
}

const Registered registered(
    {.name = "cpio", .run = run, .max_size = 512, .words = {"/", "..", "bin/", "//"}});

}  // namespace
}  // namespace arclight::fuzz
