#include "devices/nvme/controller.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "devices/register_access.h"
#include "host/memory_fault.h"
#include "host/thread.h"

// Section numbers are those of the NVM Express base specification 1.4.
namespace arclight::devices::nvme {

namespace {

constexpr unsigned kRegisterBar = 0, kMsixBar = 4;
constexpr uint64_t kBarSize = 0x4000;

// 3.1
constexpr uint64_t kRegCapabilities = 0x00;
constexpr uint64_t kRegVersion = 0x08;
constexpr uint64_t kRegMaskSet = 0x0c;
constexpr uint64_t kRegMaskClear = 0x10;
constexpr uint64_t kRegConfiguration = 0x14;
constexpr uint64_t kRegStatus = 0x1c;
constexpr uint64_t kRegAdminSizes = 0x24;
constexpr uint64_t kRegAdminSq = 0x28;
constexpr uint64_t kRegAdminCq = 0x30;
constexpr uint64_t kDoorbells = 0x1000;

constexpr uint32_t kVersion = 0x0001'0400;
constexpr uint32_t kEnable = 1;
constexpr uint32_t kReady = 1, kFatal = 2, kShutdownDone = 2 << 2, kShutdownMask = 3 << 2;

// 5.2.1: events of errors.
constexpr uint8_t kErrorEvent = 0;
constexpr uint8_t kInvalidDoorbell = 0, kInvalidDoorbellValue = 1;
constexpr uint8_t kErrorLog = 1;

uint32_t half(uint64_t value, bool upper) { return static_cast<uint32_t>(upper ? value >> 32 : value); }

}  // namespace

Controller::Controller(const mmu::GuestMemory& memory, virtio::Disk disk)
    : Function({.vendor = 0x1b36,
                .device = 0x0010,
                .revision = 2,
                .class_code = 0x0108,
                .subsystem_vendor = 0x1af4,
                .subsystem = 0x1100,
                .interrupt_pin = 1}),
      memory_(memory),
      disk_(std::move(disk)),
      commands_(kBatch),
      buffers_(kBatch) {
    constexpr uint8_t kNvmExpress = 2, kExpressEndpoint = 0;
    config().set(pci::kRegInterface, kNvmExpress, 1);
    add_bar(kRegisterBar, pci::BarKind::Memory64Prefetchable, kBarSize);
    add_msix(kMsixBar, kVectors);
    add_express_capability(kExpressEndpoint);
    finish_config();
    write_back_ = !disk_.options().write_through;
    worker_ = host::start_thread("nvme", ThreadRole::Device, [this] { work(); });
}

Controller::~Controller() {
    {
        const std::lock_guard guard(lock_);
        quit_ = true;
    }
    wake_.notify_all();
    worker_.join();
}

// ---- registers

uint64_t Controller::bar_read(unsigned, uint64_t offset, unsigned size) {
    const std::lock_guard guard(lock_);
    return read_by_words(offset, size, [&](uint64_t word) { return read_word(word); });
}

void Controller::bar_write(unsigned, uint64_t offset, uint64_t value, unsigned size) {
    Lock held(lock_);
    write_by_words(offset, value, size,
                   [&](uint64_t word, uint32_t data, uint32_t mask) { write_word(word, data, mask, held); });
}

uint32_t Controller::read_word(uint64_t offset) const {
    // 3.1.1: contiguous queues, 7.5 s to become ready, the NVM command set, pages of 4 to 64 KiB.
    constexpr uint64_t kCapabilities = (kMaxEntries - 1) | 1u << 16 | 15u << 24 | 1ull << 37 | 4ull << 52;
    switch (offset) {
        case kRegCapabilities: return half(kCapabilities, false);
        case kRegCapabilities + 4: return half(kCapabilities, true);
        case kRegVersion: return kVersion;
        case kRegMaskSet:
        case kRegMaskClear: return registers_.mask;
        case kRegConfiguration: return registers_.configuration;
        case kRegStatus: return registers_.status;
        case kRegAdminSizes: return registers_.admin_sizes;
        case kRegAdminSq: return half(registers_.admin_sq, false);
        case kRegAdminSq + 4: return half(registers_.admin_sq, true);
        case kRegAdminCq: return half(registers_.admin_cq, false);
        case kRegAdminCq + 4: return half(registers_.admin_cq, true);
        default: return 0;
    }
}

void Controller::write_word(uint64_t offset, uint32_t value, uint32_t mask, Lock& held) {
    const auto merged = [&](uint32_t old) { return (old & ~mask) | (value & mask); };
    const auto merge_half = [&](uint64_t& field, bool upper) {
        const uint32_t word = merged(half(field, upper));
        field =
            upper ? (field & 0xffff'ffff) | static_cast<uint64_t>(word) << 32 : (field >> 32 << 32) | word;
        field &= ~(kPage - 1);
    };
    switch (offset) {
        case kRegMaskSet:
            registers_.mask |= value & mask;
            update_interrupt();
            break;
        case kRegMaskClear:
            registers_.mask &= ~(value & mask);
            update_interrupt();
            break;
        case kRegConfiguration: configure(merged(registers_.configuration), held); break;
        case kRegAdminSizes: registers_.admin_sizes = merged(registers_.admin_sizes) & 0x0fff'0fff; break;
        case kRegAdminSq: merge_half(registers_.admin_sq, false); break;
        case kRegAdminSq + 4: merge_half(registers_.admin_sq, true); break;
        case kRegAdminCq: merge_half(registers_.admin_cq, false); break;
        case kRegAdminCq + 4: merge_half(registers_.admin_cq, true); break;
        default:
            if (offset >= kDoorbells && mask == ~0u) ring((offset - kDoorbells) / 4, value);
            break;
    }
}

// 3.1.5
void Controller::configure(uint32_t value, Lock& held) {
    const uint32_t before = std::exchange(registers_.configuration, value);
    if ((value & ~before & kEnable) != 0) enable();
    if ((before & ~value & kEnable) != 0) disable(held);
    const bool notified = (value >> 14 & 3) != 0, notified_before = (before >> 14 & 3) != 0;
    if (notified && !notified_before) {
        // The worker flushes, and says when it has.
        registers_.status = (registers_.status & ~kShutdownMask) | 1 << 2;
        shutting_down_ = true;
        wake_.notify_one();
    } else if (!notified && notified_before) {
        registers_.status &= ~kShutdownMask;
    }
}

bool Controller::queue_fits(uint64_t base, uint64_t entries, uint64_t entry_size) const {
    return base % kPage == 0 && memory_.contains(base, entries * entry_size);
}

// 7.6.1: with what cannot be, the controller is in a fatal state.
void Controller::enable() {
    const uint32_t c = registers_.configuration;
    const uint32_t sq_size = (registers_.admin_sizes & 0xfff) + 1,
                   cq_size = (registers_.admin_sizes >> 16 & 0xfff) + 1;
    const bool good = (c >> 7 & 0xf) == 0 /* 4 KiB pages */ && (c >> 4 & 7) == 0 && sq_size > 1 &&
                      cq_size > 1 && queue_fits(registers_.admin_sq, sq_size, sizeof(Command)) &&
                      queue_fits(registers_.admin_cq, cq_size, sizeof(Completion));
    if (!good) {
        registers_.status |= kFatal;
        return;
    }
    sqs_[0] = {.base = registers_.admin_sq, .size = sq_size};
    cqs_[0] = {.base = registers_.admin_cq, .size = cq_size, .interrupts = true};
    registers_.status |= kReady;
}

// 7.3.2: queues are gone, and so is what they hold; the admin queue's registers stay.
void Controller::disable(Lock& held) {
    if (resetting_) return;  // another CPU is at it
    resetting_ = true;
    idle_.wait(held, [this] { return !busy_; });
    resetting_ = false;
    sqs_.clear();
    cqs_.clear();
    event_requests_.clear();
    events_.clear();
    events_masked_ = 0;
    features_ = {};
    write_back_ = !disk_.options().write_through;
    registers_.status = 0;
    registers_.mask = 0;
    postponed_ = shutting_down_ = pending_ = false;
    update_interrupt();
}

// 3.1.17, 3.1.18: submission queues have even doorbells, completion queues odd ones.
void Controller::ring(uint64_t doorbell, uint32_t value) {
    const auto number = static_cast<uint16_t>(std::min<uint64_t>(doorbell / 2, 0xffff));
    if ((registers_.status & kReady) == 0) return;
    if (doorbell % 2 == 0) {
        const auto queue = sqs_.find(number);
        if (queue == sqs_.end()) return event(kInvalidDoorbell);
        if (value >= queue->second.size) return event(kInvalidDoorbellValue);
        queue->second.tail = value;
    } else {
        const auto found = cqs_.find(number);
        if (found == cqs_.end()) return event(kInvalidDoorbell);
        CompletionQueue& queue = found->second;
        // Not past what has been completed.
        const uint32_t unread = queue.size - 1 - queue.room();
        if (value >= queue.size || (value + queue.size - queue.head) % queue.size > unread)
            return event(kInvalidDoorbellValue);
        queue.head = value;
        update_interrupt();
    }
    pending_ = true;
    wake_.notify_one();
}

// ---- interrupts and events

void Controller::update_interrupt() {
    const bool level = std::ranges::any_of(cqs_, [this](const auto& one) {
        const CompletionQueue& queue = one.second;
        return queue.interrupts && queue.head != queue.tail &&
               (queue.vector >= 32 || (registers_.mask >> queue.vector & 1) == 0);
    });
    set_interrupt(level && !msix()->enabled());
}

void Controller::interrupt(const CompletionQueue& queue) {
    if (!queue.interrupts) return;
    if (msix()->enabled())
        msix()->raise(queue.vector);
    else
        update_interrupt();
}

void Controller::event(uint8_t information) {
    constexpr size_t kMaxWaiting = 16;
    if ((events_masked_ >> kErrorEvent & 1) != 0 || events_.size() == kMaxWaiting) return;
    events_.push_back(information);
    pending_ = true;
    wake_.notify_one();
}

// Lock held, on the worker: a type is told once until its log page is read.
void Controller::deliver_events() {
    while (!events_.empty() && !event_requests_.empty() && (events_masked_ >> kErrorEvent & 1) == 0 &&
           cqs_[0].room() != 0) {
        const Command request{.opcode = kAsyncEvent, .id = event_requests_.back()};
        event_requests_.pop_back();
        const uint32_t result = kErrorEvent | static_cast<uint32_t>(events_.front()) << 8 | kErrorLog << 16;
        events_.erase(events_.begin());
        events_masked_ |= 1u << kErrorEvent;
        complete(0, request, {kSuccess, result});
        interrupt(cqs_[0]);
    }
}

// ---- the worker

bool Controller::runnable() const {
    return (registers_.status & (kReady | kFatal)) == kReady && !resetting_ && !quiesced_ && !postponed_ &&
           !quit_ && bus_master();
}

void Controller::work() {
    Lock held(lock_);
    for (;;) {
        wake_.wait(held, [&] {
            return quit_ || ((pending_ || (shutting_down_ && !postponed_)) && !quiesced_ && !resetting_);
        });
        if (quit_) return;
        busy_ = true;
        pending_ = false;
        for (bool more = true; more && runnable();) {
            more = false;
            deliver_events();
            // Admin commands make and delete queues.
            uint16_t next = 0;
            for (auto queue = sqs_.lower_bound(next); queue != sqs_.end(); queue = sqs_.lower_bound(next)) {
                const uint16_t number = queue->first;
                next = static_cast<uint16_t>(number + 1);
                if (runnable() && serve(number, held)) more = true;
            }
        }
        if (shutting_down_ && !quiesced_ && !resetting_ && !postponed_) {
            shutting_down_ = false;
            held.unlock();
            flush();
            held.lock();
            if (!resetting_) registers_.status = (registers_.status & ~kShutdownMask) | kShutdownDone;
        }
        busy_ = false;
        idle_.notify_all();
    }
}

// Reads commands into commands_. False: the queue's memory is gone.
bool Controller::fetch(SubmissionQueue& queue, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        auto* to = reinterpret_cast<uint8_t*>(&commands_[i]);
        bool there = true;
        const bool inside = memory_.pieces(queue.base + queue.head * sizeof(Command), sizeof(Command), false,
                                           [&](const uint8_t* host, uint64_t bytes) {
                                               there &= host::touch([&] { std::memcpy(to, host, bytes); });
                                               to += bytes;
                                           });
        // The guest may store something else meanwhile: what is looked at is the copy.
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (!inside || !there) return false;
        queue.head = (queue.head + 1) % queue.size;
    }
    return true;
}

// False: there was nothing to do, or no room for what follows.
bool Controller::serve(uint16_t number, Lock& held) {
    SubmissionQueue& queue = sqs_[number];
    const uint16_t completions = queue.completions;
    uint32_t count = std::min({queue.waiting(), cqs_[completions].room(), static_cast<uint32_t>(kBatch)});
    if (count == 0) return false;
    const auto dma = memory_.dma();
    if (number == 0) count = 1;  // one may change what the next one needs
    const uint32_t start = queue.head;
    if (!fetch(queue, count)) {
        registers_.status |= kFatal;
        return false;
    }
    answers_.assign(count, {kSuccess});
    if (number == 0) {
        answers_[0] = administer(commands_[0]);
    } else {
        held.unlock();
        carry_out(std::span(commands_).first(count), answers_);
        held.lock();
        if (resetting_) return false;  // the commands are forgotten
    }
    // As if those from the first one that is to be tried again on had not been fetched.
    uint32_t good = 0;
    while (good < count && answers_[good].status != kPostponed) good++;
    if (good != count) {
        queue.head = (start + good) % queue.size;
        postponed_ = true;
    }
    bool completed = false;
    for (uint32_t i = 0; i < good; i++) {
        if (answers_[i].status == kPending) continue;
        complete(number, commands_[i], answers_[i]);
        completed = true;
    }
    if (completed) interrupt(cqs_[completions]);
    return good != 0;
}

void Controller::complete(uint16_t number, const Command& command, const Answer& answer) {
    const SubmissionQueue& from = sqs_[number];
    CompletionQueue& queue = cqs_[from.completions];
    const Completion entry{.result = answer.result,
                           .reserved = 0,
                           .sq_head = static_cast<uint16_t>(from.head),
                           .sq_id = number,
                           .id = command.id,
                           .status = static_cast<uint16_t>(answer.status << 1 | (queue.phase ? 1 : 0))};
    // The driver polls for the phase: it is written last.
    constexpr uint64_t kBefore = sizeof entry - sizeof(uint32_t);
    const uint64_t at = queue.base + queue.tail * sizeof entry;
    const auto* raw = reinterpret_cast<const uint8_t*>(&entry);
    const auto put = [&](uint64_t offset, uint64_t size) {
        memory_.pieces(at + offset, size, true, [&](uint8_t* host, uint64_t bytes) {
            host::touch([&] { std::memcpy(host, raw + offset, bytes); });
        });
    };
    put(0, kBefore);
    std::atomic_thread_fence(std::memory_order_release);
    put(kBefore, sizeof(uint32_t));
    if (++queue.tail == queue.size) {
        queue.tail = 0;
        queue.phase = !queue.phase;
    }
}

// ---- reset, pauses, state

void Controller::reset_device_state() {
    Lock held(lock_);
    disable(held);
    registers_ = {};
    update_interrupt();
}

void Controller::control_changed() {
    const std::lock_guard guard(lock_);
    update_interrupt();
    pending_ = true;
    wake_.notify_one();
}

void Controller::quiesce() {
    Lock held(lock_);
    quiesced_ = true;
    idle_.wait(held, [this] { return !busy_; });
}

void Controller::resume() {
    Function::resume();
    const std::lock_guard guard(lock_);
    quiesced_ = postponed_ = false;
    pending_ = true;
    update_interrupt();
    wake_.notify_one();
}

void Controller::save_device(StateWriter& out) const {
    const std::lock_guard guard(lock_);
    out(disk_.image().size(), disk_.image().readonly(), registers_, write_back_, shutting_down_,
        events_masked_);
    for (const uint32_t value : features_) out(value);
    out.list(event_requests_, kMaxEvents);
    out.list(events_, 16);
    const auto put_queues = [&](const auto& queues) {
        out(static_cast<uint32_t>(queues.size()));
        for (const auto& [number, queue] : queues) out(number, queue);
    };
    put_queues(cqs_);
    put_queues(sqs_);
    disk_.image().save(out);
}

StateResult Controller::load_device(StateReader& in) {
    uint64_t size = 0;
    bool readonly = false, write_back = true, shutting_down = false;
    uint8_t masked = 0;
    Registers registers;
    std::array<uint32_t, kFeatures> features{};
    std::vector<uint16_t> requests;
    std::vector<uint8_t> events;
    std::map<uint16_t, SubmissionQueue> sqs;
    std::map<uint16_t, CompletionQueue> cqs;
    in(size, readonly, registers, write_back, shutting_down, masked);
    in.require(size == disk_.image().size(), "a disk of another size");
    in.require(readonly == disk_.image().readonly(), "a disk that is read-only there or here");
    for (uint32_t& value : features) in(value);
    in.list(requests, kMaxEvents);
    in.list(events, 16);
    const auto get_queues = [&](auto& queues, uint64_t entry_size) {
        uint32_t count = 0;
        in(count);
        in.require(count <= kMaxIoQueues + 1, "more queues than there can be");
        for (uint32_t i = 0; i < count && in.ok(); i++) {
            uint16_t number = 0;
            typename std::remove_reference_t<decltype(queues)>::mapped_type queue;
            in(number, queue);
            in.require(number <= kMaxIoQueues && queue.size > 1 && queue.size <= 4096 &&
                           queue.head < queue.size && queue.tail < queue.size &&
                           queue_fits(queue.base, queue.size, entry_size),
                       "a queue that cannot be");
            if (in.ok()) queues.emplace(number, queue);
        }
    };
    get_queues(cqs, sizeof(Completion));
    get_queues(sqs, sizeof(Command));
    const bool ready = (registers.status & kReady) != 0;
    in.require(ready == cqs.contains(0) && ready == sqs.contains(0),
               "an admin queue that should be, or should not");
    for (const auto& [number, queue] : sqs)
        in.require(cqs.contains(queue.completions), "a queue without its completion queue");
    for (const auto& [number, queue] : cqs) in.require(queue.vector < kVectors, "a vector that is not there");
    in.require(ready || (cqs.empty() && sqs.empty()), "queues of a controller that is off");
    if (!in.ok()) return in.result();
    if (const auto loaded = disk_.image().load(in); !loaded) return loaded;
    const std::lock_guard guard(lock_);
    registers_ = registers;
    features_ = features;
    write_back_ = write_back;
    shutting_down_ = shutting_down;
    events_masked_ = masked;
    event_requests_ = std::move(requests);
    events_ = std::move(events);
    sqs_ = std::move(sqs);
    cqs_ = std::move(cqs);
    return {};
}

}  // namespace arclight::devices::nvme
