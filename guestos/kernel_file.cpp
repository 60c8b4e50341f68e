#include "guestos/kernel_file.h"

#include <elf.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <optional>

#include "guestos/decompress.h"

namespace arclight::guestos {

namespace {

constexpr uint32_t kArm64ImageMagic = 0x644d5241;  // "ARM\x64"
constexpr uint16_t kPeMachineArm64 = 0xaa64;

/// The zboot header of the EFI stub of Linux: an EFI program that unpacks the kernel.
struct ZbootHeader {
    char mz[4];
    char zimg[4];
    uint32_t payload_offset;
    uint32_t payload_size;
    uint32_t reserved[2];
    char compression[32];  ///< ends with zero
    uint32_t pe_magic;
    uint32_t pe_header_offset;
};
static_assert(sizeof(ZbootHeader) == 64);

/// The machine that a PE file is for; nothing: no PE file.
std::optional<uint16_t> pe_machine(std::span<const uint8_t> file) {
    if (!has_at(file, 0, "MZ") || file.size() < 64) return {};
    const uint64_t pe = read_at<uint32_t>(file, 60);
    if (pe == 0 || !has_at(file, pe, std::string_view("PE\0\0", 4)) || pe + 6 > file.size()) return {};
    return read_at<uint16_t>(file, pe + 4);
}

bool has_pe_section(std::span<const uint8_t> file, std::string_view name) {
    const uint64_t pe = read_at<uint32_t>(file, 60);
    if (pe + 24 > file.size()) return false;
    const auto sections = read_at<uint16_t>(file, pe + 6);
    const uint64_t table = pe + 24 + read_at<uint16_t>(file, pe + 20);
    for (uint64_t i = 0; i < sections; ++i)
        if (has_at(file, table + 40 * i, name)) return true;
    return false;
}

Result<Bytes> unpack_zboot(const std::string& name, std::span<const uint8_t> file, uint64_t memory) {
    if (file.size() < sizeof(ZbootHeader))
        return failure("kernel '{}' is truncated ({} bytes are less than a header)", name, file.size());
    const auto header = read_at<ZbootHeader>(file, 0);
    if (const auto machine = pe_machine(file); machine && *machine != kPeMachineArm64)
        return failure(
            "kernel '{}' is an EFI program for another architecture (PE machine {:#x}), not for AArch64",
            name, *machine);
    if (header.payload_offset > file.size() || header.payload_size > file.size() - header.payload_offset)
        return failure("kernel '{}' is truncated (its compressed kernel of {} bytes at {:#x} is not there)",
                       name, header.payload_size, header.payload_offset);
    const std::string_view word(header.compression, strnlen(header.compression, sizeof header.compression));
    const auto compression = compression_named(word);
    if (!compression) {
        const bool printable =
            std::ranges::all_of(word, [](unsigned char c) { return std::isprint(c) != 0; });
        return failure("kernel '{}' is packed in a way that is not known ('{}')", name,
                       printable ? word : "?");
    }
    return decompress(name, *compression, file.subspan(header.payload_offset, header.payload_size), memory);
}

bool is_text(std::span<const uint8_t> file) {
    return std::ranges::all_of(file.first(std::min<size_t>(file.size(), 256)),
                               [](unsigned char c) { return std::isprint(c) != 0 || std::isspace(c) != 0; });
}

/// Other files that a user is likely to offer by mistake. Null: none of them.
const char* known_as(std::span<const uint8_t> file) {
    struct Known {
        size_t offset;
        std::string_view magic;
        const char* what;
    };
    constexpr Known kKnown[] = {
        {0x202, "HdrS", "is for x86, not for AArch64"},
        {0x24, "\x18\x28\x6f\x01", "is for 32-bit ARM, not for AArch64"},
        {0x30, "RISCV", "is for RISC-V, not for AArch64"},
        {0, "\x27\x05\x19\x56", "is a U-Boot image (uImage); give the Image it was made from"},
        {0, "\xd0\x0d\xfe\xed", "is a device tree or a U-Boot FIT image, not a kernel"},
        {0, "ANDROID!", "is an Android boot image, not a kernel"},
        {0, "070701", "is a cpio archive, not a kernel"},
        {0, "QFI\xfb", "is a qcow2 disk image, not a kernel"},
        {0, "KDMV", "is a VMDK disk image, not a kernel"},
        {0, "PK\x03\x04", "is a zip archive, not a kernel"},
        {0, "!<arch>", "is a library or a Debian package, not a kernel"},
        {257, "ustar", "is a tar archive, not a kernel"},
        {510, "\x55\xaa", "is a disk image, not a kernel"},
        {0x8001, "CD001", "is a CD image, not a kernel"},
    };
    for (const Known& known : kKnown)
        if (has_at(file, known.offset, known.magic)) return known.what;
    return nullptr;
}

/// With both headers, or none.
Result<KernelKind> classify(const std::string& name, std::span<const uint8_t> file) {
    if (has_at(file, 0, ELFMAG)) return KernelKind::Elf;
    if (pe_machine(file) && has_pe_section(file, ".linux"))
        return failure(
            "kernel '{}' is a unified kernel image, which needs EFI; take the kernel out of it: objcopy -O "
            "binary "
            "--only-section=.linux (likewise .initrd and .cmdline)",
            name);
    if (file.size() >= sizeof(Arm64ImageHeader) &&
        read_at<uint32_t>(file, offsetof(Arm64ImageHeader, magic)) == kArm64ImageMagic)
        return KernelKind::Linux;
    if (const char* what = known_as(file)) return failure("kernel '{}' {}", name, what);
    if (const auto machine = pe_machine(file))
        return failure("kernel '{}' is an EFI program{}, not a kernel", name,
                       *machine == kPeMachineArm64 ? "" : " for another architecture");
    if (is_text(file)) return failure("kernel '{}' is text, not a kernel", name);
    if (file.size() < sizeof(uint32_t) || read_at<uint32_t>(file, 0) == 0)
        return failure(
            "kernel '{}' is neither an arm64 Linux Image nor an AArch64 ELF, nor does it begin with an "
            "instruction",
            name);
    return KernelKind::Flat;
}

}  // namespace

bool has_at(std::span<const uint8_t> bytes, size_t offset, std::string_view text) {
    return bytes.size() >= text.size() && offset <= bytes.size() - text.size() &&
           std::memcmp(bytes.data() + offset, text.data(), text.size()) == 0;
}

Result<KernelFile> unpack_kernel(const std::string& name, Bytes file, uint64_t memory) {
    memory = std::min(memory, kMaxKernelBytes);
    if (file.empty()) return failure("kernel '{}' is empty", name);
    const auto unpack = [&](Result<Bytes> plain) -> Result<void> {
        if (!plain) return std::unexpected(plain.error());
        if (plain->empty()) return failure("kernel '{}' unpacks to nothing", name);
        file = std::move(*plain);
        return {};
    };
    if (const auto compression = compression_of(file))
        if (auto done = unpack(decompress(name, *compression, file, memory)); !done)
            return std::unexpected(done.error());
    if (has_at(file, 0, "MZ") && has_at(file, 4, "zimg")) {
        if (auto done = unpack(unpack_zboot(name, file, memory)); !done) return std::unexpected(done.error());
        if (has_at(file, 4, "zimg")) return failure("kernel '{}' is packed twice", name);
    }
    const auto kind = classify(name, file);
    if (!kind) return std::unexpected(kind.error());
    return KernelFile{.name = name, .kind = *kind, .bytes = std::move(file)};
}

Result<KernelFile> read_kernel(const std::filesystem::path& path, uint64_t memory) {
    auto file = read_file("kernel", path, kMaxKernelBytes);
    if (!file) return std::unexpected(file.error());
    return unpack_kernel(path.native(), std::move(*file), memory);
}

}  // namespace arclight::guestos
