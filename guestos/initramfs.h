// The default guest: busybox, /init, and the modules that the virt board's devices need.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/file.h"
#include "mmu/result.h"

namespace arclight::guestos {

struct InitramfsOptions {
    std::filesystem::path busybox;
    std::filesystem::path modules;  ///< what becomes /lib/modules/VERSION; empty for none
    std::string kernel_version;     ///< VERSION, the guest's `uname -r`
    std::vector<std::string> extra_modules;
    struct Addition {
        std::filesystem::path host;  ///< a file, or a directory that is copied recursively
        std::string guest;
    };
    std::vector<Addition> additions;  ///< later ones replace earlier ones and standard files
};

Result<Bytes> build_initramfs(const InitramfsOptions& options);

/// The names in busybox's table of applets; empty if the table is not found (then /init installs the links).
std::vector<std::string> busybox_applets(const Bytes& busybox);

/// guestos/init/init, as built into the program.
extern const std::string_view kInitScript;
extern const std::string_view kProfileScript;

}  // namespace arclight::guestos
