#include "host/failure.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <exception>
#include <new>
#include <string_view>

#include "host/signal_text.h"
#include "host/thread.h"

namespace arclight::host {

namespace {

struct Slot {
    std::atomic<bool> taken{false};
    std::atomic<LastAct::Act> act{nullptr};
    std::atomic<uintptr_t> context{0};
    LastAct::When when = LastAct::When::Failure;
};
constexpr unsigned kSlots = 64;  ///< more than terminals and consoles together; a further one is left out
std::array<Slot, kSlots> slots;

void carry_out(bool crash) {
    for (Slot& slot : slots) {
        if (!slot.taken || (crash && slot.when != LastAct::When::FailureAndCrash)) continue;
        if (const LastAct::Act act = slot.act.exchange(nullptr)) act(slot.context);
    }
}

void print(const char* what) {
    SignalText text;
    text << "arclight: " << std::string_view(what).substr(0, 400) << " (thread '" << thread_name() << "')\n";
    text.flush();
}

}  // namespace

LastAct::LastAct(When when, Act act, uintptr_t context) : slot_(kSlots) {
    for (unsigned i = 0; i < kSlots; ++i) {
        bool free = false;
        if (!slots[i].taken.compare_exchange_strong(free, true)) continue;
        slots[i].context = context;
        slots[i].when = when;
        slots[i].act = act;
        slot_ = i;
        return;
    }
}

LastAct::~LastAct() {
    if (slot_ == kSlots) return;
    slots[slot_].act = nullptr;
    slots[slot_].taken = false;
}

void end_by_failure(const char* what) {
    static std::atomic<bool> ending{false};
    // Another thread is at it.
    while (ending.exchange(true)) poll(nullptr, 0, -1);
    print(what);
    carry_out(false);
    _exit(1);
}

void end_by_exception() {
    if (std::current_exception() == nullptr) end_by_failure("std::terminate was called");
    try {
        throw;
    } catch (const std::bad_alloc&) {
        end_by_failure("out of memory");
    } catch (const std::exception& error) {
        end_by_failure(error.what());
    } catch (...) {
        end_by_failure("an exception of unknown type");
    }
}

void carry_out_crash_acts() { carry_out(true); }

void handle_uncaught_exceptions() { std::set_terminate(end_by_exception); }

}  // namespace arclight::host
