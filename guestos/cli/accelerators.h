// Which accelerators this host has.
#pragma once

#include <string>
#include <vector>

namespace arclight::guestos::cli {

struct Accelerator {
    std::string name;
    bool usable;
    std::string detail;
};

std::vector<Accelerator> find_accelerators();
/// `arclight probe`: prints the properties of /dev/kvm and the choice of --accel auto.
int print_probe();

}  // namespace arclight::guestos::cli
