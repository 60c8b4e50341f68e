#include "backend/x64/code_views.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3
#endif

namespace arclight::backend {

namespace {
#ifdef __SANITIZE_THREAD__
// ThreadSanitizer leaves programs a few ranges of addresses, and turns a request for another one into one for
// address 0.
constexpr uint64_t kLowest = 0x10'0000'0000, kHighest = 0x70'0000'0000;
#else
// Below what the kernel gives to programs, their libraries and heaps, and above AddressSanitizer's shadow memory: 24 bits of
// randomness.
constexpr uint64_t kLowest = 0x2000'0000'0000, kHighest = 0x5000'0000'0000;
#endif
constexpr uint64_t kUnit = uint64_t{2} << 20;
constexpr size_t kPage = 4096;
constexpr unsigned kAttempts = 64;
constexpr int kCollapse = 25;  // MADV_COLLAPSE, Linux 6.1

[[noreturn]] void fail() {
    throw std::system_error(errno, std::generic_category(), "cannot map memory for translated code");
}

struct Memory {
    int fd = -1;
    ~Memory() {
        if (fd >= 0) close(fd);
    }
};

/// Address space at a random address, with no access.
uint8_t* reserve(size_t bytes) {
    for (unsigned k = 0; k < kAttempts; ++k) {
        uint64_t random;
        if (getrandom(&random, sizeof random, 0) != ssize_t{sizeof random}) {
            if (errno == EINTR) continue;
            fail();
        }
        const uint64_t address = kLowest + random % ((kHighest - kLowest - bytes) / kUnit) * kUnit;
        // NOLINTNEXTLINE(performance-no-int-to-ptr): a random address is a number
        void* p = mmap(reinterpret_cast<void*>(address), bytes, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        if (p != MAP_FAILED) return static_cast<uint8_t*>(p);
        if (errno != EEXIST) fail();
    }
    fail();
}

void map(uint8_t* at, size_t bytes, int protection, const Memory& memory, size_t offset) {
    if (bytes != 0 && mmap(at, bytes, protection, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, memory.fd,
                           static_cast<off_t>(offset)) == MAP_FAILED)
        fail();
}
}  // namespace

CodeViews map_code(size_t bytes, const DataPart& data) {
    constexpr const char* kName = "arclight-code";
    // Nobody can execute it as a file, where the kernel knows of that.
    Memory memory{memfd_create(kName, MFD_CLOEXEC | MFD_NOEXEC_SEAL)};
    if (memory.fd < 0 && errno == EINVAL) memory.fd = memfd_create(kName, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory.fd < 0 || ftruncate(memory.fd, static_cast<off_t>(bytes)) != 0) fail();
    uint8_t* writable = reserve(bytes);
    uint8_t* executable = reserve(bytes);
    map(writable, bytes, PROT_READ | PROT_WRITE, memory, 0);
    map(executable + data.from, data.bytes, PROT_READ | PROT_WRITE, memory, data.from);
    // No other mapping will be writable, and the memory keeps its size. Older kernels lack the first of the seals.
    constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;
    if (fcntl(memory.fd, F_ADD_SEALS, kSeals | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0 &&
        fcntl(memory.fd, F_ADD_SEALS, kSeals | F_SEAL_SEAL) != 0)
        fail();
    const size_t behind = data.from + data.bytes;
    map(executable, data.from, PROT_READ | PROT_EXEC, memory, 0);
    map(executable + behind, bytes - behind, PROT_READ | PROT_EXEC, memory, behind);
    return {executable, writable};
}

void populate_code(const CodeViews& part, size_t bytes) {
    // One huge page for both views, which saves misses of the host's TLB. It needs a page to start from.
    const bool huge = bytes % kUnit == 0 && madvise(part.writable, kPage, MADV_POPULATE_WRITE) == 0 &&
                      madvise(part.writable, bytes, kCollapse) == 0;
    if (!huge) (void)madvise(part.writable, bytes, MADV_POPULATE_WRITE);
    (void)madvise(const_cast<uint8_t*>(part.executable), bytes, MADV_POPULATE_READ);
}

void unmap_code(const CodeViews& views, size_t bytes) {
    munmap(views.writable, bytes);
    munmap(const_cast<uint8_t*>(views.executable), bytes);
}

}  // namespace arclight::backend
