// CRC32B..CRC32X and CRC32CB..CRC32CX.
#include <immintrin.h>

#include <array>

#include "jit/reference/groups.h"

namespace arclight::jit::reference {

namespace {
/// x86 has only the Castagnoli polynomial; the other one goes by tables. kTables[k][b] is what byte b
/// contributes to the remainder when k more bytes follow it.
constexpr auto kTables = [] {
    std::array<std::array<uint32_t, 256>, 8> tables{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t r = i;
        for (unsigned bit = 0; bit < 8; ++bit)
            r = r >> 1 ^ (r & 1 ? 0xedb88320u : 0u);  // 0x04c11db7 reflected
        tables[0][i] = r;
    }
    for (unsigned k = 1; k < 8; ++k) {
        for (uint32_t i = 0; i < 256; ++i)
            tables[k][i] = tables[k - 1][i] >> 8 ^ tables[0][tables[k - 1][i] & 0xff];
    }
    return tables;
}();

void crc32(GuestState&, VectorCall& c) {
    auto crc = static_cast<uint32_t>(c.a.d[0]);
    uint64_t value = c.b.d[0];
    const unsigned size_log2 = c.aux & 3;
    if (c.aux & 8) {
        switch (size_log2) {
            case 0: crc = _mm_crc32_u8(crc, static_cast<uint8_t>(value)); break;
            case 1: crc = _mm_crc32_u16(crc, static_cast<uint16_t>(value)); break;
            case 2: crc = _mm_crc32_u32(crc, static_cast<uint32_t>(value)); break;
            default: crc = static_cast<uint32_t>(_mm_crc32_u64(crc, value)); break;
        }
    } else {
        const unsigned bytes = 1u << size_log2;
        value ^= crc;
        crc = bytes < 4 ? crc >> 8 * bytes : 0;
        for (unsigned k = bytes; k-- > 0; value >>= 8) crc ^= kTables[k][value & 0xff];
    }
    c.out.d[0] = crc;
    c.out.d[1] = 0;
}
}  // namespace

void add_crc(Table& t) { t[ir::Op::Crc32] = crc32; }

}  // namespace arclight::jit::reference
