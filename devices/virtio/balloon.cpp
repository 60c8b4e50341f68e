#include "devices/virtio/balloon.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "mmu/page_overlay.h"

// Section numbers are those of virtio 1.2.
namespace arclight::devices::virtio {

namespace {

// 5.5.3
constexpr uint64_t kFeatureStatistics = 1u << 1;
constexpr uint64_t kFeatureDeflateOnOom = 1u << 2;
constexpr uint64_t kFeaturePagePoison = 1u << 4;
constexpr uint64_t kFeaturePageReporting = 1u << 5;

// 5.5.2. Without a queue for hints the one for reports moves up, as QEMU and Linux have it.
constexpr unsigned kQueueInflate = 0;
constexpr unsigned kQueueDeflate = 1;
constexpr unsigned kQueueStatistics = 2;
constexpr unsigned kQueueReporting = 3;
constexpr uint16_t kQueueSize = 128;
constexpr uint16_t kReportingQueueSize = 32;

// 5.5.4
constexpr uint64_t kConfigGiven = 4;
constexpr uint64_t kConfigPoison = 12;
constexpr uint64_t kConfigEnd = 16;

constexpr uint64_t kPage = mmu::PageOverlay::kPage;  // 5.5.6: whatever the guest's own pages are
/// Linux gives 256 at a time. More than this in one request is not looked at: it would only keep a reset waiting.
constexpr size_t kMaxPagesAtOnce = 65536;

constexpr size_t kStatisticBytes = 10;  // 16 bits of tag, 64 bits of value
constexpr size_t kMaxStatistics = 64;   // in one buffer; others are not looked at

constexpr int64_t kSecond = 1'000'000'000;
constexpr uint32_t kStateVersion = 1;

/// A byte of little-endian words.
uint8_t byte_of(uint32_t word, uint64_t offset) { return static_cast<uint8_t>(word >> (offset % 4 * 8)); }
void set_byte(uint32_t& word, uint64_t offset, uint8_t value) {
    const unsigned shift = offset % 4 * 8;
    word = (word & ~(0xffu << shift)) | uint32_t{value} << shift;
}

}  // namespace

std::string_view Balloon::statistic_name(unsigned tag) {
    constexpr std::string_view kNames[kStatistics] = {
        "stat-swap-in",      "stat-swap-out",     "stat-major-faults",     "stat-minor-faults",
        "stat-free-memory",  "stat-total-memory", "stat-available-memory", "stat-disk-caches",
        "stat-htlb-pgalloc", "stat-htlb-pgfail"};
    return tag < kStatistics ? kNames[tag] : std::string_view();
}

Balloon::Balloon(EventLoop& loop, const Options& options)
    : options_(options), poll_(loop, [this] { ask_for_statistics(); }) {}

uint64_t Balloon::features() const {
    return kFeatureStatistics | (options_.deflate_on_oom ? kFeatureDeflateOnOom : 0) |
           (options_.page_poison ? kFeaturePagePoison : 0) |
           (options_.free_page_reporting ? kFeaturePageReporting : 0);
}

// The host takes memory on a thread of its own: it may be slow at that.
std::vector<QueueDescription> Balloon::queues() const {
    std::vector<QueueDescription> queues{
        {kQueueSize, Service::Worker}, {kQueueSize, Service::Worker}, {kQueueSize, Service::Backend}};
    if (options_.free_page_reporting) queues.push_back({kReportingQueueSize, Service::Worker});
    return queues;
}

Transport* Balloon::transport() const {
    const std::lock_guard guard(lock_);
    return transport_;
}

// ---- Configuration space

uint8_t Balloon::read_config(uint64_t offset) {
    const std::lock_guard guard(lock_);
    if (offset < kConfigGiven) return byte_of(config_.wanted_pages, offset);
    if (offset < kConfigGiven + 4) return byte_of(config_.given_pages, offset);
    if (offset >= kConfigPoison && offset < kConfigEnd) return byte_of(config_.poison, offset);
    return 0;
}

void Balloon::write_config(uint64_t offset, uint8_t value) {
    std::unique_lock held(lock_);
    if (offset >= kConfigPoison && offset < kConfigEnd) set_byte(config_.poison, offset, value);
    if (offset < kConfigGiven || offset >= kConfigGiven + 4) return;
    set_byte(config_.given_pages, offset, value);
    // Bytes come in order.
    if (offset != kConfigGiven + 3) return;
    held.unlock();
    if (options_.host != nullptr) options_.host->balloon_changed(actual());
}

uint64_t Balloon::actual() const {
    const std::lock_guard guard(lock_);
    return options_.ram_bytes - std::min(options_.ram_bytes, config_.given_pages * kPage);
}

void Balloon::set_target(uint64_t bytes) {
    const uint64_t pages = options_.ram_bytes / kPage - std::min(bytes, options_.ram_bytes) / kPage;
    Transport* const transport = this->transport();
    {
        std::unique_lock<std::mutex> reading;
        if (transport != nullptr) reading = std::unique_lock(transport->lock());
        const std::lock_guard guard(lock_);
        config_.wanted_pages = static_cast<uint32_t>(pages);
    }
    if (transport != nullptr) transport->config_changed();
}

// ---- Queues

void Balloon::activate(Transport& transport) {
    const std::lock_guard guard(lock_);
    transport_ = &transport;
    if (const unsigned seconds = poll_interval(); seconds != 0)
        poll_.arm(EventLoop::now_ns() + seconds * kSecond);
}

// What the user wants of the guest is wanted of the next driver too.
void Balloon::reset() {
    const std::lock_guard guard(lock_);
    transport_ = nullptr;
    config_.given_pages = config_.poison = 0;
    poll_.cancel();
}

Served Balloon::process(unsigned queue, Chain& chain) {
    switch (queue) {
        case kQueueInflate: inflate(chain); break;
        case kQueueReporting: take_reported(chain); break;
        // A page that the guest has taken back gets its memory with the first access.
        case kQueueDeflate:
        default: break;
    }
    return Served::done(0);
}

void Balloon::give_back(std::span<uint8_t> host_memory) {
    const auto start = reinterpret_cast<uintptr_t>(host_memory.data());
    const uintptr_t first = (start + kPage - 1) & ~(kPage - 1),
                    end = (start + host_memory.size()) & ~(kPage - 1);
    if (first < end && options_.host != nullptr)
        options_.host->give_back(host_memory.subspan(first - start, end - first));
}

// 5.5.6: numbers of pages.
void Balloon::inflate(const Chain& chain) {
    const mmu::GuestMemory& memory = transport()->memory();
    std::vector<uint32_t> pages(std::min<uint64_t>(chain.readable_size() / 4, kMaxPagesAtOnce));
    pages.resize(
        gather(chain.readable, {reinterpret_cast<uint8_t*>(pages.data()), pages.size() * sizeof(uint32_t)}) /
        sizeof(uint32_t));
    std::ranges::sort(pages);
    pages.erase(std::ranges::unique(pages).begin(), pages.end());
    for (size_t first = 0, next = 0; first < pages.size(); first = next) {
        for (next = first + 1; next < pages.size() && pages[next] == pages[next - 1] + 1;) ++next;
        // That it is written to is what whoever tracks writes sees of it. A range that leaves RAM is nothing's.
        memory.pieces(pages[first] * kPage, (next - first) * kPage, true, [&](uint8_t* host, uint64_t bytes) {
            give_back({host, bytes});
        });
    }
}

// 5.5.6.7. A guest that fills free pages relies on what is in them (5.5.6.6.2).
void Balloon::take_reported(const Chain& chain) {
    {
        const std::lock_guard guard(lock_);
        if (config_.poison != 0) return;
    }
    for (const std::span<uint8_t> free : chain.writable) give_back(free);
}

// ---- Statistics

void Balloon::set_poll_interval(unsigned seconds) {
    poll_seconds_.store(seconds, std::memory_order_relaxed);
    if (seconds == 0)
        poll_.cancel();
    else
        ask_for_statistics();
}

// The driver's buffer stays in the queue while nobody asks. Handed back, it comes again with new statistics (5.5.6.3).
void Balloon::ask_for_statistics() {
    Transport* const transport = this->transport();
    const unsigned seconds = poll_interval();
    if (transport == nullptr || seconds == 0) return;
    poll_.arm(EventLoop::now_ns() + seconds * kSecond);
    const std::lock_guard guard(transport->lock());
    if (!transport->running()) return;
    {
        const auto dma = transport->memory().dma();
        Chain chain;
        if (!transport->take(kQueueStatistics, chain)) return;
        const Used used{chain.head, 0};
        transport->complete(kQueueStatistics, {&used, 1});
    }
    look_at_statistics(*transport);
}

void Balloon::notified(unsigned queue) {
    Transport* const transport = this->transport();
    if (queue == kQueueStatistics && transport != nullptr) look_at_statistics(*transport);
}

/// Without a chain the driver is asked to notify about the next.
void Balloon::look_at_statistics(Transport& transport) {
    const auto dma = transport.memory().dma();
    Chain chain;
    if (!transport.take(kQueueStatistics, chain)) return;
    read_statistics(chain);
    transport.put_back(kQueueStatistics, 1);
}

void Balloon::read_statistics(const Chain& chain) {
    std::array<uint8_t, kStatisticBytes * kMaxStatistics> bytes;
    const size_t count = gather(chain.readable, bytes) / kStatisticBytes;
    const std::lock_guard guard(lock_);
    for (size_t i = 0; i < count; ++i) {
        uint16_t tag = 0;
        uint64_t value = 0;
        std::memcpy(&tag, bytes.data() + i * kStatisticBytes, sizeof tag);
        std::memcpy(&value, bytes.data() + i * kStatisticBytes + sizeof tag, sizeof value);
        if (tag < kStatistics) statistics_.values[tag] = value;
    }
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    statistics_.updated = std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

Balloon::Statistics Balloon::statistics() const {
    const std::lock_guard guard(lock_);
    return statistics_;
}

// ---- State

void Balloon::save(StateWriter& out) const {
    const std::lock_guard guard(lock_);
    out.section("virtio-balloon", kStateVersion, [&] { out(config_); });
}

StateResult Balloon::load(StateReader& in) {
    Config config;
    if (const auto loaded = in.section("virtio-balloon", kStateVersion, [&] { in(config); }); !loaded)
        return loaded;
    const std::lock_guard guard(lock_);
    config_ = config;
    return {};
}

}  // namespace arclight::devices::virtio
