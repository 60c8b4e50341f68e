#include "devices/vfio/function.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

namespace arclight::devices::vfio {

namespace {

/// What of the guest's command the device gets. Its memory and ports stay switched on, and its pin enabled: nothing of them reaches
/// the guest if the guest does not want it.
constexpr uint32_t kForwarded = pci::kCommandBusMaster | pci::kCommandParity | pci::kCommandSystemError;
constexpr uint32_t kAlwaysOn = pci::kCommandPorts | pci::kCommandMemory;

constexpr unsigned kPowerState = 4;  // PCI Bus Power Management Interface Specification 1.2 section 3.2.4
constexpr uint32_t kPowerStateMask = 3;

std::optional<HostDevice::Interrupt> kind_of(auto mode) {
    using Mode = decltype(mode);
    switch (mode) {
        case Mode::None: break;
        case Mode::Pin: return HostDevice::Interrupt::Pin;
        case Mode::Msi: return HostDevice::Interrupt::Msi;
        case Mode::Msix: return HostDevice::Interrupt::Msix;
    }
    return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<Function>> Function::make(std::shared_ptr<HostDevice> device, EventLoop& loop,
                                                 const mmu::GuestMemory& memory, MachineHost* host) {
    // Whatever it did before, it does not do it to the guest's memory.
    device->reset();
    const std::vector<uint8_t> raw = device->config();
    std::unique_ptr<Function> function(new Function(std::move(device), loop, host, ConfigView(raw), raw));
    if (auto opened = function->open_events(); !opened) return std::unexpected(opened.error());
    auto dma = function->device_->container().map(memory);
    if (!dma) return std::unexpected(dma.error());
    function->dma_ = std::move(*dma);
    return function;
}

Function::Function(std::shared_ptr<HostDevice> device, EventLoop& loop, MachineHost* host, ConfigView view,
                   const std::vector<uint8_t>& raw)
    : pci::Function(view.identity),
      device_(std::move(device)),
      loop_(loop),
      host_(host),
      view_(std::move(view)),
      table_(msix_place(view_)),
      forwarded_(kAlwaysOn) {
    show_config();
    add_bars(raw);
    if (table_) use_msix(view_.msix, table_->vectors);
    if (view_.msi != 0)
        msi_.emplace(config(), view_.msi, device_->interrupts(HostDevice::Interrupt::Msi),
                     [this](uint64_t address, uint32_t data) { send_message(address, data); });
    // The state is the guest's alone: the device stays awake, since what is mapped of one that sleeps cannot be accessed.
    if (view_.power != 0) {
        const uint32_t control = config().get(view_.power + kPowerState, 2);
        config().set(view_.power + kPowerState, control & ~kPowerStateMask, 2);
        config().allow(view_.power + kPowerState, kPowerStateMask, 2);
    }
    finish_config();
}

Function::~Function() {
    for (const File& event : events_) loop_.remove_fd(event.get());
    end_mode();
    device_->config_write(pci::kRegCommand, kAlwaysOn, 2);
    device_->reset();
}

Result<void> Function::open_events() {
    const unsigned count = std::max({1u, table_ ? table_->vectors : 0, msi_ ? pci::Msi::kMaxVectors : 0});
    for (unsigned i = 0; i < count; i++) {
        File event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        if (event.get() < 0)
            return failure("no event for interrupt {} of {}: {}", i, count, std::strerror(errno));
        if (!loop_.add_fd(event.get(), EPOLLIN, [this, i](uint32_t) { signalled(i); }))
            return failure("no event for interrupt {} of {}", i, count);
        events_.push_back(std::move(event));
    }
    return {};
}

void Function::show_config() {
    for (unsigned at = 0; at < ConfigView::kSize; at++)
        if (at >= 0x40 || view_.bytes[at] != 0) config().set(at, view_.bytes[at], 1);
}

void Function::add_bars(const std::vector<uint8_t>& raw) {
    constexpr uint64_t kLeastPorts = 4, kLeastMemory = 16;
    for (unsigned i = 0; i < HostDevice::kBars; i++) {
        const uint64_t size = device_->bar_size(i);
        const pci::BarKind kind = bar_kind(raw, i);
        if (!std::has_single_bit(size) || size < (kind == pci::BarKind::Ports ? kLeastPorts : kLeastMemory))
            continue;
        add_bar(i, kind, size);
        if (kind == pci::BarKind::Memory64 || kind == pci::BarKind::Memory64Prefetchable) i++;
    }
}

void Function::placed(bool behind_root_port) {
    if (behind_root_port) return;
    const auto bytes = view_.integrate_endpoint();
    for (unsigned at = bytes.first; at < bytes.end; at++) config().set(at, view_.bytes[at], 1);
    finish_config();
}

// ---- Configuration space

uint32_t Function::config_read(unsigned offset, unsigned size) {
    uint32_t value = pci::Function::config_read(offset, size);
    if (msi_ && msi_->pending_register() != 0)
        for (unsigned i = 0; i < size; i++)
            if (const unsigned at = offset + i - msi_->pending_register(); at < 4)
                value |= (msi_->pending() >> (at * 8) & 0xff) << (i * 8);
    if (!view_.is_hardware(offset, size)) return value;
    const uint32_t own = device_->config_read(offset, size);
    for (unsigned i = 0; i < size; i++) {
        if (!view_.hardware[offset + i]) continue;
        uint32_t byte = own >> (i * 8) & 0xff;
        // Of the status, the interrupt is this machine's.
        if (offset + i == pci::kRegStatus)
            byte = (byte & ~uint32_t{pci::kStatusInterrupt}) | (value >> (i * 8) & pci::kStatusInterrupt);
        value = (value & ~(0xffu << (i * 8))) | byte << (i * 8);
    }
    return value;
}

void Function::config_write(unsigned offset, uint32_t value, unsigned size) {
    if (view_.is_hardware(offset, size)) {
        const auto first = view_.hardware.begin() + offset;
        if (std::all_of(first, first + size, [](bool own) { return own; })) {
            device_->config_write(offset, value, size);
        } else {
            for (unsigned i = 0; i < size; i++)
                if (view_.hardware[offset + i]) device_->config_write(offset + i, value >> (i * 8) & 0xff, 1);
        }
    }
    pci::Function::config_write(offset, value, size);
    if (!msi_ || !msi_->contains(offset, size)) return;
    msi_->take_up();
    choose_mode();
}

void Function::control_changed() {
    forward_command();
    choose_mode();
}

void Function::forward_command() {
    uint32_t wanted = (command() & kForwarded) | kAlwaysOn;
    if (!bus_master()) wanted &= ~uint32_t{pci::kCommandBusMaster};
    if (wanted != forwarded_) device_->config_write(pci::kRegCommand, wanted, 2);
    forwarded_ = wanted;
}

void Function::reset_device_state() {
    end_mode();
    device_->reset();
    forwarded_ = kAlwaysOn;
    if (msi_) msi_->take_up();
}

// ---- BARs

std::optional<uint64_t> Function::msix_offset(unsigned bar, uint64_t offset, unsigned size) const {
    if (!table_) return std::nullopt;
    const uint64_t table_bytes = table_->vectors * pci::Msix::kEntryBytes;
    const uint64_t pending_bytes = (table_->vectors + 63) / 64 * 8;
    const auto overlaps = [&](uint64_t base, uint64_t bytes) {
        return offset < base + bytes && base < offset + size;
    };
    // One that begins before it reaches what no register of either is.
    if (bar == table_->table_bar && overlaps(table_->table, table_bytes)) return offset - table_->table;
    if (bar == table_->pending_bar && overlaps(table_->pending, pending_bytes))
        return table_bytes + (offset - table_->pending);
    return std::nullopt;
}

uint64_t Function::bar_read(unsigned bar, uint64_t offset, unsigned size) {
    if (const auto place = msix_offset(bar, offset, size)) return msix()->read(*place, size);
    const uint64_t value = device_->bar_read(bar, offset, size);
    pin_served();
    return value;
}

void Function::bar_write(unsigned bar, uint64_t offset, uint64_t value, unsigned size) {
    if (const auto place = msix_offset(bar, offset, size)) return msix()->write(*place, value, size);
    device_->bar_write(bar, offset, value, size);
    pin_served();
}

// ---- Interrupts

void Function::choose_mode() {
    Mode wanted = Mode::None;
    if (msix() != nullptr && msix()->enabled())
        wanted = Mode::Msix;
    else if (msi_ && msi_->enabled())
        wanted = Mode::Msi;
    else if (device_->interrupts(HostDevice::Interrupt::Pin) != 0)
        wanted = Mode::Pin;
    if (wanted == mode_) return;
    end_mode();
    begin(wanted);
}

void Function::begin(Mode mode) {
    const auto kind = kind_of(mode);
    if (!kind) return;
    std::vector<int> files;
    const unsigned count = mode == Mode::Msix ? table_->vectors : mode == Mode::Msi ? msi_->vectors() : 1;
    for (unsigned i = 0; i < std::min<size_t>(count, events_.size()); i++) files.push_back(events_[i].get());
    mode_ = mode;
    const auto started = device_->start(*kind, files);
    if (started) return;
    mode_ = Mode::None;
    if (host_ == nullptr || std::exchange(told_, true)) return;
    host_->say(fmt::format("vfio-pci {}: {}", device_->address(), started.error()));
}

void Function::end_mode() {
    const auto kind = kind_of(mode_.exchange(Mode::None));
    if (!kind) return;
    device_->stop(*kind);
    const std::lock_guard guard(pin_lock_);
    pin_raised_ = false;
    set_interrupt(false);
}

void Function::signalled(unsigned event) {
    uint64_t count = 0;
    if (read(events_[event].get(), &count, sizeof count) != sizeof count) return;
    switch (mode_) {
        case Mode::None: break;
        case Mode::Msix: msix()->raise(event); break;
        case Mode::Msi: msi_->raise(event); break;
        case Mode::Pin: {
            const std::lock_guard guard(pin_lock_);
            if (mode_ != Mode::Pin) return;
            pin_raised_ = true;
            set_interrupt(true);
            break;
        }
    }
}

/// The host has masked the pin. Nothing tells when the guest has dealt with it; but until then the driver accesses the device, and if
/// it still asks for an interrupt when the pin is unmasked, the host tells again at once.
void Function::pin_served() {
    if (!pin_raised_.load(std::memory_order_relaxed)) return;
    const std::lock_guard guard(pin_lock_);
    if (!pin_raised_.exchange(false)) return;
    set_interrupt(false);
    device_->unmask_pin();
}

// ---- State

void Function::save_device(StateWriter& out) const {
    out.fail(fmt::format("vfio-pci {}: a device of the host's cannot be saved", device_->address()));
}

StateResult Function::load_device(StateReader&) {
    return failure("vfio-pci {}: a device of the host's cannot be given a state", device_->address());
}

}  // namespace arclight::devices::vfio
