// What the mapped security models keep of each file, in QEMU's form.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "devices/virtio/9p_security.h"

namespace arclight::devices::virtio::p9 {

void Mapping::apply(struct stat& info) const {
    if (uid) info.st_uid = *uid;
    if (gid) info.st_gid = *gid;
    if (mode) info.st_mode = *mode;
    if (device) info.st_rdev = *device;
}

// ---- in attributes

namespace {

constexpr const char* kUid = "user.virtfs.uid";
constexpr const char* kGid = "user.virtfs.gid";
constexpr const char* kMode = "user.virtfs.mode";
constexpr const char* kDevice = "user.virtfs.rdev";

template <typename T, typename Get>
std::optional<T> attribute(Get&& get, const char* name) {
    T value{};
    if (get(name, &value, sizeof value) != static_cast<ssize_t>(sizeof value)) return {};
    return value;
}

template <typename Get>
Mapping load_attributes(Get&& get) {
    return {attribute<uint32_t>(get, kUid), attribute<uint32_t>(get, kGid), attribute<uint32_t>(get, kMode),
            attribute<uint64_t>(get, kDevice)};
}

}  // namespace

Mapping load_xattr_mapping(int fd) {
    const std::string path = proc_path(fd);
    return load_attributes([&](const char* name, void* value, size_t size) {
        return getxattr(path.c_str(), name, value, size);
    });
}

Mapping load_xattr_mapping(const Place& place) {
    const std::string path = proc_path(place.directory.get()) + "/" + place.name;
    return load_attributes([&](const char* name, void* value, size_t size) {
        return lgetxattr(path.c_str(), name, value, size);
    });
}

Status store_xattr_mapping(int fd, const Mapping& mapping) {
    const std::string path = proc_path(fd);
    const auto put = [&](const char* name, const auto& value) {
        return !value || setxattr(path.c_str(), name, &*value, sizeof *value, 0) == 0;
    };
    if (put(kUid, mapping.uid) && put(kGid, mapping.gid) && put(kMode, mapping.mode) &&
        put(kDevice, mapping.device))
        return {};
    return std::unexpected(errno);
}

// ---- in files

namespace {

constexpr const char* kDirectory = ".virtfs_metadata";
constexpr const char* kRootFile = ".virtfs_metadata_root";
constexpr size_t kMaxFile = 4096;
constexpr const char* kKeys[] = {"virtfs.uid", "virtfs.gid", "virtfs.mode", "virtfs.rdev"};

Expected<Descriptor> metadata_directory(const Place& beside, bool make) {
    const int at = beside.directory.get();
    if (make && mkdirat(at, kDirectory, 0700) != 0 && errno != EEXIST) return std::unexpected(errno);
    const int fd = openat(at, kDirectory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return std::unexpected(errno);
    return Descriptor(fd);
}

// The place of a file's metadata; the shared directory's own lies in it.
Expected<Place> metadata_of(const Place& place, bool make) {
    if (place.name == ".") {
        const int fd = openat(place.directory.get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) return std::unexpected(errno);
        return Place{Descriptor(fd), kRootFile};
    }
    auto directory = metadata_directory(place, make);
    if (!directory) return std::unexpected(directory.error());
    return Place{std::move(*directory), place.name};
}

Mapping parse(std::string_view text) {
    Mapping mapping;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        const size_t equals = line.find('=');
        if (equals == line.npos) continue;
        const std::string_view key = line.substr(0, equals), number = line.substr(equals + 1);
        int64_t value = 0;
        if (std::from_chars(number.data(), number.data() + number.size(), value).ec != std::errc()) continue;
        if (key == kKeys[0]) mapping.uid = static_cast<uint32_t>(value);
        if (key == kKeys[1]) mapping.gid = static_cast<uint32_t>(value);
        if (key == kKeys[2]) mapping.mode = static_cast<uint32_t>(value);
        if (key == kKeys[3]) mapping.device = static_cast<uint64_t>(value);
    }
    return mapping;
}

}  // namespace

bool is_mapping_file(std::string_view name) { return name == kDirectory || name == kRootFile; }

Mapping load_file_mapping(const Place& place) {
    const auto metadata = metadata_of(place, false);
    if (!metadata) return {};
    const auto file = open_node_for(*metadata, O_RDONLY);
    if (!file) return {};
    std::array<char, kMaxFile> text;
    const ssize_t size = pread(file->get(), text.data(), text.size(), 0);
    return size > 0 ? parse({text.data(), static_cast<size_t>(size)}) : Mapping();
}

Status store_file_mapping(const Place& place, const Mapping& mapping) {
    Mapping all = load_file_mapping(place);
    if (mapping.uid) all.uid = mapping.uid;
    if (mapping.gid) all.gid = mapping.gid;
    if (mapping.mode) all.mode = mapping.mode;
    if (mapping.device) all.device = mapping.device;
    std::string text;
    const auto line = [&](const char* key, const auto& value) {
        if (value) text += fmt::format("{}={}\n", key, *value);
    };
    line(kKeys[0], all.uid);
    line(kKeys[1], all.gid);
    line(kKeys[2], all.mode);
    line(kKeys[3], all.device);

    const auto metadata = metadata_of(place, true);
    if (!metadata) return std::unexpected(metadata.error());
    // In place, since all names of a file share this one (link_file_mapping()).
    const int at = metadata->directory.get();
    auto file = open_node_for(*metadata, O_WRONLY | O_TRUNC);
    if (!file && file.error() == ENOENT) {
        const int fd =
            openat(at, metadata->name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) return std::unexpected(errno);
        file = Descriptor(fd);
    }
    if (!file) return std::unexpected(file.error());
    const ssize_t written = pwrite(file->get(), text.data(), text.size(), 0);
    if (written < 0) return std::unexpected(errno);
    if (static_cast<size_t>(written) != text.size()) return std::unexpected(ENOSPC);
    return {};
}

// Both names are one file's, and so is what is kept of it.
Status link_file_mapping(const Place& from, const Place& to) {
    const auto source = metadata_of(from, false);
    if (!source) return {};
    const auto target = metadata_of(to, true);
    if (!target) return std::unexpected(target.error());
    if (linkat(source->directory.get(), source->name.c_str(), target->directory.get(), target->name.c_str(),
               0) != 0 &&
        errno != ENOENT)
        return std::unexpected(errno);
    return {};
}

Status rename_file_mapping(const Place& from, const Place& to) {
    const auto source = metadata_of(from, false);
    if (!source) {
        remove_file_mapping(to);
        return {};
    }
    const auto target = metadata_of(to, true);
    if (!target) return std::unexpected(target.error());
    if (renameat(source->directory.get(), source->name.c_str(), target->directory.get(),
                 target->name.c_str()) == 0)
        return {};
    if (errno != ENOENT) return std::unexpected(errno);
    remove_file_mapping(to);
    return {};
}

void remove_file_mapping(const Place& place) {
    if (const auto metadata = metadata_of(place, false))
        unlinkat(metadata->directory.get(), metadata->name.c_str(), 0);
}

void remove_file_mappings_in(const Place& directory) {
    const int fd = openat(directory.directory.get(), directory.name.c_str(),
                          O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return;
    const Descriptor inside(fd);
    unlinkat(inside.get(), kDirectory, AT_REMOVEDIR);
}

}  // namespace arclight::devices::virtio::p9
