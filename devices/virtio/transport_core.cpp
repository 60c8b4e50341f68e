#include "devices/virtio/transport_core.h"

#include <algorithm>
#include <string>
#include <utility>

#include "host/thread.h"

namespace arclight::devices::virtio {

namespace {
constexpr uint32_t kStateVersion = 1;
constexpr uint64_t kLegacyFeatures = 0xffff'ffff;
}  // namespace

TransportCore::TransportCore(Generation generation, const mmu::GuestMemory& memory,
                             std::unique_ptr<Backend> backend)
    : generation_(generation), memory_(memory), backend_(std::move(backend)) {
    if (backend_ == nullptr) return;
    bool needs_worker = false;
    for (const QueueDescription& description : backend_->queues()) {
        queues_.push_back({.queue = Queue(description.limit),
                           .service = description.service,
                           .after_others = description.after_others});
        needs_worker |= description.service == Service::Worker;
    }
    // Here and not in activate(): a virtual CPU's thread starts no threads.
    if (needs_worker)
        worker_ =
            host::start_thread(std::string(backend_->name()), backend_->worker_role(), [this] { work(); });
}

TransportCore::~TransportCore() = default;

void TransportCore::shut_down() {
    {
        Lock held(lock_);
        resetting_ = true;
        idle_worker(held);
        quit_ = true;
    }
    wake_.notify_all();
    if (worker_.joinable()) worker_.join();
    if (backend_ != nullptr) backend_->reset();
}

bool TransportCore::running() const {
    return !resetting_ && !quiesced_ && !postponed_ && (status_ & kStatusDriverOk) != 0 &&
           (status_ & kStatusNeedsReset) == 0 && dma_allowed();
}

// ---- for backends

bool TransportCore::take(unsigned index, Chain& chain) {
    Slot& slot = queues_[index];
    for (;;) {
        switch (slot.queue.pop(chain)) {
            case Queue::Pop::Chain: slot.outstanding++; return true;
            case Queue::Pop::Malformed: fail(); return false;
            case Queue::Pop::None:
                if (!slot.queue.enable_notification()) return false;
        }
    }
}

void TransportCore::put_back(unsigned index, unsigned count) {
    Slot& slot = queues_[index];
    count = std::min(count, slot.outstanding);
    slot.queue.rewind(static_cast<uint16_t>(count));
    slot.outstanding -= count;
    idle_.notify_all();
}

void TransportCore::complete(unsigned index, std::span<const Used> used) {
    Slot& slot = queues_[index];
    // A reset has forgotten the chains.
    if (resetting_ || slot.outstanding < used.size()) return;
    slot.outstanding -= static_cast<unsigned>(used.size());
    if (slot.outstanding == 0) idle_.notify_all();
    if ((status_ & kStatusNeedsReset) != 0) return;
    slot.queue.push(used);
    if (slot.queue.should_interrupt()) interrupt(Cause::UsedBuffer, index);
}

void TransportCore::fail() {
    status_ |= kStatusNeedsReset;
    // 2.1.2: the driver is told only once it has said it is up. A legacy driver would not understand.
    if (!legacy() && (status_ & kStatusDriverOk) != 0) interrupt(Cause::Configuration, 0);
}

void TransportCore::config_changed() {
    const std::lock_guard guard(lock_);
    config_generation_++;
    if ((status_ & kStatusDriverOk) != 0 && !resetting_) interrupt(Cause::Configuration, 0);
}

const Queue* TransportCore::queue_in_use(unsigned index) const {
    const Queue& queue = queues_[index].queue;
    return queue.ready() ? &queue : nullptr;
}

void TransportCore::set_position(unsigned index, uint16_t next_available) {
    if (!resetting_) queues_[index].queue.set_next_available(next_available);
}

void TransportCore::signal(unsigned index) {
    if (!resetting_ && (status_ & kStatusDriverOk) != 0) interrupt(Cause::UsedBuffer, index);
}

// ---- serving

// The driver has notified, or may have while nobody listened.
void TransportCore::request(unsigned index) {
    Slot& slot = queues_[index];
    if (!slot.queue.ready()) return;
    switch (slot.service) {
        case Service::Inline: serve_inline(index); break;
        case Service::Worker:
            slot.requested = true;
            wake_.notify_one();
            break;
        case Service::Backend: backend_->notified(index); break;
    }
}

void TransportCore::notify(uint32_t index) {
    // 3.1.2: legacy drivers use the device before they say that they are up.
    if (legacy() && (status_ & (kStatusDriver | kStatusDriverOk)) == kStatusDriver && !resetting_) {
        status_ |= kStatusDriverOk;
        start();
    }
    if (index < queues_.size() && running()) request(index);
}

// Serves chains until there is none left and the driver knows that it must notify about the next.
void TransportCore::serve_inline(unsigned index) {
    Chain chain;
    while (running()) {
        const auto dma = memory_.dma();
        if (!take(index, chain)) return;
        const Served served = backend_->process(index, chain);
        if (!finish(index, {&chain, 1}, {&served, 1})) return;
    }
}

// The same, several chains at a time, or until another queue wants to be served.
void TransportCore::serve(unsigned index, Lock& held) {
    Slot& slot = queues_[index];
    const size_t limit = backend_->batch();
    if (chains_.size() < limit) chains_.resize(limit);
    for (bool first = true; running(); first = false) {
        if (!first && others_wait(index)) {
            slot.requested = true;
            return;
        }
        const auto dma = memory_.dma();
        size_t taken = 0;
        auto next = Queue::Pop::Chain;
        while (taken < limit && next == Queue::Pop::Chain) {
            next = slot.queue.pop(chains_[taken]);
            if (next == Queue::Pop::Chain) taken++;
            // Nobody need notify as long as there is something to do.
            else if (next == Queue::Pop::None && taken == 0 && slot.queue.enable_notification())
                next = Queue::Pop::Chain;
        }
        slot.outstanding += static_cast<unsigned>(taken);
        if (taken != 0) {
            const auto chains = std::span(chains_).first(taken);
            served_.assign(taken, Served::malformed());
            held.unlock();
            backend_->process_all(index, chains, served_);
            held.lock();
            if (resetting_) return;  // the requests are forgotten
            if (!finish(index, chains, served_)) return;
        }
        if (next == Queue::Pop::Malformed) {
            fail();
            return;
        }
        if (taken == 0) return;
    }
}

// False: one was malformed or postponed, and nothing more is served.
bool TransportCore::finish(unsigned index, std::span<const Chain> chains, std::span<const Served> served) {
    used_.clear();
    size_t good = 0;
    for (; good < served.size(); good++) {
        if (served[good].is_malformed() || served[good].is_postponed()) break;
        if (served[good].is_done()) used_.push_back({chains[good].head, served[good].written()});
    }
    if (!used_.empty()) complete(index, used_);
    if (good == served.size()) return true;
    const auto left = static_cast<unsigned>(served.size() - good);
    if (served[good].is_malformed()) {
        queues_[index].outstanding -= left;
        fail();
    } else {
        // Those behind it may have been carried out: they are again, as nobody was told.
        put_back(index, left);
        postponed_ = true;
    }
    return false;
}

// For the worker: the queues in turn, beginning behind `after`, and then those that come after others.
std::optional<unsigned> TransportCore::next_requested(unsigned after) const {
    const auto count = static_cast<unsigned>(queues_.size());
    for (const bool last : {false, true})
        for (unsigned i = 1; i <= count; i++) {
            const Slot& slot = queues_[(after + i) % count];
            if (slot.requested && slot.after_others == last) return (after + i) % count;
        }
    return std::nullopt;
}

bool TransportCore::others_wait(unsigned index) const {
    return std::ranges::any_of(queues_, [&](const Slot& slot) {
        return slot.requested && (queues_[index].after_others || !slot.after_others);
    });
}

void TransportCore::work() {
    Lock held(lock_);
    unsigned last = 0;
    for (;;) {
        wake_.wait(held, [&] { return quit_ || next_requested(last); });
        if (quit_) return;
        last = *next_requested(last);
        queues_[last].requested = false;
        busy_ = true;
        serve(last, held);
        busy_ = false;
        idle_.notify_all();
    }
}

// Waits, with the lock released, until the worker has ended what it is at; it begins nothing new since
// running() is false.
void TransportCore::idle_worker(Lock& held) {
    for (Slot& slot : queues_) slot.requested = false;
    idle_.wait(held, [this] { return !busy_; });
}

bool TransportCore::outstanding() const {
    return std::ranges::any_of(queues_, [](const Slot& slot) { return slot.outstanding != 0; });
}

// ---- registers

uint64_t TransportCore::all_features() const {
    const uint64_t rings = backend_->ring_features();
    if (legacy()) return (backend_->features() & kLegacyFeatures) | rings | kFeatureAnyLayout;
    return backend_->features() | rings | kFeatureVersion1;
}

uint32_t TransportCore::offered_features(uint32_t word) const {
    return word < 2 ? static_cast<uint32_t>(all_features() >> (word * 32)) : 0;
}

void TransportCore::accept_features(uint32_t word, uint32_t value) {
    if (features_agreed(status_) || word >= (legacy() ? 1 : 2)) return;
    if (legacy()) {
        driver_features_ = value & all_features();
        return;
    }
    const unsigned shift = word * 32;
    driver_features_ = (driver_features_ & ~(uint64_t{0xffff'ffff} << shift)) | uint64_t{value} << shift;
}

void TransportCore::enable_queue(Queue& queue) {
    if (queue.ready()) return;
    const bool event_index = (driver_features_ & kFeatureEventIndex) != 0;
    const bool indirect = (driver_features_ & kFeatureIndirect) != 0;
    if (!queue.enable(memory_, event_index, indirect)) fail();
}

void TransportCore::enable_legacy_queue(Queue& queue, uint64_t base, uint64_t alignment) {
    if (queue.size == 0) queue.size = queue.limit();
    const uint64_t entries = queue.size;
    queue.descriptors = base;
    queue.available = queue.descriptors + 16 * entries;
    // Flags, index, ring and event field of the available ring; then the next multiple.
    queue.used = (queue.available + 6 + 2 * entries + alignment - 1) & ~(alignment - 1);
    enable_queue(queue);
}

void TransportCore::look_at_queues() {
    for (unsigned i = 0; i < queues_.size() && running(); i++) request(i);
}

void TransportCore::write_status(uint32_t value, Lock& held) {
    if (value == 0) {
        reset_device(held);
        return;
    }
    const uint32_t before = status_;
    if (legacy()) {
        status_ = (value & 0xff & ~kStatusNeedsReset) | (status_ & kStatusNeedsReset);
        if ((status_ & ~before & kStatusDriverOk) != 0) start();
        return;
    }
    uint32_t next = (value & 0xff & ~kStatusNeedsReset) | (status_ & kStatusNeedsReset);
    if ((next & kStatusFeaturesOk) != 0 && (status_ & kStatusFeaturesOk) == 0) {
        const bool acceptable =
            (driver_features_ & ~all_features()) == 0 && (driver_features_ & kFeatureVersion1) != 0;
        if (acceptable) {
            backend_->set_features(driver_features_);
        } else {
            next &= ~kStatusFeaturesOk;
        }
    }
    // 3.1.1: a device that has not agreed on features must not start.
    if ((next & kStatusFeaturesOk) == 0) next &= ~kStatusDriverOk;
    status_ = next;
    if ((next & ~before & kStatusDriverOk) != 0) start();
}

void TransportCore::start() {
    if (legacy()) backend_->set_features(driver_features_);
    backend_->activate(*this);
}

void TransportCore::reset_device(Lock& held) {
    if (resetting_) return;  // another CPU is at it
    resetting_ = true;
    idle_worker(held);
    if (backend_ != nullptr) {
        held.unlock();
        backend_->reset();
        held.lock();
    }
    for (Slot& slot : queues_) {
        slot.queue.reset();
        slot.requested = false;
        slot.outstanding = 0;
    }
    status_ = 0;
    driver_features_ = 0;
    postponed_ = false;
    reset_registers();
    resetting_ = false;
    idle_.notify_all();
}

uint64_t TransportCore::read_config(uint64_t offset, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= static_cast<uint64_t>(backend_->read_config(offset + i)) << (i * 8);
    return value;
}

void TransportCore::write_config(uint64_t offset, uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; i++)
        backend_->write_config(offset + i, static_cast<uint8_t>(value >> (i * 8)));
    config_generation_++;
}

// ---- state

void TransportCore::quiesce_core() {
    if (backend_ == nullptr) return;
    {
        Lock held(lock_);
        // Requests of the driver that nobody has taken yet stay in the queues, in guest memory.
        quiesced_ = true;
        idle_worker(held);
    }
    backend_->quiesce();
    Lock held(lock_);
    idle_.wait(held, [this] { return !outstanding(); });
}

// All queues are looked at, since a notification may have come when nobody listened.
void TransportCore::resume_core() {
    if (backend_ == nullptr) return;
    backend_->resume();
    Lock held(lock_);
    quiesced_ = false;
    postponed_ = false;
    if ((status_ & kStatusDriverOk) == 0) return;
    backend_->activate(*this);
    look_at_queues();
}

void TransportCore::save_core(StateWriter& out) const {
    out.section("virtio", kStateVersion, [&] {
        out(backend_ != nullptr ? backend_->device_id() : 0, status_, config_generation_, driver_features_);
        out(static_cast<uint32_t>(queues_.size()));
        for (const Slot& slot : queues_) out(slot.queue);
    });
    if (backend_ != nullptr) out.section(backend_->name(), 1, [&] { backend_->save(out); });
}

StateResult TransportCore::load_core(StateReader& in) {
    uint32_t device_id = 0, status = 0, generation = 0, count = 0;
    uint64_t driver_features = 0;
    std::vector<Queue> queues;
    for (const Slot& slot : queues_) queues.emplace_back(slot.queue.limit());
    const auto loaded = in.section("virtio", kStateVersion, [&] {
        in(device_id, status, generation, driver_features, count);
        in.require(device_id == (backend_ != nullptr ? backend_->device_id() : 0), "another device type");
        in.require(count == queues_.size(), "another number of queues");
        const uint64_t offered = backend_ != nullptr ? all_features() : 0;
        const bool agreed = features_agreed(status);
        in.require(status <= 0xff && (!agreed || (driver_features & ~offered) == 0),
                   "features that this device has not");
        in.require(agreed || (status & kStatusDriverOk) == 0, "a driver that is up without features");
        for (Queue& queue : queues) {
            in(queue);
            in.require(queue.restore(memory_), "a queue that cannot be");
        }
    });
    if (!loaded) return loaded;
    if (backend_ != nullptr) {
        backend_->reset();
        // What follows from the features comes first: the backend's own state may say otherwise.
        const Lock held(lock_);
        if (features_agreed(status)) backend_->set_features(driver_features);
    }
    if (backend_ != nullptr) {
        const auto own = in.section(backend_->name(), 1, [&] { return backend_->load(in); });
        if (!own) {
            Lock held(lock_);
            reset_device(held);
            return own;
        }
    }
    const Lock held(lock_);
    status_ = status;
    config_generation_ = generation;
    driver_features_ = driver_features;
    for (size_t i = 0; i < queues_.size(); i++) {
        queues_[i].queue = queues[i];
        queues_[i].requested = false;
        queues_[i].outstanding = 0;
    }
    return {};
}

}  // namespace arclight::devices::virtio
