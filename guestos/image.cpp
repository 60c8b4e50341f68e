#include "guestos/image.h"

#include <elf.h>

#include <algorithm>
#include <string>

#include "guestos/cpu_choice.h"

namespace arclight::guestos {

namespace {

constexpr uint64_t kFlagBigEndian = 1;
// QEMU keeps its own boot stub at the start of RAM and moves kernels that ask for that place up by 2 MiB.
constexpr uint64_t kMinTextOffset = 4096;
constexpr uint64_t kKernelAlignment = 2 << 20;
// Where QEMU puts what has no header.
constexpr uint64_t kFlatOffset = 0x80000;

/// Bits 1 and 2 of Arm64ImageHeader::flags. 0: not said.
enum class PageSize : uint8_t { Unknown, K4, K16, K64 };

/// Whether ID_AA64MMFR0_EL1 announces the translation granule (ARM ARM D19.2.64): TGran4 and TGran64 count from -1,
/// TGran16 from 0.
bool has_granule(uint64_t mmfr0, PageSize size) {
    const auto field = [&](unsigned lsb) { return mmfr0 >> lsb & 15; };
    switch (size) {
        case PageSize::K4: return field(28) != 15;
        case PageSize::K16: return field(20) != 0;
        case PageSize::K64: return field(24) != 15;
        case PageSize::Unknown: break;
    }
    return true;
}

Result<void> check_page_size(const std::string& name, uint64_t flags, uint64_t mmfr0) {
    const auto size = static_cast<PageSize>(flags >> 1 & 3);
    if (has_granule(mmfr0, size)) return {};
    const auto kib = [](PageSize s) { return s == PageSize::K4 ? 4 : s == PageSize::K16 ? 16 : 64; };
    std::string others;
    for (const PageSize other : {PageSize::K4, PageSize::K16, PageSize::K64})
        if (has_granule(mmfr0, other))
            others += fmt::format("{}{} KiB", others.empty() ? "" : " or ", kib(other));
    return failure("kernel '{}' uses {} KiB pages, which this CPU does not have; use a {} kernel", name,
                   kib(size), others);
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

/// `offset` is from the start of RAM.
Result<LoadedKernel> place(const KernelFile& kernel, uint64_t offset, uint64_t size, Ram ram) {
    const uint64_t address = ram.base + offset;
    if (offset > ram.bytes.size() || !ram.contains(address, size))
        return failure("kernel '{}' does not fit: it needs {} MiB of memory at {:#x}, the guest has {} MiB",
                       kernel.name, (size + (1 << 20) - 1) >> 20, address, ram.bytes.size() >> 20);
    ram.write(address, kernel.bytes);
    return LoadedKernel{.entry = address, .low = address, .end = address + size, .kind = kernel.kind};
}

Result<LoadedKernel> load_linux(const KernelFile& kernel, Ram ram, uint64_t mmfr0) {
    const std::string& name = kernel.name;
    const std::span<const uint8_t> file = kernel.bytes;
    const auto header = read_at<Arm64ImageHeader>(file, 0);
    if (header.flags & kFlagBigEndian)
        return failure("kernel '{}' is big-endian, which is not supported", name);
    if (auto known = check_page_size(name, header.flags, mmfr0); !known)
        return std::unexpected(known.error());
    if (pe_sections_cut_off(file, header.pe_header_offset))
        return failure("kernel '{}' is truncated ({} bytes are too few for its sections)", name, file.size());

    // Kernels before 3.17 leave image_size zero and expect text_offset 0x80000.
    const bool old = header.image_size == 0;
    const uint64_t size = std::max<uint64_t>(old ? 0 : header.image_size, file.size());
    uint64_t offset = old ? kFlatOffset : header.text_offset;
    if (offset < kMinTextOffset) offset += kKernelAlignment;
    return place(kernel, offset, size, ram);
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

    LoadedKernel kernel{.entry = header.e_entry, .low = UINT64_MAX, .end = 0, .kind = KernelKind::Elf};
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

uint64_t default_mmfr0() { return CpuChoice{}.mmfr0(); }

Result<LoadedKernel> load_kernel(const KernelFile& kernel, Ram ram, uint64_t mmfr0) {
    switch (kernel.kind) {
        case KernelKind::Linux: return load_linux(kernel, ram, mmfr0);
        case KernelKind::Elf: return load_elf(kernel.name, kernel.bytes, ram);
        case KernelKind::Flat: break;
    }
    return place(kernel, kFlatOffset, kernel.bytes.size(), ram);
}

}  // namespace arclight::guestos
