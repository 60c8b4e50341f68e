#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "devices/layout.h"

/// State and rules that GICv2 (ARM IHI 0048B) and GICv3 (ARM IHI 0069) share.
namespace arclight::devices {

inline constexpr unsigned kGicIntids = layout::kFirstSpiIntid + layout::kSpiCount;
inline constexpr unsigned kGicBanks = kGicIntids / 32;
inline constexpr unsigned kGicSpurious = 1023;
inline constexpr uint8_t kGicIdlePriority = 0xff;

/// Thirty-two consecutive interrupts, one bit each: bank 0 (SGI and PPI) exists per CPU, the others are SPIs.
struct IrqBank {
    uint32_t group1 = 0;
    uint32_t enabled = 0;
    uint32_t latched = 0;  ///< pending by edge, by SGI or by a write to ISPENDR
    uint32_t level = 0;    ///< the wires
    uint32_t active = 0;
    uint32_t edge = 0;  ///< configuration: 1 edge, 0 level
    std::array<uint8_t, 32> priority{};

    template <typename Archive, typename Self>
    static void fields(Archive& archive, Self& self) {
        archive(self.group1, self.enabled, self.latched, self.level, self.active, self.edge, self.priority);
    }

    uint32_t pending() const { return latched | (level & ~edge); }
    uint32_t deliverable() const { return pending() & enabled & ~active; }

    void set_level(unsigned bit, bool high) {
        const uint32_t mask = 1u << bit;
        if (high && (level & mask) == 0) latched |= edge & mask;
        level = high ? level | mask : level & ~mask;
    }
    /// The wires are inputs and keep their level.
    void reset(uint32_t edge_configuration) {
        const uint32_t wires = level;
        *this = IrqBank{};
        level = wires;
        edge = edge_configuration;
    }
};

/// The registers of a distributor that hold 32 interrupts a word and mean the same in both versions.
enum class BankRegister : uint8_t {
    Group,
    SetEnable,
    ClearEnable,
    SetPending,
    ClearPending,
    SetActive,
    ClearActive,
};

uint32_t read_bank(const IrqBank& bank, BankRegister reg);
/// Bits of value outside mask (bytes the access does not cover) are not written. writable limits which
/// interrupts the write may change.
void write_bank(IrqBank& bank, BankRegister reg, uint32_t value, uint32_t mask, uint32_t writable = ~0u);

uint32_t read_priority_word(const IrqBank& bank, unsigned word);  ///< word 0..7
void write_priority_word(IrqBank& bank, unsigned word, uint32_t value, uint32_t mask);

uint32_t read_config_word(const IrqBank& bank, unsigned word);  ///< word 0..1
void write_config_word(IrqBank& bank, unsigned word, uint32_t value, uint32_t mask, uint32_t writable);

/// The active priorities registers: which preemption levels have an interrupt in service.
struct ActivePriorities {
    std::array<uint32_t, 4> words{};

    template <typename Archive, typename Self>
    static void fields(Archive& archive, Self& self) {
        archive(self.words);
    }

    void set(unsigned level) { words[(level / 32) & 3] |= 1u << (level % 32); }
    /// The most urgent level in service, or -1.
    int highest() const {
        for (unsigned i = 0; i < words.size(); i++) {
            if (words[i] != 0) return static_cast<int>(i * 32 + std::countr_zero(words[i]));
        }
        return -1;
    }
    void drop_highest() {
        for (uint32_t& word : words) {
            if (word != 0) {
                word &= word - 1;
                return;
            }
        }
    }
};

/// The most urgent deliverable interrupt: lowest priority value, then lowest INTID.
struct GicCandidate {
    unsigned intid = kGicSpurious;
    uint8_t priority = kGicIdlePriority;
    bool group1 = false;

    bool valid() const { return intid != kGicSpurious; }
};

}  // namespace arclight::devices
