// Registers by width.
#include "backend/x64/types.h"

namespace arclight::backend {

using namespace Xbyak::util;

Reg sized_log2(const Reg64& r, unsigned log2) {
    switch (log2) {
        case 0: return r.cvt8();
        case 1: return r.cvt16();
        case 2: return r.cvt32();
        default: return r;
    }
}

Address memory_log2(const Xbyak::RegExp& where, unsigned log2) {
    switch (log2) {
        case 0: return byte[where];
        case 1: return word[where];
        case 2: return dword[where];
        default: return qword[where];
    }
}

}  // namespace arclight::backend
