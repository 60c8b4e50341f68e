#include "guestos/machine/board/ram_mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "host/page_colours.h"

namespace arclight::guestos {

namespace {

constexpr uint64_t kPage = 4096;
/// Each replaced run may be a mapping of its own, of which the host gives a process 65530.
constexpr unsigned kMaxReplacedRuns = 16384;

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

/// In a process that has chosen colours (`--place colours=`) all pages are there at once, in them, and none is given back.
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
    if (const auto colourer = host::page_colourer(); colourer == nullptr) {
        madvise(memory->data(), bytes, MADV_HUGEPAGE);
    } else if (auto coloured = colourer->colour(memory->data(), bytes); !coloured) {
        return failure("--place colours: {}", coloured.error());
    }
    return std::unique_ptr<RamMapping>(new RamMapping(std::move(*memory), bytes, file));
}

RamMapping::~RamMapping() {
    if (file_ >= 0) close(file_);
}

Result<void> RamMapping::make_host_stage(std::shared_ptr<const mmu::FaultFile> faults) {
    auto stage = mmu::HostStage::create(memory_.data(), size_, file_, std::move(faults));
    if (!stage) return std::unexpected(stage.error());
    stage_ = std::move(*stage);
    return {};
}

/// Holes stay holes, or zeros in memory that is always there.
Result<void> RamMapping::copy_file(int file, uint64_t offset) {
    uint8_t* const to = stage_ != nullptr ? stage_->alias(0) : memory_.data();
    if (stage_ != nullptr)
        madvise(to, size_, MADV_REMOVE);
    else
        std::memset(to, 0, size_);
    const auto end = static_cast<off_t>(offset + size_);
    for (auto at = static_cast<off_t>(offset); at < end;) {
        const off_t data = lseek(file, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) return {};
        if (data < 0) return failure("{}", std::strerror(errno));
        const off_t hole = std::min(lseek(file, data, SEEK_HOLE), end);
        for (at = data; at < hole;) {
            const ssize_t got =
                pread(file, to + (at - static_cast<off_t>(offset)), static_cast<size_t>(hole - at), at);
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) return failure("{}", got < 0 ? std::strerror(errno) : "it ends early");
            at += got;
        }
    }
    return {};
}

Result<void> RamMapping::map_file(int file, uint64_t offset) {
    if (stage_ != nullptr || host::page_colourer() != nullptr) return copy_file(file, offset);
    void* const mapped = mmap(memory_.data(), size_, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file, static_cast<off_t>(offset));
    if (mapped == MAP_FAILED) return failure("{}", std::strerror(errno));
    fallible_.reset();
    fallible_.emplace(memory_.data(), size_, "guest memory", host::FallibleMemory::Kind::File);
    of_file_.assign((size_ + kPage - 1) / kPage, true);
    replaced_runs_ = 0;
    return {};
}

void RamMapping::give_back(std::span<uint8_t> pages) {
    if (host::page_colourer() != nullptr) return;
    if (pages.data() < memory_.data() || pages.data() + pages.size() > memory_.data() + size_) return;
    if (stage_ != nullptr && !stage_->is_own(pages.data(), pages.size())) return;
    if (of_file_.empty()) {
        madvise(pages.data(), pages.size(), file_ >= 0 ? MADV_REMOVE : MADV_DONTNEED);
        return;
    }
    // The private copy of a file's page would become the file's again: such pages are replaced by anonymous ones.
    const auto first = static_cast<uint64_t>(pages.data() - memory_.data()) / kPage,
               end = first + pages.size() / kPage;
    for (uint64_t page = first, next = first; page < end; page = next) {
        const bool of_file = of_file_[page];
        for (next = page + 1; next < end && of_file_[next] == of_file;) ++next;
        uint8_t* const at = memory_.data() + page * kPage;
        const size_t bytes = (next - page) * kPage;
        if (!of_file) {
            madvise(at, bytes, MADV_DONTNEED);
            continue;
        }
        if (replaced_runs_ == kMaxReplacedRuns) continue;
        if (mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
                 -1, 0) == MAP_FAILED)
            continue;
        ++replaced_runs_;
        std::fill(of_file_.begin() + static_cast<ptrdiff_t>(page),
                  of_file_.begin() + static_cast<ptrdiff_t>(next), false);
    }
}

}  // namespace arclight::guestos
