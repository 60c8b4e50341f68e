// Where two outcomes differ, and which comparisons with an oracle are left out because the oracle is known
// not to model the architecture there.
#pragma once

#include <string>
#include <vector>

#include "tests/differential/case.h"

namespace arclight::differential {

/// Why this case is not run on VIXL at all; null when it is.
const char* why_not_vixl(const Case& c);
const char* why_not_qemu(const Case& c);      ///< as a Cortex-A76
const char* why_not_qemu_max(const Case& c);  ///< of what that lacks
/// What keeps this word from the oracle, whatever is around it.
const char* word_limit(const char* oracle, uint32_t word);

/// One line a difference, empty when the outcomes agree.
std::vector<std::string> differences(const Outcome& subject, const Outcome& oracle, bool with_vixl);

struct OracleLimit {
    const char* oracle;
    const char* rows;  ///< space-separated row names, or * for any
    const char* reason;
    bool (*only)(uint32_t word) = nullptr;  ///< of these rows, the words that it applies to
};
/// All of them, for --list-limits and the coverage check.
const std::vector<OracleLimit>& oracle_limits();

}  // namespace arclight::differential
