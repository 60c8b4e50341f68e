// What is said of a virtual interface (devices/svio), by the command line and by the control socket.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "devices/svio/device_thread.h"
#include "mmu/result.h"

namespace arclight::guestos::serve {

/// KEY and value; a value is text as on the command line.
using Words = std::map<std::string, std::string>;

struct InterfaceWords {
    devices::svio::InterfaceOptions options;
    std::string socket;  ///< a path
};

/// name=NAME,socket=PATH[,weight=N][,rate=SIZE][,burst=SIZE][,mac=ADDRESS][,offset=SIZE][,size=SIZE][,readonly=on|off]; a comma in a value is
/// written twice. An error is one line.
Result<Words> split_words(std::string_view text);
/// A new interface.
Result<InterfaceWords> parse_interface(const Words& words);
/// Of one that is there: its name, and a new weight, rate or burst over `now`.
Result<devices::svio::InterfaceOptions> parse_change(const Words& words,
                                                     const devices::svio::InterfaceOptions& now);

}  // namespace arclight::guestos::serve
