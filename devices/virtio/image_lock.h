#pragma once

#include <cstdint>
#include <expected>
#include <string>

namespace arclight::devices::virtio {

/// QEMU's words of `file.locking`.
enum class ImageLocking : uint8_t {
    Auto,  ///< lock; file systems that have no locks are let pass
    On,    ///< lock or fail
    Off,
};

struct ImageUse {
    bool writes;
    bool grows;  ///< the file may become longer
};

/// Locks an image until its descriptor is closed, so that no two programs write it, nor one reads what another
/// writes: for QEMU and Arclight by the bytes that QEMU locks (open file description locks), for others by flock.
/// An error says who is in the way, without the image's name.
std::expected<void, std::string> lock_image(int fd, ImageUse use, ImageLocking locking);

/// Why a block device must not be read as a disk: a file system on it is mounted and written. Empty: none is.
/// `mounts` is a file like /proc/self/mountinfo.
std::string mounted_for_writing(unsigned device_major, unsigned device_minor, const std::string& mounts);

}  // namespace arclight::devices::virtio
