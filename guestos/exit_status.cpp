#include "guestos/exit_status.h"

#include <fmt/format.h>

#include "devices/fdt_writer.h"

namespace arclight::guestos {

namespace {

constexpr uint64_t kStatus = 0;
constexpr uint64_t kConsole = 4;

}  // namespace

uint64_t ExitStatus::read(uint64_t offset, unsigned) {
    const int value = status_;
    return offset == kStatus && value >= 0 ? uint64_t(value) : 0;
}

void ExitStatus::write(uint64_t offset, uint64_t value, unsigned size) {
    if (size != 4) return;
    if (offset == kStatus) status_ = int(value & 0xff);
    if (offset == kConsole && on_console_ && (value == 1 || value == 2)) on_console_(ConsoleInput(value));
}

void ExitStatus::add_to_device_tree(devices::FdtWriter& fdt) const {
    fdt.begin_node(fmt::format("exit-status@{:x}", range.base));
    fdt.property_string("compatible", "arclight,exit-status");
    fdt.property_u64s("reg", {range.base, range.size});
    fdt.end_node();
}

}  // namespace arclight::guestos
