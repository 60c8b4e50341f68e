// A file that appears under its name only when it is whole.
#pragma once

#include <sys/types.h>

#include <string>

#include "mmu/result.h"

namespace arclight::guestos {

/// Without commit() nothing is left of it, also after the process was killed where the file system can do that (O_TMPFILE).
class NewFile {
  public:
    /// `mode` as for open(): unless told otherwise, it is for its owner alone. An error is one line that names the file.
    static Result<NewFile> create(const std::string& path, mode_t mode = 0600);
    NewFile(NewFile&& other) noexcept;
    NewFile& operator=(NewFile&& other) = delete;
    ~NewFile();

    int descriptor() const { return fd_; }
    /// Puts the file on disk and then in the place of the one that has its name.
    Result<void> commit();

  private:
    NewFile(std::string path, std::string temporary, int fd);

    std::string path_;
    std::string temporary_;  ///< its name until then; empty: it has none
    int fd_;
};

}  // namespace arclight::guestos
