#include "guestos/new_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

namespace arclight::guestos {

namespace {

std::string directory_of(const std::string& path) {
    const std::string directory = std::filesystem::path(path).parent_path();
    return directory.empty() ? "." : directory;
}

/// Calls `make` with names beside `path` until it takes one.
template <typename Make>
std::string unused_name(const std::string& path, Make make) {
    constexpr unsigned kNames = 100;
    for (unsigned k = 0; k < kNames; ++k) {
        std::string name = path + fmt::format(".{}.{}.part", getpid(), k);
        if (make(name)) return name;
        if (errno != EEXIST) break;
    }
    return {};
}

}  // namespace

NewFile::NewFile(std::string path, std::string temporary, int fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {}

NewFile::NewFile(NewFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)) {}

NewFile::~NewFile() {
    if (!temporary_.empty()) unlink(temporary_.c_str());
    if (fd_ >= 0) close(fd_);
}

Result<NewFile> NewFile::create(const std::string& path, mode_t mode) {
    struct stat about {};
    if (stat(path.c_str(), &about) == 0 && !S_ISREG(about.st_mode))
        return failure("cannot write '{}': it is there, and no file", path);
    int fd = open(directory_of(path).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    std::string name;
    if (fd < 0)
        name = unused_name(path, [&](const std::string& at) {
            fd = open(at.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
            return fd >= 0;
        });
    if (fd < 0) return failure("cannot write '{}': {}", path, std::strerror(errno));
    return NewFile(path, std::move(name), fd);
}

Result<void> NewFile::commit() {
    const auto failed = [&] { return failure("cannot write '{}': {}", path_, std::strerror(errno)); };
    if (fsync(fd_) != 0) return failed();
    if (temporary_.empty()) {
        const std::string open_file = fmt::format("/proc/self/fd/{}", fd_);
        temporary_ = unused_name(path_, [&](const std::string& at) {
            return linkat(AT_FDCWD, open_file.c_str(), AT_FDCWD, at.c_str(), AT_SYMLINK_FOLLOW) == 0;
        });
        if (temporary_.empty()) return failed();
    }
    if (rename(temporary_.c_str(), path_.c_str()) != 0) return failed();
    temporary_.clear();
    // The name too is to survive a power failure.
    const int directory = open(directory_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool kept = directory >= 0 && fsync(directory) == 0;
    if (directory >= 0) close(directory);
    return kept ? Result<void>() : failed();
}

}  // namespace arclight::guestos
