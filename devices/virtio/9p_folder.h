// The host's directory that is shared, and the only ways into it: whatever name or path a guest gives, and whatever is renamed
// meanwhile, what is opened lies beneath. The host follows no symbolic link; the guest does that itself.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include "mmu/result.h"

namespace arclight::devices::virtio::p9 {

/// Of a host's system call that failed: the number that the guest gets (Linux's numbers are the same on both).
using Error = int;
template <typename T>
using Expected = std::expected<T, Error>;
using Status = std::expected<void, Error>;

/// An open file of the host's.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor();

    explicit operator bool() const { return fd_ >= 0; }
    int get() const { return fd_; }

  private:
    int fd_ = -1;
};

/// A name in a directory. Beneath it nothing is resolved: calls take the two with AT_SYMLINK_NOFOLLOW.
struct Place {
    Descriptor directory;  ///< O_PATH
    std::string name;      ///< one part, or "." for the shared directory itself
};

class Folder {
  public:
    /// The error is one line for the user.
    static Result<Folder> open(const std::string& path);

    /// Paths are relative, their parts separated by one slash and none of them "." or ".."; empty: the directory itself.
    Expected<Place> place(std::string_view path) const;

  private:
    explicit Folder(Descriptor root) : root_(std::move(root)) {}
    Descriptor root_;
};

/// What is there, of any type, a symbolic link too: with O_PATH.
Expected<Descriptor> open_node(const Place& place);
/// Opens a regular file or a directory with open(2)'s flags; anything else is ENXIO, and is not touched.
Expected<Descriptor> open_node_for(const Place& place, int flags);
/// A name of the file behind a descriptor that has O_PATH, for the calls that know no descriptors of that kind.
std::string proc_path(int fd);

}  // namespace arclight::devices::virtio::p9
