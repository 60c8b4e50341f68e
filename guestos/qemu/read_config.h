// -readconfig: options as sections of a file.
//
//   [drive "hd0"]
//     file = "disk.img"
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "guestos/qemu/invocation.h"

namespace arclight::guestos::qemu {

/// An error is one line that names the file's line.
Result<std::vector<Given>> parse_config(std::string_view text, const std::string& name);
Result<std::vector<Given>> read_config(const std::string& path);

}  // namespace arclight::guestos::qemu
