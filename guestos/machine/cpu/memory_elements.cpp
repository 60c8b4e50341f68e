// Elements of scalable vectors: at the host's speed where the soft TLB knows the page, else on the slow path.
#include <cstring>

#include "frontend/a64/system/exceptions.h"
#include "frontend/a64/translation_flags.h"
#include "guestos/machine/cpu/memory_path.h"
#include "host/memory_fault.h"

namespace arclight::guestos {

namespace a64 = frontend::a64;
using jit::MemoryAccess;
using jit::MemoryKind;

namespace {
/// One access of the size, as other CPUs see it.
void copy_element(void* to, const void* from, unsigned size) {
    switch (size) {
        case 0: std::memcpy(to, from, 1); break;
        case 1: std::memcpy(to, from, 2); break;
        case 2: std::memcpy(to, from, 4); break;
        default: std::memcpy(to, from, 8); break;
    }
}
}  // namespace

/// Where 1 << size bytes are, if they are in one page that the soft TLB knows and nothing asks for their alignment.
uint8_t* MemoryPath::cached_element(uint64_t va, unsigned size, bool write) const {
    const uint64_t beyond = (uint64_t{1} << size) - 1;
    if ((va & beyond) != 0 && ((state_.translation_flags & a64::translation_flag::kAlignCheck) != 0 ||
                               ((va ^ (va + beyond)) & mmu::kPageMask) != 0))
        return nullptr;
    return cached(va, beyond + 1, write, false);
}

MemoryPath::Outcome MemoryPath::element(MemoryKind kind, uint64_t va, unsigned size) {
    const bool aligned = (state_.translation_flags & a64::translation_flag::kAlignCheck) != 0;
    state_.access_addr = va;
    return finish({.kind = kind, .aux = size | (aligned ? jit::ir::kMemAligned : 0)}, nullptr);
}

bool MemoryPath::load(uint64_t va, unsigned size, uint64_t& value) {
    if (const uint8_t* host = cached_element(va, size, false);
        host != nullptr && host::touch([&] { copy_element(&value, host, size); }))
        return true;
    const Outcome outcome = element(MemoryKind::Load, va, size);
    if (outcome.kind != Outcome::Kind::Done) {
        raise(outcome, core_.helper_pc());
        return false;
    }
    value = state_.access_value[0];
    return true;
}

bool MemoryPath::store(uint64_t va, unsigned size, uint64_t value) {
    if (uint8_t* host = cached_element(va, size, true);
        host != nullptr && host::touch([&] { copy_element(host, &value, size); }))
        return true;
    state_.access_value[0] = value;
    const Outcome outcome = element(MemoryKind::Store, va, size);
    if (outcome.kind == Outcome::Kind::Done) return true;
    raise(outcome, core_.helper_pc());
    return false;
}

bool MemoryPath::try_load(uint64_t va, unsigned size, uint64_t& value) {
    if (const uint8_t* host = cached_element(va, size, false);
        host != nullptr && host::touch([&] { copy_element(&value, host, size); }))
        return true;
    // No device may notice: both ends of the access must be in memory.
    for (const uint64_t end : {va, va + (uint64_t{1} << size) - 1}) {
        Target target;
        uint8_t fsc = 0;
        if (!translate(end, false, false, target, fsc) || target.host == nullptr || target.device_memory)
            return false;
    }
    const Outcome outcome = element(MemoryKind::Load, va, size);
    debug_hit_.reset();
    if (outcome.kind != Outcome::Kind::Done) return false;
    value = state_.access_value[0];
    return true;
}

void MemoryPath::undefined() {
    a64::take_undefined(cpu_, core_.helper_pc());
    core_.exit_redirected();
}

}  // namespace arclight::guestos
