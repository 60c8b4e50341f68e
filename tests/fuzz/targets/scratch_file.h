#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <span>
#include <string>

#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {

/// A file in memory, for what takes a path.
class ScratchFile {
  public:
    ScratchFile() : file_(memfd_create("fuzz", MFD_CLOEXEC)) {
        require(file_ >= 0, "the host has room for a file");
    }
    explicit ScratchFile(std::span<const uint8_t> bytes) : ScratchFile() { fill(bytes); }
    ~ScratchFile() { close(file_); }
    ScratchFile(const ScratchFile&) = delete;
    ScratchFile& operator=(const ScratchFile&) = delete;

    void fill(std::span<const uint8_t> bytes) {
        require(ftruncate(file_, 0) == 0, "the file can be emptied");
        require(pwrite(file_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
                "the file can be written");
    }
    void resize(uint64_t size) {
        require(ftruncate(file_, static_cast<off_t>(size)) == 0, "the file can be made longer");
    }
    std::string path() const { return "/proc/self/fd/" + std::to_string(file_); }

  private:
    int file_;
};

}  // namespace arclight::fuzz
