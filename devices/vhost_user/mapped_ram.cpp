#include "devices/vhost_user/mapped_ram.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <utility>

#include "mmu/guarded_mapping.h"

namespace arclight::devices::vhost_user {

namespace {

constexpr uint64_t kHostPage = 4096;

/// Of a file system that another process answers for (FUSE), or of a disk, each access could take as long as that likes.
Result<void> check_file(const Region& region, int file) {
    struct stat about {};
    struct statfs system {};
    if (fstat(file, &about) != 0 || fstatfs(file, &system) != 0)
        return failure("a file of its memory cannot be looked at: {}", std::strerror(errno));
    const auto type = static_cast<uint64_t>(system.f_type);
    if (!S_ISREG(about.st_mode) || (type != TMPFS_MAGIC && type != HUGETLBFS_MAGIC))
        return failure("its memory is no memory file");
    const auto size = static_cast<uint64_t>(about.st_size);
    if (region.file_offset % kHostPage != 0 || region.file_offset > size ||
        region.size > size - region.file_offset)
        return failure("its memory is not in the file");
    return {};
}

bool is_sealed(int file) {
    const int seals = fcntl(file, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

}  // namespace

Result<std::unique_ptr<MappedRam>> MappedRam::map(std::span<const Region> regions,
                                                  std::span<const int> files) {
    if (regions.empty() || regions.size() > kMaxRegions || regions.size() != files.size())
        return failure("its memory has {} regions and {} files", regions.size(), files.size());
    std::vector<size_t> order(regions.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::sort(order, {}, [&](size_t i) { return regions[i].guest_address; });
    uint64_t next = regions[order.front()].guest_address, bytes = 0;
    for (const size_t i : order) {
        const Region& region = regions[i];
        if (region.size == 0 || region.size % kHostPage != 0 || region.guest_address % kHostPage != 0 ||
            region.size > kMaxBytes - bytes || region.guest_address > ~region.size ||
            region.user_address > ~region.size)
            return failure("its memory is of a size or at an address that cannot be");
        if (region.guest_address != next) return failure("its memory has a gap at {:#x}", next);
        if (auto good = check_file(region, files[i]); !good) return std::unexpected(good.error());
        next += region.size;
        bytes += region.size;
    }
    const size_t reserved_bytes = bytes + 2 * mmu::kGuardBytes;
    void* const reserved =
        mmap(nullptr, reserved_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) return failure("no room for its memory: {}", std::strerror(errno));
    std::vector<Region> sorted;
    for (const size_t i : order) sorted.push_back(regions[i]);
    std::unique_ptr<MappedRam> ram(
        new MappedRam(static_cast<uint8_t*>(reserved), reserved_bytes, std::move(sorted)));
    bool sealed = true;
    for (const size_t i : order) {
        uint8_t* const place = ram->memory_.host_base() + (regions[i].guest_address - ram->memory_.base());
        sealed = sealed && is_sealed(files[i]);
        if (mmap(place, regions[i].size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, files[i],
                 static_cast<off_t>(regions[i].file_offset)) == MAP_FAILED)
            return failure("its memory cannot be mapped: {}", std::strerror(errno));
    }
    ram->fallible_.emplace(ram->memory_.host_base(), bytes, "the memory of a machine that is served",
                           sealed ? host::FallibleMemory::Kind::Anonymous : host::FallibleMemory::Kind::File);
    return ram;
}

MappedRam::MappedRam(uint8_t* reserved, size_t reserved_bytes, std::vector<Region> regions)
    : reserved_(reserved),
      reserved_bytes_(reserved_bytes),
      regions_(std::move(regions)),
      memory_(reserved + mmu::kGuardBytes, regions_.front().guest_address,
              reserved_bytes - 2 * mmu::kGuardBytes) {}

MappedRam::~MappedRam() {
    fallible_.reset();
    munmap(reserved_, reserved_bytes_);
}

std::optional<uint64_t> MappedRam::guest_address(uint64_t user) const {
    for (const Region& region : regions_)
        if (user >= region.user_address && user - region.user_address < region.size)
            return region.guest_address + (user - region.user_address);
    return {};
}

}  // namespace arclight::devices::vhost_user
