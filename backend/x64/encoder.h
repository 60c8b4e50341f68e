// The instructions that most code consists of, written at once.
//
// Xbyak takes 150 to 260 host instructions to write one with an operand in memory, since its operands can be anything: that was a
// third of tier 1's compilation. These are the same bytes for a tenth of it (tests/backend/encoder_test.cpp compares all forms). What is
// not here is Xbyak's.
#pragma once

#include <xbyak/xbyak.h>

#include <cstdint>
#include <cstring>

namespace arclight::backend {

/// base + index + displacement, as an operand has it: numbers of 64-bit registers.
struct Mem {
    /// What the host's encoding has for no index: RSP is none.
    static constexpr uint8_t kNoIndex = 4;

    uint8_t base;
    uint8_t index = kNoIndex;
    int32_t displacement = 0;

    Mem operator+(int bytes) const { return {base, index, displacement + bytes}; }
    operator Xbyak::RegExp() const {
        const Xbyak::Reg64 from(base);
        return index == kNoIndex ? from + displacement : from + Xbyak::Reg64(index) + displacement;
    }
};
inline Mem mem(const Xbyak::Reg64& base, int displacement = 0) {
    return {static_cast<uint8_t>(base.getIdx()), Mem::kNoIndex, displacement};
}
/// `to` has no index yet.
inline Mem operator+(const Xbyak::Reg64& base, const Mem& to) {
    return {static_cast<uint8_t>(base.getIdx()), to.base, to.displacement};
}

class Encoder : public Xbyak::CodeGenerator {
  public:
    using CodeGenerator::CodeGenerator;
    using Reg32 = Xbyak::Reg32;
    using Reg64 = Xbyak::Reg64;

    // ---- Loads, stores
    using CodeGenerator::mov;
    void mov(const Reg64& d, const Mem& from) { with_memory(0x8b | kWide, number(d), from); }
    void mov(const Reg32& d, const Mem& from) { with_memory(0x8b, number(d), from); }
    void mov(const Mem& to, const Reg64& from) { with_memory(0x89 | kWide, number(from), to); }
    void mov(const Mem& to, const Reg32& from) { with_memory(0x89, number(from), to); }
    /// 1 << log2 bytes, zero-extended.
    void load(const Reg64& d, const Mem& from, unsigned log2) {
        constexpr unsigned kForms[] = {k0F | 0xb6, k0F | 0xb7, 0x8b, 0x8b | kWide};
        with_memory(kForms[log2], number(d), from);
    }
    /// The same, sign-extended to 32 or 64 bits: `log2` is below that.
    void load_signed(const Reg64& d, const Mem& from, unsigned log2, bool wide) {
        constexpr unsigned kForms[] = {k0F | 0xbe, k0F | 0xbf, 0x63};
        with_memory(kForms[log2] | (wide ? kWide : 0), number(d), from);
    }
    void store(const Mem& to, const Reg64& from, unsigned log2) {
        constexpr unsigned kForms[] = {0x88 | kByteRegister, k16 | 0x89, 0x89, 0x89 | kWide};
        with_memory(kForms[log2], number(from), to);
    }
    /// Of 8 bytes, sign-extended.
    void mov(const Mem& to, int32_t value) {
        with_memory(0xc7 | kWide, 0, to);
        immediate(static_cast<uint32_t>(value));
    }
    using CodeGenerator::lea;
    void lea(const Reg64& d, const Mem& what) { with_memory(0x8d | kWide, number(d), what); }
    void lea(const Reg32& d, const Mem& what) { with_memory(0x8d, number(d), what); }
    /// Of 32 or 64 bits.
    void lea(const Xbyak::Reg& d, const Mem& what) { with_memory(0x8d | width(d), number(d), what); }

    // ---- Between registers
    void mov(const Reg64& d, const Reg64& from) { between(0x89 | kWide, number(from), number(d)); }
    void mov(const Reg32& d, const Reg32& from) { between(0x89, number(from), number(d)); }
    using CodeGenerator::test;
    void test(const Reg64& a, const Reg64& b) { between(0x85 | kWide, number(b), number(a)); }
    using CodeGenerator::rorx;
    void rorx(const Reg64& d, const Reg64& from, uint8_t by) { rotate(true, number(d), number(from), by); }
    void rorx(const Reg32& d, const Reg32& from, uint8_t by) { rotate(false, number(d), number(from), by); }

