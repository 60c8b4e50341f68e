// The VIXL simulator as an oracle: default rounding, no flushing, no cumulative flags.
#pragma once

#include <memory>

#include "tests/jit/reference/cases.h"

namespace arclight::tests {

class VixlOracle {
  public:
    VixlOracle();
    ~VixlOracle();
    /// fpsr of the result is not meaningful.
    RunnerResult run(const Form& form, const RunnerCase& test);

  private:
    struct Machine;
    std::unique_ptr<Machine> machine_;
};

}  // namespace arclight::tests
