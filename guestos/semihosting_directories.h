// The host's directories that a semihosting guest has: `--semihosting-files`.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "mmu/result.h"

namespace arclight::guestos {

/// A relative name begins in the first directory, an absolute one with the path of one of them, as given or resolved. The
/// host's kernel holds every name beneath its directory (RESOLVE_BENEATH of openat2): neither ".." nor a symbolic link
/// leads out. Without directories every name is refused with EACCES.
class SemihostingDirectories {
  public:
    SemihostingDirectories() = default;
    /// An error names the directory that is none.
    static Result<SemihostingDirectories> open(std::span<const std::string> paths);
    SemihostingDirectories(SemihostingDirectories&& other) noexcept
        : directories_(std::move(other.directories_)) {
        other.directories_.clear();
    }
    SemihostingDirectories& operator=(SemihostingDirectories&&) = delete;
    ~SemihostingDirectories();

    // ---- As open(), unlink() and rename(): a descriptor or 0; or an errno, negative. open() takes flags of open().
    int open(const std::string& name, int flags) const;
    int remove(const std::string& name) const;
    int rename(const std::string& from, const std::string& to) const;

  private:
    struct Directory {
        int fd;  ///< O_PATH
        std::vector<std::string> paths;
    };
    /// A name below one of them; empty: it is the directory itself. fd < 0: below none.
    struct Place {
        int fd;
        std::string name;
    };
    Place find(const std::string& name) const;

    std::vector<Directory> directories_;
};

}  // namespace arclight::guestos
