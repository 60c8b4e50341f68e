#include "guestos/exit_status.h"

#include <fmt/format.h>

#include "devices/fdt_writer.h"

namespace arclight::guestos {

namespace {

constexpr uint64_t kStatus = 0;
constexpr uint64_t kConsole = 4;
constexpr uint32_t kStateVersion = 1;

}  // namespace

uint64_t ExitStatus::read(uint64_t offset, unsigned) {
    const int value = status_;
    return offset == kStatus && value >= 0 ? uint64_t(value) : 0;
}

void ExitStatus::write(uint64_t offset, uint64_t value, unsigned size) {
    if (size != 4) return;
    if (offset == kStatus) status_ = int(value & 0xff);
    if (offset == kConsole && (value == 1 || value == 2)) {
        console_ = uint32_t(value);
        if (on_console_) on_console_(ConsoleInput(value));
    }
}

void ExitStatus::reset() {
    status_ = -1;
    console_ = 0;
}

void ExitStatus::resume() {
    if (on_console_ && console_ != 0) on_console_(ConsoleInput(console_.load()));
}

void ExitStatus::save(devices::StateWriter& out) const {
    out.section("exit-status", kStateVersion, [&] { out(int64_t{status_}, console_.load()); });
}

devices::StateResult ExitStatus::load(devices::StateReader& in) {
    int64_t status = -1;
    uint32_t console = 0;
    const auto loaded = in.section("exit-status", kStateVersion, [&] {
        in(status, console);
        in.require(status >= -1 && status <= 255 && console <= 2, "a status that is out of range");
    });
    if (!loaded) return loaded;
    status_ = int(status);
    console_ = console;
    return {};
}

void ExitStatus::add_to_device_tree(devices::FdtWriter& fdt) const {
    fdt.begin_node(fmt::format("exit-status@{:x}", kRange.base));
    fdt.property_string("compatible", "arclight,exit-status");
    fdt.property_u64s("reg", {kRange.base, kRange.size});
    fdt.end_node();
}

}  // namespace arclight::guestos