    // ---- Arithmetic with a register, a constant of 32 bits (sign-extended) or memory
#define ARCLIGHT_ARITHMETIC(name, code)                                                                     \
    using CodeGenerator::name;                                                                              \
    void name(const Reg64& d, const Reg64& with) {                                                          \
        between(((code) << 3 | 1) | kWide, number(with), number(d));                                        \
    }                                                                                                       \
    void name(const Reg32& d, const Reg32& with) { between((code) << 3 | 1, number(with), number(d)); }     \
    void name(const Reg64& d, uint32_t constant) { with_constant(code, true, number(d), constant); }        \
    void name(const Reg32& d, uint32_t constant) { with_constant(code, false, number(d), constant); }       \
    void name(const Reg64& d, const Mem& with) { with_memory(((code) << 3 | 3) | kWide, number(d), with); } \
    void name(const Reg32& d, const Mem& with) { with_memory((code) << 3 | 3, number(d), with); }           \
    void name(const Xbyak::Reg& d, const Xbyak::Operand& with) {                                            \
        if (!is_word(d) || !with.isREG() || with.getBit() != d.getBit())                                    \
            return CodeGenerator::name(d, with);                                                            \
        between(((code) << 3 | 1) | width(d), number(with.getReg()), number(d));                            \
    }                                                                                                       \
    void name(const Xbyak::Reg& d, uint32_t constant) {                                                     \
        if (!is_word(d)) return CodeGenerator::name(d, constant);                                           \
        with_constant(code, d.isBit(64), number(d), constant);                                              \
    }
    ARCLIGHT_ARITHMETIC(add, 0u)
    ARCLIGHT_ARITHMETIC(or_, 1u)
    ARCLIGHT_ARITHMETIC(and_, 4u)
    ARCLIGHT_ARITHMETIC(sub, 5u)
    ARCLIGHT_ARITHMETIC(xor_, 6u)
    ARCLIGHT_ARITHMETIC(cmp, 7u)
#undef ARCLIGHT_ARITHMETIC

