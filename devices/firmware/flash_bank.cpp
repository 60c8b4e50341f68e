#include "devices/firmware/flash_bank.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace arclight::devices {

namespace {

bool is_zero(std::span<const uint8_t> bytes) {
    return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

bool write_all(int fd, uint64_t offset, std::span<const uint8_t> bytes) {
    while (!bytes.empty()) {
        const ssize_t done = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        offset += static_cast<uint64_t>(done);
        bytes = bytes.subspan(static_cast<size_t>(done));
    }
    return true;
}

}  // namespace

FlashBank::~FlashBank() {
    sync();
    for (const int fd : locked_) close(fd);
}

Result<void> FlashBank::open(const std::string& path, bool writable, virtio::ImageLocking locking) {
    const int fd = ::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return failure("cannot open flash image '{}': {}", path, strerror(errno));
    locked_.push_back(fd);
    struct stat info {};
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return failure("flash image '{}' is not a file", path);
    const auto size = static_cast<uint64_t>(info.st_size);
    if (size > array_.size())
        return failure("flash image '{}' has {} bytes, and the bank {} MiB", path, size, array_.size() >> 20);
    if (auto locked =
            virtio::lock_image(fd, {.writes = writable, .grows = writable && size < array_.size()}, locking);
        !locked)
        return failure("flash image '{}': {}", path, locked.error());
    // By page, so that memory is needed for what is not zero only: an image is as large as its bank, and mostly empty.
    constexpr uint64_t kChunk = 64 * kPage;
    std::vector<uint8_t> chunk(kChunk);
    for (uint64_t at = 0; at < size;) {
        // Over holes, where the file system tells of them.
        if (const off_t data = lseek(fd, static_cast<off_t>(at), SEEK_DATA); data > 0)
            at = std::max(at, static_cast<uint64_t>(data) & ~(kPage - 1));
        else if (data < 0 && errno == ENXIO)
            break;
        const ssize_t got = pread(fd, chunk.data(), kChunk, static_cast<off_t>(at));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failure("cannot read flash image '{}': {}", path, strerror(errno));
        if (got == 0) break;
        const auto bytes = std::span(chunk).first(std::min<size_t>(static_cast<size_t>(got), size - at));
        for (size_t page = 0; page < bytes.size(); page += kPage) {
            const auto part = bytes.subspan(page, std::min<size_t>(kPage, bytes.size() - page));
            if (!is_zero(part)) std::memcpy(array_.data() + at + page, part.data(), part.size());
        }
        at += bytes.size();
    }
    if (writable) fd_ = fd;
    readonly_ = !writable;
    return {};
}

bool FlashBank::write(uint64_t offset, std::span<const uint8_t> bytes) {
    if (readonly_ || offset > array_.size() || bytes.size() > array_.size() - offset) return false;
    // What is there already need not be written: edk2 programs whole blocks of which little has changed.
    if (std::ranges::equal(array_.subspan(offset, bytes.size()), bytes)) return true;
    if (fd_ >= 0) {
        if (!write_all(fd_, offset, bytes)) return false;
        unsynced_ = true;
        if (const auto now = std::chrono::steady_clock::now(); now - synced_at_ >= kSyncInterval) {
            sync();
            synced_at_ = now;
        }
    }
    std::ranges::copy(bytes, array_.begin() + static_cast<ptrdiff_t>(offset));
    return true;
}

void FlashBank::sync() {
    if (std::exchange(unsynced_, false)) fdatasync(fd_);
}

std::vector<uint8_t> FlashBank::pages() const {
    std::vector<uint8_t> out;
    for (uint64_t at = 0; at < array_.size(); at += kPage) {
        const auto page = array_.subspan(at, kPage);
        if (is_zero(page)) continue;
        for (unsigned byte = 0; byte < 4; ++byte)
            out.push_back(static_cast<uint8_t>(at / kPage >> (8 * byte)));
        out.insert(out.end(), page.begin(), page.end());
    }
    return out;
}

bool FlashBank::set_pages(std::span<const uint8_t> pages) {
    if (pages.size() % (4 + kPage) != 0) return false;
    static constexpr std::array<uint8_t, kPage> kZero{};
    for (uint64_t at = 0; at < array_.size(); at += kPage) {
        std::span<const uint8_t> content = kZero;
        if (!pages.empty()) {
            uint64_t number = 0;
            for (unsigned byte = 0; byte < 4; ++byte) number |= uint64_t{pages[byte]} << (8 * byte);
            if (number < at / kPage) return false;
            if (number == at / kPage) {
                content = pages.subspan(4, kPage);
                pages = pages.subspan(4 + kPage);
            }
        }
        if (!write(at, content)) return false;
    }
    return pages.empty();
}

}  // namespace arclight::devices
