// Making operands for a form and running its reference function on them.
#pragma once

#include "tests/jit/reference/forms.h"
#include "tests/jit/reference/guest/record.h"
#include "tests/jit/reference/operands.h"

namespace arclight::tests {

RunnerCase make_case(const Form& form, Rng& rng, uint32_t fpcr);

/// What the reference function makes of a case, in the shape of the instruction's result: fields that the
/// form does not compare are zero.
RunnerResult run_reference(const Form& form, const RunnerCase& test);
/// The same masking for a result of another implementation.
RunnerResult mask_result(const Form& form, RunnerResult result);

/// "" if equal, else what to print. `flags`: compare FPSR too.
std::string difference(const Form& form, const RunnerCase& test, const RunnerResult& mine,
                       const RunnerResult& other, bool flags);

}  // namespace arclight::tests
