#include "devices/virtio/blk.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "host/memory_fault.h"

// Section 5.2 of virtio 1.2.
namespace arclight::devices::virtio {

namespace {

constexpr uint64_t kFeatureSegMax = 1ull << 2;
constexpr uint64_t kFeatureReadonly = 1ull << 5;
constexpr uint64_t kFeatureBlockSize = 1ull << 6;
constexpr uint64_t kFeatureFlush = 1ull << 9;
constexpr uint64_t kFeatureConfigWce = 1ull << 11;
constexpr uint64_t kFeatureDiscard = 1ull << 13;
constexpr uint64_t kFeatureWriteZeroes = 1ull << 14;

constexpr uint32_t kTypeIn = 0;
constexpr uint32_t kTypeOut = 1;
constexpr uint32_t kTypeFlush = 4;
constexpr uint32_t kTypeGetId = 8;
constexpr uint32_t kTypeDiscard = 11;
constexpr uint32_t kTypeWriteZeroes = 13;

constexpr uint8_t kStatusOk = 0;
constexpr uint8_t kStatusError = 1;
constexpr uint8_t kStatusUnsupported = 2;

struct Header {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};

struct Range {
    uint64_t sector;
    uint32_t sectors;
    uint32_t flags;
};
constexpr uint32_t kRangeUnmap = 1;
constexpr uint32_t kMaxRanges = 16;
constexpr uint32_t kMaxRangeSectors = 1u << 22;

// 5.2.4
struct [[gnu::packed]] Config {
    uint64_t capacity;
    uint32_t size_max;
    uint32_t seg_max;
    uint16_t cylinders;
    uint8_t heads;
    uint8_t sectors;
    uint32_t block_size;
    uint8_t physical_block_exponent;
    uint8_t alignment_offset;
    uint16_t minimum_io_size;
    uint32_t optimum_io_size;
    uint8_t write_back;
    uint8_t unused;
    uint16_t queues;
    uint32_t max_discard_sectors;
    uint32_t max_discard_ranges;
    uint32_t discard_alignment;
    uint32_t max_write_zeroes_sectors;
    uint32_t max_write_zeroes_ranges;
    uint8_t write_zeroes_may_unmap;
};
constexpr uint64_t kWriteBackOffset = 32;
static_assert(offsetof(Config, write_back) == kWriteBackOffset &&
              offsetof(Config, max_discard_sectors) == 36);

void drop_front(std::vector<std::span<uint8_t>>& buffers, size_t count) {
    for (auto& buffer : buffers) {
        const size_t take = std::min(buffer.size(), count);
        buffer = buffer.subspan(take);
        count -= take;
    }
}

uint64_t total_size(const std::vector<std::span<uint8_t>>& buffers) {
    uint64_t total = 0;
    for (const auto& buffer : buffers) total += buffer.size();
    return total;
}

}  // namespace

static std::unique_ptr<Blk> with_image(DiskImage image, Blk::Options options) {
    if (image.length() != image.size() && options.host != nullptr) {
        options.host->say(fmt::format(
            "disk image '{}': {} bytes are no whole sectors: the guest sees {}, the last {} of them zeros",
            image.name(), image.length(), image.size(), image.size() - image.length()));
    }
    return std::make_unique<Blk>(std::move(image), std::move(options));
}

Result<std::unique_ptr<Blk>> Blk::open(const std::string& path, Options options) {
    auto image = DiskImage::open(path, options.image);
    if (!image) return std::unexpected(image.error());
    return with_image(std::move(*image), std::move(options));
}

Result<std::unique_ptr<Blk>> Blk::over(const std::string& path, std::unique_ptr<DiskStorage> storage,
                                       uint64_t length, Options options) {
    auto image = DiskImage::over(path, std::move(storage), length, options.image);
    if (!image) return std::unexpected(image.error());
    return with_image(std::move(*image), std::move(options));
}
Blk::Blk(DiskImage image, Options options)
    : image_(std::move(image)), options_(std::move(options)), write_back_(!options_.write_through) {}

// ---- configuration

uint64_t Blk::features() const {
    const uint64_t common = kFeatureSegMax | kFeatureBlockSize | kFeatureFlush;
    if (image_.readonly()) return common | kFeatureReadonly;
    return common | kFeatureConfigWce | kFeatureDiscard | kFeatureWriteZeroes;
}

// 5.2.5.2: without CONFIG_WCE the cache is write-back exactly when the driver can flush it.
void Blk::set_features(uint64_t features) {
    write_back_ =
        (features & kFeatureConfigWce) != 0 ? !options_.write_through : (features & kFeatureFlush) != 0;
}

uint8_t Blk::read_config(uint64_t offset) {
    Config config{};
    config.capacity = image_.size() / DiskImage::kSectorSize;
    config.seg_max = Queue::kMaxSize - 2;  // header and status take one descriptor each
    config.block_size = DiskImage::kSectorSize;
    config.write_back = write_back_ ? 1 : 0;
    config.queues = 1;
    config.max_discard_sectors = kMaxRangeSectors;
    config.max_discard_ranges = kMaxRanges;
    config.discard_alignment = 1;
    config.max_write_zeroes_sectors = kMaxRangeSectors;
    config.max_write_zeroes_ranges = kMaxRanges;
    config.write_zeroes_may_unmap = 1;
    if (offset >= sizeof config) return 0;
    uint8_t value;
    std::memcpy(&value, reinterpret_cast<const uint8_t*>(&config) + offset, 1);
    return value;
}

void Blk::write_config(uint64_t offset, uint8_t value) {
    if (offset == kWriteBackOffset && !image_.readonly()) write_back_ = (value & 1) != 0;
}

// ---- state

void Blk::save(StateWriter& out) const {
    out(image_.size(), image_.readonly(), write_back_.load());
    image_.save(out);
}

StateResult Blk::load(StateReader& in) {
    uint64_t size = 0;
    bool readonly = false, write_back = true;
    in(size, readonly, write_back);
    in.require(size == image_.size(), "a disk of another size");
    in.require(readonly == image_.readonly(), "a disk that is read-only there or here");
    if (const auto read = in.result(); !read) return read;
    if (const auto loaded = image_.load(in); !loaded) return loaded;
    write_back_ = write_back;
    return {};
}

// ---- requests

// 5.2.6: a header the device reads, data, and one status byte at the very end. Malformed: the request has no
// room for those.
Served Blk::process(unsigned, Chain& chain) {
    Header header{};
    std::array<uint8_t, sizeof header> raw{};
    if (gather(chain.readable, raw) != raw.size() || chain.writable.empty()) return Served::malformed();
    std::memcpy(&header, raw.data(), sizeof header);
    drop_front(chain.readable, sizeof header);
    std::span<uint8_t>& last = chain.writable.back();
    uint8_t& status_byte = last.back();
    uint8_t status = kStatusError;
    last = last.first(last.size() - 1);
    const Served served = serve(header.type, header.sector, chain, status);
    // The host may have taken away the memory that the status goes to.
    if (served.is_done() && !host::touch([&] { status_byte = status; })) return Served::malformed();
    return served;
}

Served Blk::serve(uint32_t type, uint64_t sector, const Chain& chain, uint8_t& status) {
    switch (type) {
        case kTypeIn:
            return finish(status, Operation::Read, transfer(chain.writable, sector, true),
                          1 + total_size(chain.writable));
        case kTypeOut: return finish(status, Operation::Write, transfer(chain.readable, sector, false), 1);
        case kTypeFlush: return finish(status, Operation::Flush, flush(), 1);
        case kTypeDiscard: return finish(status, Operation::Discard, discard(chain.readable, false), 1);
        case kTypeWriteZeroes:
            return finish(status, Operation::WriteZeroes, discard(chain.readable, true), 1);
        case kTypeGetId: {
            std::array<uint8_t, kMaxSerial> id{};
            std::memcpy(id.data(), options_.serial.data(), std::min(options_.serial.size(), kMaxSerial));
            const auto copied = static_cast<uint32_t>(scatter(id, chain.writable));
            status = kStatusOk;
            return Served::done(copied + 1);
        }
        default: status = kStatusUnsupported; return Served::done(1);
    }
}

// `written`: what goes to the guest if all is well, with the status.
Served Blk::finish(uint8_t& status, Operation operation, const Outcome& outcome, uint64_t written) {
    status = outcome.value_or(kStatusError);
    if (!outcome) {
        const Action action = action_on(operation, outcome.error());
        tell(operation, outcome.error(), action);
        if (action == Action::Stop) return Served::postponed();
        if (action == Action::Ignore) status = kStatusOk;
    }
    return Served::done(status == kStatusOk ? static_cast<uint32_t>(std::min<uint64_t>(written, ~0u)) : 1);
}

Blk::Outcome Blk::transfer(const std::vector<std::span<uint8_t>>& buffers, uint64_t sector, bool to_guest) {
    const uint64_t bytes = total_size(buffers);
    const uint64_t sectors = image_.size() / DiskImage::kSectorSize;
    if (bytes % DiskImage::kSectorSize != 0) return kStatusError;
    if (sector > sectors || bytes / DiskImage::kSectorSize > sectors - sector) return kStatusError;
    if (!to_guest && image_.readonly()) return kStatusError;
    const uint64_t offset = sector * DiskImage::kSectorSize;
    const DiskResult done = to_guest ? image_.read(offset, buffers) : image_.write(offset, buffers);
    if (!done) return std::unexpected(done.error());
    return to_guest || write_back_ ? kStatusOk : flush();
}

Blk::Outcome Blk::flush() {
    const DiskResult flushed = image_.flush();
    if (!flushed) return std::unexpected(flushed.error());
    return kStatusOk;
}

Blk::Outcome Blk::discard(const std::vector<std::span<uint8_t>>& ranges, bool write_zeroes) {
    if (image_.readonly()) return kStatusError;
    std::array<Range, kMaxRanges> list{};
    const uint64_t size = total_size(ranges);
    if (size == 0 || size % sizeof(Range) != 0 || size > sizeof list) return kStatusError;
    std::array<uint8_t, sizeof list> raw{};
    if (gather(ranges, raw) != size) return kStatusError;
    std::memcpy(list.data(), raw.data(), sizeof list);
    const uint64_t sectors = image_.size() / DiskImage::kSectorSize;
    for (const Range& range : std::span(list).first(size / sizeof(Range))) {
        // 5.2.6.2: unknown flags, and any flag on a discard, are unsupported.
        if ((range.flags & ~(write_zeroes ? kRangeUnmap : 0)) != 0) return kStatusUnsupported;
        if (range.sectors > kMaxRangeSectors || range.sector > sectors ||
            range.sectors > sectors - range.sector) {
            return kStatusError;
        }
        if (range.sectors == 0) continue;
        const uint64_t offset = range.sector * DiskImage::kSectorSize;
        const uint64_t length = static_cast<uint64_t>(range.sectors) * DiskImage::kSectorSize;
        const DiskResult done = write_zeroes
                                    ? image_.write_zeroes(offset, length, (range.flags & kRangeUnmap) != 0)
                                    : image_.discard(offset, length);
        if (!done) return std::unexpected(done.error());
    }
    return write_back_ ? kStatusOk : flush();
}

// ---- errors of the host

Blk::Action Blk::action_on(Operation operation, const DiskError& error) const {
    using enum DiskError::Kind;
    const OnDiskError wanted =
        operation == Operation::Read ? options_.on_read_error : options_.on_write_error;
    // What is refused is the guest's doing, and of a flush after a failed one no other try comes out well.
    if (error.kind == Refused) return Action::Report;
    // Nor is it the disk's: the guest's memory is gone (host/memory_fault.h), and stays so.
    if (error.number == EFAULT) return Action::Report;
    if (wanted == OnDiskError::Ignore) return Action::Ignore;
    const bool stop =
        wanted == OnDiskError::Stop || (wanted == OnDiskError::Enospc && error.number == ENOSPC);
    return stop && error.kind != EarlierFlush && options_.host != nullptr ? Action::Stop : Action::Report;
}

// Each kind of error once, but each pause.
void Blk::tell(Operation operation, const DiskError& error, Action action) {
    using enum DiskError::Kind;
    if (options_.host == nullptr || error.kind == EarlierFlush) return;
    const int number = error.kind == Refused ? 0 : error.number;
    const bool first = told_.emplace(error.kind == Flush ? Operation::Flush : operation, number).second;
    if (!first && action != Action::Stop) return;
    static constexpr std::string_view kNames[] = {"read", "write", "flush", "discard", "write of zeros"};
    std::string line = fmt::format("disk image '{}': ", image_.name());
    if (error.kind == Refused) {
        line += fmt::format("refused to let the guest turn it into {}; format=raw with the drive lets it",
                            error.format);
    } else if (error.kind == Flush) {
        line +=
            fmt::format("flush failed: {}; earlier writes may be lost, and all flushes fail until a restart",
                        std::strerror(error.number));
    } else {
        line +=
            fmt::format("{} failed: {}", kNames[static_cast<size_t>(operation)], std::strerror(error.number));
        if (action == Action::Report) line += "; the guest sees an I/O error (said once)";
        if (action == Action::Ignore) line += "; ignored (said once)";
    }
    if (action == Action::Stop)
        options_.host->pause(line);
    else
        options_.host->say(line);
}

}  // namespace arclight::devices::virtio
