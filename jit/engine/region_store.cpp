#include "jit/engine/region_store.h"

#define XXH_INLINE_ALL
#include <cpuid.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <type_traits>
#include <utility>

namespace arclight::jit {

namespace {
struct Header {
    std::array<char, 8> magic;
    uint32_t version, identity_bytes, shape_bytes, object_bytes;
    RegionStore::Key entry, whole;  ///< what the file is named by
    CacheKey::Code code;            ///< of the header with this field zero, and of what follows
};
static_assert(std::has_unique_object_representations_v<Header>);
constexpr std::array<char, 8> kMagic{'A', 'R', 'C', 'R', 'E', 'G', 'N', '\n'};
constexpr uint32_t kVersion = 3, kMaxPart = 16u << 20;
constexpr std::string_view kPurpose = "arclight regions";
constexpr const char* kEnding = ".region";
constexpr const char* kTemporary = ".new";
/// Of a run that ended in the middle of writing.
constexpr time_t kAbandonedSeconds = 3600;

struct File {
    int fd = -1;
    ~File() {
        if (fd >= 0) close(fd);
    }
};

std::string file_of(const RegionStore::Key& entry, const RegionStore::Key& whole) {
    return fmt::format("{:016x}{:016x}-{:016x}{:016x}{}", entry[1], entry[0], whole[1], whole[0], kEnding);
}

bool parse_name(std::string_view name, RegionStore::Key& entry, RegionStore::Key& whole) {
    if (name.size() != 65 + std::strlen(kEnding) || !name.ends_with(kEnding) || name[32] != '-') return false;
    const auto number = [&](size_t at, uint64_t& out) {
        out = 0;
        for (const char c : name.substr(at, 16)) {
            const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
            if (digit < 0) return false;
            out = out << 4 | static_cast<uint64_t>(digit);
        }
        return true;
    };
    return number(0, entry[1]) && number(16, entry[0]) && number(33, whole[1]) && number(49, whole[0]);
}

CacheKey::Code code_of(const CacheKey& key, Header header, std::string_view content) {
    header.code = {};
    return key.authenticate(kPurpose, {{reinterpret_cast<const char*>(&header), sizeof header}, content});
}

/// What LLVM looks at to know the host, without LLVM.
uint64_t host_cpu() {
    std::array<uint32_t, 16> words{};
    __get_cpuid(0, &words[0], &words[1], &words[2], &words[3]);
    __get_cpuid(1, &words[4], &words[5], &words[6], &words[7]);
    words[5] &= 0x00ff'ffff;  // the number of the CPU that this runs on
    __get_cpuid_count(7, 0, &words[8], &words[9], &words[10], &words[11]);
    __get_cpuid(0x8000'0001, &words[12], &words[13], &words[14], &words[15]);
    return XXH3_64bits(words.data(), sizeof words);
}

bool read_all(int fd, char* to, size_t bytes) {
    while (bytes != 0) {
        const ssize_t n = ::read(fd, to, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        to += n, bytes -= static_cast<size_t>(n);
    }
    return true;
}
bool write_all(int fd, std::string_view what) {
    while (!what.empty()) {
        const ssize_t n = ::write(fd, what.data(), what.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        what.remove_prefix(static_cast<size_t>(n));
    }
    return true;
}
}  // namespace

RegionStore::Key RegionStore::hash(std::span<const char> bytes, uint64_t seed) {
    const XXH128_hash_t h = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
    return {h.low64, h.high64};
}

RegionStore::RegionStore(const Options& options, int directory, std::shared_ptr<const CacheKey> key)
    : options_(options), directory_(directory), key_(std::move(key)) {
    const std::array<uint64_t, 3> parts{options.build, host_cpu(), kVersion};
    seed_ = XXH3_64bits(parts.data(), sizeof parts);
    list();
}
RegionStore::~RegionStore() { close(directory_); }

Result<std::unique_ptr<RegionStore>> RegionStore::open(const Options& options) {
    namespace fs = std::filesystem;
    const fs::path path = options.directory;
    std::error_code error;
    if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
        return failure("cannot make '{}': {}", options.directory, std::strerror(errno));
    File directory{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    struct stat about {};
    if (directory.fd < 0 || fstat(directory.fd, &about) != 0)
        return failure("cannot open '{}': {}", options.directory, std::strerror(errno));
    if (about.st_uid != geteuid() || (about.st_mode & 022) != 0)
        return failure("others than this user may write to '{}'", options.directory);
    auto key = options.key;
    if (key == nullptr) {
        auto opened = CacheKey::open(options.key_file, options.directory);
        if (!opened) return std::unexpected(opened.error());
        key = std::move(*opened);
    }
    const int fd = std::exchange(directory.fd, -1);
    return std::unique_ptr<RegionStore>(new RegionStore(options, fd, std::move(key)));
}

void RegionStore::list() {
    DIR* dir = fdopendir(dup(directory_));
    if (dir == nullptr) return;
    rewinddir(dir);
    while (const dirent* file = readdir(dir)) {
        Key entry, whole;
        if (parse_name(file->d_name, entry, whole)) entries_[entry].push_back(whole);
    }
    closedir(dir);
}

void RegionStore::set_fingerprint(const std::string& fingerprint) {
    const std::lock_guard guard(lock_);
    identity_ = fmt::format("{:016x} {}", seed_, fingerprint);
}

bool RegionStore::empty() const {
    const std::lock_guard guard(index_lock_);
    return entries_.empty();
}

bool RegionStore::knows(const Key& entry) const {
    const std::lock_guard guard(index_lock_);
    return entries_.contains(entry);
}

std::optional<RegionStore::Stored> RegionStore::read(const std::string& name, const Key& entry,
                                                     const Key& whole, bool& gone) const {
    const File file{openat(directory_, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
    gone = file.fd < 0 && errno == ENOENT;
    struct stat about {};
    if (file.fd < 0 || fstat(file.fd, &about) != 0) return std::nullopt;
    if (!S_ISREG(about.st_mode) || about.st_uid != geteuid() || (about.st_mode & 022) != 0)
        return std::nullopt;
    constexpr uint64_t kMost = sizeof(Header) + 3ull * kMaxPart;
    const auto size = static_cast<uint64_t>(about.st_size);
    if (size < sizeof(Header) || size > kMost) return std::nullopt;
    // Read once: whoever may still write to the file changes nothing of what has been found good.
    std::string bytes(size, '\0');
    if (!read_all(file.fd, bytes.data(), bytes.size())) return std::nullopt;
    Header header;
    std::memcpy(&header, bytes.data(), sizeof header);
    const std::string_view content = std::string_view(bytes).substr(sizeof header);
    if (!CacheKey::same(code_of(*key_, header, content), header.code)) return std::nullopt;
    if (header.magic != kMagic || header.version != kVersion || header.entry != entry ||
        header.whole != whole ||
        content.size() != uint64_t{header.identity_bytes} + header.shape_bytes + header.object_bytes ||
        content.substr(0, header.identity_bytes) != identity_)
        return std::nullopt;
    Stored stored{std::string(content.substr(header.identity_bytes, header.shape_bytes)),
                  std::string(content.substr(size_t{header.identity_bytes} + header.shape_bytes))};
    if (hash(stored.shape, seed_) != whole) return std::nullopt;
    futimens(file.fd, nullptr);  // used now: evict() takes the oldest
    return stored;
}

void RegionStore::forget(const Key& entry, const Key& whole) {
    const std::lock_guard guard(index_lock_);
    const auto it = entries_.find(entry);
    if (it == entries_.end()) return;
    std::erase(it->second, whole);
    if (it->second.empty()) entries_.erase(it);
}

std::vector<RegionStore::Stored> RegionStore::load(const Key& entry) {
    const std::lock_guard guard(lock_);
    std::vector<Stored> found;
    if (identity_.empty()) return found;
    std::vector<Key> names;
    {
        const std::lock_guard index(index_lock_);
        if (const auto it = entries_.find(entry); it != entries_.end()) names = it->second;
    }
    for (const Key& whole : names) {
        const std::string name = file_of(entry, whole);
        bool gone = false;
        if (auto stored = read(name, entry, whole, gone)) {
            found.push_back(std::move(*stored));
            ++stats_.loaded;
            continue;
        }
        forget(entry, whole);
        if (gone) continue;  // evicted by another run, which may have made it again by now
        ++stats_.rejected;
        unlinkat(directory_, name.c_str(), 0);
    }
    return found;
}

RegionStore::Key RegionStore::save(const Key& entry, const Stored& stored) {
    const std::lock_guard guard(lock_);
    const Key whole = name_of(stored);
    if (identity_.empty() || stored.shape.size() > kMaxPart || stored.object.size() > kMaxPart) return whole;
    Header header{.magic = kMagic,
                  .version = kVersion,
                  .identity_bytes = static_cast<uint32_t>(identity_.size()),
                  .shape_bytes = static_cast<uint32_t>(stored.shape.size()),
                  .object_bytes = static_cast<uint32_t>(stored.object.size()),
                  .entry = entry,
                  .whole = whole,
                  .code = {}};
    const std::string content = identity_ + stored.shape + stored.object;
    header.code = code_of(*key_, header, content);
    const std::string temporary = fmt::format("{}-{}{}", getpid(), next_temporary_++, kTemporary);
    bool written = false;
    {
        const File file{openat(directory_, temporary.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
        if (file.fd < 0) return whole;
        written = write_all(file.fd, {reinterpret_cast<const char*>(&header), sizeof header}) &&
                  write_all(file.fd, content);
    }
    const std::string name = file_of(entry, whole);
    if (!written || renameat(directory_, temporary.c_str(), directory_, name.c_str()) != 0) {
        unlinkat(directory_, temporary.c_str(), 0);
        return whole;
    }
    ++stats_.saved;
    {
        const std::lock_guard index(index_lock_);
        std::vector<Key>& variants = entries_[entry];
        if (std::find(variants.begin(), variants.end(), whole) == variants.end()) variants.push_back(whole);
        if (variants.size() > kVariants) {
            unlinkat(directory_, file_of(entry, variants.front()).c_str(), 0);
            variants.erase(variants.begin());
        }
    }
    bytes_ += sizeof header + content.size();
    if (!sized_ || bytes_ > options_.max_bytes) evict();
    return whole;
}

void RegionStore::remove(const Key& entry, const Stored& stored) {
    const std::lock_guard guard(lock_);
    const Key whole = name_of(stored);
    forget(entry, whole);
    unlinkat(directory_, file_of(entry, whole).c_str(), 0);
    ++stats_.rejected;
}

void RegionStore::discard(const Key& entry, const Key& whole) {
    const std::lock_guard guard(lock_);
    forget(entry, whole);
    if (unlinkat(directory_, file_of(entry, whole).c_str(), 0) == 0) ++stats_.discarded;
}

/// Down to nine tenths, the files used least recently first. Other runs may do the same at once.
void RegionStore::evict() {
    struct Found {
        timespec used;
        uint64_t bytes;
        std::string name;
    };
    std::vector<Found> files;
    DIR* dir = fdopendir(dup(directory_));
    if (dir == nullptr) return;
    rewinddir(dir);
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    bytes_ = 0;
    while (const dirent* file = readdir(dir)) {
        const std::string_view name = file->d_name;
        struct stat about {};
        if (!name.ends_with(kEnding) && !name.ends_with(kTemporary)) continue;
        if (fstatat(directory_, file->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (name.ends_with(kTemporary)) {
            if (now.tv_sec - about.st_mtim.tv_sec > kAbandonedSeconds) unlinkat(directory_, file->d_name, 0);
            continue;
        }
        bytes_ += static_cast<uint64_t>(about.st_size);
        files.push_back({about.st_mtim, static_cast<uint64_t>(about.st_size), std::string(name)});
    }
    closedir(dir);
    sized_ = true;
    if (bytes_ <= options_.max_bytes) return;
    std::sort(files.begin(), files.end(), [](const Found& a, const Found& b) {
        return a.used.tv_sec != b.used.tv_sec ? a.used.tv_sec < b.used.tv_sec
                                              : a.used.tv_nsec < b.used.tv_nsec;
    });
    for (const Found& f : files) {
        if (bytes_ <= options_.max_bytes / 10 * 9) break;
        unlinkat(directory_, f.name.c_str(), 0);
        bytes_ -= std::min(bytes_, f.bytes);
        ++stats_.evicted;
        Key entry, whole;
        if (parse_name(f.name, entry, whole)) forget(entry, whole);
    }
}

RegionStore::Stats RegionStore::stats() const {
    const std::lock_guard guard(lock_);
    return stats_;
}

}  // namespace arclight::jit
