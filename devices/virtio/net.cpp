#include "devices/virtio/net.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <utility>

// Section 5.1 of virtio 1.2.
namespace arclight::devices::virtio {

namespace {

constexpr uint64_t kFeatureChecksum = 1ull << 0;       // the device completes checksums
constexpr uint64_t kFeatureGuestChecksum = 1ull << 1;  // the driver takes incomplete ones
constexpr uint64_t kFeatureMtu = 1ull << 3;
constexpr uint64_t kFeatureMac = 1ull << 5;
constexpr uint64_t kFeatureGuestTcp4 = 1ull << 7;
constexpr uint64_t kFeatureGuestTcp6 = 1ull << 8;
constexpr uint64_t kFeatureHostTcp4 = 1ull << 11;
constexpr uint64_t kFeatureHostTcp6 = 1ull << 12;
constexpr uint64_t kFeatureMergeable = 1ull << 15;
constexpr uint64_t kFeatureStatus = 1ull << 16;
constexpr uint64_t kFeatureControl = 1ull << 17;
constexpr uint64_t kFeatureControlRx = 1ull << 18;
constexpr uint64_t kFeatureControlVlan = 1ull << 19;
constexpr uint64_t kFeatureControlRxExtra = 1ull << 20;
constexpr uint64_t kFeatureControlMac = 1ull << 23;

constexpr unsigned kReceiveQueue = 0, kTransmitQueue = 1, kControlQueue = 2;
constexpr uint8_t kControlOk = 0, kControlError = 1;

// 5.1.4
struct [[gnu::packed]] Config {
    MacAddress mac;
    uint16_t status;
    uint16_t queue_pairs;
    uint16_t mtu;
};
static_assert(sizeof(Config) == 12);
constexpr uint16_t kStatusLinkUp = 1;

// Frames taken in one go: as many as complete with one interrupt, and as may keep received ones waiting.
constexpr unsigned kBatchFrames = 64;
constexpr size_t kBatchBytes = 4 * NetBackend::kMaxFrame;
// Frames that wait for buffers: several windows of TCP. What is more is lost, as in a network.
constexpr size_t kMaxWaitingBytes = 8 << 20;
constexpr size_t kMaxWaitingFrames = 4096;
// Filter tables of a driver that lists addresses by the thousand.
constexpr size_t kMaxCommand = 64 * 1024;

/// Writes to chains one after the other.
class Writer {
  public:
    explicit Writer(std::span<Chain> chains) : chains_(chains) {}
    /// The chains have room for it.
    void put(std::span<const uint8_t> bytes) {
        while (!bytes.empty()) {
            auto& buffers = chains_[chain_].writable;
            if (buffer_ == buffers.size()) {
                chain_++;
                buffer_ = offset_ = 0;
                continue;
            }
            const auto room = buffers[buffer_].subspan(offset_);
            const size_t count = std::min(room.size(), bytes.size());
            if (count != 0) std::memcpy(room.data(), bytes.data(), count);
            bytes = bytes.subspan(count);
            offset_ += count;
            if (offset_ == buffers[buffer_].size()) {
                buffer_++;
                offset_ = 0;
            }
        }
    }

