#include "guestos/decompress.h"

#include <lz4.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace arclight::guestos {

namespace {

constexpr uint64_t kFirstOutput = 64 << 10;
constexpr uint64_t kMaxFirstOutput = 64 << 20;
// The build of Linux packs with dictionaries of 128 MiB at most.
constexpr uint64_t kMaxWindow = uint64_t{256} << 20;
constexpr int kMaxZstdWindowLog = 27;
constexpr int kLz4Block = 8 << 20;

enum class Status : uint8_t { Done, Truncated, Damaged, TooLarge, NoMemory };

/// Grows with what is written, up to the limit.
class Output {
  public:
    Output(uint64_t packed, uint64_t limit) : limit_(limit) {
        bytes_.resize(std::min(std::clamp(packed * 4, kFirstOutput, kMaxFirstOutput), limit));
    }
    /// Where the next bytes go; empty: there must not be more.
    std::span<uint8_t> room() {
        if (used_ == bytes_.size()) bytes_.resize(std::min<uint64_t>(bytes_.size() * 2, limit_));
        return std::span(bytes_).subspan(used_);
    }
    void advance(size_t written) { used_ += written; }
    Bytes take() {
        bytes_.resize(used_);
        return std::move(bytes_);
    }

  private:
    const uint64_t limit_;
    size_t used_ = 0;
    Bytes bytes_;
};

// Each decodes one member and takes it from `in`.
using Decoder = Status (*)(std::span<const uint8_t>& in, Output& out);

Status inflate_member(std::span<const uint8_t>& in, Output& out) {
    z_stream stream{};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) return Status::NoMemory;
    stream.next_in = const_cast<Bytef*>(in.data());
    stream.avail_in = static_cast<uInt>(in.size());
    int status = Z_OK;
    bool full = false;
    while (status == Z_OK) {
        const auto room = out.room();
        full = room.empty();
        if (full) break;
        stream.next_out = room.data();
        stream.avail_out = static_cast<uInt>(room.size());
        status = inflate(&stream, Z_NO_FLUSH);
        out.advance(room.size() - stream.avail_out);
    }
    in = in.last(stream.avail_in);
    inflateEnd(&stream);
    if (full) return Status::TooLarge;
    if (status == Z_STREAM_END) return Status::Done;
    if (status == Z_MEM_ERROR) return Status::NoMemory;
    return status == Z_BUF_ERROR ? Status::Truncated : Status::Damaged;
}

Status zstd_member(std::span<const uint8_t>& in, Output& out) {
    const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
    if (!context) return Status::NoMemory;
    ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxZstdWindowLog);
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    for (;;) {
        const auto room = out.room();
        if (room.empty()) return Status::TooLarge;
        ZSTD_outBuffer output{room.data(), room.size(), 0};
        const size_t left = ZSTD_decompressStream(context.get(), &output, &input);
        if (ZSTD_isError(left)) return Status::Damaged;
        out.advance(output.pos);
        if (left == 0) break;
        if (input.pos == input.size && output.pos < output.size) return Status::Truncated;
    }
    in = in.subspan(input.pos);
    return Status::Done;
}

Status lzma_member(lzma_stream& stream, std::span<const uint8_t>& in, Output& out) {
    stream.next_in = in.data();
    stream.avail_in = in.size();
    lzma_ret status = LZMA_OK;
    bool full = false;
    while (status == LZMA_OK) {
        const auto room = out.room();
        full = room.empty();
        if (full) break;
        stream.next_out = room.data();
        stream.avail_out = room.size();
        status = lzma_code(&stream, LZMA_RUN);
        out.advance(room.size() - stream.avail_out);
    }
    in = in.last(stream.avail_in);
    lzma_end(&stream);
    if (full) return Status::TooLarge;
    if (status == LZMA_STREAM_END) return Status::Done;
    if (status == LZMA_MEM_ERROR || status == LZMA_MEMLIMIT_ERROR) return Status::NoMemory;
    return status == LZMA_BUF_ERROR ? Status::Truncated : Status::Damaged;
}

Status xz_member(std::span<const uint8_t>& in, Output& out) {
    lzma_stream stream = LZMA_STREAM_INIT;
    if (lzma_stream_decoder(&stream, kMaxWindow, 0) != LZMA_OK) return Status::NoMemory;
    return lzma_member(stream, in, out);
}

Status lzma_alone_member(std::span<const uint8_t>& in, Output& out) {
    lzma_stream stream = LZMA_STREAM_INIT;
    if (lzma_alone_decoder(&stream, kMaxWindow) != LZMA_OK) return Status::NoMemory;
    return lzma_member(stream, in, out);
}

constexpr std::string_view kLz4LegacyMagic("\x02\x21\x4c\x18", 4);

