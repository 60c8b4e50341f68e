// Options that are short for others: -hda, -s, -no-reboot, -kernel (which is a property of the machine).
#pragma once

#include "guestos/qemu/invocation.h"

namespace arclight::guestos::qemu {

/// Replaces them in their places. An error is one line.
Result<void> expand_shorthands(Invocation& invocation);

}  // namespace arclight::guestos::qemu
