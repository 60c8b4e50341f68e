// A device tree that a user brings: what comes out is a device tree, with /chosen as asked.
#include "guestos/device_tree.h"

#include <libfdt.h>

#include <cstring>

#include "tests/fuzz/driver/target.h"
#include "tests/fuzz/targets/scratch_file.h"

namespace arclight::fuzz {
namespace {

using namespace guestos;

void run(std::span<const uint8_t> bytes) {
    static ScratchFile file;
    file.fill(bytes);
    const BoardDescription board{.cpus = 2, .gic = 3, .memory_base = 0x4000'0000, .memory_size = 64 << 20};
    const BootArguments arguments{.command_line = "console=ttyAMA0",
                                  .initrd_start = 0x4400'0000,
                                  .initrd_end = 0x4410'0000,
                                  .kaslr_seed = false};
    const auto tree = adapt_device_tree(file.path(), board, arguments);
    if (!tree) return require_one_line(tree.error());
    require(fdt_check_full(tree->data(), tree->size()) == 0, "what comes out is a device tree");
    const int chosen = fdt_path_offset(tree->data(), "/chosen");
    require(chosen >= 0, "it has /chosen");
    int length = 0;
    const void* line = fdt_getprop(tree->data(), chosen, "bootargs", &length);
    require(line != nullptr && arguments.command_line == static_cast<const char*>(line),
            "the command line is as asked");
}

const Registered registered({.name = "device_tree",
                             .run = run,
                             .max_size = 4096,
                             .words = {"\xd0\x0d\xfe\xed", "chosen", "memory@40000000", "device_type",
                                       "bootargs", "#address-cells", "#size-cells", "reg", "memory"}});

}  // namespace
}  // namespace arclight::fuzz
