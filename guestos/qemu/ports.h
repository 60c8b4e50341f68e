// virtconsole and virtserialport: ports of a virtio-serial device that was named before.
#pragma once

#include <string_view>

#include "guestos/qemu/translation.h"

namespace arclight::guestos::qemu {

/// Whether `driver` is one.
bool is_port(std::string_view driver);
/// Adds it to its device. An error is one line.
Result<void> add_port(Translation& t, const Given& given);

}  // namespace arclight::guestos::qemu
