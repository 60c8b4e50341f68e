#include "devices/pci/config_space.h"

namespace arclight::devices::pci {

namespace {

void put(std::vector<uint8_t>& bytes, unsigned offset, uint32_t value, unsigned size) {
    for (unsigned i = 0; i < size; i++) bytes[offset + i] = static_cast<uint8_t>(value >> (i * 8));
}

}  // namespace

uint32_t ConfigSpace::get(unsigned offset, unsigned size) const {
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++) value |= static_cast<uint32_t>(bytes_[offset + i]) << (i * 8);
    return value;
}

void ConfigSpace::set(unsigned offset, uint32_t value, unsigned size) { put(bytes_, offset, value, size); }

void ConfigSpace::allow(unsigned offset, uint32_t mask, unsigned size) { put(writable_, offset, mask, size); }

void ConfigSpace::allow_clear(unsigned offset, uint32_t mask, unsigned size) {
    put(cleared_, offset, mask, size);
}

void ConfigSpace::write(unsigned offset, uint32_t value, unsigned size) {
    for (unsigned i = 0; i < size; i++) {
        const auto byte = static_cast<uint8_t>(value >> (i * 8));
        uint8_t& old = bytes_[offset + i];
        const uint8_t writable = writable_[offset + i];
        old = static_cast<uint8_t>((old & ~writable) | (byte & writable));
        old = static_cast<uint8_t>(old & ~(byte & cleared_[offset + i]));
    }
}

unsigned ConfigSpace::add_capability(uint8_t id, unsigned size) {
    const unsigned at = next_capability_;
    next_capability_ += size;
    set(kRegStatus, get(kRegStatus, 2) | kStatusCapabilities, 2);
    set(last_link_, at, 1);
    set(at, id, 1);
    last_link_ = at + 1;
    return at;
}

void ConfigSpace::load(StateReader& in, std::vector<uint8_t>& loaded) const {
    in.bytes(loaded, kSize);
    in.require(loaded.size() == kSize, "a configuration space of another size");
    if (!in.ok()) return;
    for (unsigned i = 0; i < kSize; i++)
        in.require(((loaded[i] ^ initial_[i]) & ~(writable_[i] | cleared_[i])) == 0,
                   "the configuration space of another function");
}

}  // namespace arclight::devices::pci
