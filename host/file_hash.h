// A number for what a file holds.
#pragma once

#include <cstdint>

namespace arclight::host {

/// XXH3-64 of the file's content; 0: it is empty or cannot be read.
uint64_t file_hash(const char* path);

/// Of the running program; 0: not known. Read once.
uint64_t program_hash();

}  // namespace arclight::host
