// Translation tables made by hand for tests.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "mmu/guest_memory.h"
#include "mmu/walk.h"

namespace arclight::mmu::test {

inline constexpr uint64_t kRamBase = 0x4000'0000;
inline constexpr uint64_t kRamSize = 4 << 20;

// Descriptor bits, written out from the manual (D8.3) and not taken from the code under test.
namespace descriptor {
inline constexpr uint64_t kBlock = 1, kTable = 3, kPage = 3;
constexpr uint64_t attribute(unsigned n) { return uint64_t{n} << 2; }
constexpr uint64_t ap(unsigned n) { return uint64_t{n} << 6; }
constexpr uint64_t sh(unsigned n) { return uint64_t{n} << 8; }
inline constexpr uint64_t kAf = 1 << 10, kNg = 1 << 11;
inline constexpr uint64_t kDbm = uint64_t{1} << 51, kContiguous = uint64_t{1} << 52;
inline constexpr uint64_t kPxn = uint64_t{1} << 53, kUxn = uint64_t{1} << 54;
inline constexpr uint64_t kPxnTable = uint64_t{1} << 59, kUxnTable = uint64_t{1} << 60;
constexpr uint64_t ap_table(unsigned n) { return uint64_t{n} << 61; }
}  // namespace descriptor

class PageTables {
  public:
    PageTables() : ram_(kRamSize + 4096) {
        const auto start = (reinterpret_cast<uintptr_t>(ram_.data()) + 4095) & ~uintptr_t{4095};
        memory_ = GuestMemory(reinterpret_cast<uint8_t*>(start), kRamBase, kRamSize);
        regs.sctlr = 1;
        // 48 bits in both halves, 40-bit output, granules of 4 KiB.
        regs.tcr = 16 | 16 << 16 | uint64_t{2} << 30 | uint64_t{2} << 32;
        regs.mair = 0x0000'0000'0000'44ff;  // 0: write-back, 1: non-cacheable, 2 to 7: Device-nGnRnE
        regs.ttbr0 = new_table();
        regs.ttbr1 = new_table();
        regs.update();
    }

    uint64_t new_table(uint64_t bytes = 4096) {
        const uint64_t pa = (next_ + bytes - 1) & ~(bytes - 1);
        next_ = pa + bytes;
        return pa;
    }
    /// log2 of the granules of both halves, 12, 14 or 16, and fresh first tables.
    void use_granules(unsigned lower, unsigned upper) {
        const uint64_t tg0 = lower == 12   ? 0
                             : lower == 14 ? 2
                                           : 1,
                       tg1 = upper == 12   ? 2
                             : upper == 14 ? 1
                                           : 3;
        regs.tcr = (regs.tcr & ~(uint64_t{3} << 14 | uint64_t{3} << 30)) | tg0 << 14 | tg1 << 30;
        regs.ttbr0 = new_table(uint64_t{1} << lower);
        regs.ttbr1 = new_table(uint64_t{1} << upper);
        regs.update();
    }
    uint64_t read(uint64_t pa) const {
        uint64_t v;
        std::memcpy(&v, memory_.host(pa, 8), 8);
        return v;
    }
    void write(uint64_t pa, uint64_t v) { std::memcpy(memory_.host(pa, 8), &v, 8); }

    /// Writes `entry` for va at `level`, with tables above it as needed, and returns its address.
    uint64_t map(uint64_t va, int level, uint64_t entry, uint64_t table_attributes = 0) {
        const TranslationRegs::Half& half = regs.half[va >> 55 & 1];
        const unsigned granule = half.granule_bits;
        uint64_t table = half.table;
        for (int l = half.start_level;; ++l) {
            const unsigned shift = granule + (granule - 3) * static_cast<unsigned>(3 - l);
            const unsigned bits = l == half.start_level ? half.va_bits - shift : granule - 3;
            const uint64_t at = table + (va >> shift & ((1u << bits) - 1)) * 8;
            if (l == level) {
                write(at, entry);
                return at;
            }
            if ((read(at) & 3) != descriptor::kTable)
                write(at, new_table(uint64_t{1} << granule) | descriptor::kTable);
            write(at, read(at) | table_attributes);
            table = read(at) & 0x0000'ffff'ffff'f000;
        }
    }

    WalkResult walk(uint64_t va, AccessKind kind = AccessKind::Read, bool privileged = true,
                    bool pan = false) const {
        return mmu::walk(regs, memory_, va, {.kind = kind, .privileged = privileged, .pan = pan});
    }

    const GuestMemory& memory() const { return memory_; }
    TranslationRegs regs;

  private:
    std::vector<uint8_t> ram_;
    GuestMemory memory_{nullptr, 0, 0};
    uint64_t next_ = kRamBase;
};

}  // namespace arclight::mmu::test
