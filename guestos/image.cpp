#include "guestos/image.h"

#include <elf.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

namespace arclight::guestos {

namespace {

constexpr uint64_t kMaxKernelFile = uint64_t(1) << 30;

// Linux Documentation/arm64/booting.rst, section 4, "Call the kernel image".
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

constexpr uint32_t kArm64ImageMagic = 0x644d5241;  // "ARM\x64"
constexpr uint64_t kFlagBigEndian = 1;
// QEMU keeps its own boot stub at the start of RAM and moves kernels that ask for that place up by 2 MiB.
constexpr uint64_t kMinTextOffset = 4096;
constexpr uint64_t kKernelAlignment = 2 << 20;

template <typename T>
T read_at(std::span<const uint8_t> bytes, size_t offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
}

bool has_at(std::span<const uint8_t> bytes, size_t offset, std::string_view text) {
    return bytes.size() >= offset + text.size() &&
           std::memcmp(bytes.data() + offset, text.data(), text.size()) == 0;
}

/// At most `limit` bytes. No more than twice what there is so far is allocated, whatever the file says of its size.
Result<Bytes> gunzip(const std::string& name, std::span<const uint8_t> packed, uint64_t limit) {
    z_stream stream{};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) return failure("kernel '{}': out of memory", name);
    Bytes plain(std::min<uint64_t>(std::max<size_t>(packed.size() * 4, 1 << 16), limit + 1));
    stream.next_in = const_cast<Bytef*>(packed.data());
    stream.avail_in = uInt(packed.size());
    int status = Z_OK;
    size_t used = 0;
    while (status == Z_OK) {
        if (used == plain.size()) {
            if (used > limit) break;
            plain.resize(std::min<uint64_t>(used * 2, limit + 1));
        }
        stream.next_out = plain.data() + used;
        stream.avail_out = uInt(plain.size() - used);
        status = inflate(&stream, Z_NO_FLUSH);
        used = plain.size() - stream.avail_out;
    }
    inflateEnd(&stream);
    if (status == Z_OK)
        return failure("kernel '{}' does not fit: it unpacks to more than {} MiB", name, limit >> 20);
    if (status == Z_BUF_ERROR) return failure("kernel '{}' is truncated (gzip data ends early)", name);
    if (status != Z_STREAM_END) return failure("kernel '{}' holds damaged gzip data", name);
    plain.resize(used);
    return plain;
}

// An Image's image_size counts .bss, so only the section table of its EFI stub tells how long the file must
// be.
bool pe_sections_cut_off(std::span<const uint8_t> file, uint32_t pe) {
    if (!has_at(file, 0, "MZ") || pe == 0) return false;
    if (uint64_t(pe) + 24 > file.size()) return true;
    if (!has_at(file, pe, std::string_view("PE\0\0", 4))) return false;
    const auto sections = read_at<uint16_t>(file, pe + 6);
    const uint64_t table = uint64_t(pe) + 24 + read_at<uint16_t>(file, pe + 20);
    for (unsigned i = 0; i < sections; ++i) {
        const uint64_t section = table + 40 * i;
        if (section + 40 > file.size()) return true;
        const uint64_t raw_end =
            uint64_t(read_at<uint32_t>(file, section + 16)) + read_at<uint32_t>(file, section + 20);
        if (raw_end > file.size()) return true;
    }
    return false;
}

Result<LoadedKernel> load_linux(const std::string& name, std::span<const uint8_t> file, Ram ram) {
    const auto header = read_at<Arm64ImageHeader>(file, 0);
    if (header.flags & kFlagBigEndian)
        return failure("kernel '{}' is big-endian, which is not supported", name);
    if (pe_sections_cut_off(file, header.pe_header_offset))
        return failure("kernel '{}' is truncated ({} bytes are too few for its sections)", name, file.size());

    // Kernels before 3.17 leave image_size zero and expect text_offset 0x80000.
    const bool old = header.image_size == 0;
    const uint64_t size = std::max<uint64_t>(old ? 0 : header.image_size, file.size());
    uint64_t offset = old ? 0x80000 : header.text_offset;
    if (offset < kMinTextOffset) offset += kKernelAlignment;
    const uint64_t address = ram.base + offset;
    if (offset > ram.bytes.size() || !ram.contains(address, size))
        return failure("kernel '{}' does not fit: it needs {} MiB of memory at {:#x}, the guest has {} MiB",
                       name, (size + (1 << 20) - 1) >> 20, address, ram.bytes.size() >> 20);
    ram.write(address, file);
    return LoadedKernel{.entry = address, .low = address, .end = address + size, .is_linux = true};
}

Result<void> check_elf_target(const std::string& name, std::span<const uint8_t> file) {
    if (file.size() < sizeof(Elf32_Ehdr)) return failure("kernel '{}' is truncated (ELF header)", name);
    // e_machine sits at the same place in both classes.
    const auto machine = read_at<uint16_t>(file, offsetof(Elf64_Ehdr, e_machine));
    const auto order = file[EI_DATA];
    if (machine == EM_X86_64 || machine == EM_386)
        return failure("kernel '{}' is for x86, not for AArch64", name);
    if (machine == EM_ARM) return failure("kernel '{}' is for 32-bit ARM, not for AArch64", name);
    if (order == ELFDATA2MSB) return failure("kernel '{}' is big-endian, which is not supported", name);
    if (machine != EM_AARCH64)
        return failure("kernel '{}' is for another architecture (ELF machine {}), not for AArch64", name,
                       machine);
    if (file[EI_CLASS] != ELFCLASS64) return failure("kernel '{}' is a 32-bit ELF, not for AArch64", name);
    if (file.size() < sizeof(Elf64_Ehdr)) return failure("kernel '{}' is truncated (ELF header)", name);
    return {};
}

Result<LoadedKernel> load_elf(const std::string& name, std::span<const uint8_t> file, Ram ram) {
    if (auto target = check_elf_target(name, file); !target) return std::unexpected(target.error());
    const auto header = read_at<Elf64_Ehdr>(file, 0);
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
        return failure("kernel '{}' is an ELF object, not an executable", name);
    if (header.e_phnum == 0 || header.e_phentsize != sizeof(Elf64_Phdr))
        return failure("kernel '{}' has no usable ELF program headers", name);
    if (header.e_phoff > file.size() ||
        file.size() - header.e_phoff < uint64_t(header.e_phnum) * sizeof(Elf64_Phdr))
        return failure("kernel '{}' is truncated (ELF program headers)", name);

    LoadedKernel kernel{.entry = header.e_entry, .low = UINT64_MAX, .end = 0, .is_linux = false};
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        const auto segment = read_at<Elf64_Phdr>(file, header.e_phoff + i * sizeof(Elf64_Phdr));
        if (segment.p_type == PT_INTERP)
            return failure("kernel '{}' is a dynamically linked program, not a bare-metal ELF", name);
        if (segment.p_type != PT_LOAD || segment.p_memsz == 0) continue;
        if (segment.p_offset > file.size() || segment.p_filesz > file.size() - segment.p_offset)
            return failure("kernel '{}' is truncated (ELF segment {})", name, i);
        if (segment.p_filesz > segment.p_memsz)
            return failure("kernel '{}' has a damaged ELF segment {}", name, i);
        if (!ram.contains(segment.p_paddr, segment.p_memsz))
            return failure(
                "kernel '{}' does not fit: segment {} wants {:#x} bytes at {:#x}, RAM is {:#x} to {:#x}",
                name, i, segment.p_memsz, segment.p_paddr, ram.base, ram.end());
        ram.write(segment.p_paddr, file.subspan(segment.p_offset, segment.p_filesz));
        ram.zero(segment.p_paddr + segment.p_filesz, segment.p_memsz - segment.p_filesz);
        kernel.low = std::min<uint64_t>(kernel.low, segment.p_paddr);
        kernel.end = std::max<uint64_t>(kernel.end, segment.p_paddr + segment.p_memsz);
        // e_entry is a virtual address; the MMU is off at the start, so it is needed as a physical one.
        if (header.e_entry - segment.p_vaddr < segment.p_memsz)
            kernel.entry = header.e_entry - segment.p_vaddr + segment.p_paddr;
    }
    if (kernel.end == 0) return failure("kernel '{}' has nothing to load", name);
    if (!ram.contains(kernel.entry, 4))
        return failure("kernel '{}' has its entry point {:#x} outside RAM", name, kernel.entry);
    return kernel;
}

}  // namespace

