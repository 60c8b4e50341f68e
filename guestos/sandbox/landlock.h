// Which files the process can open: by Landlock (Linux's Documentation/userspace-api/landlock.rst), for good and for all
// threads that start later.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "mmu/result.h"

namespace arclight::guestos::sandbox {

/// What may be done with one file, or with all below a directory.
struct FileGrant {
    enum Access : unsigned {
        kRead = 1,
        kWrite = 2,        ///< and truncate
        kDevice = 4,       ///< ioctl() on a device
        kList = 8,         ///< read the directory
        kMake = 16,        ///< make files
        kRemove = 32,      ///< remove files, and with kMake rename them
        kMakeSocket = 64,  ///< Unix sockets
        kTree =
            128,  ///< make directories, links, pipes and sockets, and move and remove any of them; no devices
        kMove = 256  ///< with kMake and kRemove: rename files into other directories that have it too (ABI 2)
    };
    std::string path;
    unsigned access = 0;
};

/// 0: the kernel has no Landlock, or it is turned off.
int landlock_abi();

/// What may be done with TCP.
struct TcpGrant {
    bool connect = false;         ///< to any port
    std::vector<uint16_t> ports;  ///< that may be listened at
};

/// From now on this thread, and those that it starts, open nothing but what is granted, connect to no TCP port and listen at
/// none but as `tcp` says, and signal no other process, as far as the kernel's Landlock knows these. A path that does not exist grants nothing. A
/// directory that is granted as if it were a file can be listed but nothing in it opened.
Result<void> restrict_files(std::span<const FileGrant> grants, const TcpGrant& tcp);

}  // namespace arclight::guestos::sandbox
