// -pidfile: a file with the process's number, there as long as the process.
#pragma once

#include <string>

#include "mmu/result.h"

namespace arclight::guestos::qemu {

class PidFile {
  public:
    PidFile() = default;
    PidFile(const PidFile&) = delete;
    /// Removes it.
    ~PidFile();

    /// Locks it, so that a second process cannot have the same one. An error is one line.
    Result<void> make(const std::string& path);

  private:
    std::string path_;
    int descriptor_ = -1;
};

}  // namespace arclight::guestos::qemu
