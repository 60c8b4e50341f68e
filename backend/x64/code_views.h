// The two mappings of the code cache's memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace arclight::backend {

/// The same memory, to execute and to write. Each is at a random address of its own, so that neither a leaked address of code
/// nor a wild store leads to the other.
struct CodeViews {
    const uint8_t* executable;
    uint8_t* writable;
};

/// A part that holds data: in the executable view too it is written to, and it is not executable.
struct DataPart {
    size_t from, bytes;  ///< whole pages
};

/// Zeroed memory. Throws std::system_error when the host has none. The executable view can never be made writable where the
/// kernel has F_SEAL_FUTURE_WRITE (5.1).
CodeViews map_code(size_t bytes, const DataPart& data);
/// Has the kernel get and map the memory at once, instead of fault by fault. Advice only: older kernels (before 5.14) do not.
void populate_code(const CodeViews& part, size_t bytes);
void unmap_code(const CodeViews& views, size_t bytes);

}  // namespace arclight::backend
