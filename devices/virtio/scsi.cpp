#include "devices/virtio/scsi.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <optional>
#include <utility>

// Section 5.6 of virtio 1.2.
namespace arclight::devices::virtio {

namespace {

using scsi::Opcode;

constexpr uint64_t kFeatureHotplug = 1ull << 1;
constexpr uint64_t kFeatureChange = 1ull << 2;

constexpr unsigned kControlQueue = 0, kEventQueue = 1, kFirstRequestQueue = 2;

constexpr uint32_t kDefaultSenseSize = 96, kDefaultCdbSize = 32;
// 5.6.4 leaves the limits to the device.
constexpr uint32_t kMaxSenseSize = 256, kMaxCdbSize = 256;

// 5.6.4
struct [[gnu::packed]] Config {
    uint32_t request_queues;
    uint32_t seg_max;
    uint32_t max_sectors;
    uint32_t commands_per_lun;
    uint32_t event_size;
    uint32_t sense_size;
    uint32_t cdb_size;
    uint16_t max_channel;
    uint16_t max_target;
    uint32_t max_lun;
};
constexpr uint64_t kSenseSizeOffset = offsetof(Config, sense_size),
                   kCdbSizeOffset = offsetof(Config, cdb_size);

// 5.6.6.1: a request is LUN, tag, three bytes and the CDB; an answer these, and sense data.
constexpr size_t kRequestHeader = 8 + 8 + 3;
struct ResponseHeader {
    uint32_t sense_length;
    uint32_t residual;
    uint16_t status_qualifier;
    uint8_t status;
    uint8_t response;
};
static_assert(sizeof(ResponseHeader) == 12);

enum Response : uint8_t {
    kOk = 0,
    kOverrun = 1,
    kBadTarget = 3,
    kFailure = 9,
    kFunctionSucceeded = 10,
    kFunctionRejected = 11,
    kIncorrectLun = 12,
};

// 5.6.6.2
constexpr uint32_t kTaskManagement = 0, kQueryEvents = 1, kSubscribeEvents = 2;
constexpr size_t kTaskRequestSize = 24, kEventsRequestSize = 16;
enum TaskFunction : uint32_t {
    kAbortTask = 0,
    kAbortTaskSet = 1,
    kClearAca = 2,
    kClearTaskSet = 3,
    kNexusReset = 4,
    kUnitReset = 5,
    kQueryTask = 6,
    kQueryTaskSet = 7,
};

/// 5.6.6.1: single-level addresses. Nothing: in another form.
std::optional<scsi::Address> parse_lun(std::span<const uint8_t> lun) {
    if (lun[0] != 1 || lun[4] != 0 || lun[5] != 0 || lun[6] != 0 || lun[7] != 0) return std::nullopt;
    const unsigned number = static_cast<unsigned>(lun[2] << 8 | lun[3]);
    // SAM-5 section 4.7.7: peripheral device or flat space addressing.
    if (number >> 14 > 1) return std::nullopt;
    return scsi::Address{lun[1], static_cast<uint16_t>(number & 0x3fff)};
}

/// The buffers without their first `count` bytes.
std::vector<std::span<uint8_t>> without_front(scsi::Buffers buffers, uint64_t count) {
    std::vector<std::span<uint8_t>> rest;
    for (const auto& buffer : buffers) {
        const auto skip = std::min<uint64_t>(buffer.size(), count);
        count -= skip;
        if (skip != buffer.size()) rest.push_back(buffer.subspan(skip));
    }
    return rest;
}

uint64_t total(scsi::Buffers buffers) {
    uint64_t bytes = 0;
    for (const auto& buffer : buffers) bytes += buffer.size();
    return bytes;
}

}  // namespace

Scsi::Scsi(unsigned request_queues)
    : request_queues_(request_queues), sense_size_(kDefaultSenseSize), cdb_size_(kDefaultCdbSize) {}

Result<scsi::Address> Scsi::attach(std::optional<unsigned> target, unsigned lun,
                                   std::unique_ptr<scsi::Unit> unit) {
    unsigned place = target.value_or(0);
    if (!target)
        while (place <= kMaxTarget && has_target(static_cast<uint8_t>(place))) place++;
    if (place > kMaxTarget) return failure("there is no SCSI target {}", place);
    if (lun > kMaxLun) return failure("there is no LUN {}", lun);
    const scsi::Address address{static_cast<uint8_t>(place), static_cast<uint16_t>(lun)};
    if (!units_.emplace(address, std::move(unit)).second)
        return failure("SCSI target {} has a LUN {} already", place, lun);
    return address;
}

uint64_t Scsi::features() const { return kFeatureHotplug | kFeatureChange; }

std::vector<QueueDescription> Scsi::queues() const {
    std::vector<QueueDescription> queues(kFirstRequestQueue + request_queues_,
                                         {Queue::kMaxSize, Service::Worker});
    queues[kControlQueue].after_others = true;
    queues[kEventQueue].service = Service::Backend;
    return queues;
}

// ---- configuration

uint8_t Scsi::read_config(uint64_t offset) {
    Config config{};
    config.request_queues = request_queues_;
    config.seg_max = Queue::kMaxSize - 2;
    config.max_sectors = 0xffff;
    config.commands_per_lun = 128;
    config.event_size = 16;
    config.sense_size = sense_size_;
    config.cdb_size = cdb_size_;
    config.max_target = kMaxTarget;
    config.max_lun = 0x3fff;
    if (offset >= sizeof config) return 0;
    uint8_t value;
    std::memcpy(&value, reinterpret_cast<const uint8_t*>(&config) + offset, 1);
    return value;
}

void Scsi::write_config(uint64_t offset, uint8_t value) {
    const auto set = [&](std::atomic<uint32_t>& field, uint64_t at, uint32_t limit) {
        if (offset < at || offset >= at + 4) return;
        const unsigned shift = static_cast<unsigned>(offset - at) * 8;
        field = std::min((field & ~(0xffu << shift)) | static_cast<uint32_t>(value) << shift, limit);
    };
    set(sense_size_, kSenseSizeOffset, kMaxSenseSize);
    set(cdb_size_, kCdbSizeOffset, kMaxCdbSize);
}

void Scsi::reset() {
    sense_size_ = kDefaultSenseSize;
    cdb_size_ = kDefaultCdbSize;
    for (const auto& [address, unit] : units_) unit->reset();
}

// ---- state

void Scsi::save(StateWriter& out) const {
    out(sense_size_.load(), cdb_size_.load(), static_cast<uint32_t>(units_.size()));
    for (const auto& [address, unit] : units_) {
        out(address.target, address.lun);
        unit->save(out);
    }
}

StateResult Scsi::load(StateReader& in) {
    uint32_t sense_size = 0, cdb_size = 0, count = 0;
    in(sense_size, cdb_size, count);
    in.require(sense_size <= kMaxSenseSize && cdb_size <= kMaxCdbSize, "sizes that a SCSI host cannot have");
    in.require(count == units_.size(), "another number of SCSI devices");
    for (const auto& [address, unit] : units_) {
        uint8_t target = 0;
        uint16_t lun = 0;
        in(target, lun);
        in.require(target == address.target && lun == address.lun, "a SCSI device at another place");
        if (!in.ok()) break;
        if (const auto loaded = unit->load(in); !loaded) return loaded;
    }
    if (!in.ok()) return in.result();
    sense_size_ = sense_size;
    cdb_size_ = cdb_size;
    return {};
}

// ---- requests

bool Scsi::has_target(uint8_t target) const {
    return std::ranges::any_of(units_, [&](const auto& one) { return one.first.target == target; });
}

Served Scsi::process(unsigned queue, Chain& chain) {
    return queue == kControlQueue ? control(chain) : command(chain);
}

Served Scsi::control(const Chain& chain) {
    std::array<uint8_t, kTaskRequestSize> request{};
    const size_t got = gather(chain.readable, request);
    uint32_t type = ~0u;
    if (got >= sizeof type) std::memcpy(&type, request.data(), sizeof type);
    std::vector<uint8_t> answer;
    switch (type) {
        case kTaskManagement:
            if (got < kTaskRequestSize) return Served::malformed();
            answer = {manage_task(request)};
            break;
        case kQueryEvents:
        case kSubscribeEvents:
            // No unit has asynchronous notifications.
            if (got < kEventsRequestSize) return Served::malformed();
            answer = {0, 0, 0, 0, kOk};
            break;
        default: return Served::malformed();
    }
    if (chain.writable_size() < answer.size()) return Served::malformed();
    return Served::done(static_cast<uint32_t>(scatter(answer, chain.writable)));
}

// 5.6.6.2: no command is being carried out now, since this queue comes after the others.
uint8_t Scsi::manage_task(std::span<const uint8_t> request) {
    uint32_t function = 0;
    std::memcpy(&function, request.data() + 4, sizeof function);
    const auto address = parse_lun(request.subspan(8, 8));
    if (!address || !has_target(address->target)) return kBadTarget;
    const auto unit = units_.find(*address);
    switch (function) {
        case kNexusReset:
            for (const auto& [place, one] : units_)
                if (place.target == address->target) one->reset();
            return kOk;
        case kUnitReset:
            if (unit == units_.end()) return kIncorrectLun;
            unit->second->reset();
            return kOk;
        case kAbortTask:
        case kAbortTaskSet:
        case kClearTaskSet:
        case kQueryTask:     // there is none
        case kQueryTaskSet:  // nor any other
            return unit != units_.end() ? kOk : kIncorrectLun;
        default: return kFunctionRejected;
    }
}

Served Scsi::command(Chain& chain) {
    const uint32_t sense_size = sense_size_, cdb_size = cdb_size_;
    std::vector<uint8_t> request(kRequestHeader + cdb_size), response(sizeof(ResponseHeader) + sense_size);
    if (gather(chain.readable, request) != request.size() || chain.writable_size() < response.size())
        return Served::malformed();
    const auto out = without_front(chain.readable, request.size());
    const auto in = without_front(chain.writable, response.size());

    ResponseHeader header{};
    uint64_t transferred = 0;
    const auto address = parse_lun(std::span(request).first(8));
    if (!address || !has_target(address->target)) {
        header.response = kBadTarget;
    } else if (cdb_size == 0) {
        header.response = kFailure;
    } else {
        const scsi::Reply reply = execute(*address, {std::span(request).subspan(kRequestHeader), out, in});
        if (reply.postponed) return Served::postponed();
        header.response = reply.overrun ? kOverrun : kOk;
        header.status = static_cast<uint8_t>(reply.status);
        transferred = reply.overrun ? 0 : reply.transferred;
        if (!reply.bytes.empty()) {
            transferred = std::min<uint64_t>(transferred, total(in));
            scatter(reply.bytes, in);
        }
        if (reply.status == scsi::Status::CheckCondition) {
            const auto sense = scsi::fixed_sense(reply.sense);
            header.sense_length = std::min<uint32_t>(scsi::kFixedSenseSize, sense_size);
            std::memcpy(response.data() + sizeof header, sense.data(), header.sense_length);
        }
    }
    const uint64_t expected = in.empty() ? total(out) : total(in);
    header.residual = static_cast<uint32_t>(expected - std::min(expected, transferred));
    std::memcpy(response.data(), &header, sizeof header);
    if (scatter(response, chain.writable) != response.size()) return Served::malformed();
    return Served::done(
        static_cast<uint32_t>(response.size() + (in.empty() ? 0 : std::min(expected, transferred))));
}

scsi::Reply Scsi::execute(const scsi::Address& address, const scsi::Command& command) {
    if (static_cast<Opcode>(command.cdb[0]) == Opcode::ReportLuns && command.cdb.size() >= 12)
        return report_luns(address.target, command);
    const auto unit = units_.find(address);
    return unit != units_.end() ? unit->second->execute(command) : execute_absent(address.target, command);
}

// SPC-3 section 6.21: a list of LUNs in the form of SAM-5 section 4.7, the first of them 0, in any case.
scsi::Reply Scsi::report_luns(uint8_t target, const scsi::Command& command) const {
    constexpr uint8_t kWellKnownOnly = 1, kAll = 2;
    const uint8_t which = command.cdb[2];
    scsi::Reply reply;
    if (which > kAll || scsi::load_be(command.cdb, 6, 4) < 16)
        return {.status = scsi::Status::CheckCondition, .sense = scsi::kInvalidField};
    std::vector<uint8_t> bytes(8);
    const auto append = [&](uint16_t lun) {
        const size_t at = bytes.size();
        bytes.resize(at + 8);
        scsi::store_be(bytes, at, 2, lun < 256 ? lun : 0x4000u | lun);
    };
    if (which != kWellKnownOnly) {
        append(0);
        for (const auto& [address, unit] : units_)
            if (address.target == target && address.lun != 0) append(address.lun);
    }
    scsi::store_be(bytes, 0, 4, bytes.size() - 8);
    bytes.resize(std::min<uint64_t>(bytes.size(), scsi::load_be(command.cdb, 6, 4)));
    reply.transferred = bytes.size();
    reply.bytes = std::move(bytes);
    return reply;
}

// A LUN that the target does not have (SPC-3 section 6.4.2).
scsi::Reply Scsi::execute_absent(uint8_t, const scsi::Command& command) const {
    constexpr uint8_t kNoDevice = 0x7f;
    scsi::Reply reply;
    switch (static_cast<Opcode>(command.cdb[0])) {
        case Opcode::Inquiry:
            if (command.cdb.size() < 6 || command.cdb[1] != 0 || command.cdb[2] != 0) break;
            reply.bytes.resize(36);
            reply.bytes[0] = kNoDevice;
            reply.bytes[2] = 5;
            reply.bytes[3] = 0x12;
            reply.bytes[4] = 31;
            reply.bytes.resize(std::min<uint64_t>(reply.bytes.size(), scsi::load_be(command.cdb, 3, 2)));
            reply.transferred = reply.bytes.size();
            return reply;
        case Opcode::RequestSense:
            if (command.cdb.size() < 6) break;
            reply.bytes = scsi::fixed_sense(scsi::kUnitNotSupported);
            reply.bytes.resize(std::min<size_t>(reply.bytes.size(), command.cdb[4]));
            reply.transferred = reply.bytes.size();
            return reply;
        default: break;
    }
    return {.status = scsi::Status::CheckCondition, .sense = scsi::kUnitNotSupported};
}

}  // namespace arclight::devices::virtio
