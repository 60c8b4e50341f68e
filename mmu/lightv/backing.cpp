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
#include <utility>

#include "mmu/lightv/parameters.h"

namespace arclight::mmu::lightv {

namespace {
/// Extends the file: an access behind the end of a mapped file raises SIGBUS.
Result<int> open_file(const std::string& path, uint64_t bytes) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return std::unexpected(
            fmt::format("cannot open '{}': {}{}", path, strerror(errno),
                        errno == EACCES ? " (in the sandbox, only files of --lightv-files can be)" : ""));
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

Backing::~Backing() {
    if (file_ >= 0) close(file_);
}

Result<std::unique_ptr<Backing>> Backing::open(const std::string& spec, uint64_t pages, Form form) {
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
    const auto kind = file >= 0 ? host::FallibleMemory::Kind::File : host::FallibleMemory::Kind::Anonymous;
    if (file < 0 && form == Form::File) {
        file = memfd_create("lightv", MFD_CLOEXEC);
        if (file < 0 || ftruncate(file, static_cast<off_t>(bytes)) != 0) {
            const int error = errno;
            if (file >= 0) close(file);
            return failure("cannot get {} pages of memory: {}", pages, strerror(error));
        }
    }
    auto memory = GuardedMapping::map(bytes, file);
    if (!memory) {
        if (file >= 0) close(file);
        return failure("cannot map {} pages of '{}': {}", pages, spec, memory.error());
    }
    if (form == Form::Any && file >= 0) close(std::exchange(file, -1));
    uint8_t* const start = memory->data();
    std::unique_ptr<Backing> backing(new Backing(std::move(*memory), file, spec, kind));
    if (node) {
        const unsigned long mask = 1ul << *node;
        if (syscall(SYS_mbind, start, bytes, MPOL_BIND, &mask, 64ul, 0ul) != 0)
            return std::unexpected(fmt::format("'{}': {}", spec, strerror(errno)));
    }
    return backing;
}

}  // namespace arclight::mmu::lightv
