#pragma once

#include <cstdint>
#include <span>
#include <string>

// What happens to an input that fails: it is written to a file and named, whatever ends the process.
namespace arclight::fuzz {

/// From now on the input that watch() names is kept in `directory` (made when it is needed), as TARGET's. One that takes
/// longer than `seconds` fails too.
void catch_failures(const std::string& target, const std::string& directory, unsigned seconds);

/// The bytes must live until the next call.
void watch(std::span<const uint8_t> input);
/// Nothing runs.
void unwatch();

/// The name of a file with these bytes.
std::string name_of(std::span<const uint8_t> input);

}  // namespace arclight::fuzz
