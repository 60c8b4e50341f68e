// The file that holds a whole machine at one moment. All integers are little-endian.
//
//   offset  bytes  header
//        0      8  "ARCLSNAP"
//        8      4  version of the format
//       12      4  CRC-32 of the header from byte 16 on
//       16      8  bytes of the description
//       24      4  CRC-32 of the description
//       28      4  0
//       32      8  bytes of the parts
//       40      8  where the RAM begins: a multiple of 64 KiB
//       48      8  bytes of RAM
//       56      8  the RAM's physical address
//       64         zeros up to 4096
//     4096         description: text, a line "WORD VALUE" for each fact that another machine must share
//                  parts: StatefulParts::save() (devices/state.h), which has a checksum of its own
//                  RAM, as it is, to the end of the file; pages of zeros are holes
//
// The RAM has no checksum: it is mapped, and the guest reads a page of it when it comes to it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mmu/result.h"

namespace arclight::guestos {

class SnapshotFile {
  public:
    static constexpr uint32_t kVersion = 1;
    static constexpr uint64_t kHeaderBytes = 4096, kRamAlignment = 64 << 10;
    static constexpr uint64_t kMaxDescription = 64 << 10;

    struct Ram {
        uint64_t base = 0, bytes = 0;
        uint64_t offset = 0;  ///< in the file
    };

    /// Reads all but the RAM. An error is one line that names the file.
    static Result<SnapshotFile> open(const std::string& path);

    const std::string& path() const { return path_; }
    const std::string& description() const { return description_; }
    std::span<const uint8_t> parts() const { return parts_; }
    const Ram& ram() const { return ram_; }
    int descriptor() const { return *file_; }

    /// Writes such a file to an empty one. `ram` is the RAM as the host has it. The header comes last: without it, this is no
    /// snapshot. An error is one line without the file's name.
    /// `ram_file`: of which `ram` is a mapping, so that its holes are known without being read, which would fill them; -1: none.
    static Result<void> write(int file, const std::string& description, std::span<const uint8_t> parts,
                              uint64_t ram_base, std::span<const uint8_t> ram, int ram_file = -1);

  private:
    struct Close {
        void operator()(const int* file) const;
    };

    SnapshotFile(std::string path, int file);
    Result<void> read();

    std::string path_;
    std::unique_ptr<int, Close> file_;
    std::string description_;
    std::vector<uint8_t> parts_;
    Ram ram_;
};

}  // namespace arclight::guestos
