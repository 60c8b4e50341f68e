#include "guestos/machine/cpu/hand_over.h"

#include <sys/rseq.h>

#include <cstddef>

namespace arclight::guestos {

void LastCore::adopt() {
    if (__rseq_size == 0) return;  // the kernel has none, or glibc was told not to
    const auto* area = static_cast<const char*>(__builtin_thread_pointer()) + __rseq_offset;
    const std::lock_guard guard(lock_);
    core_ = reinterpret_cast<const uint32_t*>(area + offsetof(struct rseq, cpu_id));
}

void LastCore::release() {
    const std::lock_guard guard(lock_);
    core_ = nullptr;
}

// Many CPUs that wait ask at once: none of them may wait for this, which leaves the core (and the virtual machine).
int LastCore::get() const {
    const std::unique_lock guard(lock_, std::try_to_lock);
    if (!guard.owns_lock()) return -1;
    // Negative values are the kernel's for "not registered".
    return core_ == nullptr ? -1 : static_cast<int>(__atomic_load_n(core_, __ATOMIC_RELAXED));
}

}  // namespace arclight::guestos
