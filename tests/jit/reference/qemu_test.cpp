// Reference functions against QEMU's user emulation: results and FPSR, in all modes of FPCR. FEAT_AFP, FEAT_RPRES and FEAT_EBF16 are
// younger than QEMU 7.2: their results are compared with recorded ones, which QEMU 10.0 makes:
//     ARCLIGHT_QEMU_AARCH64=.../qemu-aarch64 jit_reference_qemu_test --gtest_filter='*AgainstQemu10'
// prints alternative.inc.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "tests/jit/reference/cases.h"

namespace arclight::tests {
namespace {

/// A file that is removed again.
struct TemporaryFile {
    TemporaryFile() { ::close(::mkstemp(path)); }
    ~TemporaryFile() { ::unlink(path); }
    char path[32] = "/tmp/arclight-XXXXXX";
};

std::string qemu() {
    const char* given = std::getenv("ARCLIGHT_QEMU_AARCH64");
    return given != nullptr ? given : "qemu-aarch64";
}

/// Why the oracle cannot run, or "".
std::string missing() {
#ifndef REFERENCE_RUNNER
    return "no aarch64-linux-gnu-g++ when the build was configured";
#else
    if (std::system("command -v qemu-aarch64 >/dev/null 2>&1") != 0) return "no qemu-aarch64";
    return "";
#endif
}

#ifdef REFERENCE_RUNNER
std::vector<RunnerResult> run_qemu(const std::vector<Form>& forms, const std::vector<RunnerCase>& cases) {
    TemporaryFile in, out;
    {
        std::ofstream file(in.path, std::ios::binary);
        const auto put = [&](const void* data, size_t size) {
            file.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
        };
        const RunnerHeader header{static_cast<uint32_t>(forms.size()), static_cast<uint32_t>(cases.size())};
        put(&header, sizeof(header));
        std::vector<uint32_t> encodings;
        for (const Form& f : forms) encodings.push_back(f.encoding);
        encodings.resize((encodings.size() + 1) / 2 * 2);
        put(encodings.data(), encodings.size() * 4);
        put(cases.data(), cases.size() * sizeof(RunnerCase));
    }
    const std::string command = qemu() + " -cpu max,sve=off " REFERENCE_RUNNER " " + in.path + " " + out.path;
    const int status = std::system(command.c_str());
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command << ": status " << status;
    std::vector<RunnerResult> results(cases.size());
    std::ifstream file(out.path, std::ios::binary);
    file.read(reinterpret_cast<char*>(results.data()),
              static_cast<std::streamsize>(results.size() * sizeof(RunnerResult)));
    EXPECT_TRUE(file.good()) << "the runner wrote too few results";
    return results;
}

/// All rounding modes, FZ, DN and, where it matters, AHP and FZ16.
uint32_t fpcr_mode(const Form& form, unsigned i) {
    if (form.operands != OperandKind::Fp && form.inst.op != jit::ir::Op::VSIntToF &&
        form.inst.op != jit::ir::Op::VUIntToF)
        return 0;
    // QEMU 7.2 takes a number that was flushed for exact.
    if (form.result == ResultKind::JavaScript) return (i & 3) << 22 | (i >> 2 & 1) << 25;
    if (form.operand_esize == 1) return (i & 31) << 22 | (i >> 5 & 1) << 19;
    const uint32_t modes = i % (form.alternative_half ? 32 : 16);
    return modes << 22;
}

void compare(const std::vector<Form>& forms, unsigned cases_per_form) {
    std::vector<RunnerCase> cases;
    Rng rng(2);
    for (uint32_t f = 0; f < forms.size(); ++f) {
        for (unsigned i = 0; i < cases_per_form; ++i) {
            cases.push_back(make_case(forms[f], rng, fpcr_mode(forms[f], i)));
            cases.back().instruction = f;
        }
    }
    const std::vector<RunnerResult> results = run_qemu(forms, cases);
    if (::testing::Test::HasFailure()) return;
    std::vector<unsigned> wrong(forms.size());
    for (size_t i = 0; i < cases.size(); ++i) {
        const Form& form = forms[cases[i].instruction];
        const RunnerResult mine = run_reference(form, cases[i]), other = mask_result(form, results[i]);
        const std::string text = difference(form, cases[i], mine, other, true);
        if (!text.empty() && wrong[cases[i].instruction]++ < 2) ADD_FAILURE() << text;
    }
}
#else
void compare(const std::vector<Form>&, unsigned) {}
#endif

class ReferenceQemu : public ::testing::Test {
  protected:
    void SetUp() override {
        if (const std::string why = missing(); !why.empty()) GTEST_SKIP() << why;
    }
};

TEST_F(ReferenceQemu, ScalarFp) { compare(scalar_fp_forms(), 3200); }
TEST_F(ReferenceQemu, VectorFp) { compare(vector_fp_forms(), 640); }
TEST_F(ReferenceQemu, Halves) { compare(half_forms(), 640); }
TEST_F(ReferenceQemu, VectorInteger) { compare(vector_integer_forms(), 200); }
TEST_F(ReferenceQemu, Saturating) { compare(vector_saturating_forms(), 300); }
TEST_F(ReferenceQemu, Moves) { compare(vector_move_forms(), 100); }
TEST_F(ReferenceQemu, Crypto) { compare(crypto_forms(), 300); }

// ---- FPCR.AH, FIZ, EBF

struct Recorded {
    const char* name;
    uint64_t hash;
};
constexpr Recorded kRecorded[] = {
#include "tests/jit/reference/alternative.inc"
};
constexpr unsigned kAlternativeCases = 640;

/// With FPCR.AH these are other instructions' business, and the frontend's.
bool has_alternative(const Form& form) {
    using jit::ir::Op;
    switch (form.inst.op) {
        case Op::FNeg:
        case Op::FAbs:
        case Op::VFNeg:
        case Op::VFAbs:
        case Op::FToInt:
        case Op::IntToF: return false;
        default: return true;
    }
}

struct Alternative {
    std::vector<Form> forms;
    std::vector<RunnerCase> cases;
};
Alternative alternative_cases() {
    Alternative a;
    Rng rng(7);
    for (const auto& list : {scalar_fp_forms(), vector_fp_forms(), half_forms()})
        for (const Form& form : list) {
            if (!has_alternative(form)) continue;
            for (unsigned i = 0; i < kAlternativeCases; ++i) {
                constexpr uint32_t kModes = 0x07c8'2001;  // AHP, DN, FZ, RMode, FZ16, EBF, FIZ
                const auto modes = static_cast<uint32_t>(rng());
                const uint32_t ah = rng() % 4 != 0 ? 2 : 0;
                a.cases.push_back(make_case(form, rng, (modes & kModes) | ah));
                a.cases.back().instruction = static_cast<uint32_t>(a.forms.size());
            }
            a.forms.push_back(form);
        }
    return a;
}

/// Estimates as of a CPU with FEAT_RPRES.
RunnerResult run_alternative(Form form, const RunnerCase& test) {
    using jit::ir::Op;
    const Op op = form.inst.op;
    if (op == Op::FRecpEst || op == Op::FRsqrtEst || op == Op::VFRecpEst || op == Op::VFRsqrtEst)
        form.inst.imm = 1;
    return run_reference(form, test);
}

uint64_t hash(uint64_t sum, const RunnerResult& r) {
    for (const uint64_t word : {r.v0[0], r.v0[1], r.x0, uint64_t{r.nzcv} << 32 | r.fpsr})
        sum = (sum ^ word) * 0x9e37'79b9'7f4a'7c15 + (sum >> 29);
    return sum;
}

TEST(ReferenceAlternative, AsRecorded) {
    const Alternative a = alternative_cases();
    ASSERT_EQ(std::size(kRecorded), a.forms.size());
    for (size_t f = 0; f < a.forms.size(); ++f) {
        EXPECT_EQ(a.forms[f].name, kRecorded[f].name);
        uint64_t sum = 0;
        for (size_t i = f * kAlternativeCases; i < (f + 1) * kAlternativeCases; ++i)
            sum = hash(sum, run_alternative(a.forms[f], a.cases[i]));
        EXPECT_EQ(sum, kRecorded[f].hash) << a.forms[f].name;
    }
}

TEST_F(ReferenceQemu, AgainstQemu10) {
    if (std::getenv("ARCLIGHT_QEMU_AARCH64") == nullptr) GTEST_SKIP() << "no QEMU 10 is named";
#ifdef REFERENCE_RUNNER
    const Alternative a = alternative_cases();
    const std::vector<RunnerResult> results = run_qemu(a.forms, a.cases);
    std::vector<unsigned> wrong(a.forms.size());
    std::vector<uint64_t> sums(a.forms.size());
    for (size_t i = 0; i < a.cases.size(); ++i) {
        const RunnerCase& test = a.cases[i];
        const Form& form = a.forms[test.instruction];
        const RunnerResult mine = run_alternative(form, test), other = mask_result(form, results[i]);
        sums[test.instruction] = hash(sums[test.instruction], other);
        const std::string text = difference(form, test, mine, other, true);
        if (!text.empty() && wrong[test.instruction]++ < 2) ADD_FAILURE() << text;
    }
    for (size_t f = 0; f < a.forms.size(); ++f)
        std::printf("{\"%s\", 0x%016lx},\n", a.forms[f].name.c_str(), sums[f]);
#endif
}

}  // namespace
}  // namespace arclight::tests
