#include "guestos/machine/machine.h"

#include <cstdio>

namespace arclight::guestos {

int run_machine(const RunOptions&) {
    std::fputs("arclight: no machine in this build\n", stderr);
    return 1;
}

}  // namespace arclight::guestos
