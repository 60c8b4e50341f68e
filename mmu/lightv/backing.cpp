#include "mmu/lightv/backing.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "mmu/lightv/parameters.h"

namespace arclight::mmu::lightv {

namespace {
/// Extends the file: an access behind the end of a mapped file raises SIGBUS.
Result<int> open_file(const std::string& path, uint64_t bytes) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return std::unexpected(fmt::format("cannot open '{}': {}", path, strerror(errno)));
    struct stat status {};
    std::string error;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode))
        error = fmt::format("'{}' is not a regular file", path);
    // Allocates the blocks, so that a full file system is an error here.
    else if (const int failed = posix_fallocate(file, 0, static_cast<off_t>(bytes)); failed != 0)
        error = fmt::format("cannot make '{}' {} bytes long: {}", path, bytes, strerror(failed));
    if (error.empty()) return file;
    close(file);
    return std::unexpected(error);
}
}  // namespace

Result<std::unique_ptr<Backing>> Backing::open(const std::string& spec, uint64_t pages) {
    const uint64_t bytes = pages * PageOverlay::kPage;
    int file = -1;
    std::optional<uint64_t> node;
    if (spec.starts_with("file:")) {
        const auto opened = open_file(spec.substr(5), bytes);
        if (!opened) return std::unexpected(opened.error());
        file = *opened;
    } else if (spec.starts_with("node:")) {
        node = parse_number(spec.substr(5));
        if (!node || *node > 63) return std::unexpected(fmt::format("'{}': no such NUMA node", spec));
    } else if (spec != "anonymous") {
        return std::unexpected(fmt::format("'{}' is no memory: say anonymous, file:PATH or node:N", spec));
    }
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   file >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, file, 0);
    const int error = errno;
    if (file >= 0) close(file);
    if (p == MAP_FAILED)
        return std::unexpected(fmt::format("cannot map {} pages of '{}': {}", pages, spec, strerror(error)));
    std::unique_ptr<Backing> backing(
        new Backing(static_cast<uint8_t*>(p), bytes, spec,
                    file >= 0 ? host::FallibleMemory::Kind::File : host::FallibleMemory::Kind::Anonymous));
    if (node) {
        const unsigned long mask = 1ul << *node;
        if (syscall(SYS_mbind, p, bytes, MPOL_BIND, &mask, 64ul, 0ul) != 0)
            return std::unexpected(fmt::format("'{}': {}", spec, strerror(errno)));
    }
    return backing;
}

Backing::~Backing() { munmap(host_, bytes_); }

}  // namespace arclight::mmu::lightv