Result<LoadedKernel> load_kernel_bytes(const std::string& name, Bytes file, Ram ram) {
    if (file.empty()) return failure("kernel '{}' is empty", name);
    if (has_at(file, 0, "\x1f\x8b")) {
        auto plain = gunzip(name, file, std::min<uint64_t>(kMaxKernelFile, ram.bytes.size()));
        if (!plain) return std::unexpected(plain.error());
        file = std::move(*plain);
        if (file.empty()) return failure("kernel '{}' unpacks to nothing", name);
    }
    if (has_at(file, 0, ELFMAG)) return load_elf(name, file, ram);
    if (has_at(file, 4, "zimg") && has_at(file, 0, "MZ"))
        return failure("kernel '{}' is a compressed EFI image; unpack it first", name);
    if (file.size() >= sizeof(Arm64ImageHeader) &&
        read_at<uint32_t>(file, offsetof(Arm64ImageHeader, magic)) == kArm64ImageMagic)
        return load_linux(name, file, ram);
    // Other kernels a user is likely to offer by mistake.
    if (has_at(file, 0x202, "HdrS")) return failure("kernel '{}' is for x86, not for AArch64", name);
    if (has_at(file, 0x24, "\x18\x28\x6f\x01"))
        return failure("kernel '{}' is for 32-bit ARM, not for AArch64", name);
    if (file.size() < sizeof(Arm64ImageHeader))
        return failure("kernel '{}' is truncated ({} bytes are less than a header)", name, file.size());
    return failure("kernel '{}' is neither an arm64 Linux Image nor an AArch64 ELF", name);
}

Result<LoadedKernel> load_kernel(const std::filesystem::path& path, Ram ram) {
    auto file = read_file("kernel", path, kMaxKernelFile);
    if (!file) return std::unexpected(file.error());
    return load_kernel_bytes(path.native(), std::move(*file), ram);
}

}  // namespace arclight::guestos
