#include "guestos/cpio.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <iterator>

namespace arclight::guestos {

namespace {

std::string normal(std::string_view path) {
    std::string result;
    while (!path.empty()) {
        const size_t slash = path.find('/');
        const std::string_view part = path.substr(0, slash);
        if (!part.empty() && part != ".") {
            if (!result.empty()) result += '/';
            result += part;
        }
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    }
    return result;
}

void pad(Bytes& out) { out.resize((out.size() + 3) & ~size_t(3)); }

}  // namespace

void CpioArchive::add(std::string_view path, Entry entry) {
    const std::string key = normal(path);
    if (key.empty()) return;  // the root itself exists already
    if (const size_t slash = key.rfind('/'); slash != std::string::npos) {
        const std::string parent = key.substr(0, slash);
        if (!entries_.contains(parent)) add_directory(parent);
    }
    entries_.insert_or_assign(key, std::move(entry));
}

void CpioArchive::add_directory(std::string_view path, uint32_t permissions) {
    add(path, {.mode = S_IFDIR | permissions});
}

void CpioArchive::add_file(std::string_view path, Bytes content, uint32_t permissions) {
    add(path, {.mode = S_IFREG | permissions, .content = std::move(content)});
}

void CpioArchive::add_link(std::string_view path, std::string_view target) {
    add(path, {.mode = S_IFLNK | 0777, .content = Bytes(target.begin(), target.end())});
}

void CpioArchive::add_character_device(std::string_view path, uint32_t major, uint32_t minor,
                                       uint32_t permissions) {
    add(path, {.mode = S_IFCHR | permissions, .device_major = major, .device_minor = minor});
}

bool CpioArchive::contains(std::string_view path) const { return entries_.contains(normal(path)); }

Bytes CpioArchive::encode() const {
    Bytes out;
    const auto write_entry = [&out](const std::string& name, uint32_t inode, const Entry& entry) {
        fmt::format_to(std::back_inserter(out),
                       "070701{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
                       inode, entry.mode, 0, 0, S_ISDIR(entry.mode) ? 2 : 1, 0, entry.content.size(), 0, 0,
                       entry.device_major, entry.device_minor, name.size() + 1, 0);
        out.insert(out.end(), name.begin(), name.end());
        out.push_back(0);
        pad(out);
        out.insert(out.end(), entry.content.begin(), entry.content.end());
        pad(out);
    };
    uint32_t inode = 1;
    // The root itself: the kernel would leave it writable to all.
    write_entry(".", inode++, {.mode = S_IFDIR | 0755});
    for (const auto& [name, entry] : entries_) write_entry(name, inode++, entry);
    write_entry("TRAILER!!!", 0, {});
    return out;
}

}  // namespace arclight::guestos
