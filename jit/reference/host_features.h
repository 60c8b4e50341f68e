// Host instructions beyond the x86-64-v3 baseline that have a plain fallback here.
#pragma once

#include <cpuid.h>

namespace arclight::jit::reference {

struct HostFeatures {
    bool aes = false;
    bool pclmul = false;
    bool sha = false;
};

inline HostFeatures detect_host_features() {
    HostFeatures f;
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d)) {
        f.aes = (c & bit_AES) != 0;
        f.pclmul = (c & bit_PCLMUL) != 0;
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) f.sha = (b & bit_SHA) != 0;
    return f;
}

}  // namespace arclight::jit::reference
