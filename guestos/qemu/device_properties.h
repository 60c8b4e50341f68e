// Properties of QEMU's devices that the device factory does not have, and what becomes of them.
#pragma once

#include <string_view>
#include <vector>

namespace arclight::guestos::qemu {

struct PropertyRow {
    std::string_view device;  ///< the factory's name; empty: every virtio device
    std::string_view name;
    /// The value that changes nothing: any other one is told on stderr. Empty: no value changes anything that a guest sees.
    std::string_view harmless;
};

/// Null: there is none.
const PropertyRow* find_property(std::string_view device, std::string_view name);
/// Of a device, for help.
std::vector<std::string_view> property_names(std::string_view device);

}  // namespace arclight::guestos::qemu
