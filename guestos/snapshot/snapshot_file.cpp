#include "guestos/snapshot/snapshot_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "host/memory_fault.h"

namespace arclight::guestos {

namespace {

constexpr std::string_view kMagic = "ARCLSNAP";
constexpr uint64_t kPage = 4096;
using Header = std::array<uint8_t, SnapshotFile::kHeaderBytes>;

// Places in the header.
constexpr size_t kVersionAt = 8, kChecksumAt = 12, kDescriptionBytesAt = 16, kDescriptionChecksumAt = 24,
                 kPartsBytesAt = 32, kRamOffsetAt = 40, kRamBytesAt = 48, kRamBaseAt = 56, kEnd = 64;

void put(Header& header, size_t at, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) header[at + i] = static_cast<uint8_t>(value >> (8 * i));
}
uint64_t get(const Header& header, size_t at, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = bytes; i-- != 0;) value = value << 8 | header[at + i];
    return value;
}
uint32_t checksum(std::span<const uint8_t> bytes) {
    return static_cast<uint32_t>(crc32_z(0, bytes.data(), bytes.size()));
}
uint32_t checksum_of(const Header& header) {
    return checksum(std::span(header).subspan(kDescriptionBytesAt));
}
std::span<const uint8_t> bytes_of(const std::string& text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
constexpr uint64_t align_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

Result<void> write_at(int file, uint64_t offset, std::span<const uint8_t> bytes) {
    while (!bytes.empty()) {
        const ssize_t done = pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (done < 0 && errno == EINTR) continue;
        if (done < 0 && errno == EFAULT) return failure("the guest's memory is gone");
        if (done < 0) return failure("cannot write: {}", std::strerror(errno));
        bytes = bytes.subspan(static_cast<size_t>(done));
        offset += static_cast<uint64_t>(done);
    }
    return {};
}

/// False, too, at the end of the file.
bool read_at(int file, uint64_t offset, std::span<uint8_t> bytes) {
    while (!bytes.empty()) {
        const ssize_t got = pread(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        bytes = bytes.subspan(static_cast<size_t>(got));
        offset += static_cast<uint64_t>(got);
    }
    return true;
}

/// False if the memory is gone; who then writes it is told so by the system.
bool is_zero(const uint8_t* page) {
    static constexpr std::array<uint8_t, kPage> kZero{};
    bool zero = false;
    return host::touch([&] { zero = std::memcmp(page, kZero.data(), kPage) == 0; }) && zero;
}

Result<void> write_ram(int file, uint64_t offset, std::span<const uint8_t> ram) {
    constexpr uint64_t kMaxAtOnce = 1 << 20;
    for (uint64_t at = 0; at < ram.size();) {
        if (is_zero(ram.data() + at)) {
            at += kPage;
            continue;
        }
        uint64_t end = at + kPage;
        while (end < ram.size() && end - at < kMaxAtOnce && !is_zero(ram.data() + end)) end += kPage;
        if (auto written = write_at(file, offset + at, ram.subspan(at, end - at)); !written) return written;
        at = end;
    }
    return {};
}

}  // namespace

Result<void> SnapshotFile::write(int file, const std::string& description, std::span<const uint8_t> parts,
                                 uint64_t ram_base, std::span<const uint8_t> ram, int ram_file) {
    const uint64_t ram_offset = align_up(kHeaderBytes + description.size() + parts.size(), kRamAlignment);
    Header header{};
    std::ranges::copy(kMagic, header.begin());
    put(header, kVersionAt, kVersion, 4);
    put(header, kDescriptionBytesAt, description.size(), 8);
    put(header, kDescriptionChecksumAt, checksum(bytes_of(description)), 4);
    put(header, kPartsBytesAt, parts.size(), 8);
    put(header, kRamOffsetAt, ram_offset, 8);
    put(header, kRamBytesAt, ram.size(), 8);
    put(header, kRamBaseAt, ram_base, 8);
    put(header, kChecksumAt, checksum_of(header), 4);
    if (ftruncate(file, static_cast<off_t>(ram_offset + ram.size())) != 0)
        return failure("cannot write: {}", std::strerror(errno));
    Result<void> written;
    for (uint64_t at = 0, end; written && at < ram.size(); at = end) {
        end = ram.size();
        if (ram_file >= 0) {
            const off_t data = lseek(ram_file, static_cast<off_t>(at), SEEK_DATA);
            if (data < 0 && errno == ENXIO) break;
            if (data < 0) return failure("cannot read the guest's memory: {}", std::strerror(errno));
            at = static_cast<uint64_t>(data);
            end = std::min(end, static_cast<uint64_t>(lseek(ram_file, data, SEEK_HOLE)));
        }
        written = write_ram(file, ram_offset + at, ram.subspan(at, end - at));
    }
    if (written) written = write_at(file, kHeaderBytes, bytes_of(description));
    if (written) written = write_at(file, kHeaderBytes + description.size(), parts);
    if (written) written = write_at(file, 0, header);
    return written;
}

void SnapshotFile::Close::operator()(const int* file) const {
    close(*file);
    delete file;
}

SnapshotFile::SnapshotFile(std::string path, int file)
    : path_(std::move(path)), file_(std::unique_ptr<int, Close>(new int(file))) {}

Result<SnapshotFile> SnapshotFile::open(const std::string& path) {
    // A pipe without a writer must not make this wait.
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return failure("snapshot '{}': {}", path, std::strerror(errno));
    SnapshotFile snapshot(path, file);
    if (auto read = snapshot.read(); !read) return failure("snapshot '{}': {}", path, read.error());
    return snapshot;
}

Result<void> SnapshotFile::read() {
    struct stat about {};
    if (fstat(*file_, &about) != 0) return failure("{}", std::strerror(errno));
    if (!S_ISREG(about.st_mode)) return failure("is not a file");
    const auto size = static_cast<uint64_t>(about.st_size);
    Header header;
    if (!read_at(*file_, 0, header) || !std::ranges::equal(kMagic, std::span(header).first(kMagic.size())))
        return failure("is not a snapshot of Arclight's, or was not finished");
    const uint64_t version = get(header, kVersionAt, 4);
    if (version != kVersion)
        return failure("has version {} of the format; this program reads version {}", version, kVersion);
    if (get(header, kChecksumAt, 4) != checksum_of(header)) return failure("is damaged: its header");
    const uint64_t description_bytes = get(header, kDescriptionBytesAt, 8),
                   parts_bytes = get(header, kPartsBytesAt, 8);
    ram_ = {.base = get(header, kRamBaseAt, 8),
            .bytes = get(header, kRamBytesAt, 8),
            .offset = get(header, kRamOffsetAt, 8)};
    // A checksum can be made for any numbers: each is held against the file's size before it is used.
    const bool fits = description_bytes <= kMaxDescription && parts_bytes <= size && ram_.offset <= size &&
                      ram_.offset % kRamAlignment == 0 && ram_.bytes % kPage == 0 && ram_.bytes != 0 &&
                      kHeaderBytes + description_bytes + parts_bytes <= ram_.offset &&
                      std::ranges::all_of(std::span(header).subspan(kEnd), [](uint8_t b) { return b == 0; });
    if (fits && ram_.bytes > size - ram_.offset)
        return failure("is cut off: {} bytes are missing", ram_.bytes - (size - ram_.offset));
    if (!fits || ram_.bytes != size - ram_.offset) return failure("is damaged: its header");
    description_.resize(description_bytes);
    parts_.resize(parts_bytes);
    const std::span text(reinterpret_cast<uint8_t*>(description_.data()), description_.size());
    if (!read_at(*file_, kHeaderBytes, text) || !read_at(*file_, kHeaderBytes + description_bytes, parts_))
        return failure("cannot be read: {}", std::strerror(errno));
    if (checksum(text) != get(header, kDescriptionChecksumAt, 4))
        return failure("is damaged: its description of the machine");
    return {};
}

}  // namespace arclight::guestos
