// The default guest: busybox, /init, and the modules that the virt board's devices need.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/file.h"
#include "guestos/result.h"

namespace arclight::guestos {

struct InitramfsOptions {
    std::filesystem::path busybox;
    std::filesystem::path modules;  // what becomes /lib/modules/VERSION; empty for none
    std::string kernel_version;     // VERSION, the guest's `uname -r`
    std::vector<std::string> extra_modules;
    struct Addition {
        std::filesystem::path host;  // a file, or a directory that is copied with all below it
        std::string guest;
    };
    std::vector<Addition> additions;  // later ones win, over the standard files too
};

Result<Bytes> build_initramfs(const InitramfsOptions& options);

// Names in busybox's own table of applets; empty if the table is not found (then /init installs the links).
std::vector<std::string> busybox_applets(const Bytes& busybox);

// guestos/init/init, as built into the program.
extern const std::string_view kInitScript;
extern const std::string_view kProfileScript;

}  // namespace arclight::guestos
