// The kernel's loader: Image, ELF and gzip. What it has accepted lies in RAM, and nothing outside RAM is written.
#include <zlib.h>

#include "guestos/image.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace guestos;

constexpr uint64_t kBase = 0x4000'0000;

void load(Bytes file) {
    // AddressSanitizer sees a write beside it. Not cleared between inputs: 4 MiB would take most of the time.
    static std::vector<uint8_t> ram(size_t{4} << 20);
    const auto unpacked = unpack_kernel("fuzz", std::move(file));
    if (!unpacked) return require_one_line(unpacked.error());
    const auto kernel = load_kernel(*unpacked, {.base = kBase, .bytes = ram});
    if (!kernel) return require_one_line(kernel.error());
    require(kernel->low <= kernel->end, "a kernel has a range");
    require(kernel->low >= kBase && kernel->end <= kBase + ram.size(), "a kernel lies in RAM");
    require(
        kernel->kind != KernelKind::Linux || (kernel->entry >= kernel->low && kernel->entry < kernel->end),
        "an Image is entered inside");
}

void run_plain(std::span<const uint8_t> bytes) { load(Bytes(bytes.begin(), bytes.end())); }

/// The input is compressed, and then damaged as its first bytes say.
void run_gzip(std::span<const uint8_t> bytes) {
    Input in(bytes);
    const uint8_t how = in.u8();
    const uint16_t at = in.u16();
    const uint32_t value = in.u32();
    const auto content = in.rest();
    // Few bytes that become many, too.
    Bytes plain(content.begin(), content.end());
    if ((how & 4) != 0) plain.resize(plain.size() + (size_t{at} << 4));
    z_stream stream{};
    require(deflateInit2(&stream, how >> 5, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK,
            "zlib works");
    Bytes packed(deflateBound(&stream, plain.size()));
    stream.next_in = plain.data();
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = packed.data();
    stream.avail_out = static_cast<uInt>(packed.size());
    require(deflate(&stream, Z_FINISH) == Z_STREAM_END, "zlib works");
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    switch (how & 3) {
        case 0: break;
        case 1: packed.resize(at % (packed.size() + 1)); break;
        case 2: packed[at % packed.size()] ^= static_cast<uint8_t>(value); break;
        default:  // the length that it says it has, or its checksum
            for (unsigned i = 0; i < 4; i++)
                packed[packed.size() - ((at & 1) != 0 ? 4 : 8) + i] = static_cast<uint8_t>(value >> i * 8);
    }
    load(std::move(packed));
}

const Registered plain({.name = "kernel",
                        .run = run_plain,
                        .max_size = 4096,
                        .words = {"ARM\x64", "MZ",
                                  "\x7f"
                                  "ELF",
                                  "\x1f\x8b\x08"}});
const Registered gzip({.name = "kernel_gzip",
                       .run = run_gzip,
                       .max_size = 4096,
                       .words = {"ARM\x64",
                                 "\x7f"
                                 "ELF"}});

}  // namespace
}  // namespace arclight::fuzz
