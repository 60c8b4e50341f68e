#include "jit/engine/cache_key.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "jit/engine/cache_directory.h"

namespace arclight::jit {

namespace {
namespace fs = std::filesystem;

/// Whether `path` is `directory` or below, both with their symbolic links resolved.
bool lies_in(const fs::path& path, const fs::path& directory) {
    std::error_code error;
    const fs::path inner = fs::weakly_canonical(path, error), outer = fs::weakly_canonical(directory, error);
    const auto [in, out] = std::ranges::mismatch(inner, outer);
    return out == outer.end() || (std::next(out) == outer.end() && out->empty());
}

bool fill_random(std::span<uint8_t> bytes) {
    while (!bytes.empty()) {
        const ssize_t got = getrandom(bytes.data(), bytes.size(), 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        bytes = bytes.subspan(static_cast<size_t>(got));
    }
    return true;
}

/// Under a temporary name first, so that the file is never seen without its content; another run may be doing the same, and
/// the first one's key is everybody's. Whether there is a file then; else errno says why.
bool make_file(int directory, const char* name, std::span<const uint8_t> secret) {
    uint64_t random = 0;
    if (!fill_random({reinterpret_cast<uint8_t*>(&random), sizeof random})) return false;
    const std::string temporary = fmt::format("{}.{:016x}.new", name, random);
    const OpenFile file(
        openat(directory, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return false;
    // The mode does not depend on the user's umask.
    bool made = fchmod(file.fd(), 0600) == 0;
    if (made && write(file.fd(), secret.data(), secret.size()) != static_cast<ssize_t>(secret.size()))
        made = false, errno = ENOSPC;
    made = made && fsync(file.fd()) == 0;
    made = made && (linkat(directory, temporary.c_str(), directory, name, 0) == 0 || errno == EEXIST);
    const int error = errno;
    unlinkat(directory, temporary.c_str(), 0);
    errno = error;
    return made;
}
}  // namespace

Result<std::unique_ptr<CacheKey>> CacheKey::open(const std::string& path, const std::string& cache) {
    if (path.empty())
        return failure("there is no place for their key: neither XDG_STATE_HOME nor HOME is set");
    if (sodium_init() < 0) return failure("libsodium does not work here");
    if (lies_in(path, cache)) return failure("their key '{}' lies in the cache itself", path);
    const fs::path file_path = path, directory_path = file_path.parent_path();
    const std::string name = file_path.filename();
    std::error_code error;
    fs::create_directories(directory_path.parent_path(), error);
    if (mkdir(directory_path.c_str(), 0700) != 0 && errno != EEXIST)
        return failure("cannot make '{}': {}", directory_path.native(), std::strerror(errno));
    const OpenFile directory(::open(directory_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat about {};
    if (!directory || fstat(directory.fd(), &about) != 0)
        return failure("cannot open '{}': {}", directory_path.native(), std::strerror(errno));
    if (!is_own(about, S_IWGRP | S_IWOTH))
        return failure("others than this user may write to '{}'", directory_path.native());

    const auto open_file = [&] {
        return openat(directory.fd(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    };
    Secret secret;
    OpenFile file(open_file());
    if (!file && errno == ENOENT) {
        if (!fill_random(secret)) return failure("no random numbers for a key: {}", std::strerror(errno));
        if (!make_file(directory.fd(), name.c_str(), secret))
            return failure("cannot make '{}': {}", path, std::strerror(errno));
        file = OpenFile(open_file());
    }
    if (!file || fstat(file.fd(), &about) != 0)
        return failure("cannot open '{}': {}", path, std::strerror(errno));
    if (!S_ISREG(about.st_mode) || !is_own(about, S_IRWXG | S_IRWXO))
        return failure("'{}' is not a file of this user's alone", path);
    if (about.st_size != kBytes || read(file.fd(), secret.data(), kBytes) != kBytes)
        return failure("'{}' is damaged: remove it to have a new one made", path);
    std::unique_ptr<CacheKey> key(new CacheKey(secret));
    sodium_memzero(secret.data(), secret.size());
    return key;
}

CacheKey::~CacheKey() { sodium_memzero(secret_.data(), secret_.size()); }

CacheKey::Code CacheKey::authenticate(std::string_view purpose,
                                      std::initializer_list<std::span<const char>> parts) const {
    std::array<uint8_t, crypto_generichash_blake2b_PERSONALBYTES> personal{};
    std::copy_n(purpose.begin(), std::min(purpose.size(), personal.size()), personal.begin());
    crypto_generichash_blake2b_state state;
    Code code;
    crypto_generichash_blake2b_init_salt_personal(&state, secret_.data(), secret_.size(), code.size(),
                                                  nullptr, personal.data());
    for (const std::span<const char> part : parts)
        crypto_generichash_blake2b_update(&state, reinterpret_cast<const uint8_t*>(part.data()), part.size());
    crypto_generichash_blake2b_final(&state, code.data(), code.size());
    return code;
}

namespace {
template <typename T>
std::span<const char> bytes_of(const T& value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
}
const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}
}  // namespace

CacheKey::Tag CacheKey::tag(std::string_view purpose, const Code& nonce, uint64_t number,
                            std::string_view message) const {
    static_assert(sizeof(Code) == crypto_onetimeauth_KEYBYTES && sizeof(Tag) == crypto_onetimeauth_BYTES);
    const Code once = authenticate(purpose, {bytes_of(nonce), bytes_of(number)});
    Tag tag;
    crypto_onetimeauth(tag.data(), bytes_of(message), message.size(), once.data());
    return tag;
}

bool CacheKey::has_tag(std::string_view purpose, const Code& nonce, uint64_t number, std::string_view message,
                       const Tag& tag) const {
    const Code once = authenticate(purpose, {bytes_of(nonce), bytes_of(number)});
    return crypto_onetimeauth_verify(tag.data(), bytes_of(message), message.size(), once.data()) == 0;
}

std::optional<CacheKey::Code> CacheKey::nonce() {
    Code code;
    return fill_random(code) ? std::optional(code) : std::nullopt;
}

bool CacheKey::same(const Code& a, const Code& b) { return sodium_memcmp(a.data(), b.data(), a.size()) == 0; }

}  // namespace arclight::jit
