#include "guestos/machine/board/ram_mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace arclight::guestos {

namespace {

/// Nobody who has it can make it smaller, which would take memory away that the guest uses. Negative: there is none, see errno.
int make_file(uint64_t bytes) {
    const int file = memfd_create("guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file >= 0 && (ftruncate(file, static_cast<off_t>(bytes)) != 0 ||
                      fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)) {
        const int error = errno;
        close(file);
        errno = error;
        return -1;
    }
    return file;
}

}  // namespace

Result<std::unique_ptr<RamMapping>> RamMapping::allocate(uint64_t bytes, Sharing sharing) {
    const auto failed = [&](std::string_view why) {
        return failure("cannot get {} MiB of memory for the guest: {}", bytes >> 20, why);
    };
    int file = -1;
    if (sharing == Sharing::Shared && (file = make_file(bytes)) < 0) return failed(std::strerror(errno));
    auto memory = mmu::GuardedMapping::map(bytes, file);
    if (!memory) {
        if (file >= 0) close(file);
        return failed(memory.error());
    }
    madvise(memory->data(), bytes, MADV_HUGEPAGE);
    return std::unique_ptr<RamMapping>(new RamMapping(std::move(*memory), bytes, file));
}

RamMapping::~RamMapping() {
    if (file_ >= 0) close(file_);
}

Result<void> RamMapping::map_file(int file, uint64_t offset) {
    void* const mapped = mmap(memory_.data(), size_, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file, static_cast<off_t>(offset));
    if (mapped == MAP_FAILED) return failure("{}", std::strerror(errno));
    fallible_.reset();
    fallible_.emplace(memory_.data(), size_, "guest memory", host::FallibleMemory::Kind::File);
    return {};
}

}  // namespace arclight::guestos
