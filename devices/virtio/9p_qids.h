// The number by which the guest knows a file, from the two by which the host does.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "devices/virtio/9p_folder.h"
#include "devices/virtio/9p_wire.h"

namespace arclight::devices::virtio::p9 {

/// What is done when the shared directory has files of several devices (file systems), whose inode numbers may be the same.
/// QEMU's words of `multidevs`.
enum class Multidevs : uint8_t {
    Remap,   ///< numbers are made different
    Forbid,  ///< files of other devices are ENODEV
    Warn,    ///< one line for the user
};

class Qids {
  public:
    /// `warn` is called once at most.
    Qids(Multidevs policy, std::function<void()> warn) : policy_(policy), warn_(std::move(warn)) {}

    /// `info`: as the guest sees the file, with the host's device and inode. The shared directory itself comes first.
    Expected<Qid> qid(const struct stat& info);

  private:
    Expected<uint64_t> number(dev_t device, ino_t inode);

    const Multidevs policy_;
    std::function<void()> warn_;
    /// By order of appearance; the first one's inode numbers stay as they are.
    std::map<dev_t, uint64_t> devices_;
    /// For inode numbers that leave no room for a device's.
    std::map<std::pair<uint64_t, ino_t>, uint64_t> large_;
};

}  // namespace arclight::devices::virtio::p9
