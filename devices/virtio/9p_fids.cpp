#include "devices/virtio/9p_fids.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace arclight::devices::virtio::p9 {

namespace {
constexpr uint32_t kNoFid = ~0u;  // P9_NOFID

size_t bytes_of(const XattrFile& xattr) { return xattr.name.size() + xattr.value.capacity(); }
}  // namespace

size_t descriptors_for_files() {
    constexpr rlim_t kWanted = 1 << 20, kUnknown = 1024;
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kUnknown / 2;
    const rlim_t most = std::max(limit.rlim_cur, std::min(limit.rlim_max, kWanted));
    const rlimit raised{.rlim_cur = most, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    return std::min(limit.rlim_cur, kWanted) / 2;
}

Expected<Fid*> FidTable::find(uint32_t number) {
    const auto found = fids_.find(number);
    if (found == fids_.end()) return std::unexpected(EBADF);
    return &found->second;
}

Status FidTable::can_add(uint32_t number) const {
    if (number == kNoFid || fids_.contains(number)) return std::unexpected(EINVAL);
    if (fids_.size() >= limits_.fids || names_.footprint() >= limits_.name_bytes)
        return std::unexpected(ENFILE);
    return {};
}

Fid& FidTable::add(uint32_t number, NameTree::Name name, uint32_t uid) {
    Fid& fid = fids_[number];
    fid.name = std::move(name);
    fid.uid = uid;
    return fid;
}

Status FidTable::can_open() const {
    if (open_ >= limits_.open) return std::unexpected(EMFILE);
    return {};
}

Status FidTable::can_hold_xattr(uint64_t bytes) const {
    if (xattr_bytes_ + bytes > limits_.xattr_bytes) return std::unexpected(ENOSPC);
    return {};
}

void FidTable::opened(Fid& fid, Descriptor file, int flags, bool directory) {
    fid.file = std::move(file);
    fid.flags = flags;
    fid.directory = directory;
    ++open_;
}

void FidTable::hold_xattr(Fid& fid, std::unique_ptr<XattrFile> xattr) {
    xattr_bytes_ += bytes_of(*xattr);
    fid.xattr = std::move(xattr);
}

void FidTable::remove(uint32_t number) {
    const auto found = fids_.find(number);
    if (found == fids_.end()) return;
    if (found->second.file) --open_;
    if (found->second.xattr) xattr_bytes_ -= bytes_of(*found->second.xattr);
    fids_.erase(found);
}

void FidTable::clear() {
    fids_.clear();
    open_ = 0;
    xattr_bytes_ = 0;
}

}  // namespace arclight::devices::virtio::p9
