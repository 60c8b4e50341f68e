#include "devices/svio/network.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "devices/svio/segmentation.h"
#include "devices/virtio/net_features.h"

// Section numbers are those of virtio 1.2.
namespace arclight::devices::svio {

using virtio::MacAddress;
using virtio::NetHeader;

namespace {

constexpr uint64_t kFeatures = virtio::kNetFeatureChecksum | virtio::kNetFeatureGuestChecksum |
                               virtio::kNetFeatureGuestTcp4 | virtio::kNetFeatureGuestTcp6 |
                               virtio::kNetFeatureHostTcp4 | virtio::kNetFeatureHostTcp6 |
                               virtio::kNetFeatureMergeable;
constexpr size_t kHeader = sizeof(NetHeader);

NetHeader header_of(std::span<const uint8_t> wire) {
    NetHeader header{};
    std::memcpy(&header, wire.data(), kHeader);
    return header;
}
void set_header(std::span<uint8_t> wire, const NetHeader& header) {
    std::memcpy(wire.data(), &header, kHeader);
}
MacAddress address_at(std::span<const uint8_t> wire, size_t offset) {
    MacAddress address{};
    std::copy_n(wire.begin() + static_cast<ptrdiff_t>(kHeader + offset), address.size(), address.begin());
    return address;
}
bool is_group(const MacAddress& address) { return (address[0] & 1) != 0; }

/// What another guest may be told of a sender's words (5.1.6.2): what they mean, and nothing that lies outside of the frame. False: they
/// mean nothing.
bool clean(std::span<uint8_t> wire) {
    const NetHeader said = header_of(wire);
    const size_t bytes = wire.size() - kHeader;
    NetHeader header{};
    header.flags = said.flags & NetHeader::kNeedsChecksum;
    if (header.flags != 0) {
        if (said.checksum_start + size_t{said.checksum_offset} + 2 > bytes) return false;
        header.checksum_start = said.checksum_start;
        header.checksum_offset = said.checksum_offset;
    }
    if (said.gso_type != NetHeader::kGsoNone) {
        if ((said.gso_type != NetHeader::kGsoTcp4 && said.gso_type != NetHeader::kGsoTcp6) ||
            header.flags == 0 || said.gso_size == 0)
            return false;
        header.gso_type = said.gso_type;
        header.gso_size = said.gso_size;
        header.header_bytes = static_cast<uint16_t>(std::min<size_t>(said.header_bytes, bytes));
    }
    set_header(wire, header);
    return true;
}

}  // namespace

// ---- the network

Network::Network(Mode mode, int uplink)
    : mode_(mode), uplink_(uplink), wire_(kHeader + NetBackend::kMaxFrame) {}

Network::~Network() = default;

Result<std::unique_ptr<Port>> Network::make_port(const PortOptions& options) {
    if (options.mac && addresses_.contains(*options.mac))
        return failure("the address {} is another interface's", virtio::format_mac(*options.mac));
    return std::make_unique<NetPort>(*this, options);
}

bool Network::may_send(NetPort& from, const MacAddress& source) {
    if (is_group(source)) return false;
    if (const auto known = addresses_.find(source); known != addresses_.end()) return known->second == &from;
    if (from.options_.mac || from.addresses_ == kMaxAddresses) return false;
    addresses_[source] = &from;
    ++from.addresses_;
    return true;
}

void Network::forget(const NetPort& port) {
    std::erase_if(addresses_, [&](const auto& known) {
        return known.second == &port && known.first != port.options_.mac;
    });
}

void Network::forward(NetPort* from, std::span<uint8_t> wire) {
    const MacAddress to = address_at(wire, 0);
    if (mode_ == Mode::Echo) {
        const auto addresses = wire.subspan(kHeader);
        std::swap_ranges(addresses.begin(), addresses.begin() + 6, addresses.begin() + 6);
        from->receive(wire);
        return;
    }
    const auto known = is_group(to) ? addresses_.end() : addresses_.find(to);
    if (known != addresses_.end()) {
        if (known->second != from) known->second->receive(wire);
        return;
    }
    if (from != nullptr && uplink_ >= 0) {
        send_up(wire);
        if (!is_group(to)) return;
    }
    // Of the uplink's only what is for all: others are for machines that are not here.
    if (from == nullptr && !is_group(to)) return;
    for (NetPort* port : ports_) {
        // A checksum that is completed for one is right for all.
        if (port != from && port->has_guest()) port->receive(wire);
    }
}

// The kernel looks at what the header says. An interface that is down takes nothing.
void Network::send_up(std::span<const uint8_t> wire) { (void)!write(uplink_, wire.data(), wire.size()); }

bool Network::take() {
    bool any = false;
    for (unsigned i = 0; i < NetPort::kBatch && !uplink_gone_ && uplink_ >= 0; ++i) {
        const ssize_t got = read(uplink_, wire_.data(), wire_.size());
        if (got < 0) {
            uplink_gone_ = errno != EAGAIN && errno != EINTR && errno != EIO;
            return any;
        }
        any = true;
        const auto wire = std::span(wire_).first(static_cast<size_t>(got));
        if (wire.size() >= kHeader + kEthernetHeader && clean(wire)) forward(nullptr, wire);
    }
    return any;
}

// ---- one port

NetPort::NetPort(Network& network, const PortOptions& options) : network_(network), options_(options) {
    network_.ports_.push_back(this);
    if (options_.mac) network_.addresses_[*options_.mac] = this;
}

NetPort::~NetPort() {
    network_.forget(*this);
    if (options_.mac) network_.addresses_.erase(*options_.mac);
    std::erase(network_.ports_, this);
}

vhost_user::BackEnd::Device NetPort::device() const {
    return {.features = kFeatures, .queues = kRings, .config = {}};
}

void NetPort::connect(vhost_user::BackEnd* front) {
    front_ = front;
    too_few_ = 0;
    features_ = front != nullptr ? front->features() : 0;
    if (front != nullptr) return;
    waiting_.clear();
    waiting_bytes_ = 0;
    touched_[kReceive] = touched_[kTransmit] = false;
    network_.forget(*this);
    addresses_ = 0;
}

bool NetPort::waiting() {
    const virtio::Queue* queue = front_ != nullptr ? front_->running(kTransmit) : nullptr;
    return queue != nullptr && queue->waiting();
}

std::span<uint8_t> NetPort::take_frame(const virtio::Chain& chain) {
    const size_t bytes = chain.readable_size();
    if (bytes < kHeader + Network::kEthernetHeader || bytes > network_.wire_.size()) return {};
    const auto wire = std::span(network_.wire_).first(bytes);
    if (virtio::gather(chain.readable, wire) != bytes || !clean(wire)) return {};
    const bool mine = network_.mode_ == Network::Mode::Echo || network_.may_send(*this, address_at(wire, 6));
    return mine ? wire : std::span<uint8_t>();
}

Port::Work NetPort::serve() {
    Work work;
    virtio::Queue* const queue = front_ != nullptr ? front_->running(kTransmit) : nullptr;
    if (queue == nullptr) return work;
    taken_.clear();
    while (work.messages < kBatch && work.bytes < kBatchBytes) {
        const auto popped = queue->pop(chain_);
        if (popped == virtio::Queue::Pop::None) break;
        if (popped == virtio::Queue::Pop::Malformed || !chain_.writable.empty()) {
            front_->fail(kTransmit);
            return work;
        }
        ++work.messages;
        taken_.push_back({chain_.head, 0});
        const auto wire = take_frame(chain_);
        if (wire.empty()) {
            ++counts.refused;
            continue;
        }
        work.bytes += wire.size() - kHeader;
        ++counts.sent;
        counts.sent_bytes += wire.size() - kHeader;
        network_.forward(this, wire);
    }
    queue->push(taken_);
    touched_[kTransmit] |= !taken_.empty();
    return work;
}

// ---- to the guest

void NetPort::receive(std::span<uint8_t> wire) {
    NetHeader header = header_of(wire);
    const auto frame = wire.subspan(kHeader);
    if (header.gso_type != NetHeader::kGsoNone) {
        const bool six = header.gso_type == NetHeader::kGsoTcp6;
        if (!has(six ? virtio::kNetFeatureGuestTcp6 : virtio::kNetFeatureGuestTcp4)) {
            const bool cut = cut_segment(frame, header.gso_size, kHeader, [this](std::span<uint8_t> one) {
                set_header(one, {});
                give_or_keep(one);
            });
            counts.lost += cut ? 0 : 1;
            return;
        }
    } else if (header.flags != 0 && !has(virtio::kNetFeatureGuestChecksum)) {
        virtio::complete_checksum(frame, header.checksum_start, header.checksum_offset);
        set_header(wire, {});
    }
    give_or_keep(wire);
}

void NetPort::give_or_keep(std::span<uint8_t> wire) {
    const Given given = waiting_.empty() ? give(wire) : Given::NoRoom;
    if (given == Given::Yes) return;
    if (given == Given::Never || waiting_bytes_ + wire.size() > kMaxWaiting) {
        ++counts.lost;
        return;
    }
    waiting_.emplace_back(wire.begin(), wire.end());
    waiting_bytes_ += wire.size();
}

bool NetPort::deliver_waiting() {
    bool any = false;
    while (!waiting_.empty()) {
        const Given given = give(waiting_.front());
        if (given == Given::NoRoom) break;
        if (given == Given::Never) ++counts.lost;
        any = true;
        waiting_bytes_ -= waiting_.front().size();
        waiting_.pop_front();
    }
    return any;
}

// 5.1.6.4: with mergeable buffers a frame may have several, whose number is in its header.
NetPort::Given NetPort::give(std::span<uint8_t> wire) {
    virtio::Queue* const queue = front_ != nullptr ? front_->running(kReceive) : nullptr;
    if (queue == nullptr) return Given::Never;
    const bool mergeable = has(virtio::kNetFeatureMergeable);
    size_t room = 0;
    uint16_t count = 0;
    while (room < wire.size() && (count == 0 || mergeable)) {
        if (room_.size() == count) room_.emplace_back();
        const auto popped = queue->pop(room_[count]);
        if (popped == virtio::Queue::Pop::None) {
            queue->rewind(count);
            too_few_ = count;
            return Given::NoRoom;
        }
        const uint64_t size =
            popped == virtio::Queue::Pop::Chain ? room_[count].writable_size() : uint64_t{0};
        if (size == 0 || !room_[count].readable.empty()) {
            front_->fail(kReceive);
            return Given::Never;
        }
        room += size;
        ++count;
    }
    if (room < wire.size()) {
        queue->rewind(count);
        return Given::Never;
    }
    NetHeader header = header_of(wire);
    header.buffers = mergeable ? count : 1;
    set_header(wire, header);
    given_.clear();
    std::span<const uint8_t> left = wire;
    for (uint16_t i = 0; i < count; ++i) {
        const size_t written = virtio::scatter(left, room_[i].writable);
        given_.push_back({room_[i].head, static_cast<uint32_t>(written)});
        left = left.subspan(written);
    }
    if (!left.empty()) {  // its memory is gone
        front_->fail(kReceive);
        return Given::Never;
    }
    queue->push(given_);
    touched_[kReceive] = true;
    ++counts.received;
    counts.received_bytes += wire.size() - kHeader;
    return Given::Yes;
}

void NetPort::signal() {
    for (const unsigned ring : {kReceive, kTransmit})
        if (std::exchange(touched_[ring], false) && front_ != nullptr) front_->interrupt(ring);
}

bool NetPort::arm() {
    if (front_ == nullptr) return false;
    if (virtio::Queue* queue = front_->running(kTransmit); queue != nullptr && queue->enable_notification())
        return true;
    virtio::Queue* const queue = front_->running(kReceive);
    if (waiting_.empty() || queue == nullptr) return false;
    return queue->enable_notification(too_few_);
}

void NetPort::disarm() {
    if (front_ == nullptr) return;
    for (const unsigned ring : {kReceive, kTransmit})
        if (virtio::Queue* queue = front_->running(ring); queue != nullptr) queue->disable_notification();
}

}  // namespace arclight::devices::svio
