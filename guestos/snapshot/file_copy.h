// Copies of disks' images.
#pragma once

#include <string>

#include "mmu/result.h"

namespace arclight::guestos {

/// Makes `to`, an open empty file, the same as `from`, with its time of change: by shared blocks where the file system has them, else
/// what is not a hole is copied. The error is the system's own text.
Result<void> copy_file(int from, int to);

}  // namespace arclight::guestos