// lz4's description of its frame format, "Legacy frame": what Linux's build makes ('lz4 -l').
Status lz4_legacy_member(std::span<const uint8_t>& in, Output& out) {
    in = in.subspan(kLz4LegacyMagic.size());
    Bytes block(kLz4Block);
    while (in.size() > sizeof(uint32_t)) {
        if (std::memcmp(in.data(), kLz4LegacyMagic.data(), kLz4LegacyMagic.size()) == 0) break;
        uint32_t size;
        std::memcpy(&size, in.data(), sizeof size);
        if (size == 0 || size > static_cast<uint32_t>(LZ4_compressBound(kLz4Block))) return Status::Damaged;
        in = in.subspan(sizeof size);
        if (size > in.size()) return Status::Truncated;
        const int got =
            LZ4_decompress_safe(reinterpret_cast<const char*>(in.data()),
                                reinterpret_cast<char*>(block.data()), static_cast<int>(size), kLz4Block);
        if (got < 0) return Status::Damaged;
        in = in.subspan(size);
        for (std::span<const uint8_t> rest(block.data(), static_cast<size_t>(got)); !rest.empty();) {
            const auto room = out.room();
            if (room.empty()) return Status::TooLarge;
            const size_t part = std::min(room.size(), rest.size());
            std::copy_n(rest.data(), part, room.data());
            out.advance(part);
            rest = rest.subspan(part);
        }
        if (got < kLz4Block) break;  // only the last block is not full; Linux puts the size behind it
    }
    return Status::Done;
}

Status lz4_frame_member(std::span<const uint8_t>& in, Output& out) {
    LZ4F_dctx* made = nullptr;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&made, LZ4F_VERSION))) return Status::NoMemory;
    const std::unique_ptr<LZ4F_dctx, decltype(&LZ4F_freeDecompressionContext)> context(
        made, &LZ4F_freeDecompressionContext);
    for (;;) {
        const auto room = out.room();
        if (room.empty()) return Status::TooLarge;
        size_t written = room.size(), read = in.size();
        const size_t left = LZ4F_decompress(context.get(), room.data(), &written, in.data(), &read, nullptr);
        if (LZ4F_isError(left)) return Status::Damaged;
        out.advance(written);
        in = in.subspan(read);
        if (left == 0) return Status::Done;
        if (in.empty() && written < room.size()) return Status::Truncated;
    }
}

Status lz4_member(std::span<const uint8_t>& in, Output& out) {
    return std::memcmp(in.data(), kLz4LegacyMagic.data(), kLz4LegacyMagic.size()) == 0
               ? lz4_legacy_member(in, out)
               : lz4_frame_member(in, out);
}

struct Format {
    Compression compression;
    const char* name;  ///< also what a zboot header's word begins with
    std::string_view magics[2];
    Decoder decode;  ///< null: there is none
};
constexpr Format kFormats[] = {
    {Compression::Gzip, "gzip", {"\x1f\x8b"}, inflate_member},
    {Compression::Zstd, "zstd", {"\x28\xb5\x2f\xfd"}, zstd_member},
    {Compression::Xz,
     "xz",
     {std::string_view("\xfd"
                       "7zXZ\0",
                       6)},
     xz_member},
    {Compression::Lzma, "lzma", {std::string_view("\x5d\0\0", 3)}, lzma_alone_member},
    {Compression::Lz4, "lz4", {kLz4LegacyMagic, "\x04\x22\x4d\x18"}, lz4_member},
    {Compression::Lzo, "lzo", {std::string_view("\x89LZO\0\r\n", 7)}, nullptr},
    {Compression::Bzip2, "bzip2", {"BZh"}, nullptr},
};

bool begins_with(std::span<const uint8_t> bytes, const Format& format) {
    return std::ranges::any_of(format.magics, [&](std::string_view magic) {
        return !magic.empty() && bytes.size() >= magic.size() &&
               std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
    });
}

}  // namespace

std::optional<Compression> compression_of(std::span<const uint8_t> bytes) {
    for (const Format& format : kFormats)
        if (begins_with(bytes, format)) return format.compression;
    return {};
}

std::optional<Compression> compression_named(std::string_view name) {
    for (const Format& format : kFormats)
        if (name.starts_with(format.name)) return format.compression;
    return {};
}

Result<Bytes> decompress(const std::string& name, Compression compression, std::span<const uint8_t> packed,
                         uint64_t limit) {
    const Format& format = *std::ranges::find(kFormats, compression, &Format::compression);
    if (format.decode == nullptr)
        return failure(
            "kernel '{}' is packed with {}, which is not supported (gzip, zstd, xz, lzma and lz4 are); "
            "unpack it first",
            name, format.name);
    if (!begins_with(packed, format)) return failure("kernel '{}' holds damaged {} data", name, format.name);
    Output out(packed.size(), limit);
    Status status;
    do {
        status = format.decode(packed, out);
    } while (status == Status::Done && begins_with(packed, format));
    switch (status) {
        case Status::Done: return out.take();
        case Status::Truncated:
            return failure("kernel '{}' is truncated ({} data ends early)", name, format.name);
        case Status::TooLarge:
            return failure("kernel '{}' does not fit: it unpacks to more than {} MiB", name, limit >> 20);
        case Status::NoMemory:
            return failure("kernel '{}' needs more than {} MiB to unpack its {} data", name, kMaxWindow >> 20,
                           format.name);
        case Status::Damaged: break;
    }
    return failure("kernel '{}' holds damaged {} data", name, format.name);
}

}  // namespace arclight::guestos
