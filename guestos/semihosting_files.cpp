#include "guestos/semihosting_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <thread>
#include <utility>

namespace arclight::guestos {

namespace {

constexpr size_t kMaxFiles = 256;
constexpr int kPollTime = 50;  // ms; how soon stop() is noticed
constexpr std::chrono::milliseconds kInputPause{1};

constexpr uint64_t kModes = 12;
constexpr uint64_t kReadModes = 4;   // 0 to 3: "r..."
constexpr uint64_t kWriteModes = 8;  // 4 to 7: "w..."; then "a..."

// Section 7.2 of the specification: magic number, then EXIT_EXTENDED (bit 0) and two output streams by ":tt" (bit 1).
constexpr std::array<uint8_t, 5> kFeatures = {'S', 'H', 'F', 'B', 3};

int open_flags(uint64_t mode) {
    const bool update = (mode & 2) != 0;
    if (mode < kReadModes) return update ? O_RDWR : O_RDONLY;
    return (update ? O_RDWR : O_WRONLY) | O_CREAT | (mode < kWriteModes ? O_TRUNC : O_APPEND);
}

}  // namespace

SemihostingFiles::~SemihostingFiles() {
    for (const auto& [handle, file] : files_)
        if (const auto* host = std::get_if<HostFile>(&file)) ::close(host->fd);
}

SemihostingFiles::Outcome SemihostingFiles::add(const File& file) {
    uint64_t handle = 1;
    while (files_.contains(handle)) ++handle;
    files_.emplace(handle, file);
    return {.value = static_cast<int64_t>(handle)};
}

SemihostingFiles::Outcome SemihostingFiles::open(const std::string& name, uint64_t mode) {
    if (mode >= kModes) return {-1, EINVAL};
    if (files_.size() >= kMaxFiles) return {-1, EMFILE};
    if (name == ":tt")
        return add(mode < kReadModes ? Stream::Input : mode < kWriteModes ? Stream::Output : Stream::Error);
    if (name == ":semihosting-features") return mode < 2 ? add(Features{}) : Outcome{-1, EACCES};
    return open_host(name, mode);
}

/// Of SemihostingDirectories. The first refusal is said, since what the guest makes of it seldom says why.
SemihostingFiles::Outcome SemihostingFiles::outcome_of(int result, const std::string& name) {
    if (result >= 0) return {};
    const bool outside = result == -EACCES || result == -EXDEV;
    if (outside && !std::exchange(refusal_said_, true)) {
        std::string text = name;
        std::ranges::replace_if(
            text, [](unsigned char c) { return std::isprint(c) == 0; }, '?');
        fmt::print(stderr,
                   "arclight: semihosting: the guest may not use '{}' (--semihosting-files gives it a "
                   "directory's files)\n",
                   text);
    }
    return {-1, -result};
}

SemihostingFiles::Outcome SemihostingFiles::open_host(const std::string& name, uint64_t mode) {
    // O_NONBLOCK: a FIFO without a writer must not hold the virtual CPU up.
    const int fd = directories_.open(name, open_flags(mode) | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return outcome_of(fd, name);
    struct stat info {};
    if (fstat(fd, &info) != 0 || S_ISDIR(info.st_mode)) {
        ::close(fd);
        return {-1, EISDIR};
    }
    return add(HostFile{fd});
}

SemihostingFiles::Outcome SemihostingFiles::remove(const std::string& name) {
    return outcome_of(directories_.remove(name), name);
}

SemihostingFiles::Outcome SemihostingFiles::rename(const std::string& from, const std::string& to) {
    return outcome_of(directories_.rename(from, to), from);
}

SemihostingFiles::Outcome SemihostingFiles::close(uint64_t handle) {
    const auto found = files_.find(handle);
    if (found == files_.end()) return {-1, EBADF};
    const auto* host = std::get_if<HostFile>(&found->second);
    const bool failed = host != nullptr && ::close(host->fd) != 0;
    files_.erase(found);
    return failed ? Outcome{-1, errno} : Outcome{};
}

SemihostingFiles::Outcome SemihostingFiles::read(uint64_t handle, std::span<uint8_t> to) {
    const auto found = files_.find(handle);
    if (found == files_.end()) return {-1, EBADF};
    if (auto* features = std::get_if<Features>(&found->second)) {
        const uint64_t at = std::min<uint64_t>(features->position, kFeatures.size());
        const uint64_t n = std::min<uint64_t>(to.size(), kFeatures.size() - at);
        std::copy_n(kFeatures.data() + at, n, to.data());
        features->position = at + n;
        return {static_cast<int64_t>(n)};
    }
    if (const auto* stream = std::get_if<Stream>(&found->second)) {
        if (*stream != Stream::Input) return {-1, EBADF};
        // As a terminal: what is there, at least one byte.
        size_t got = 0;
        while (got < to.size()) {
            const auto byte = got == 0 ? read_console() : console_.input ? console_.input() : std::nullopt;
            if (!byte) break;
            to[got++] = *byte;
        }
        return {static_cast<int64_t>(got)};
    }
    const ssize_t got = ::read(std::get<HostFile>(found->second).fd, to.data(), to.size());
    return got < 0 ? Outcome{-1, errno} : Outcome{got};
}

SemihostingFiles::Outcome SemihostingFiles::write(uint64_t handle, std::span<const uint8_t> from) {
    const auto found = files_.find(handle);
    if (found == files_.end()) return {-1, EBADF};
    if (std::holds_alternative<Features>(found->second)) return {-1, EBADF};
    if (const auto* stream = std::get_if<Stream>(&found->second)) {
        if (*stream == Stream::Input) return {-1, EBADF};
        if (*stream == Stream::Error)
            write_error(from);
        else if (console_.output)
            console_.output(from);
        return {static_cast<int64_t>(from.size())};
    }
    const ssize_t done = ::write(std::get<HostFile>(found->second).fd, from.data(), from.size());
    return done < 0 ? Outcome{-1, errno} : Outcome{done};
}

SemihostingFiles::Outcome SemihostingFiles::seek(uint64_t handle, uint64_t position) {
    const auto found = files_.find(handle);
    if (found == files_.end()) return {-1, EBADF};
    if (auto* features = std::get_if<Features>(&found->second)) {
        features->position = position;
        return {};
    }
    const auto* host = std::get_if<HostFile>(&found->second);
    if (host == nullptr) return {-1, ESPIPE};
    return lseek(host->fd, static_cast<off_t>(position), SEEK_SET) < 0 ? Outcome{-1, errno} : Outcome{};
}

SemihostingFiles::Outcome SemihostingFiles::length(uint64_t handle) const {
    const auto found = files_.find(handle);
    if (found == files_.end()) return {-1, EBADF};
    if (std::holds_alternative<Features>(found->second)) return {static_cast<int64_t>(kFeatures.size())};
    const auto* host = std::get_if<HostFile>(&found->second);
    struct stat info {};
    if (host == nullptr) return {-1, ESPIPE};
    return fstat(host->fd, &info) != 0 ? Outcome{-1, errno} : Outcome{info.st_size};
}

SemihostingFiles::Outcome SemihostingFiles::is_tty(uint64_t handle) const {
    const auto found = files_.find(handle);
    if (found == files_.end()) return {-1, EBADF};
    if (std::holds_alternative<Stream>(found->second)) return {1};
    const auto* host = std::get_if<HostFile>(&found->second);
    return {host != nullptr && isatty(host->fd) != 0 ? 1 : 0};
}

std::optional<uint8_t> SemihostingFiles::read_console() {
    while (!stopped_ && console_.input) {
        // Asked before: what came last is still taken.
        const bool ended = !console_.input_ended || console_.input_ended();
        if (const auto byte = console_.input()) return byte;
        if (ended) break;
        std::this_thread::sleep_for(kInputPause);
    }
    return {};
}

void SemihostingFiles::write_error(std::span<const uint8_t> bytes) {
    while (!bytes.empty() && !stopped_) {
        pollfd writable{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
        if (poll(&writable, 1, kPollTime) <= 0) continue;
        const ssize_t done = ::write(STDERR_FILENO, bytes.data(), std::min<size_t>(bytes.size(), PIPE_BUF));
        if (done < 0 && errno != EINTR && errno != EAGAIN) return;
        if (done > 0) bytes = bytes.subspan(static_cast<size_t>(done));
    }
}

}  // namespace arclight::guestos
