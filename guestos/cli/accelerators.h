// Which ways of running guest code this host offers.
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
/// `arclight probe`: all that is known of /dev/kvm, and what --accel auto makes of it.
int print_probe();

}  // namespace arclight::guestos::cli
