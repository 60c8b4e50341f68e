#include "jit/engine/cache_directory.h"

#define XXH_INLINE_ALL
#include <cpuid.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

namespace arclight::jit {

namespace {
constexpr std::string_view kTemporary = ".new";
/// Of a run that ended in the middle of writing.
constexpr time_t kAbandonedSeconds = 3600;

constexpr mode_t kOthersWrite = S_IWGRP | S_IWOTH;
}  // namespace

bool is_own(const struct stat& about, mode_t forbidden) {
    return about.st_uid == geteuid() && (about.st_mode & forbidden) == 0;
}

OpenFile::~OpenFile() {
    if (fd_ >= 0) close(fd_);
}
OpenFile::OpenFile(OpenFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
OpenFile& OpenFile::operator=(OpenFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
}

bool OpenFile::read_at(uint64_t offset, char* to, size_t bytes) const {
    while (bytes != 0) {
        const ssize_t n = pread(fd_, to, bytes, static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        to += n, bytes -= static_cast<size_t>(n), offset += static_cast<uint64_t>(n);
    }
    return true;
}

bool OpenFile::append(std::string_view what) const {
    while (!what.empty()) {
        const ssize_t n = write(fd_, what.data(), what.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        what.remove_prefix(static_cast<size_t>(n));
    }
    return true;
}

CacheDirectory::~CacheDirectory() { close(fd_); }

Result<std::unique_ptr<CacheDirectory>> CacheDirectory::open(const std::string& where) {
    namespace fs = std::filesystem;
    const fs::path path = where;
    std::error_code error;
    if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
        return failure("cannot make '{}': {}", where, std::strerror(errno));
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failure("cannot open '{}': {}", where, std::strerror(errno));
    std::unique_ptr<CacheDirectory> directory(new CacheDirectory(fd));
    struct stat about {};
    if (fstat(fd, &about) != 0) return failure("cannot open '{}': {}", where, std::strerror(errno));
    if (!is_own(about, kOthersWrite)) return failure("others than this user may write to '{}'", where);
    return directory;
}

CacheDirectory::Found CacheDirectory::open_file(const std::string& name) const {
    OpenFile file(openat(fd_, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file) return {.file = {}, .bytes = 0, .gone = errno == ENOENT};
    struct stat about {};
    if (fstat(file.fd(), &about) != 0 || !S_ISREG(about.st_mode) || !is_own(about, kOthersWrite)) return {};
    return {.file = std::move(file), .bytes = static_cast<uint64_t>(about.st_size)};
}

CacheDirectory::Draft CacheDirectory::make_draft() {
    // In a container each run has the same PID, and one that was killed has left its draft.
    const auto now = std::chrono::system_clock::now().time_since_epoch().count();
    Draft draft{.file = {},
                .temporary = fmt::format("{}-{:x}-{}{}", getpid(), now, next_draft_++, kTemporary)};
    constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    draft.file = OpenFile(openat(fd_, draft.temporary.c_str(), kFlags, 0600));
    return draft;
}

bool CacheDirectory::publish(const Draft& draft, const std::string& name) const {
    return renameat(fd_, draft.temporary.c_str(), fd_, name.c_str()) == 0;
}

bool CacheDirectory::remove(const std::string& name) const { return unlinkat(fd_, name.c_str(), 0) == 0; }

void CacheDirectory::each_name(const std::function<void(const std::string&)>& f) const {
    const int copy = dup(fd_);
    DIR* dir = copy < 0 ? nullptr : fdopendir(copy);
    if (dir == nullptr) {
        if (copy >= 0) close(copy);
        return;
    }
    rewinddir(dir);
    while (const dirent* file = readdir(dir)) f(file->d_name);
    closedir(dir);
}

CacheDirectory::Eviction CacheDirectory::evict(
    uint64_t max_bytes, const std::function<void(const std::string&)>& on_removed) const {
    struct File {
        timespec used;
        uint64_t bytes;
        std::string name;
    };
    std::vector<File> files;
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    Eviction result;
    each_name([&](const std::string& name) {
        struct stat about {};
        const bool temporary = name.ends_with(kTemporary);
        if ((!temporary && !name.ends_with(kRegionEnding) && !name.ends_with(kBlocksEnding)) ||
            fstatat(fd_, name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0)
            return;
        if (!temporary) {
            result.bytes += static_cast<uint64_t>(about.st_size);
            files.push_back({about.st_mtim, static_cast<uint64_t>(about.st_size), name});
        } else if (now.tv_sec - about.st_mtim.tv_sec > kAbandonedSeconds) {
            remove(name);
        }
    });
    if (result.bytes <= max_bytes) return result;
    std::ranges::sort(files, [](const File& a, const File& b) {
        return a.used.tv_sec != b.used.tv_sec ? a.used.tv_sec < b.used.tv_sec
                                              : a.used.tv_nsec < b.used.tv_nsec;
    });
    for (const File& file : files) {
        if (result.bytes <= max_bytes / 10 * 9) break;
        remove(file.name);
        result.bytes -= std::min(result.bytes, file.bytes);
        ++result.removed;
        if (on_removed) on_removed(file.name);
    }
    return result;
}

Result<OwnCache> OwnCache::open(const std::string& directory, const std::string& key_file,
                                std::shared_ptr<const CacheKey> key) {
    auto opened = CacheDirectory::open(directory);
    if (!opened) return std::unexpected(opened.error());
    if (key == nullptr) {
        auto read = CacheKey::open(key_file, directory);
        if (!read) return std::unexpected(read.error());
        key = std::move(*read);
    }
    return OwnCache{std::move(*opened), std::move(key)};
}

uint64_t host_cpu_identity() {
    std::array<uint32_t, 16> words{};
    __get_cpuid(0, &words[0], &words[1], &words[2], &words[3]);
    __get_cpuid(1, &words[4], &words[5], &words[6], &words[7]);
    words[5] &= 0x00ff'ffff;  // the number of the CPU that this runs on
    __get_cpuid_count(7, 0, &words[8], &words[9], &words[10], &words[11]);
    __get_cpuid(0x8000'0001, &words[12], &words[13], &words[14], &words[15]);
    return XXH3_64bits(words.data(), sizeof words);
}

}  // namespace arclight::jit
