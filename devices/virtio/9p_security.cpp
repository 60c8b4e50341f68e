#include "devices/virtio/9p_security.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <tuple>

namespace arclight::devices::virtio::p9 {

namespace {

// On the host such files are the server's own, whatever they are in the guest.
constexpr mode_t kFileMode = 0600, kDirectoryMode = 0700;
constexpr uint32_t kUnchanged = ~0u;

constexpr std::string_view kUser = "user.", kMapped = "user.virtfs.", kAcl = "system.posix_acl_";

Status result(int returned) {
    if (returned == 0) return {};
    return std::unexpected(errno);
}

Expected<std::string> read_link(const Place& place) {
    std::array<char, PATH_MAX> text;
    const ssize_t size = readlinkat(place.directory.get(), place.name.c_str(), text.data(), text.size());
    if (size < 0) return std::unexpected(errno);
    return std::string(text.data(), static_cast<size_t>(size));
}

}  // namespace

bool Security::hides(std::string_view name) const { return keeps_beside() && is_mapping_file(name); }

// ---- what there is

Expected<struct stat> Security::stat(const Place& place) const {
    struct stat info {};
    if (fstatat(place.directory.get(), place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
        return std::unexpected(errno);
    if (model_ == SecurityModel::MappedXattr) load_xattr_mapping(place).apply(info);
    if (keeps_beside()) load_file_mapping(place).apply(info);
    return info;
}

Mapping Security::load(const Target& target) const {
    if (model_ == SecurityModel::MappedXattr) return load_xattr_mapping(target.fd);
    if (keeps_beside() && target.place != nullptr) return load_file_mapping(*target.place);
    return {};
}

Expected<struct stat> Security::stat(const Target& target) const {
    struct stat info {};
    if (fstat(target.fd, &info) != 0) return std::unexpected(errno);
    load(target).apply(info);
    return info;
}

// A mapped model keeps the guest's links as files; the host's own are links.
Expected<std::string> Security::readlink(const Place& place) const {
    auto link = read_link(place);
    if (link || !maps() || link.error() != EINVAL) return link;
    const auto info = stat(place);
    if (!info) return std::unexpected(info.error());
    if (!S_ISLNK(info->st_mode)) return std::unexpected(EINVAL);
    const auto file = open_node_for(place, O_RDONLY);
    if (!file) return std::unexpected(file.error());
    std::array<char, PATH_MAX> text;
    const ssize_t size = pread(file->get(), text.data(), text.size(), 0);
    if (size < 0) return std::unexpected(errno);
    return std::string(text.data(), static_cast<size_t>(size));
}

// ---- new files

Status Security::store(const Target& target, const Mapping& mapping) const {
    if (model_ == SecurityModel::MappedXattr) return store_xattr_mapping(target.fd, mapping);
    // What has no name has nowhere to keep it.
    return target.place != nullptr ? store_file_mapping(*target.place, mapping) : Status();
}

// Gives a new file to its owner. The mode comes last: a change of owner takes bits from it.
Status Security::own(const Place& place, const Credentials& credentials) const {
    const auto node = open_node(place);
    if (!node) return std::unexpected(node.error());
    const Target target{node->get(), &place};
    if (maps()) {
        Mapping mapping{credentials.uid, credentials.gid, credentials.mode, {}};
        if (S_ISCHR(credentials.mode) || S_ISBLK(credentials.mode)) mapping.device = credentials.device;
        return store(target, mapping);
    }
    if (fchownat(target.fd, "", credentials.uid, credentials.gid, AT_EMPTY_PATH) != 0 &&
        model_ != SecurityModel::None)
        return std::unexpected(errno);
    if (S_ISLNK(credentials.mode)) return {};
    return result(::chmod(proc_path(target.fd).c_str(), credentials.mode & 07777));
}

Expected<Descriptor> Security::create(const Place& place, int flags, const Credentials& credentials) const {
    const mode_t mode = maps() ? kFileMode : credentials.mode & 07777;
    const int fd = openat(place.directory.get(), place.name.c_str(),
                          flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, mode);
    if (fd < 0) return std::unexpected(errno);
    Descriptor file(fd);
    if (const auto owned = own(place, credentials); !owned) {
        unlinkat(place.directory.get(), place.name.c_str(), 0);
        return std::unexpected(owned.error());
    }
    return file;
}

Status Security::mkdir(const Place& place, const Credentials& credentials) const {
    const mode_t mode = maps() ? kDirectoryMode : credentials.mode & 07777;
    if (mkdirat(place.directory.get(), place.name.c_str(), mode) != 0) return std::unexpected(errno);
    auto owned = own(place, credentials);
    if (!owned) unlinkat(place.directory.get(), place.name.c_str(), AT_REMOVEDIR);
    return owned;
}

Status Security::mknod(const Place& place, const Credentials& credentials) const {
    const mode_t mode = maps() ? S_IFREG | kFileMode : credentials.mode;
    const dev_t device = maps() ? 0 : credentials.device;
    if (mknodat(place.directory.get(), place.name.c_str(), mode, device) != 0) return std::unexpected(errno);
    auto owned = own(place, credentials);
    if (!owned) unlinkat(place.directory.get(), place.name.c_str(), 0);
    return owned;
}

Status Security::symlink(const Place& place, const std::string& to, const Credentials& credentials) const {
    Credentials link = credentials;
    link.mode = S_IFLNK | 0777;
    if (!maps()) {
        if (symlinkat(to.c_str(), place.directory.get(), place.name.c_str()) != 0)
            return std::unexpected(errno);
        auto owned = own(place, link);
        if (!owned) unlinkat(place.directory.get(), place.name.c_str(), 0);
        return owned;
    }
    const auto file = create(place, O_WRONLY, link);
    if (!file) return std::unexpected(file.error());
    const ssize_t written = pwrite(file->get(), to.data(), to.size(), 0);
    if (written == static_cast<ssize_t>(to.size())) return {};
    const Error error = written < 0 ? errno : ENOSPC;
    std::ignore = remove(place, false);
    return std::unexpected(error);
}

Status Security::link(const Place& from, const Place& to) const {
    if (linkat(from.directory.get(), from.name.c_str(), to.directory.get(), to.name.c_str(), 0) != 0)
        return std::unexpected(errno);
    if (!keeps_beside()) return {};
    auto linked = link_file_mapping(from, to);
    if (!linked) unlinkat(to.directory.get(), to.name.c_str(), 0);
    return linked;
}

Status Security::rename(const Place& from, const Place& to) const {
    // A directory that the guest sees empty is not so on the host.
    if (keeps_beside()) remove_file_mappings_in(to);
    if (renameat(from.directory.get(), from.name.c_str(), to.directory.get(), to.name.c_str()) != 0)
        return std::unexpected(errno);
    return keeps_beside() ? rename_file_mapping(from, to) : Status();
}

Status Security::remove(const Place& place, bool directory) const {
    if (keeps_beside() && directory) remove_file_mappings_in(place);
    if (unlinkat(place.directory.get(), place.name.c_str(), directory ? AT_REMOVEDIR : 0) != 0)
        return std::unexpected(errno);
    if (keeps_beside()) remove_file_mapping(place);
    return {};
}

// ---- changes

Status Security::chmod(const Target& target, uint32_t mode) const {
    const auto info = stat(target);
    if (!info) return std::unexpected(info.error());
    if (maps()) {
        Mapping mapping;
        mapping.mode = (info->st_mode & S_IFMT) | (mode & 07777);
        return store(target, mapping);
    }
    // Else the host would change the mode of what the link leads to.
    if (S_ISLNK(info->st_mode)) return std::unexpected(EOPNOTSUPP);
    return result(::chmod(proc_path(target.fd).c_str(), mode & 07777));
}

Status Security::chown(const Target& target, uint32_t uid, uint32_t gid) const {
    if (!maps() || (uid == kUnchanged && gid == kUnchanged))
        return result(fchownat(target.fd, "", uid, gid, AT_EMPTY_PATH));
    Mapping mapping;
    if (uid != kUnchanged) mapping.uid = uid;
    if (gid != kUnchanged) mapping.gid = gid;
    return store(target, mapping);
}

// ---- extended attributes

// The name on the host, or why there is none; `hidden` for the model's own names.
Expected<std::string> Security::host_xattr(const std::string& name, Error hidden) const {
    if (name.starts_with(kAcl))
        return model_ == SecurityModel::MappedXattr ? std::string(kMapped) + name : name;
    if (!name.starts_with(kUser)) return std::unexpected(EOPNOTSUPP);
    if (model_ == SecurityModel::MappedXattr && name.starts_with(kMapped)) return std::unexpected(hidden);
    return name;
}

Expected<std::vector<uint8_t>> Security::get_xattr(const Target& target, const std::string& name) const {
    const auto on_host = host_xattr(name, ENODATA);
    if (!on_host) return std::unexpected(on_host.error());
    std::vector<uint8_t> value(kMaxXattr);
    const ssize_t size = getxattr(proc_path(target.fd).c_str(), on_host->c_str(), value.data(), value.size());
    if (size < 0) return std::unexpected(errno);
    value.resize(static_cast<size_t>(size));
    value.shrink_to_fit();
    return value;
}

Status Security::set_xattr(const Target& target, const std::string& name, const std::vector<uint8_t>& value,
                           int flags) const {
    const auto on_host = host_xattr(name, EACCES);
    if (!on_host) return std::unexpected(on_host.error());
    return result(
        setxattr(proc_path(target.fd).c_str(), on_host->c_str(), value.data(), value.size(), flags));
}

Status Security::remove_xattr(const Target& target, const std::string& name) const {
    const auto on_host = host_xattr(name, EACCES);
    if (!on_host) return std::unexpected(on_host.error());
    return result(removexattr(proc_path(target.fd).c_str(), on_host->c_str()));
}

Expected<std::vector<uint8_t>> Security::list_xattrs(const Target& target) const {
    std::vector<char> names(kMaxXattr);
    const ssize_t size = listxattr(proc_path(target.fd).c_str(), names.data(), names.size());
    if (size < 0 && errno != EOPNOTSUPP) return std::unexpected(errno);
    std::vector<uint8_t> seen;
    std::string_view rest(names.data(), size < 0 ? 0 : static_cast<size_t>(size));
    while (!rest.empty()) {
        std::string_view name = rest.substr(0, rest.find('\0'));
        rest.remove_prefix(std::min(rest.size(), name.size() + 1));
        if (model_ == SecurityModel::MappedXattr && name.starts_with(kMapped)) {
            name.remove_prefix(kMapped.size());
            if (!name.starts_with(kAcl)) continue;
        } else if (!name.starts_with(kUser) &&
                   (model_ == SecurityModel::MappedXattr || !name.starts_with(kAcl))) {
            continue;
        }
        seen.insert(seen.end(), name.begin(), name.end());
        seen.push_back(0);
    }
    return seen;
}

}  // namespace arclight::devices::virtio::p9
