// The one way in which JSON from outside becomes a value: policies, lines of the control socket, its answers, words of the
// command line.
#pragma once

#include <string_view>

#include "mmu/lightv/module.h"

namespace arclight::mmu::lightv {

/// Arrays and objects within each other. Copies and dumps of a value recurse once a level.
inline constexpr unsigned kMaxJsonDepth = 64;
inline constexpr size_t kMaxPolicyBytes = size_t{16} << 20;
inline constexpr size_t kMaxRequestBytes = size_t{1} << 20;  ///< a line of the control socket
inline constexpr size_t kMaxAnswerBytes = size_t{64} << 20;  ///< statistics of many pages

/// The value, or what is wrong with the text: not JSON, larger than `max_bytes`, deeper than kMaxJsonDepth. The text is
/// looked at in full before anything is built of it. `comments`: of C and C++, for files that people write.
Result<Json> parse_json(std::string_view text, size_t max_bytes, bool comments = false);

}  // namespace arclight::mmu::lightv
