// Temporary files and small made-up kernels for the tests.
#pragma once

#include <elf.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "guestos/file.h"
#include "guestos/ram.h"

namespace arclight::guestos::test {

// A directory that is gone at the end of the test.
class TemporaryDirectory {
  public:
    TemporaryDirectory() {
        std::string pattern = (std::filesystem::temp_directory_path() / "arclight-test-XXXXXX").native();
        path_ = mkdtemp(pattern.data());
    }
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path write(const std::string& name, std::span<const uint8_t> bytes) const {
        const auto file = path_ / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
        return file;
    }
    std::filesystem::path write(const std::string& name, std::string_view text) const {
        return write(name, std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
    }

  private:
    std::filesystem::path path_;
};

struct TestRam {
    explicit TestRam(uint64_t size, uint64_t base = 0x4000'0000) : bytes(size), view{base, bytes} {}
    Bytes bytes;
    Ram view;
};

template <typename T>
void put(Bytes& bytes, size_t offset, T value) {
    std::memcpy(bytes.data() + offset, &value, sizeof value);
}

// Grows by hand: GCC 12 sees an overflow in vector's insert of a range behind a small vector.
inline void append(Bytes& bytes, const void* data, size_t size) {
    const size_t at = bytes.size();
    bytes.resize(at + size);
    std::memcpy(bytes.data() + at, data, size);
}

// An arm64 Image whose body counts up from 1.
inline Bytes linux_image(uint64_t text_offset, uint64_t image_size, size_t file_size = 4096,
                         uint64_t flags = 0xa) {
    Bytes image(file_size);
    for (size_t i = 64; i < file_size; ++i) image[i] = uint8_t(i);
    put<uint64_t>(image, 8, text_offset);
    put<uint64_t>(image, 16, image_size);
    put<uint64_t>(image, 24, flags);
    put<uint32_t>(image, 56, 0x644d5241);
    return image;
}

// An AArch64 ELF with one segment of four instructions' length, .bss behind it.
inline Bytes bare_metal_elf(uint64_t physical, uint64_t entry, uint64_t memory_size = 64) {
    Bytes elf(sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr) + 16);
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_EXEC;
    header.e_machine = EM_AARCH64;
    header.e_entry = entry;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 1;
    Elf64_Phdr segment{};
    segment.p_type = PT_LOAD;
    segment.p_offset = sizeof header + sizeof segment;
    segment.p_vaddr = segment.p_paddr = physical;
    segment.p_filesz = 16;
    segment.p_memsz = memory_size;
    put(elf, 0, header);
    put(elf, sizeof header, segment);
    for (size_t i = 0; i < 16; ++i) elf[elf.size() - 16 + i] = uint8_t(0xa0 + i);
    return elf;
}

}  // namespace arclight::guestos::test
