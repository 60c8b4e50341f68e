#include "guestos/sandbox/speculation.h"

#include <fmt/format.h>
#include <linux/prctl.h>
#include <sys/prctl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace arclight::guestos::sandbox {

void restrict_speculation() {
    struct Feature {
        unsigned long which;
        const char* name;
    };
    for (const auto& [which, name] : {Feature{PR_SPEC_STORE_BYPASS, "speculative store bypass"},
                                      Feature{PR_SPEC_INDIRECT_BRANCH, "indirect branch speculation"}}) {
        const int now = prctl(PR_GET_SPECULATION_CTRL, which, 0, 0, 0);
        // Not affected, or disabled for all processes.
        constexpr int kDisabled = PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE;
        if (now == PR_SPEC_NOT_AFFECTED || (now > 0 && (now & kDisabled) != 0)) continue;
        if (now >= 0 && prctl(PR_SET_SPECULATION_CTRL, which, PR_SPEC_FORCE_DISABLE, 0, 0) == 0) continue;
        fmt::print(stderr,
                   "arclight: --spectre on: the host's kernel does not turn {} off for this process: {}\n",
                   name, std::strerror(errno));
    }
}

}  // namespace arclight::guestos::sandbox
