#include "host/translated_access.h"

#include <atomic>
#include <cerrno>

namespace arclight::host {

namespace {
std::atomic<TranslatedAccess> hook{nullptr};
}

void set_translated_access_hook(TranslatedAccess function) { hook = function; }

bool handle_translated_access(const void* address, uint64_t* pc) {
    const TranslatedAccess ask = hook;
    if (ask == nullptr) return false;
    const int error = errno;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a register is a number
    const void* next = ask(reinterpret_cast<const void*>(*pc), address);
    errno = error;
    if (next == nullptr) return false;
    *pc = reinterpret_cast<uint64_t>(next);
    return true;
}

}  // namespace arclight::host
