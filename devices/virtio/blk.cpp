#include "devices/virtio/blk.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
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
constexpr uint64_t kFeatureQueues = 1ull << 12;
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

uint64_t total_size(DiskBuffers buffers) {
    uint64_t total = 0;
    for (const auto& buffer : buffers) total += buffer.size();
    return total;
}

}  // namespace

Result<std::unique_ptr<Blk>> Blk::open(const std::string& path, Options options) {
    auto disk = Disk::open(path, std::move(options));
    if (!disk) return std::unexpected(disk.error());
    return std::make_unique<Blk>(std::move(*disk));
}

Blk::Blk(Disk disk, unsigned queues)
    : disk_(std::move(disk)), queues_(queues), write_back_(!disk_.options().write_through) {}

// ---- configuration

uint64_t Blk::features() const {
    const uint64_t common =
        kFeatureSegMax | kFeatureBlockSize | kFeatureFlush | (queues_ > 1 ? kFeatureQueues : 0);
    if (image().readonly()) return common | kFeatureReadonly;
    return common | kFeatureConfigWce | kFeatureDiscard | kFeatureWriteZeroes;
}

// 5.2.5.2: without CONFIG_WCE the cache is write-back exactly when the driver can flush it.
void Blk::set_features(uint64_t features) {
    write_back_ =
        (features & kFeatureConfigWce) != 0 ? !options().write_through : (features & kFeatureFlush) != 0;
}

uint8_t Blk::read_config(uint64_t offset) {
    Config config{};
    config.capacity = image().size() / DiskImage::kSectorSize;
    config.seg_max = Queue::kMaxSize - 2;  // header and status take one descriptor each
    config.block_size = DiskImage::kSectorSize;
    config.write_back = write_back_ ? 1 : 0;
    config.queues = static_cast<uint16_t>(queues_);
    config.max_discard_sectors = DiskImage::kMaxRangeSectors;
    config.max_discard_ranges = kMaxRanges;
    config.discard_alignment = 1;
    config.max_write_zeroes_sectors = DiskImage::kMaxRangeSectors;
    config.max_write_zeroes_ranges = kMaxRanges;
    config.write_zeroes_may_unmap = 1;
    if (offset >= sizeof config) return 0;
    uint8_t value;
    std::memcpy(&value, reinterpret_cast<const uint8_t*>(&config) + offset, 1);
    return value;
}

void Blk::write_config(uint64_t offset, uint8_t value) {
    if (offset == kWriteBackOffset && !image().readonly()) write_back_ = (value & 1) != 0;
}

// ---- state

void Blk::save(StateWriter& out) const {
    out(image().size(), image().readonly(), write_back_.load());
    image().save(out);
}

StateResult Blk::load(StateReader& in) {
    uint64_t size = 0;
    bool readonly = false, write_back = true;
    in(size, readonly, write_back);
    in.require(size == image().size(), "a disk of another size");
    in.require(readonly == image().readonly(), "a disk that is read-only there or here");
    if (const auto read = in.result(); !read) return read;
    if (const auto loaded = image().load(in); !loaded) return loaded;
    write_back_ = write_back;
    return {};
}

// ---- requests

namespace {

/// A request taken apart: the chain keeps its data alone.
struct Request {
    Header header;
    uint8_t* status;
};

// 5.2.6: a header the device reads, data, and one status byte at the very end. Nothing: the request has no room for those.
std::optional<Request> take_apart(Chain& chain) {
    Request request{};
    std::array<uint8_t, sizeof request.header> raw{};
    if (gather(chain.readable, raw) != raw.size() || chain.writable.empty()) return std::nullopt;
    std::memcpy(&request.header, raw.data(), sizeof request.header);
    drop_front(chain.readable, sizeof request.header);
    std::span<uint8_t>& last = chain.writable.back();
    request.status = &last.back();
    last = last.first(last.size() - 1);
    return request;
}

// The host may have taken away the memory that the status goes to.
Served answer(const Served& served, uint8_t* to, uint8_t status) {
    if (served.is_done() && !host::touch([&] { *to = status; })) return Served::malformed();
    return served;
}

}  // namespace

Served Blk::process(unsigned queue, Chain& chain) {
    Served served = Served::malformed();
    process_all(queue, {&chain, 1}, {&served, 1});
    return served;
}

// Reads and writes that follow each other go to the host together; all else comes after those before it.
void Blk::process_all(unsigned, std::span<Chain> chains, std::span<Served> served) {
    stopped_ = false;
    transfers_.clear();
    owners_.clear();
    for (size_t i = 0; i < chains.size(); i++) {
        if (stopped_) {
            served[i] = Served::postponed();
            continue;
        }
        Chain& chain = chains[i];
        const auto request = take_apart(chain);
        if (!request) {
            served[i] = Served::malformed();
            continue;
        }
        const Header& header = request->header;
        const bool read = header.type == kTypeIn;
        const auto& buffers = read ? chain.writable : chain.readable;
        if ((read || header.type == kTypeOut) && transferable(buffers, header.sector, read)) {
            transfers_.push_back(
                {.write = !read, .offset = header.sector * DiskImage::kSectorSize, .buffers = buffers});
            owners_.push_back({i, request->status, total_size(buffers)});
            continue;
        }
        finish_transfers(served);
        uint8_t status = kStatusError;
        const Served done = stopped_ ? Served::postponed() : serve(header.type, chain, status);
        served[i] = answer(done, request->status, status);
    }
    finish_transfers(served);
}

