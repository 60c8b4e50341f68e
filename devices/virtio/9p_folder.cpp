#include "devices/virtio/9p_folder.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace arclight::devices::virtio::p9 {

namespace {

// The kernel takes paths of less than 4096 bytes; a part has 255 at most.
constexpr size_t kMaxStep = 4000;

Expected<Descriptor> open_beneath(int directory, std::string_view path, int flags) {
    open_how how{.flags = static_cast<uint64_t>(flags | O_CLOEXEC),
                 .mode = 0,
                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS};
    const std::string text(path);
    const long fd = syscall(SYS_openat2, directory, text.c_str(), &how, sizeof how);
    if (fd < 0) return std::unexpected(errno);
    return Descriptor(static_cast<int>(fd));
}

}  // namespace

Descriptor::~Descriptor() {
    if (fd_ >= 0) close(fd_);
}

Result<Folder> Folder::open(const std::string& path) {
    Descriptor root(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root) return failure("shared directory '{}': {}", path, std::strerror(errno));
    if (const auto beneath = open_beneath(root.get(), ".", O_PATH | O_DIRECTORY); !beneath) {
        if (beneath.error() == ENOSYS)
            return failure("shared directory '{}': this kernel has no openat2 (Linux 5.6 has)", path);
        return failure("shared directory '{}': {}", path, std::strerror(beneath.error()));
    }
    return Folder(std::move(root));
}

Expected<Place> Folder::place(std::string_view path) const {
    constexpr int kDirectory = O_PATH | O_DIRECTORY;
    const size_t slash = path.rfind('/');
    const std::string_view last = slash == path.npos ? path : path.substr(slash + 1);
    std::string_view rest = slash == path.npos ? std::string_view() : path.substr(0, slash);
    if (last.size() > 255) return std::unexpected(ENAMETOOLONG);
    // Paths may be longer than what one call takes. Each step goes on from an open directory, and only beneath it.
    Descriptor at;
    do {
        const size_t cut = rest.size() <= kMaxStep ? rest.npos : rest.rfind('/', kMaxStep);
        const std::string_view step = rest.substr(0, cut);
        rest = cut == rest.npos ? std::string_view() : rest.substr(cut + 1);
        auto opened = open_beneath(at ? at.get() : root_.get(), step.empty() ? "." : step, kDirectory);
        if (!opened) return std::unexpected(opened.error());
        at = std::move(*opened);
    } while (!rest.empty());
    return Place{std::move(at), last.empty() ? "." : std::string(last)};
}

Expected<Descriptor> open_node(const Place& place) {
    const int fd = openat(place.directory.get(), place.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return std::unexpected(errno);
    return Descriptor(fd);
}

// To open a device or a pipe is to do something with it, so the type comes first; and then the same file is opened that was
// looked at.
Expected<Descriptor> open_node_for(const Place& place, int flags) {
    const auto node = open_node(place);
    if (!node) return std::unexpected(node.error());
    struct stat info {};
    if (fstat(node->get(), &info) != 0) return std::unexpected(errno);
    if (S_ISLNK(info.st_mode)) return std::unexpected(ELOOP);
    if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) return std::unexpected(ENXIO);
    const std::string path = proc_path(node->get());
    int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY);
    // Only a file's owner may ask for that, and it does not matter.
    if (fd < 0 && errno == EPERM && (flags & O_NOATIME) != 0)
        fd = ::open(path.c_str(), (flags & ~O_NOATIME) | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return std::unexpected(errno);
    return Descriptor(fd);
}

std::string proc_path(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

}  // namespace arclight::devices::virtio::p9
