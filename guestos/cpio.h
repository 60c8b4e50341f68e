// The "newc" cpio archive, the format of an initramfs (Linux
// Documentation/driver-api/early-userspace/buffer-format.rst). Reproducible: entries are sorted, times and
// owners are zero, inode numbers count up.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "guestos/file.h"

namespace arclight::guestos {

class CpioArchive {
  public:
    /// Paths are relative to the root and need no leading slash; missing parents are added as directories.
    /// Adding a path again replaces it.
    void add_directory(std::string_view path, uint32_t permissions = 0755);
    void add_file(std::string_view path, Bytes content, uint32_t permissions = 0644);
    void add_link(std::string_view path, std::string_view target);
    void add_character_device(std::string_view path, uint32_t major, uint32_t minor, uint32_t permissions);

    bool contains(std::string_view path) const;
    /// The archive. Its length is a multiple of four, so that the kernel accepts concatenated archives.
    Bytes encode() const;

  private:
    struct Entry {
        uint32_t mode = 0;
        uint32_t device_major = 0;
        uint32_t device_minor = 0;
        Bytes content;
    };

    void add(std::string_view path, Entry entry);

    std::map<std::string, Entry> entries_;  ///< sorted, so a directory comes before what it holds
};

}  // namespace arclight::guestos
