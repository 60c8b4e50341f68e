#include "guestos/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "guestos/new_file.h"

namespace arclight::guestos {

namespace {

struct FileDescriptor {
    int fd = -1;
    ~FileDescriptor() {
        if (fd >= 0) close(fd);
    }
};

}  // namespace

Result<Bytes> read_file(std::string_view what, const std::filesystem::path& path, uint64_t max_size) {
    FileDescriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (file.fd < 0) {
        if (errno == ENOENT) return failure("{} '{}' does not exist", what, path.native());
        return failure("cannot open {} '{}': {}", what, path.native(), std::strerror(errno));
    }
    struct stat info {};
    if (fstat(file.fd, &info) != 0)
        return failure("cannot read {} '{}': {}", what, path.native(), std::strerror(errno));
    if (S_ISDIR(info.st_mode)) return failure("{} '{}' is a directory", what, path.native());
    const auto too_large = [&] {
        return failure("{} '{}' is larger than {} MiB", what, path.native(), max_size >> 20);
    };
    if (S_ISREG(info.st_mode) && info.st_size > 0 && uint64_t(info.st_size) > max_size) return too_large();

    // st_size is only a first guess: pipes and /proc files report none.
    Bytes bytes;
    bytes.resize(std::min<uint64_t>(info.st_size > 0 ? uint64_t(info.st_size) + 1 : 65536, max_size + 1));
    size_t used = 0;
    for (;;) {
        if (used == bytes.size()) bytes.resize(std::min<uint64_t>(bytes.size() * 2, max_size + 1));
        const ssize_t got = read(file.fd, bytes.data() + used, bytes.size() - used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failure("cannot read {} '{}': {}", what, path.native(), std::strerror(errno));
        if (got == 0) break;
        used += size_t(got);
        if (used > max_size) return too_large();
    }
    bytes.resize(used);
    return bytes;
}

Result<void> write_file(std::string_view what, const std::filesystem::path& path,
                        std::span<const uint8_t> bytes) {
    const auto named = [&](const std::string& error) { return failure("{}: {}", what, error); };
    auto file = NewFile::create(path, 0666);
    if (!file) return named(file.error());
    while (!bytes.empty()) {
        const ssize_t done = write(file->descriptor(), bytes.data(), bytes.size());
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return failure("cannot write {} '{}': {}", what, path.native(), std::strerror(errno));
        bytes = bytes.subspan(size_t(done));
    }
    if (auto kept = file->commit(); !kept) return named(kept.error());
    return {};
}

}  // namespace arclight::guestos
