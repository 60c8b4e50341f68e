// A kernel's file: which of the forms that people have it in, unpacked. guestos/image.h loads it.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "guestos/file.h"
#include "mmu/result.h"

namespace arclight::guestos {

enum class KernelKind : uint8_t {
    Linux,  ///< an arm64 Image (Linux Documentation/arm64/booting.rst)
    Elf,    ///< a bare-metal program
    Flat,   ///< neither header: instructions from the first byte on
};

struct KernelFile {
    std::string name;  ///< of the file, for messages
    KernelKind kind;
    Bytes bytes;  ///< unpacked
};

/// Linux Documentation/arm64/booting.rst, section 4, "Call the kernel image".
struct Arm64ImageHeader {
    uint32_t code0;
    uint32_t code1;
    uint64_t text_offset;
    uint64_t image_size;
    uint64_t flags;
    uint64_t reserved[3];
    uint32_t magic;
    uint32_t pe_header_offset;
};
static_assert(sizeof(Arm64ImageHeader) == 64);

inline constexpr uint64_t kMaxKernelBytes = uint64_t{1} << 30;

/// Reads and unpacks, to at most `memory` bytes: Image, Image.gz (.zst, .xz, .lzma, .lz4), EFI zboot (vmlinuz.efi), ELF, flat binary. What is
/// recognised as something else is refused in one line.
Result<KernelFile> read_kernel(const std::filesystem::path& path, uint64_t memory = kMaxKernelBytes);
/// The same for a file already in memory; `name` is for messages.
Result<KernelFile> unpack_kernel(const std::string& name, Bytes file, uint64_t memory = kMaxKernelBytes);

/// A T in the file's byte order, which is the host's; it lies within `bytes`.
template <typename T>
T read_at(std::span<const uint8_t> bytes, size_t offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
}

/// Whether `text` stands at `offset`.
bool has_at(std::span<const uint8_t> bytes, size_t offset, std::string_view text);

}  // namespace arclight::guestos
