#include "guestos/semihosting_directories.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

namespace arclight::guestos {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kFileMode = 0644;

int open_beneath(int directory, const std::string& name, int flags) {
    const bool makes = (flags & O_CREAT) != 0;
    open_how how{.flags = static_cast<uint64_t>(flags | O_CLOEXEC),
                 .mode = makes ? kFileMode : 0,
                 .resolve = RESOLVE_BENEATH};
    const long fd = syscall(SYS_openat2, directory, name.empty() ? "." : name.c_str(), &how, sizeof how);
    return fd >= 0 ? static_cast<int>(fd) : -errno;
}

/// The directory that a name's last part is in, since unlinkat() and renameat() hold nothing beneath. An error in fd.
struct Parent {
    Parent(int directory, const std::string& name) {
        const size_t slash = name.rfind('/');
        last = slash == std::string::npos ? name : name.substr(slash + 1);
        fd = open_beneath(directory, slash == std::string::npos ? "" : name.substr(0, slash + 1),
                          O_PATH | O_DIRECTORY);
    }
    ~Parent() {
        if (fd >= 0) close(fd);
    }
    Parent(const Parent&) = delete;
    Parent& operator=(const Parent&) = delete;

    int fd;
    std::string last;
};

}  // namespace

Result<SemihostingDirectories> SemihostingDirectories::open(std::span<const std::string> paths) {
    SemihostingDirectories out;
    for (const std::string& path : paths) {
        const int fd = ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) return failure("directory '{}' cannot be opened: {}", path, std::strerror(errno));
        Directory directory{.fd = fd, .paths = {}};
        std::error_code error;
        const auto add = [&](std::string text) {
            while (text.ends_with('/')) text.pop_back();
            if (!error) directory.paths.push_back(std::move(text));
        };
        add(fs::absolute(path, error).lexically_normal());
        // What the descriptor is of, links followed.
        add(fs::read_symlink(fmt::format("/proc/self/fd/{}", fd), error));
        out.directories_.push_back(std::move(directory));
    }
    return out;
}

SemihostingDirectories::~SemihostingDirectories() {
    for (const Directory& directory : directories_) close(directory.fd);
}

SemihostingDirectories::Place SemihostingDirectories::find(const std::string& name) const {
    if (!name.starts_with('/')) return {directories_.empty() ? -1 : directories_.front().fd, name};
    for (const Directory& directory : directories_)
        for (const std::string& path : directory.paths)
            if (name.starts_with(path) && (name.size() == path.size() || name[path.size()] == '/')) {
                const size_t rest = name.find_first_not_of('/', path.size());
                return {directory.fd, rest == std::string::npos ? "" : name.substr(rest)};
            }
    return {-1, {}};
}

int SemihostingDirectories::open(const std::string& name, int flags) const {
    const Place place = find(name);
    return place.fd < 0 ? -EACCES : open_beneath(place.fd, place.name, flags);
}

int SemihostingDirectories::remove(const std::string& name) const {
    const Place place = find(name);
    if (place.fd < 0) return -EACCES;
    const Parent parent(place.fd, place.name);
    if (parent.fd < 0) return parent.fd;
    return unlinkat(parent.fd, parent.last.c_str(), 0) == 0 ? 0 : -errno;
}

int SemihostingDirectories::rename(const std::string& from, const std::string& to) const {
    const Place old_place = find(from), new_place = find(to);
    if (old_place.fd < 0 || new_place.fd < 0) return -EACCES;
    const Parent old_parent(old_place.fd, old_place.name), new_parent(new_place.fd, new_place.name);
    if (old_parent.fd < 0 || new_parent.fd < 0) return std::min(old_parent.fd, new_parent.fd);
    return renameat(old_parent.fd, old_parent.last.c_str(), new_parent.fd, new_parent.last.c_str()) == 0
               ? 0
               : -errno;
}

}  // namespace arclight::guestos
