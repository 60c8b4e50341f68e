// Conditions of the IR: A64's four bits (ARM ARM C1.2.4), of which the lowest inverts but for AL and NV.
#pragma once

namespace arclight::jit::ir {

/// `nzcv`: N in bit 3, V in bit 0.
constexpr bool condition_holds(unsigned condition, unsigned nzcv) {
    const bool n = (nzcv & 8) != 0, z = (nzcv & 4) != 0, c = (nzcv & 2) != 0, v = (nzcv & 1) != 0;
    bool r = false;
    switch (condition >> 1) {
        case 0: r = z; break;
        case 1: r = c; break;
        case 2: r = n; break;
        case 3: r = v; break;
        case 4: r = c && !z; break;
        case 5: r = n == v; break;
        case 6: r = n == v && !z; break;
        default: return true;
    }
    return r != ((condition & 1) != 0);
}

}  // namespace arclight::jit::ir
