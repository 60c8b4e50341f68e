#include "devices/virtio/net.h"

#include <algorithm>

// Section 5.1 of virtio 1.2.
namespace arclight::devices::virtio {

namespace {

// 5.1.4
struct [[gnu::packed]] Config {
    MacAddress mac;
    uint16_t status;
    uint16_t queue_pairs;
    uint16_t mtu;
};
static_assert(sizeof(Config) == 12);
constexpr uint16_t kStatusLinkUp = 1;

constexpr uint16_t kControlQueueSize = 64;
// Filter tables of a driver that lists addresses by the thousand.
constexpr size_t kMaxCommand = 64 * 1024;

}  // namespace

Net::Net(NetBackend& network, const Options& options)
    : network_(network), options_(options), state_(options.mac) {
    const auto lanes = network_.lanes();
    for (unsigned i = 0; i < lanes.size(); i++)
        lanes_.push_back(std::make_unique<NetLane>(*lanes[i], state_, i, static_cast<unsigned>(lanes.size()),
                                                   options_.pairs));
}

// ---- configuration

uint64_t Net::features() const {
    uint64_t features = kNetFeatureChecksum | kNetFeatureGuestChecksum | kNetFeatureMac |
                        kNetFeatureMergeable | kNetFeatureStatus | kNetFeatureControl | kNetFeatureControlRx |
                        kNetFeatureControlVlan | kNetFeatureControlRxExtra | kNetFeatureControlMac;
    if (options_.mtu != 0) features |= kNetFeatureMtu;
    if (options_.pairs > 1) features |= kNetFeaturePairs;
    if (network_.large_segments())
        features |= kNetFeatureGuestTcp4 | kNetFeatureGuestTcp6 | kNetFeatureHostTcp4 | kNetFeatureHostTcp6;
    return features;
}

// The control queue's number depends on the driver, so that the transport cannot serve it.
std::vector<QueueDescription> Net::queues() const {
    std::vector<QueueDescription> all(size_t{2} * options_.pairs, {Queue::kMaxSize, Service::Backend});
    all.push_back({kControlQueueSize, Service::Backend});
    return all;
}

uint8_t Net::read_config(uint64_t offset) {
    Config config{};
    config.mac = state_.filter.mac();
    config.status = network_.link_up() ? kStatusLinkUp : 0;
    config.queue_pairs = static_cast<uint16_t>(options_.pairs);
    config.mtu = options_.mtu;
    return offset < sizeof config ? reinterpret_cast<const uint8_t*>(&config)[offset] : 0;
}

void Net::set_features(uint64_t features) {
    state_.features = features;
    state_.filter.reset(options_.mac, has(kNetFeatureControlVlan));
}

void Net::activate(Transport& transport) {
    state_.transport = &transport;
    for (const auto& lane : lanes_) lane->wake();
}

void Net::drain() {
    for (const auto& lane : lanes_) lane->drain();
}

void Net::reset() {
    state_.transport = nullptr;
    drain();
    for (const auto& lane : lanes_) lane->forget();
    state_.features = 0;
    state_.pairs_in_use = 1;
    state_.filter.reset(options_.mac, false);
}

void Net::notified(unsigned queue) {
    if (queue == NetQueues::control(options_.pairs, has(kNetFeaturePairs))) {
        serve_control(queue);
        return;
    }
    const unsigned pair = queue / 2, pairs = state_.pairs_in_use;
    const auto lanes = static_cast<unsigned>(lanes_.size());
    if (pair >= pairs) return;
    if (NetQueues::sends(queue) || lanes == 1)
        lanes_[pair % lanes]->wake();
    else
        for (unsigned i = pair; i < lanes; i += pairs) lanes_[i]->wake();
}

// ---- the control queue (5.1.6.5)

void Net::serve_control(unsigned queue) {
    Transport* const transport = state_.transport;
    Chain chain;
    while (transport != nullptr && transport->running()) {
        const auto dma = transport->memory().dma();
        if (!transport->take(queue, chain)) return;
        if (chain.writable.empty()) {
            transport->put_back(queue, 1);
            transport->fail();
            return;
        }
        chain.writable.front().front() = carry_out(chain) ? kNetControlOk : kNetControlError;
        const Used used{chain.head, 1};
        transport->complete(queue, {&used, 1});
    }
}

bool Net::carry_out(const Chain& chain) {
    const uint64_t size = chain.readable_size();
    if (size < 2 || size > kMaxCommand || !has(kNetFeatureControl)) return false;
    std::vector<uint8_t> bytes(size);
    gather(chain.readable, bytes);
    const auto data = std::span<const uint8_t>(bytes).subspan(2);
    switch (bytes[0]) {
        case NetFilter::kClassRx:
            if (!has(kNetFeatureControlRx)) return false;
            break;
        case NetFilter::kClassMac:
            if (!has(kNetFeatureControlRx | kNetFeatureControlMac)) return false;
            break;
        case kNetClassPairs: {
            const auto wanted = pairs_wanted(bytes[1], data, options_.pairs);
            if (!wanted || !has(kNetFeaturePairs)) return false;
            state_.pairs_in_use = *wanted;
            // What has been offered on a pair that was not in use.
            for (const auto& lane : lanes_) lane->wake();
            return true;
        }
        default:
            if (!has(kNetFeatureControlVlan)) return false;
            break;
    }
    return state_.filter.command(bytes[0], bytes[1], data);
}

// ---- state

void Net::save(StateWriter& out) const {
    state_.filter.save(out);
    if (options_.pairs > 1) out(uint32_t{state_.pairs_in_use});
}

StateResult Net::load(StateReader& in) {
    if (auto loaded = state_.filter.load(in); !loaded || options_.pairs == 1) return loaded;
    uint32_t pairs = 1;
    in(pairs);
    in.require(pairs >= 1 && pairs <= (has(kNetFeaturePairs) ? options_.pairs : 1),
               "pairs of queues that this device has not");
    if (in.ok()) state_.pairs_in_use = pairs;
    return in.result();
}

}  // namespace arclight::devices::virtio