  private:
    std::span<Chain> chains_;
    size_t chain_ = 0, buffer_ = 0, offset_ = 0;
};

template <typename T>
std::span<const uint8_t> bytes_of(const T& value) {
    return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

}  // namespace

Net::Net(NetBackend& network, const Options& options)
    : network_(network), options_(options), filter_(options.mac), batch_(kBatchBytes) {
    network_.connect(this);
}

Net::~Net() { network_.connect(nullptr); }

// ---- configuration

uint64_t Net::features() const {
    uint64_t features = kFeatureChecksum | kFeatureGuestChecksum | kFeatureMac | kFeatureMergeable |
                        kFeatureStatus | kFeatureControl | kFeatureControlRx | kFeatureControlVlan |
                        kFeatureControlRxExtra | kFeatureControlMac;
    if (options_.mtu != 0) features |= kFeatureMtu;
    if (network_.large_segments())
        features |= kFeatureGuestTcp4 | kFeatureGuestTcp6 | kFeatureHostTcp4 | kFeatureHostTcp6;
    return features;
}

std::vector<QueueDescription> Net::queues() const {
    return {{Queue::kMaxSize, Service::Backend}, {Queue::kMaxSize, Service::Backend}, {64, Service::Inline}};
}

uint8_t Net::read_config(uint64_t offset) {
    Config config{};
    config.mac = filter_.mac();
    config.status = network_.link_up() ? kStatusLinkUp : 0;
    config.queue_pairs = 1;
    config.mtu = options_.mtu;
    return offset < sizeof config ? bytes_of(config)[offset] : 0;
}

void Net::set_features(uint64_t features) {
    features_ = features;
    filter_.reset(options_.mac, has(kFeatureControlVlan));
}

void Net::activate(Transport& transport) {
    transport_ = &transport;
    network_.wake();
}

void Net::reset() {
    transport_ = nullptr;
    network_.drain();
    waiting_.clear();
    waiting_bytes_ = 0;
    features_ = 0;
    filter_.reset(options_.mac, false);
}

void Net::notified(unsigned) { network_.wake(); }

void Net::link_changed() {
    if (Transport* const transport = transport_; transport != nullptr) transport->config_changed();
}

bool Net::takes_large_segments(bool ipv6) const {
    return has(kFeatureGuestChecksum) && has(ipv6 ? kFeatureGuestTcp6 : kFeatureGuestTcp4);
}

bool Net::takes_partial_checksums() const { return has(kFeatureGuestChecksum); }

// ---- the control queue (5.1.6.5)

Served Net::process(unsigned queue, Chain& chain) {
    if (queue != kControlQueue || chain.writable.empty()) return Served::malformed();
    const uint64_t size = chain.readable_size();
    uint8_t result = kControlError;
    if (size >= 2 && size <= kMaxCommand) {
        std::vector<uint8_t> command(size);
        gather(chain.readable, command);
        const bool allowed = command[0] == NetFilter::kClassRx ? has(kFeatureControlRx)
                             : command[0] == NetFilter::kClassMac
                                 ? has(kFeatureControlRx | kFeatureControlMac)
                                 : has(kFeatureControlVlan);
        if (has(kFeatureControl) && allowed &&
            filter_.command(command[0], command[1], std::span<const uint8_t>(command).subspan(2)))
            result = kControlOk;
    }
    chain.writable.front().front() = result;
    return Served::done(1);
}

// ---- from the guest (5.1.6.2)

// The frame behind its header, in `room`, or with it where the back end takes that; none: the guest's header makes no sense, and the frame is lost.
std::optional<Net::Outgoing> Net::read_frame(const Chain& chain, std::span<uint8_t> room) {
    const uint64_t size = chain.readable_size() - sizeof(NetHeader);
    if (size > NetBackend::kMaxFrame || size == 0) return {};
    // The header is read with the frame, and then moved out of the way of what is behind it.
    const auto raw = room.first(sizeof(NetHeader) + size);
    gather(chain.readable, raw);
    NetHeader header;
    std::memcpy(&header, raw.data(), sizeof header);
    const auto frame = raw.subspan(sizeof header);
    if (header.gso_type != NetHeader::kGsoNone) {
        const uint8_t type = header.gso_type & ~NetHeader::kGsoEcn;
        if (!(type == NetHeader::kGsoTcp4 && has(kFeatureHostTcp4)) &&
            !(type == NetHeader::kGsoTcp6 && has(kFeatureHostTcp6)))
            return {};
        if ((header.flags & NetHeader::kNeedsChecksum) == 0) return {};
    }
    if ((header.flags & NetHeader::kNeedsChecksum) != 0) {
        if (!has(kFeatureChecksum)) return {};
        if (!network_.takes_headers() &&
            !complete_checksum(frame, header.checksum_start, header.checksum_offset))
            return {};
    }
    if (network_.takes_headers())
        return Outgoing{static_cast<size_t>(raw.data() - batch_.data()), raw.size()};
    return Outgoing{static_cast<size_t>(frame.data() - batch_.data()), frame.size()};
}

// Copies what the guest sends into batch_ and hands its buffers back. False: there is nothing.
bool Net::take_outgoing(Transport& transport) {
    outgoing_.clear();
    used_.clear();
    size_t at = 0;
    const std::lock_guard guard(transport.lock());
    const auto dma = transport.memory().dma();
    Chain chain;
    while (used_.size() < kBatchFrames && batch_.size() - at >= sizeof(NetHeader) + NetBackend::kMaxFrame) {
        if (!transport.running() || !transport.take(kTransmitQueue, chain)) break;
        used_.push_back({chain.head, 0});
        if (chain.readable_size() < sizeof(NetHeader)) {
            transport.fail();
            break;
        }
        if (const auto frame = read_frame(chain, std::span(batch_).subspan(at))) {
            outgoing_.push_back(*frame);
            at = frame->begin + frame->size;
        }
    }
    if (!used_.empty()) transport.complete(kTransmitQueue, used_);
    return !used_.empty();
}

bool Net::transfer() {
    Transport* const transport = transport_;
    if (transport == nullptr) return false;
    deliver_waiting();
    const bool took = take_outgoing(*transport);
    for (const Outgoing& frame : outgoing_) network_.send(std::span(batch_).subspan(frame.begin, frame.size));
    outgoing_.clear();
    return took;
}

// ---- to the guest (5.1.6.4)

std::optional<Net::Form> Net::form_for(const ReceivedFrame& frame) const {
    if (frame.header != nullptr) return form_for(frame.bytes, *frame.header);
    Form form;
    if (has(kFeatureGuestChecksum) && frame.checked) form.header.flags = NetHeader::kDataValid;
    if (frame.segment_bytes == 0) return form;
    const auto tcp = find_tcp(frame.bytes);
    if (!tcp || !takes_large_segments(tcp->ipv6)) return {};
    form.header.flags = NetHeader::kNeedsChecksum;
    form.header.gso_type = tcp->ipv6 ? NetHeader::kGsoTcp6 : NetHeader::kGsoTcp4;
    form.header.header_bytes = static_cast<uint16_t>(tcp->data);
    form.header.gso_size = frame.segment_bytes;
    form.header.checksum_start = static_cast<uint16_t>(tcp->tcp);
    form.header.checksum_offset = 16;
    // The rest of the checksum is the driver's to add.
    form.checksum_at = tcp->tcp + 16;
    form.checksum = tcp_pseudo_sum(frame.bytes, *tcp, frame.bytes.size() - tcp->tcp);
    return form;
}

// A back end's header. The driver may have agreed to less since the frame was made.
std::optional<Net::Form> Net::form_for(std::span<const uint8_t> bytes, const NetHeader& header) const {
    Form form;
    const bool partial = (header.flags & NetHeader::kNeedsChecksum) != 0;
    if (header.gso_type != NetHeader::kGsoNone) {
        const uint8_t type = header.gso_type & ~NetHeader::kGsoEcn;
        if (!partial || (type != NetHeader::kGsoTcp4 && type != NetHeader::kGsoTcp6) ||
            !takes_large_segments(type == NetHeader::kGsoTcp6))
            return {};
    }
    if (has(kFeatureGuestChecksum)) {
        form.header = header;
    } else if (partial) {
        const auto sum = completed_checksum(bytes, header.checksum_start, header.checksum_offset);
        if (!sum) return {};
        form.checksum = *sum;
        form.checksum_at = size_t{header.checksum_start} + header.checksum_offset;
    }
    return form;
}

Net::Delivery Net::deliver(Transport& transport, const ReceivedFrame& frame) {
    const std::lock_guard guard(transport.lock());
    if (!transport.running()) return Delivery::NoRoom;
    if (!filter_.wants(frame.bytes)) return Delivery::Lost;
    auto form = form_for(frame);
    if (!form) return Delivery::Lost;
    NetHeader& header = form->header;

    const auto dma = transport.memory().dma();
    const size_t size = sizeof header + frame.bytes.size();
    const bool mergeable = has(kFeatureMergeable);
    size_t room = 0;
    unsigned count = 0;
    used_.clear();
    while (room < size) {
        if (count == chains_.size()) chains_.emplace_back();
        Chain& chain = chains_[count];
        if (!transport.take(kReceiveQueue, chain)) {
            transport.put_back(kReceiveQueue, count);
            return Delivery::NoRoom;
        }
        count++;
        const uint64_t writable = chain.writable_size();
        if (writable < sizeof header) {
            transport.put_back(kReceiveQueue, count);
            transport.fail();
            return Delivery::Lost;
        }
        used_.push_back({chain.head, static_cast<uint32_t>(std::min<uint64_t>(writable, size - room))});
        room += writable;
        if (room < size && !mergeable) {
            transport.put_back(kReceiveQueue, count);
            return Delivery::Lost;
        }
    }
    header.buffers = static_cast<uint16_t>(count);
    Writer to{std::span(chains_).first(count)};
    to.put(bytes_of(header));
    if (form->checksum_at != 0) {
        to.put(frame.bytes.first(form->checksum_at));
        to.put(bytes_of(form->checksum));
        to.put(frame.bytes.subspan(form->checksum_at + sizeof form->checksum));
    } else {
        to.put(frame.bytes);
    }
    transport.complete(kReceiveQueue, used_);
    return Delivery::Done;
}

void Net::receive(const ReceivedFrame& frame) {
    Transport* const transport = transport_;
    if (transport == nullptr || frame.bytes.size() > NetBackend::kMaxFrame) return;
    if (waiting_.empty() && deliver(*transport, frame) != Delivery::NoRoom) return;
    if (waiting_.size() >= kMaxWaitingFrames || waiting_bytes_ + frame.bytes.size() > kMaxWaitingBytes)
        return;
    waiting_.push_back({{frame.bytes.begin(), frame.bytes.end()}, frame.segment_bytes, frame.checked, {}});
    if (frame.header != nullptr) waiting_.back().header = *frame.header;
    waiting_bytes_ += frame.bytes.size();
}

void Net::deliver_waiting() {
    Transport* const transport = transport_;
    if (transport == nullptr) return;
    while (!waiting_.empty()) {
        const Waiting& first = waiting_.front();
        const ReceivedFrame frame{.bytes = first.bytes,
                                  .segment_bytes = first.segment_bytes,
                                  .checked = first.checked,
                                  .header = first.header ? &*first.header : nullptr};
        if (deliver(*transport, frame) == Delivery::NoRoom) return;
        waiting_bytes_ -= first.bytes.size();
        waiting_.pop_front();
    }
}

}  // namespace arclight::devices::virtio
