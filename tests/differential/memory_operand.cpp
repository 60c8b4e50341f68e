#include "tests/differential/memory_operand.h"

namespace arclight::differential {
namespace {

constexpr uint32_t bits(uint32_t insn, unsigned hi, unsigned lo) {
    return insn >> lo & ((2u << (hi - lo)) - 1);
}
constexpr int64_t sbits(uint32_t insn, unsigned hi, unsigned lo) {
    const unsigned width = hi - lo + 1;
    return static_cast<int64_t>(uint64_t{bits(insn, hi, lo)} << (64 - width)) >> (64 - width);
}
constexpr uint32_t reg_mask(unsigned r) { return r == 31 ? 0 : 1u << r; }

using Mode = MemoryOperand::Mode;

std::optional<MemoryOperand> structure(uint32_t insn) {
    MemoryOperand m;
    const bool q = bits(insn, 30, 30), single = bits(insn, 24, 24), post = bits(insn, 23, 23);
    m.is_load = bits(insn, 22, 22);
    if (!single) {
        unsigned registers = 0;
        switch (bits(insn, 15, 12)) {
            case 0:
            case 2: registers = 4; break;
            case 4:
            case 6: registers = 3; break;
            case 8:
            case 10: registers = 2; break;
            case 7: registers = 1; break;
            default: return {};
        }
        m.bytes = registers * (q ? 16 : 8);
    } else {
        const unsigned selem = ((bits(insn, 13, 13) << 1) | bits(insn, 21, 21)) + 1;
        unsigned scale = bits(insn, 15, 14);
        if (scale == 3)
            scale = bits(insn, 11, 10);  // load and replicate
        else if (scale == 2 && bits(insn, 10, 10))
            scale = 3;
        m.bytes = selem << scale;
    }
    if (post) {
        m.index = bits(insn, 20, 16);
        m.mode = m.index == 31 ? Mode::PostImmediate : Mode::PostRegister;
        m.offset = m.index == 31 ? m.bytes : 0;
    }
    return m;
}

std::optional<MemoryOperand> exclusive(uint32_t insn) {
    MemoryOperand m;
    const unsigned size = bits(insn, 31, 30), rs = bits(insn, 20, 16), rt2 = bits(insn, 14, 10),
                   rt = bits(insn, 4, 0);
    const bool o2 = bits(insn, 23, 23), load = bits(insn, 22, 22), o1 = bits(insn, 21, 21);
    m.bytes = 1u << size;
    m.is_load = load;
    if (!o2) {
        const bool cas_pair = o1 && size < 2;
        const bool pair = o1 && !cas_pair;
        if (cas_pair) {
            m.bytes = 8u << size;
            m.is_load = true;
            m.gpr_written = reg_mask(rs) | reg_mask((rs + 1) & 31);
            m.gpr_read = m.gpr_written | reg_mask(rt) | reg_mask((rt + 1) & 31);
        } else if (load) {
            if (pair) m.bytes *= 2;
            m.gpr_written = reg_mask(rt) | (pair ? reg_mask(rt2) : 0);
            m.unpredictable = pair && rt == rt2;
        } else {
            if (pair) m.bytes *= 2;
            m.gpr_written = reg_mask(rs);
            m.gpr_read = reg_mask(rt) | (pair ? reg_mask(rt2) : 0);
            m.is_exclusive_store = true;
            const unsigned rn = bits(insn, 9, 5);
            m.unpredictable = rs == rt || (pair && rs == rt2) || (rs == rn && rn != 31);
        }
    } else if (o1) {  // CAS
        m.is_load = true;
        m.gpr_written = reg_mask(rs);
        m.gpr_read = reg_mask(rs) | reg_mask(rt);
    } else if (load) {
        m.gpr_written = reg_mask(rt);
    } else {
        m.gpr_read = reg_mask(rt);
    }
    m.alignment = m.bytes;
    return m;
}

std::optional<MemoryOperand> pair(uint32_t insn) {
    MemoryOperand m;
    const bool vector = bits(insn, 26, 26);
    const unsigned opc = bits(insn, 31, 30), rt2 = bits(insn, 14, 10), rt = bits(insn, 4, 0),
                   rn = bits(insn, 9, 5);
    if (opc == 3) return {};
    const unsigned scale = vector ? 2 + opc : (opc == 2 ? 3 : 2);
    m.is_load = bits(insn, 22, 22);
    m.bytes = 2u << scale;
    m.offset = sbits(insn, 21, 15) * (int64_t{1} << scale);
    switch (bits(insn, 24, 23)) {
        case 1: m.mode = Mode::PostImmediate; break;
        case 3: m.mode = Mode::PreImmediate; break;
        default: break;
    }
    if (!vector) (m.is_load ? m.gpr_written : m.gpr_read) = reg_mask(rt) | reg_mask(rt2);
    m.unpredictable =
        (m.is_load && rt == rt2) || (!vector && m.writes_back() && rn != 31 && (rt == rn || rt2 == rn));
    return m;
}

std::optional<MemoryOperand> single_register(uint32_t insn) {
    MemoryOperand m;
    const bool vector = bits(insn, 26, 26);
    const unsigned size = bits(insn, 31, 30), opc = bits(insn, 23, 22), rt = bits(insn, 4, 0),
                   rn = bits(insn, 9, 5);
    const bool prefetch = !vector && size == 3 && opc == 2;
    unsigned scale = size;
    if (vector) {
        if ((opc & 2) && size != 0) return {};
        if (opc & 2) scale = 4;
        m.is_load = opc & 1;
    } else {
        m.is_load = opc != 0;
    }
    m.bytes = 1u << scale;
    const bool unsigned_imm = bits(insn, 24, 24);
    if (unsigned_imm) {
        m.offset = static_cast<int64_t>(bits(insn, 21, 10)) << scale;
    } else if (!bits(insn, 21, 21)) {
        m.offset = sbits(insn, 20, 12);
        switch (bits(insn, 11, 10)) {
            case 1: m.mode = Mode::PostImmediate; break;
            case 3: m.mode = Mode::PreImmediate; break;
            default: break;
        }
    } else if (bits(insn, 11, 10) == 2) {
        m.mode = Mode::RegisterOffset;
        m.index = bits(insn, 20, 16);
        m.extend = bits(insn, 15, 13);
        m.shift = bits(insn, 12, 12) ? scale : 0;
    } else if (bits(insn, 11, 10) == 0 && !vector) {  // atomic memory operations and LDAPR
        m.is_load = true;
        m.alignment = m.bytes;
        m.gpr_read = bits(insn, 15, 12) == 12 ? 0 : reg_mask(bits(insn, 20, 16));
        m.gpr_written = reg_mask(rt);
        return m;
    } else {
        return {};
    }
    if (prefetch) {
        m.mode = Mode::None;
        return m;
    }
    if (!vector) {
        (m.is_load ? m.gpr_written : m.gpr_read) = reg_mask(rt);
        m.unpredictable = m.writes_back() && rn != 31 && rt == rn;
    }
    return m;
}

/// LDAPUR, STLUR
std::optional<MemoryOperand> ordered_offset(uint32_t insn) {
    MemoryOperand m;
    const unsigned size = bits(insn, 31, 30), opc = bits(insn, 23, 22);
    if (bits(insn, 21, 21) != 0 || bits(insn, 11, 10) != 0 || (size == 3 && opc > 1) ||
        (size == 2 && opc == 3))
        return {};
    m.is_load = opc != 0;
    m.bytes = m.alignment = 1u << size;
    m.offset = sbits(insn, 20, 12);
    (m.is_load ? m.gpr_written : m.gpr_read) = reg_mask(bits(insn, 4, 0));
    return m;
}

std::optional<MemoryOperand> literal(uint32_t insn) {
    MemoryOperand m;
    const bool vector = bits(insn, 26, 26);
    const unsigned opc = bits(insn, 31, 30);
    m.mode = Mode::Literal;
    m.is_load = true;
    if (vector) {
        if (opc == 3) return {};
        m.bytes = 4u << opc;
    } else {
        if (opc == 3) m.mode = Mode::None;  // PRFM
        m.bytes = opc == 1 ? 8 : 4;
        m.gpr_written = opc == 3 ? 0 : reg_mask(bits(insn, 4, 0));
    }
    return m;
}

}  // namespace

std::optional<MemoryOperand> memory_operand(uint32_t insn) {
    if (is_dc_zva(insn)) {
        MemoryOperand m;
        m.base = bits(insn, 4, 0);
        m.bytes = 64;
        return m;
    }
    if (!is_load_store(insn)) return {};
    std::optional<MemoryOperand> m;
    if ((insn & 0xbe000000) == 0x0c000000)
        m = structure(insn);
    else if ((insn & 0x3f000000) == 0x08000000)
        m = exclusive(insn);
    else if ((insn & 0x3f000000) == 0x19000000)
        m = ordered_offset(insn);
    else if ((insn & 0x3b000000) == 0x18000000)
        m = literal(insn);
    else if ((insn & 0x3a000000) == 0x28000000)
        m = pair(insn);
    else if ((insn & 0x3a000000) == 0x38000000)
        m = single_register(insn);
    if (m) m->base = bits(insn, 9, 5);
    return m;
}

}  // namespace arclight::differential
