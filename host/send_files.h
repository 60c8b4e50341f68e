// Descriptors that go to another process.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace arclight::host {

inline constexpr size_t kMaxSentFiles = 8;

/// As sendmsg(2) with these flags, and without SIGPIPE: `bytes`, of which there must be one, and with the first of them duplicates
/// of `files`, kMaxSentFiles at most.
ssize_t send_with_files(int socket, std::span<const uint8_t> bytes, std::span<const int> files,
                        int flags = 0);

}  // namespace arclight::host
