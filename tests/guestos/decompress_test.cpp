#include "guestos/decompress.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/guestos/packings.h"

namespace arclight::guestos {
namespace {

using namespace test;

constexpr uint64_t kMiB = 1 << 20;

/// Neither text, which packs to nothing, nor noise.
Bytes sample(size_t size) {
    std::mt19937 random(1);
    Bytes bytes(size);
    for (size_t i = 0; i < size; ++i) bytes[i] = i < size / 8 ? uint8_t(random()) : uint8_t(i);
    return bytes;
}

Result<Bytes> unpack(const Bytes& packed, uint64_t limit = 64 * kMiB) {
    const auto compression = compression_of(packed);
    if (!compression) return failure("no format");
    return decompress("k", *compression, packed, limit);
}

TEST(Decompress, EveryFormatComesBackWhole) {
    for (const size_t size : {size_t{1}, size_t{1000}, size_t(kMiB), size_t(9 * kMiB)})
        for (const auto& [name, pack] : kPackings) {
            if (size > 8 * kMiB && pack != lz4_legacy) continue;  // whose blocks are of 8 MiB
            const Bytes plain = sample(size);
            Bytes packed = pack(plain);
            EXPECT_TRUE(unpack(packed) == plain) << name << ", " << size;
            EXPECT_TRUE(unpack(packed, size) == plain) << name << ", " << size;
            const Bytes tail = {0x12, 0x34, 0x56, 0x00};  // such as the size that Linux's build puts there
            append(packed, tail.data(), tail.size());
            EXPECT_TRUE(unpack(packed) == plain) << name << ", " << size << ", with a tail";
        }
}

TEST(Decompress, NoMoreThanTheLimit) {
    for (const auto& [name, pack] : kPackings)
        EXPECT_EQ(unpack(pack(Bytes(3 * kMiB)), 2 * kMiB).error(),
                  "kernel 'k' does not fit: it unpacks to more than 2 MiB")
            << name;
}

// Whatever the bytes, the answer is a value or one line.
TEST(Decompress, CutAndDamaged) {
    std::mt19937 random(2);
    const Bytes plain = sample(300'000);
    for (const auto& [name, pack] : kPackings) {
        const Bytes packed = pack(plain);
        for (int i = 0; i < 60; ++i) {
            Bytes cut = packed;
            cut.resize(1 + random() % (packed.size() - 20));
            const auto shorter = unpack(cut);
            EXPECT_FALSE(shorter) << name << ": " << cut.size() << " of " << packed.size();
            Bytes damaged = packed;
            damaged[random() % damaged.size()] ^= uint8_t(1 + random() % 255);
            for (const auto& result : {shorter, unpack(damaged)}) {
                if (!result) {
                    EXPECT_EQ(result.error().find('\n'), std::string::npos) << result.error();
                }
            }
        }
    }
}

TEST(Decompress, NamesOfFormats) {
    for (const auto& [name, pack] : kPackings)
        EXPECT_EQ(compression_named(name), compression_of(pack(sample(100)))) << name;
    EXPECT_EQ(compression_named(""), std::nullopt);
    EXPECT_EQ(compression_named("brotli"), std::nullopt);
}

}  // namespace
}  // namespace arclight::guestos
