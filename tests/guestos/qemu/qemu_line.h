// Command lines of QEMU's, as one types them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "guestos/qemu/translate.h"

namespace arclight::guestos::qemu {

/// Words at blanks, but for those between single or double quotation marks.
std::vector<std::string> words_of(std::string_view line);

/// What the line asks for. The board, a kernel and a CPU without notes are added where it names none: "-M virt", "-kernel k",
/// "-cpu host".
Result<Request> request_for(std::string_view line);
/// The same for a line as it is.
Result<Request> request_for_whole(std::string_view line);

/// One text for all notes.
std::string notes_of(const Request& request);
/// "virtio-blk file=a readonly=on; virtio-rng-pci": the devices in their order, options that are not at their defaults.
std::string devices_of(const Request& request);

}  // namespace arclight::guestos::qemu
