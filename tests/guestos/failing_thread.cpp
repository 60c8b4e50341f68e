// Preloaded by failures.py: one thread of the program, by its name, runs out of memory or crashes at its first allocation after
// FAIL_AFTER others, once the file FAIL_WHEN is there.
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

std::atomic<long> passed{0};
thread_local char own_name[16] = "main";

enum class How { Memory, Throw, Crash };

How how() {
    const char* const word = std::getenv("FAIL_HOW");
    if (word != nullptr && std::strcmp(word, "crash") == 0) return How::Crash;
    return word != nullptr && std::strcmp(word, "throw") == 0 ? How::Throw : How::Memory;
}

/// From then on, but a crash is one.
bool is_the_one() {
    static const char* const wanted = std::getenv("FAIL_THREAD");
    static const char* const after = std::getenv("FAIL_AFTER");
    static const long allowed = after != nullptr ? std::atol(after) : 0;
    if (wanted == nullptr) return false;
    if (std::strcmp(own_name, wanted) != 0) return false;
    static const char* const when = std::getenv("FAIL_WHEN");
    struct stat about {};
    if (when != nullptr && stat(when, &about) != 0) return false;
    const long before = passed++;
    return how() == How::Crash ? before == allowed : before >= allowed;
}

}  // namespace

// By which each thread of the program names itself; the sandbox lets it do that, and not ask.
extern "C" int pthread_setname_np(pthread_t, const char* name) {
    std::strncpy(own_name, name, sizeof own_name - 1);
    return prctl(PR_SET_NAME, name);
}

void* operator new(std::size_t bytes) {
    if (is_the_one()) {
        if (how() == How::Crash) *static_cast<volatile int*>(nullptr) = 1;
        if (how() == How::Throw) throw 7;
        throw std::bad_alloc();
    }
    if (void* memory = std::malloc(bytes != 0 ? bytes : 1); memory != nullptr) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
