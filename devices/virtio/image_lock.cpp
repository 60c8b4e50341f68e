#include "devices/virtio/image_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

namespace arclight::devices::virtio {

namespace {

// The protocol of QEMU's block/file-posix.c: each thing that one may do to an image has a number. Who does it holds
// a read lock on byte 100 + number, and who does not let others do it one on byte 200 + number. Whether somebody
// is in the way is asked after one's own locks are there, so of two that come at once at least one sees the other.
constexpr off_t kDoes = 100, kForbids = 200;
constexpr off_t kConsistentRead = 0, kWrite = 1, kResize = 3;

struct flock byte_lock(short type, off_t byte) {
    struct flock lock {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = 1;
    return lock;
}

// 0 or errno
int hold(int fd, off_t byte) {
    struct flock lock = byte_lock(F_RDLCK, byte);
    return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

bool held_by_another(int fd, off_t byte) {
    struct flock lock = byte_lock(F_WRLCK, byte);
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

std::vector<off_t> actions_of(ImageUse use) {
    std::vector<off_t> actions = {kConsistentRead};
    if (use.writes) actions.push_back(kWrite);
    if (use.grows) actions.push_back(kResize);
    return actions;
}

}  // namespace

std::expected<void, std::string> lock_image(int fd, ImageUse use, ImageLocking locking) {
    if (locking == ImageLocking::Off) return {};
    const auto in_use = [](std::string_view how) {
        return std::unexpected(fmt::format("in use by another process{}", how));
    };
    if (flock(fd, (use.writes ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return in_use("");
        if (locking == ImageLocking::On)
            return std::unexpected(fmt::format("cannot lock: {}", std::strerror(errno)));
    }
    std::vector<off_t> bytes;
    for (const off_t action : actions_of(use)) bytes.push_back(kDoes + action);
    for (const off_t action : {kWrite, kResize}) bytes.push_back(kForbids + action);
    for (const off_t byte : bytes) {
        const int error = hold(fd, byte);
        if (error == 0) continue;
        if (error == EAGAIN || error == EACCES) return in_use("");
        if (locking == ImageLocking::Auto) return {};
        return std::unexpected(fmt::format("cannot lock: {}", std::strerror(error)));
    }
    for (const off_t action : actions_of(use))
        if (held_by_another(fd, kForbids + action))
            return in_use(action == kConsistentRead ? "" : ", which allows no writes");
    for (const off_t action : {kWrite, kResize})
        if (held_by_another(fd, kDoes + action)) return in_use(", which writes it");
    return {};
}

std::string mounted_for_writing(unsigned device_major, unsigned device_minor, const std::string& mounts) {
    // proc(5): number, parent, major:minor, root, mount point, options, optional fields, "-", type, source, options
    // of the file system.
    const std::string wanted = fmt::format("{}:{}", device_major, device_minor);
    std::ifstream file(mounts);
    for (std::string line; std::getline(file, line);) {
        const size_t separator = line.find(" - ");
        if (separator == line.npos) continue;
        std::istringstream front(line.substr(0, separator)), back(line.substr(separator + 3));
        std::string number, parent, device, root, point, type, source, options;
        if (!(front >> number >> parent >> device >> root >> point) || !(back >> type >> source >> options))
            continue;
        if (device == wanted && (options == "rw" || options.starts_with("rw,"))) return point;
    }
    return "";
}

}  // namespace arclight::devices::virtio
