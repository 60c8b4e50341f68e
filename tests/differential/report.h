// What to print about a failure, and making it smaller first.
#pragma once

#include <string>

#include "tests/differential/case.h"

namespace arclight::differential {

/// Runs one case on both engines and returns what differs, line by line; empty when they agree.
std::vector<std::string> run_pair(Engine& subject, Engine& oracle, const Batch& batch,
                                  Stop* subject_stop = nullptr);

/// Replaces words by NOP, and clears FPCR, FPSR and registers, as long as the engines still disagree.
void minimise(Engine& subject, Engine& oracle, Batch& one_case);

std::string failure_report(Engine& subject, Engine& oracle, const Batch& one_case, uint64_t seed,
                           bool verbose);

/// Row names of the words that are not NOP, to group failures.
std::string signature(const Case& c);

}  // namespace arclight::differential
