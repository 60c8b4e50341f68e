#include "devices/pci/msi.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace arclight::devices::pci {

namespace {

// 6.8.1.3: Message Control.
constexpr unsigned kControl = 2;
constexpr uint16_t kEnable = 1u << 0;
constexpr unsigned kCapableShift = 1, kEnabledShift = 4;
constexpr uint16_t kCountMask = 7;
constexpr uint16_t k64Bit = 1u << 7;
constexpr uint16_t kMaskable = 1u << 8;

constexpr unsigned kAddress = 4, kUpperAddress = 8;

unsigned data_register(uint16_t control) { return (control & k64Bit) != 0 ? 0x0c : 0x08; }
unsigned mask_register(uint16_t control) { return data_register(control) + 4; }

}  // namespace

unsigned Msi::size(uint16_t control) {
    if ((control & kMaskable) != 0) return mask_register(control) + 8;
    return data_register(control) + 2;
}

Msi::Msi(ConfigSpace& space, unsigned at, unsigned vectors, Send send)
    : space_(space), at_(at), send_(std::move(send)) {
    auto control = static_cast<uint16_t>(space.get(at + kControl, 2));
    const unsigned there =
        std::min({vectors, kMaxVectors, 1u << std::min(control >> kCapableShift & kCountMask, 5)});
    const auto exponent = static_cast<unsigned>(std::bit_width(std::max(there, 1u)) - 1);
    most_ = 1u << exponent;
    control = static_cast<uint16_t>((control & (k64Bit | kMaskable)) | exponent << kCapableShift);
    size_ = size(control);
    for (unsigned i = kAddress; i < size_; i++) space.set(at + i, 0, 1);
    space.set(at + kControl, control, 2);
    space.allow(at + kControl, kEnable | kCountMask << kEnabledShift, 2);
    space.allow(at + kAddress, ~3u, 4);
    if ((control & k64Bit) != 0) space.allow(at + kUpperAddress, ~0u, 4);
    space.allow(at + data_register(control), 0xffff, 2);
    if ((control & kMaskable) == 0) return;
    space.allow(at + mask_register(control), ~0u, 4);
    pending_register_ = at + mask_register(control) + 4;
}

bool Msi::contains(unsigned offset, unsigned bytes) const {
    return offset < at_ + size_ && offset + bytes > at_;
}

void Msi::take_up() {
    const auto control = static_cast<uint16_t>(space_.get(at_ + kControl, 2));
    Message now;
    now.address = space_.get(at_ + kAddress, 4);
    if ((control & k64Bit) != 0)
        now.address |= static_cast<uint64_t>(space_.get(at_ + kUpperAddress, 4)) << 32;
    now.data = space_.get(at_ + data_register(control), 2);
    if ((control & kMaskable) != 0) now.masked = space_.get(at_ + mask_register(control), 4);
    if ((control & kEnable) != 0)
        now.vectors = std::min(most_, 1u << std::min(control >> kEnabledShift & kCountMask, 5));
    const std::lock_guard guard(lock_);
    message_ = now;
    if (now.vectors == 0) pending_ = 0;
    for (uint32_t open = pending_ & ~now.masked; open != 0; open &= open - 1)
        send(static_cast<unsigned>(std::countr_zero(open)));
    pending_ &= now.masked;
}

bool Msi::enabled() const { return vectors() != 0; }

unsigned Msi::vectors() const {
    const std::lock_guard guard(lock_);
    return message_.vectors;
}

uint32_t Msi::pending() const {
    const std::lock_guard guard(lock_);
    return pending_;
}

void Msi::raise(unsigned vector) {
    const std::lock_guard guard(lock_);
    if (vector >= message_.vectors) return;
    if ((message_.masked >> vector & 1) != 0)
        pending_ |= 1u << vector;
    else
        send(vector);
}

// The function's number replaces the low bits that the driver has left to it (6.8.1.4).
void Msi::send(unsigned vector) {
    send_(message_.address, (message_.data & ~(message_.vectors - 1)) | vector);
}

}  // namespace arclight::devices::pci
