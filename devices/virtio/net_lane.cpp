#include "devices/virtio/net_lane.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "devices/virtio/net_queues.h"

// Section 5.1.6 of virtio 1.2.
namespace arclight::devices::virtio {

namespace {

// Frames taken in one go: as many as complete with one interrupt, and as may keep received ones waiting.
constexpr unsigned kBatchFrames = 64;
constexpr size_t kBatchBytes = 4 * NetBackend::kMaxFrame;
// Frames that wait for buffers: several windows of TCP. What is more is lost, as in a network.
constexpr size_t kMaxWaitingBytes = 8 << 20;
constexpr size_t kMaxWaitingFrames = 4096;

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

NetLane::NetLane(NetBackend& network, NetState& state, unsigned index, unsigned lanes, unsigned pairs)
    : network_(network),
      state_(state),
      index_(index),
      lanes_(lanes),
      first_pair_(index),
      waiting_(pairs),
      batch_(kBatchBytes) {
    network_.connect(this);
}

NetLane::~NetLane() { network_.connect(nullptr); }

void NetLane::forget() {
    for (auto& frames : waiting_) frames.clear();
    waiting_frames_ = waiting_bytes_ = 0;
    steering_.forget();
    first_pair_ = index_;
}

void NetLane::link_changed() {
    if (Transport* const transport = state_.transport; transport != nullptr) transport->config_changed();
}

bool NetLane::takes_large_segments(bool ipv6) const {
    return has(kNetFeatureGuestChecksum) && has(ipv6 ? kNetFeatureGuestTcp6 : kNetFeatureGuestTcp4);
}

bool NetLane::takes_partial_checksums() const { return has(kNetFeatureGuestChecksum); }

// ---- from the guest (5.1.6.2)

// The frame behind its header, in `room`, or with it where the back end takes that; none: the guest's header makes no sense, and the frame is lost.
std::optional<NetLane::Outgoing> NetLane::read_frame(const Chain& chain, std::span<uint8_t> room) {
    const size_t header_size = header_bytes();
    const uint64_t size = chain.readable_size() - header_size;
    if (size > NetBackend::kMaxFrame || size == 0) return {};
    // The header is read with the frame, and then moved out of the way of what is behind it.
    const auto raw = room.first(sizeof(NetHeader) + size);
    gather(chain.readable, raw.subspan(sizeof(NetHeader) - header_size));
    NetHeader header{};
    std::memcpy(&header, raw.data() + (sizeof header - header_size), header_size);
    std::memcpy(raw.data(), &header, sizeof header);
    const auto frame = raw.subspan(sizeof header);
    if (header.gso_type != NetHeader::kGsoNone) {
        const uint8_t type = header.gso_type & ~NetHeader::kGsoEcn;
        if (!(type == NetHeader::kGsoTcp4 && has(kNetFeatureHostTcp4)) &&
            !(type == NetHeader::kGsoTcp6 && has(kNetFeatureHostTcp6)))
            return {};
        if ((header.flags & NetHeader::kNeedsChecksum) == 0) return {};
    }
    if ((header.flags & NetHeader::kNeedsChecksum) != 0) {
        if (!has(kNetFeatureChecksum)) return {};
        if (!network_.takes_headers() &&
            !complete_checksum(frame, header.checksum_start, header.checksum_offset))
            return {};
    }
    if (network_.takes_headers())
        return Outgoing{static_cast<size_t>(raw.data() - batch_.data()), raw.size()};
    return Outgoing{static_cast<size_t>(frame.data() - batch_.data()), frame.size()};
}

// Copies what the guest sends into batch_ and hands its buffers back. False: there is nothing.
bool NetLane::take_outgoing(Transport& transport, unsigned pair) {
    const unsigned queue = NetQueues::transmit(pair);
    outgoing_.clear();
    used_.clear();
    const std::lock_guard guard(transport.lock());
    const auto dma = transport.memory().dma();
    Chain chain;
    while (batch_frames_ < kBatchFrames &&
           batch_.size() - batch_used_ >= sizeof(NetHeader) + NetBackend::kMaxFrame) {
        // A driver may turn pairs off meanwhile.
        if (!transport.running() || pair >= state_.pairs_in_use || !transport.take(queue, chain)) break;
        batch_frames_++;
        used_.push_back({chain.head, 0});
        if (chain.readable_size() < header_bytes()) {
            transport.fail();
            break;
        }
        if (const auto frame = read_frame(chain, std::span(batch_).subspan(batch_used_))) {
            outgoing_.push_back(*frame);
            batch_used_ = frame->begin + frame->size;
        }
    }
    if (!used_.empty()) transport.complete(queue, used_);
    return !used_.empty();
}

bool NetLane::transfer() {
    Transport* const transport = state_.transport;
    if (transport == nullptr) return false;
    deliver_waiting();
    // Another pair is the first one each time, since the first ones may fill the batch.
    const unsigned pairs = state_.pairs_in_use;
    batch_used_ = 0;
    batch_frames_ = 0;
    bool took = false;
    unsigned pair = first_pair_ < pairs ? first_pair_ : index_;
    first_pair_ = pair + lanes_;
    for (unsigned i = index_; i < pairs; i += lanes_) {
        took |= take_outgoing(*transport, pair);
        for (const Outgoing& frame : outgoing_) {
            const auto bytes = std::span(batch_).subspan(frame.begin, frame.size);
            if (steers())
                steering_.learn(bytes.subspan(network_.takes_headers() ? sizeof(NetHeader) : 0), pair);
            network_.send(bytes);
        }
        pair += lanes_;
        if (pair >= pairs) pair = index_;
    }
    return took;
}

// ---- to the guest (5.1.6.4)

std::optional<NetLane::Form> NetLane::form_for(const ReceivedFrame& frame) const {
    if (frame.header != nullptr) return form_for(frame.bytes, *frame.header);
    Form form;
    if (has(kNetFeatureGuestChecksum) && frame.checked) form.header.flags = NetHeader::kDataValid;
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
std::optional<NetLane::Form> NetLane::form_for(std::span<const uint8_t> bytes,
                                               const NetHeader& header) const {
    Form form;
    const bool partial = (header.flags & NetHeader::kNeedsChecksum) != 0;
    if (header.gso_type != NetHeader::kGsoNone) {
        const uint8_t type = header.gso_type & ~NetHeader::kGsoEcn;
        if (!partial || (type != NetHeader::kGsoTcp4 && type != NetHeader::kGsoTcp6) ||
            !takes_large_segments(type == NetHeader::kGsoTcp6))
            return {};
    }
    if (has(kNetFeatureGuestChecksum)) {
        form.header = header;
    } else if (partial) {
        const auto sum = completed_checksum(bytes, header.checksum_start, header.checksum_offset);
        if (!sum) return {};
        form.checksum = *sum;
        form.checksum_at = size_t{header.checksum_start} + header.checksum_offset;
    }
    return form;
}

NetLane::Delivery NetLane::deliver(Transport& transport, unsigned pair, const ReceivedFrame& frame) {
    const unsigned queue = NetQueues::receive(pair);
    const std::lock_guard guard(transport.lock());
    if (!transport.running()) return Delivery::NoRoom;
    if (pair >= state_.pairs_in_use || !state_.filter.wants(frame.bytes)) return Delivery::Lost;
    auto form = form_for(frame);
    if (!form) return Delivery::Lost;
    NetHeader& header = form->header;

    const auto dma = transport.memory().dma();
    const size_t header_size = header_bytes(), size = header_size + frame.bytes.size();
    const bool mergeable = has(kNetFeatureMergeable);
    size_t room = 0;
    unsigned count = 0;
    used_.clear();
    while (room < size) {
        if (count == chains_.size()) chains_.emplace_back();
        Chain& chain = chains_[count];
        if (!transport.take(queue, chain)) {
            transport.put_back(queue, count);
            return Delivery::NoRoom;
        }
        count++;
        const uint64_t writable = chain.writable_size();
        if (writable < header_size) {
            transport.put_back(queue, count);
            transport.fail();
            return Delivery::Lost;
        }
        used_.push_back({chain.head, static_cast<uint32_t>(std::min<uint64_t>(writable, size - room))});
        room += writable;
        if (room < size && !mergeable) {
            transport.put_back(queue, count);
            return Delivery::Lost;
        }
    }
    header.buffers = static_cast<uint16_t>(count);
    Writer to{std::span(chains_).first(count)};
    to.put(bytes_of(header).first(header_size));
    if (form->checksum_at != 0) {
        to.put(frame.bytes.first(form->checksum_at));
        to.put(bytes_of(form->checksum));
        to.put(frame.bytes.subspan(form->checksum_at + sizeof form->checksum));
    } else {
        to.put(frame.bytes);
    }
    transport.complete(queue, used_);
    return Delivery::Done;
}

unsigned NetLane::pair_for(std::span<const uint8_t> frame) const {
    const unsigned pairs = state_.pairs_in_use;
    return steers() ? steering_.pair_for(frame, pairs) : index_ % pairs;
}

void NetLane::receive(const ReceivedFrame& frame) {
    Transport* const transport = state_.transport;
    if (transport == nullptr || frame.bytes.size() > NetBackend::kMaxFrame) return;
    const unsigned pair = pair_for(frame.bytes);
    auto& waiting = waiting_[pair];
    if (waiting.empty() && deliver(*transport, pair, frame) != Delivery::NoRoom) return;
    if (waiting_frames_ >= kMaxWaitingFrames || waiting_bytes_ + frame.bytes.size() > kMaxWaitingBytes)
        return;
    waiting.push_back({{frame.bytes.begin(), frame.bytes.end()}, frame.segment_bytes, frame.checked, {}});
    if (frame.header != nullptr) waiting.back().header = *frame.header;
    waiting_frames_++;
    waiting_bytes_ += frame.bytes.size();
}

void NetLane::deliver_waiting() {
    Transport* const transport = state_.transport;
    if (transport == nullptr || waiting_frames_ == 0) return;
    for (unsigned pair = 0; pair < waiting_.size(); pair++) {
        auto& waiting = waiting_[pair];
        while (!waiting.empty()) {
            const Waiting& first = waiting.front();
            const ReceivedFrame frame{.bytes = first.bytes,
                                      .segment_bytes = first.segment_bytes,
                                      .checked = first.checked,
                                      .header = first.header ? &*first.header : nullptr};
            if (deliver(*transport, pair, frame) == Delivery::NoRoom) break;
            waiting_frames_--;
            waiting_bytes_ -= first.bytes.size();
            waiting.pop_front();
        }
    }
}

}  // namespace arclight::devices::virtio
