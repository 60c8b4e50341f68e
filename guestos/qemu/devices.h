// -device: QEMU's names and properties of devices in the words of the device factory.
#pragma once

#include <string>
#include <string_view>

#include "guestos/options.h"
#include "guestos/qemu/translation.h"

namespace arclight::guestos::qemu {

/// Appends an adapter; `mac` empty: the next one of QEMU's.
void add_network_device(Translation& t, const std::string& network, const std::string& mac, DeviceBus bus);

/// `given` asks for an adapter of another model (is_other_adapter()), and has got one for virtio-net.
Result<void> note_other_adapter(Translation& t, const Given& given, std::string_view model);

/// The answer to -device help.
std::string device_help();
/// The answer to -device NAME,help. An error is one line: there is none of that name.
Result<std::string> device_help(std::string_view name);

}  // namespace arclight::guestos::qemu
