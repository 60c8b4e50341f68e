#include "guestos/machine/board/machine_debugger.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "host/memory_fault.h"
#include "mmu/walk.h"

namespace arclight::guestos {

using mmu::kPageMask;
using mmu::kPageSize;
using Request = CrossCpuWork::Request;

// ---- Registers

std::string MachineDebugger::describe_cpu(unsigned cpu) {
    const Vcpu& vcpu = parts_.cpus.cpu(cpu);
    return fmt::format("CPU#{} [{}]", cpu, vcpu.powered_off() ? "off" : "running");
}

bool MachineDebugger::read_register(unsigned cpu, unsigned number, std::vector<uint8_t>& out) {
    Vcpu& vcpu = parts_.cpus.cpu(cpu);
    return registers_.read(vcpu.capture_state(), vcpu.cpu(), number, out);
}

size_t MachineDebugger::write_register(unsigned cpu, unsigned number, std::span<const uint8_t> in) {
    Vcpu& vcpu = parts_.cpus.cpu(cpu);
    if (vcpu.powered_off()) return 0;
    CpuState state = vcpu.capture_state();
    const size_t taken = registers_.write(state, vcpu.cpu(), number, in);
    if (taken != 0) vcpu.replace_state(state);
    return taken;
}

bool MachineDebugger::set_pc(unsigned cpu, uint64_t pc) {
    return write_register(cpu, gdb::Registers::kPc, {reinterpret_cast<const uint8_t*>(&pc), sizeof pc}) != 0;
}

// ---- Memory

namespace {
/// Whatever may be done with the page, and by whom.
std::optional<uint64_t> translate(const mmu::TranslationRegs& regs, const mmu::GuestMemory& memory,
                                  uint64_t va) {
    for (const auto kind : {mmu::AccessKind::Read, mmu::AccessKind::Execute})
        for (const bool privileged : {true, false}) {
            const auto walk = mmu::walk(
                regs, memory, va, {.kind = kind, .privileged = privileged, .pan = false, .update = false});
            if (walk.ok()) return walk.pa;
        }
    return std::nullopt;
}
}  // namespace

template <typename Access>
void MachineDebugger::for_each_page(unsigned cpu, uint64_t address, uint64_t bytes, bool physical,
                                    Access&& access) {
    const mmu::TranslationRegs& regs = parts_.cpus.cpu(cpu).cpu().translation;
    for (uint64_t done = 0; done < bytes;) {
        const uint64_t at = address + done;
        const uint64_t step = std::min(bytes - done, kPageSize - (at & ~kPageMask));
        const auto pa = physical ? std::optional(at) : translate(regs, parts_.memory, at);
        if (!pa || !access(*pa, done, step)) return;
        done += step;
    }
}

size_t MachineDebugger::read_memory(unsigned cpu, uint64_t address, std::span<uint8_t> out, bool physical) {
    size_t read = 0;
    const auto dma = parts_.memory.dma();
    for_each_page(cpu, address, out.size(), physical, [&](uint64_t pa, uint64_t offset, uint64_t bytes) {
        bool there = false;
        if (!parts_.memory.contains(pa, bytes)) {
            // Of a device, only if a device is asked for: reading one may change it.
            there = physical && read_device(pa, out.subspan(offset, bytes));
        } else {
            there = true;
            uint8_t* to = out.data() + offset;
            there = parts_.memory.pieces(pa, bytes, false, [&](const uint8_t* host, uint64_t n) {
                there = there && host::touch([&] { std::memcpy(to, host, n); });
                to += n;
            }) && there;
        }
        if (there) read = offset + bytes;
        return there;
    });
    return read;
}

bool MachineDebugger::write_memory(unsigned cpu, uint64_t address, std::span<const uint8_t> in,
                                   bool physical) {
    size_t written = 0;
    for_each_page(cpu, address, in.size(), physical, [&](uint64_t pa, uint64_t offset, uint64_t bytes) {
        bool there = true;
        if (!parts_.memory.contains(pa, bytes)) {
            there = physical && write_device(pa, in.subspan(offset, bytes));
        } else {
            const uint8_t* from = in.data() + offset;
            {
                const auto dma = parts_.memory.dma();
                there = parts_.memory.pieces(pa, bytes, true, [&](uint8_t* host, uint64_t n) {
                    there = there && host::touch([&] { std::memcpy(host, from, n); });
                    from += n;
                }) && there;
            }
            forget_content(pa, bytes);
        }
        if (there) written = offset + bytes;
        return there;
    });
    return written == in.size();
}

/// Words, where they are aligned, as most registers want; else bytes.
bool MachineDebugger::read_device(uint64_t pa, std::span<uint8_t> out) {
    const unsigned step = pa % 4 == 0 && out.size() % 4 == 0 ? 4 : 1;
    for (size_t at = 0; at < out.size(); at += step) {
        uint64_t value = 0;
        if (!parts_.bus.read(pa + at, step, value)) return false;
        std::memcpy(out.data() + at, &value, step);
    }
    return true;
}

bool MachineDebugger::write_device(uint64_t pa, std::span<const uint8_t> in) {
    const unsigned step = pa % 4 == 0 && in.size() % 4 == 0 ? 4 : 1;
    for (size_t at = 0; at < in.size(); at += step) {
        uint64_t value = 0;
        std::memcpy(&value, in.data() + at, step);
        if (!parts_.bus.write(pa + at, step, value)) return false;
    }
    return true;
}

/// What was translated from there, and what was found by tables that may be there.
void MachineDebugger::forget_content(uint64_t pa, uint64_t bytes) {
    const jit::Engine::RetireHold hold(parts_.engine);
    parts_.engine.invalidate(pa, bytes);
    for (CrossCpuWork* work : parts_.cpus.works()) {
        work->post({Request::Kind::ClearJumps}, nullptr);
        work->post({Request::Kind::Tlbi, {.kind = mmu::TlbiRequest::Kind::All}}, nullptr);
    }
}

// ---- Points

bool MachineDebugger::insert(const Point& point) {
    if (point.kind == Point::Kind::Breakpoint) {
        if (point.va % 4 != 0) return false;
        wanted_.insert(point.va);
        return true;
    }
    const Watchpoint watchpoint{point.va, point.bytes, point.kind != Point::Kind::Write,
                                point.kind != Point::Kind::Read};
    if (std::ranges::find(watchpoints_, watchpoint) == watchpoints_.end()) watchpoints_.push_back(watchpoint);
    return true;
}

void MachineDebugger::remove(const Point& point) {
    if (point.kind == Point::Kind::Breakpoint) {
        wanted_.erase(point.va);
        return;
    }
    std::erase(watchpoints_, Watchpoint{point.va, point.bytes, point.kind != Point::Kind::Write,
                                        point.kind != Point::Kind::Read});
}

void MachineDebugger::remove_all() {
    wanted_.clear();
    watchpoints_.clear();
}

/// Debuggers take all breakpoints out whenever the machine stops, and put them back before it goes on: only what differs
/// then costs anything.
void MachineDebugger::apply_breakpoints() {
    if (wanted_ == breakpoints_) return;
    if (!std::ranges::includes(wanted_, breakpoints_)) {
        const jit::Engine::RetireHold hold(parts_.engine);
        parts_.engine.clear_stops();
        for (CrossCpuWork* work : parts_.cpus.works()) work->post({Request::Kind::ClearJumps}, nullptr);
    }
    breakpoints_ = wanted_;
    // FetchUnit finds every page anew.
    for (CrossCpuWork* work : parts_.cpus.works()) work->post({Request::Kind::ForgetCode}, nullptr);
}

/// Those that are only taken out for a step stay out of the soft TLBs.
void MachineDebugger::apply_watchpoints() {
    const bool more = std::ranges::any_of(watchpoints_, [&](const Watchpoint& w) {
        return std::ranges::find(kept_out_, w) == kept_out_.end();
    });
    kept_out_ = watchpoints_;
    if (!more) return;
    for (CrossCpuWork* work : parts_.cpus.works())
        work->post({Request::Kind::Tlbi, {.kind = mmu::TlbiRequest::Kind::All}}, nullptr);
}

// ---- Running

void MachineDebugger::start(bool held) {
    apply_breakpoints();
    apply_watchpoints();
    if (!held) return;
    for (unsigned i = 0; i < cpus(); ++i) parts_.cpus.cpu(i).hold(true);
}

bool MachineDebugger::stop() {
    while (!stopped_) {
        if (!parts_.pause()) return false;
        bool begun = true;
        for (unsigned i = 0; i < cpus(); ++i) {
            begun = begun && parts_.cpus.cpu(i).has_begun();
            started_ = started_ || !parts_.cpus.cpu(i).powered_off();
        }
        // Until resume() no CPU goes on, even if somebody else ends the pause. One that was just powered on is to set its
        // registers, and gets no further.
        for (unsigned i = 0; i < cpus(); ++i) parts_.cpus.cpu(i).hold(true);
        if (begun && started_) {
            stopped_ = true;
            break;
        }
        parts_.go_on();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

void MachineDebugger::resume(std::span<const Action> actions, const StepOptions& step) {
    // A CPU that has an event and is not asked about it meets the same again.
    {
        const std::lock_guard guard(event_lock_);
        events_.clear();
    }
    const bool any_continues = std::ranges::find(actions, Action::Continue) != actions.end();
    if (any_continues) {
        apply_breakpoints();
        apply_watchpoints();
    }
    std::optional<unsigned> stepped_without_power;
    for (unsigned i = 0; i < cpus(); ++i) {
        Vcpu& vcpu = parts_.cpus.cpu(i);
        const bool steps = actions[i] == Action::Step;
        if (steps && vcpu.powered_off()) stepped_without_power = i;
        vcpu.set_step(!steps                 ? Vcpu::Step::None
                      : step.mask_interrupts ? Vcpu::Step::Masked
                                             : Vcpu::Step::Unmasked);
        vcpu.hold(actions[i] == Action::Stand);
    }
    stopped_ = false;
    parts_.go_on();
    if (stepped_without_power) add_event({.cpu = *stepped_without_power});
}

void MachineDebugger::add_event(const Event& event) {
    {
        const std::lock_guard guard(event_lock_);
        events_.push_back(event);
    }
    notify_();
}

std::optional<gdb::DebugTarget::Event> MachineDebugger::take_event() {
    const std::lock_guard guard(event_lock_);
    if (events_.empty()) return std::nullopt;
    const Event event = events_.front();
    events_.pop_front();
    return event;
}

void MachineDebugger::stopped(unsigned cpu, const Stop& stop) {
    Event event{.cpu = cpu};
    switch (stop.why) {
        case Stop::Why::Step: break;
        case Stop::Why::Breakpoint: event.why = Event::Why::Breakpoint; break;
        case Stop::Why::Watchpoint: {
            event.why = Event::Why::Watchpoint;
            const Watchpoint& w = stop.watchpoint;
            event.watchpoint = {!w.reads    ? Point::Kind::Write
                                : !w.writes ? Point::Kind::Read
                                            : Point::Kind::Access,
                                w.va, w.bytes};
            event.address = stop.va;
            break;
        }
    }
    add_event(event);
}

}  // namespace arclight::guestos
