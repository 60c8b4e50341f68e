#include "guestos/loader.h"

#include <array>
#include <utility>

#include "guestos/file.h"
#include "guestos/image.h"
#include "guestos/kernel_file.h"

namespace arclight::guestos {

namespace {

/// Where it starts.
Result<uint64_t> load_file(const LoadOptions& load, Ram ram) {
    auto bytes = read_file("loaded file", load.file, ram.bytes.size());
    if (!bytes) return std::unexpected(bytes.error());
    if (!load.raw && has_at(*bytes, 0,
                            "\x7f"
                            "ELF")) {
        const auto program =
            load_kernel({.name = load.file, .kind = KernelKind::Elf, .bytes = std::move(*bytes)}, ram);
        if (!program) return std::unexpected(program.error());
        return program->entry;
    }
    if (!ram.contains(load.address, bytes->size()))
        return failure("'{}' does not fit: it has {:#x} bytes for {:#x}, RAM is {:#x} to {:#x}", load.file,
                       bytes->size(), load.address, ram.base, ram.end());
    ram.write(load.address, *bytes);
    return load.address;
}

Result<uint64_t> load_value(const LoadOptions& load, Ram ram) {
    if (!ram.contains(load.address, load.value_bytes))
        return failure("a value for {:#x} is not in RAM, which is {:#x} to {:#x}", load.address, ram.base,
                       ram.end());
    std::array<uint8_t, sizeof load.value> bytes{};
    for (unsigned i = 0; i < load.value_bytes; ++i) {
        const unsigned byte = load.big_endian ? load.value_bytes - 1 - i : i;
        bytes[i] = static_cast<uint8_t>(load.value >> (8 * byte));
    }
    ram.write(load.address, std::span(bytes).first(load.value_bytes));
    return load.address;
}

}  // namespace

Result<std::optional<uint64_t>> load_more(std::span<const LoadOptions> loads, Ram ram) {
    std::optional<uint64_t> start;
    for (const LoadOptions& load : loads) {
        const auto address = !load.file.empty()      ? load_file(load, ram)
                             : load.value_bytes != 0 ? load_value(load, ram)
                                                     : Result<uint64_t>(load.address);
        if (!address) return std::unexpected(address.error());
        if (load.starts_cpu) start = *address;
    }
    return start;
}

}  // namespace arclight::guestos
