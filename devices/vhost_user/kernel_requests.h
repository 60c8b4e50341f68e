// Requests of Linux's vhost devices. <linux/vhost.h> is no C++; its structures are those of the protocol that was made after them
// (devices/vhost_user/protocol.h).
#pragma once

#include <sys/ioctl.h>

#include <cstdint>

#include "devices/vhost_user/protocol.h"

namespace arclight::devices::vhost_user::kernel {

inline constexpr unsigned kType = 0xaf;

struct VringFile {
    uint32_t index;
    int32_t file;
};
/// What a table's number has of it: no region.
using TableStart = uint64_t;

inline constexpr unsigned long kGetFeatures = _IOR(kType, 0x00, uint64_t),
                               kSetFeatures = _IOW(kType, 0x00, uint64_t), kSetOwner = _IO(kType, 0x01),
                               kSetMemTable = _IOW(kType, 0x03, TableStart),
                               kSetVringNum = _IOW(kType, 0x10, VringState),
                               kSetVringAddr = _IOW(kType, 0x11, VringAddress),
                               kSetVringBase = _IOW(kType, 0x12, VringState),
                               kGetVringBase = _IOWR(kType, 0x12, VringState),
                               kSetVringKick = _IOW(kType, 0x20, VringFile),
                               kSetVringCall = _IOW(kType, 0x21, VringFile),
                               kSetVringErr = _IOW(kType, 0x22, VringFile),
                               kSetGuestCid = _IOW(kType, 0x60, uint64_t),
                               kSetRunning = _IOW(kType, 0x61, int),
                               kNetSetBackend = _IOW(kType, 0x30, VringFile);

/// Feature bit of the network's, which no driver sees: frames of its back end have no header, and the kernel makes one.
inline constexpr uint64_t kNetHeader = 1ull << 27;

}  // namespace arclight::devices::vhost_user::kernel
