#include "devices/virtio/9p_qids.h"

#include <cerrno>

namespace arclight::devices::virtio::p9 {

namespace {
// A number is DEVICE:16 INODE:48. Those that have more bits are counted, as devices 0xffff.
constexpr unsigned kInodeBits = 48;
constexpr uint64_t kMaxInode = (uint64_t{1} << kInodeBits) - 1;
constexpr uint64_t kCounted = 0xffff;
constexpr size_t kMaxDevices = kCounted - 1;
// A host's directory whose inodes are all so large must not fill the memory.
constexpr size_t kMaxCounted = 1 << 20;
}  // namespace

Expected<uint64_t> Qids::number(dev_t device, ino_t inode) {
    auto found = devices_.find(device);
    if (found == devices_.end()) {
        if (!devices_.empty() && policy_ == Multidevs::Forbid) return std::unexpected(ENODEV);
        if (devices_.size() == 1 && policy_ == Multidevs::Warn && warn_) warn_();
        if (devices_.size() >= kMaxDevices) return std::unexpected(ENFILE);
        found = devices_.emplace(device, devices_.size()).first;
    }
    if (policy_ != Multidevs::Remap) return inode;
    if (inode <= kMaxInode) return found->second << kInodeBits | inode;
    const std::pair key(found->second, inode);
    if (!large_.contains(key) && large_.size() >= kMaxCounted) return std::unexpected(ENFILE);
    return kCounted << kInodeBits | large_.emplace(key, large_.size()).first->second;
}

Expected<Qid> Qids::qid(const struct stat& info) {
    const auto path = number(info.st_dev, info.st_ino);
    if (!path) return std::unexpected(path.error());
    Qid qid;
    qid.path = *path;
    qid.version = static_cast<uint32_t>(info.st_mtim.tv_sec) ^ static_cast<uint32_t>(info.st_size << 8);
    if (S_ISDIR(info.st_mode)) qid.type |= Qid::kDirectory;
    if (S_ISLNK(info.st_mode)) qid.type |= Qid::kSymlink;
    return qid;
}

}  // namespace arclight::devices::virtio::p9