void Blk::finish_transfers(std::span<Served> served) {
    if (transfers_.empty()) return;
    image().run(transfers_);
    // Writes that are to be durable share a flush.
    const bool wrote = std::ranges::any_of(transfers_, &DiskTransfer::write);
    const Outcome flushed = wrote && !write_back_ ? flush() : Outcome(kStatusOk);
    for (size_t i = 0; i < transfers_.size(); i++) {
        const bool write = transfers_[i].write;
        Outcome outcome = kStatusOk;
        if (!transfers_[i].result)
            outcome = std::unexpected(transfers_[i].result.error());
        else if (write)
            outcome = flushed;
        uint8_t status = kStatusError;
        if (stopped_) {
            served[owners_[i].chain] = Served::postponed();
            continue;
        }
        const Served done = finish(status, write ? Operation::Write : Operation::Read, outcome,
                                   1 + (write ? 0 : owners_[i].bytes));
        served[owners_[i].chain] = answer(done, owners_[i].status, status);
    }
    transfers_.clear();
    owners_.clear();
}

Served Blk::serve(uint32_t type, const Chain& chain, uint8_t& status) {
    switch (type) {
        // Not transferable.
        case kTypeIn:
        case kTypeOut: status = kStatusError; return Served::done(1);
        case kTypeFlush: return finish(status, Operation::Flush, flush(), 1);
        case kTypeDiscard: return finish(status, Operation::Discard, discard(chain.readable, false), 1);
        case kTypeWriteZeroes:
            return finish(status, Operation::WriteZeroes, discard(chain.readable, true), 1);
        case kTypeGetId: {
            std::array<uint8_t, kMaxSerial> id{};
            std::memcpy(id.data(), options().serial.data(), std::min(options().serial.size(), kMaxSerial));
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
        const Disk::Action action = disk_.failed(operation, outcome.error());
        stopped_ |= action == Disk::Action::Stop;
        if (stopped_) return Served::postponed();
        if (action == Disk::Action::Ignore) status = kStatusOk;
    }
    return Served::done(status == kStatusOk ? static_cast<uint32_t>(std::min<uint64_t>(written, ~0u)) : 1);
}

bool Blk::transferable(DiskBuffers buffers, uint64_t sector, bool to_guest) const {
    const uint64_t bytes = total_size(buffers);
    const uint64_t sectors = image().size() / DiskImage::kSectorSize;
    return bytes % DiskImage::kSectorSize == 0 && sector <= sectors &&
           bytes / DiskImage::kSectorSize <= sectors - sector && (to_guest || !image().readonly());
}

Blk::Outcome Blk::flush() {
    const DiskResult flushed = image().flush();
    if (!flushed) return std::unexpected(flushed.error());
    return kStatusOk;
}

Blk::Outcome Blk::discard(const std::vector<std::span<uint8_t>>& ranges, bool write_zeroes) {
    if (image().readonly()) return kStatusError;
    std::array<Range, kMaxRanges> list{};
    const uint64_t size = total_size(ranges);
    if (size == 0 || size % sizeof(Range) != 0 || size > sizeof list) return kStatusError;
    std::array<uint8_t, sizeof list> raw{};
    if (gather(ranges, raw) != size) return kStatusError;
    std::memcpy(list.data(), raw.data(), sizeof list);
    const uint64_t sectors = image().size() / DiskImage::kSectorSize;
    for (const Range& range : std::span(list).first(size / sizeof(Range))) {
        // 5.2.6.2: unknown flags, and any flag on a discard, are unsupported.
        if ((range.flags & ~(write_zeroes ? kRangeUnmap : 0)) != 0) return kStatusUnsupported;
        if (range.sectors > DiskImage::kMaxRangeSectors || range.sector > sectors ||
            range.sectors > sectors - range.sector) {
            return kStatusError;
        }
        if (range.sectors == 0) continue;
        const uint64_t offset = range.sector * DiskImage::kSectorSize;
        const uint64_t length = static_cast<uint64_t>(range.sectors) * DiskImage::kSectorSize;
        const DiskResult done = write_zeroes
                                    ? image().write_zeroes(offset, length, (range.flags & kRangeUnmap) != 0)
                                    : image().discard(offset, length);
        if (!done) return std::unexpected(done.error());
    }
    return write_back_ ? kStatusOk : flush();
}

}  // namespace arclight::devices::virtio
