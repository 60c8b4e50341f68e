// Reference functions against the VIXL simulator, an independent reading of the architecture.
#include <gtest/gtest.h>

#include "tests/jit/reference/vixl_oracle.h"

namespace arclight::tests {
namespace {

void compare(const std::vector<Form>& forms, unsigned cases) {
    VixlOracle oracle;
    Rng rng(1);
    for (const Form& form : forms) {
        if (!form.vixl) continue;
        unsigned wrong = 0;
        for (unsigned i = 0; i < cases && wrong < 2; ++i) {
            const uint32_t fpcr = form.operands == OperandKind::Fp && i % 2 ? 1u << 25 : 0;
            const RunnerCase test = make_case(form, rng, fpcr);
            const std::string text =
                difference(form, test, run_reference(form, test), oracle.run(form, test), false);
            if (text.empty()) continue;
            ++wrong;
            ADD_FAILURE() << text;
        }
    }
}

TEST(ReferenceVixl, ScalarFp) { compare(scalar_fp_forms(), 1000); }
TEST(ReferenceVixl, VectorFp) { compare(vector_fp_forms(), 500); }
TEST(ReferenceVixl, Halves) { compare(half_forms(), 500); }
TEST(ReferenceVixl, VectorInteger) { compare(vector_integer_forms(), 200); }
TEST(ReferenceVixl, Saturating) { compare(vector_saturating_forms(), 300); }
TEST(ReferenceVixl, Moves) { compare(vector_move_forms(), 100); }
TEST(ReferenceVixl, Crypto) { compare(crypto_forms(), 500); }

}  // namespace
}  // namespace arclight::tests