    // ---- Constants
    void mov(const Reg32& d, uint32_t value) {
        uint8_t* p = start();
        const unsigned r = number(d);
        if (r >= 8) *p++ = 0x41;
        *p++ = static_cast<uint8_t>(0xb8 | (r & 7));
        end(put(p, value));
    }
    void mov(const Reg64& d, uint64_t value) {
        if (value <= 0xffff'ffff) return mov(Reg32(d.getIdx()), static_cast<uint32_t>(value));
        const unsigned r = number(d);
        if (static_cast<int64_t>(value) == static_cast<int32_t>(value)) {
            between(0xc7 | kWide, 0, r);
            return immediate(static_cast<uint32_t>(value));
        }
        uint8_t* p = start();
        *p++ = static_cast<uint8_t>(0x48 | r >> 3);
        *p++ = static_cast<uint8_t>(0xb8 | (r & 7));
        end(put(p, value));
    }

  protected:
    // ---- Bytes
    static constexpr size_t kMostBytes = 16;  ///< of an instruction
    /// Where the next instruction is to be written.
    uint8_t* start() { return size_ + kMostBytes <= maxSize_ ? top_ + size_ : near_end_; }
    /// It ends here. Throws Xbyak::Error if there is no room for it.
    void end(const uint8_t* end) {
        if (end >= near_end_ && end <= near_end_ + kMostBytes) {
            db(near_end_, static_cast<size_t>(end - near_end_));
        } else {
            size_ = static_cast<size_t>(end - top_);
        }
    }
    template <typename T>
    static uint8_t* put(uint8_t* p, T value) {
        std::memcpy(p, &value, sizeof value);
        return p + sizeof value;
    }
    /// Behind an instruction of start().
    void immediate(uint32_t value) { end(put(start(), value)); }

  private:
    uint8_t near_end_[kMostBytes];  ///< where less than that is left

    // Of a form: its opcode in the low byte, and
    static constexpr unsigned kWide = 1u << 8;           ///< REX.W
    static constexpr unsigned k0F = 1u << 9;             ///< in the map behind 0F
    static constexpr unsigned k16 = 1u << 10;            ///< operands of 16 bits
    static constexpr unsigned kByteRegister = 1u << 11;  ///< SPL to DIL need a REX

    static unsigned number(const Xbyak::Reg& r) { return static_cast<unsigned>(r.getIdx()); }
    static unsigned width(const Xbyak::Reg& r) { return r.isBit(64) ? kWide : 0; }
    static bool is_word(const Xbyak::Reg& r) { return r.isREG(32 | 64); }

    void with_memory(unsigned form, unsigned reg, const Mem& m) {
        uint8_t* p = start();
        if ((form & k16) != 0) *p++ = 0x66;
        const unsigned rex =
            ((form & kWide) != 0 ? 8u : 0u) | reg >> 3 << 2 | m.index >> 3 << 1 | m.base >> 3;
        if (rex != 0 || ((form & kByteRegister) != 0 && reg >= 4)) *p++ = static_cast<uint8_t>(0x40 | rex);
        if ((form & k0F) != 0) *p++ = 0x0f;
        *p++ = static_cast<uint8_t>(form);
        // A base of RBP or R13 always has a displacement; one of RSP or R12 a SIB byte.
        const unsigned base = m.base & 7;
        const bool none = m.displacement == 0 && base != 5,
                   byte = m.displacement == static_cast<int8_t>(m.displacement);
        const unsigned mode = none ? 0 : byte ? 1 : 2;
        const bool sib = m.index != Mem::kNoIndex || base == 4;
        *p++ = static_cast<uint8_t>(mode << 6 | (reg & 7) << 3 | (sib ? 4 : base));
        if (sib) *p++ = static_cast<uint8_t>((m.index & 7) << 3 | base);
        if (mode == 1) {
            *p++ = static_cast<uint8_t>(m.displacement);
        } else if (mode == 2) {
            p = put(p, m.displacement);
        }
        end(p);
    }
    void between(unsigned form, unsigned reg, unsigned rm) {
        uint8_t* p = start();
        const unsigned rex = ((form & kWide) != 0 ? 8u : 0u) | reg >> 3 << 2 | rm >> 3;
        if (rex != 0) *p++ = static_cast<uint8_t>(0x40 | rex);
        *p++ = static_cast<uint8_t>(form);
        *p++ = static_cast<uint8_t>(0xc0 | (reg & 7) << 3 | (rm & 7));
        end(p);
    }
    void with_constant(unsigned code, bool wide, unsigned r, uint32_t constant) {
        uint8_t* p = start();
        const unsigned rex = (wide ? 8u : 0u) | r >> 3;
        if (rex != 0) *p++ = static_cast<uint8_t>(0x40 | rex);
        const bool byte = static_cast<int32_t>(constant) == static_cast<int8_t>(constant);
        if (r == 0 && !byte) {
            *p++ = static_cast<uint8_t>(code << 3 | 5);
        } else {
            *p++ = byte ? 0x83 : 0x81;
            *p++ = static_cast<uint8_t>(0xc0 | code << 3 | (r & 7));
        }
        if (byte) {
            *p++ = static_cast<uint8_t>(constant);
        } else {
            p = put(p, constant);
        }
        end(p);
    }
    void rotate(bool wide, unsigned d, unsigned from, uint8_t by) {
        uint8_t* p = start();
        *p++ = 0xc4;
        *p++ = static_cast<uint8_t>((d < 8 ? 0x80 : 0) | 0x40 | (from < 8 ? 0x20 : 0) | 3);
        *p++ = wide ? 0xfb : 0x7b;
        *p++ = 0xf0;
        *p++ = static_cast<uint8_t>(0xc0 | (d & 7) << 3 | (from & 7));
        *p++ = by;
        end(p);
    }
};

}  // namespace arclight::backend
