// Packs as those do who make kernels.
#pragma once

#include <gtest/gtest.h>
#include <lz4.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>

#include "tests/guestos/test_files.h"

namespace arclight::guestos::test {

inline Bytes gzip(const Bytes& plain) {
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    Bytes packed(deflateBound(&stream, plain.size()) + 64);
    stream.next_in = const_cast<Bytef*>(plain.data());
    stream.avail_in = uInt(plain.size());
    stream.next_out = packed.data();
    stream.avail_out = uInt(packed.size());
    deflate(&stream, Z_FINISH);
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    return packed;
}

inline Bytes zstd(const Bytes& plain) {
    Bytes packed(ZSTD_compressBound(plain.size()));
    packed.resize(ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 19));
    return packed;
}

inline Bytes xz(const Bytes& plain) {
    Bytes packed(lzma_stream_buffer_bound(plain.size()));
    size_t used = 0;
    EXPECT_EQ(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, nullptr, plain.data(), plain.size(), packed.data(),
                                      &used, packed.size()),
              LZMA_OK);
    packed.resize(used);
    return packed;
}

inline Bytes lzma_alone(const Bytes& plain) {
    lzma_options_lzma options;
    lzma_lzma_preset(&options, 6);
    lzma_stream stream = LZMA_STREAM_INIT;
    EXPECT_EQ(lzma_alone_encoder(&stream, &options), LZMA_OK);
    Bytes packed(plain.size() + 1000);
    stream.next_in = plain.data(), stream.avail_in = plain.size();
    stream.next_out = packed.data(), stream.avail_out = packed.size();
    EXPECT_EQ(lzma_code(&stream, LZMA_FINISH), LZMA_STREAM_END);
    packed.resize(stream.total_out);
    lzma_end(&stream);
    return packed;
}

// As 'lz4 -l' of Linux's build, whose size the build puts behind it: a magic number, then blocks of 8 MiB, each by its packed size.
inline Bytes lz4_legacy(const Bytes& plain) {
    constexpr size_t kBlock = 8 << 20;
    Bytes packed = {0x02, 0x21, 0x4c, 0x18};
    for (size_t at = 0; at < plain.size(); at += kBlock) {
        const size_t n = std::min(kBlock, plain.size() - at);
        Bytes block(static_cast<size_t>(LZ4_compressBound(int(n))));
        const int size =
            LZ4_compress_default(reinterpret_cast<const char*>(plain.data() + at),
                                 reinterpret_cast<char*>(block.data()), int(n), int(block.size()));
        const auto word = uint32_t(size);
        append(packed, &word, sizeof word);
        append(packed, block.data(), size_t(size));
    }
    return packed;
}

inline Bytes lz4_frame(const Bytes& plain) {
    Bytes packed(LZ4F_compressFrameBound(plain.size(), nullptr));
    packed.resize(LZ4F_compressFrame(packed.data(), packed.size(), plain.data(), plain.size(), nullptr));
    return packed;
}

struct Packing {
    const char* name;  ///< in a zboot header
    Bytes (*pack)(const Bytes&);
};
inline constexpr Packing kPackings[] = {{"gzip", gzip},       {"zstd22", zstd},    {"xzkern", xz},
                                        {"lzma", lzma_alone}, {"lz4", lz4_legacy}, {"lz4", lz4_frame}};

}  // namespace arclight::guestos::test
