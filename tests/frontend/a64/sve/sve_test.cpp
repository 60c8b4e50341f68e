// Every row of the SVE tables against QEMU's user emulation, at each vector length: registers, flags, memory, which encodings are
// undefined, and which accesses fault.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "frontend/a64/decode/disassemble.h"
#include "frontend/a64/decode/encoding.h"
#include "tests/frontend/a64/sve/case.h"
#include "tests/frontend/a64/sve/engine.h"

namespace arclight::frontend::a64 {
namespace {

using sve_engine::Engine;
using sve_engine::Way;
using sve_test::Case;
using sve_test::kQuiet;
using sve_test::Result;
using sve_test::State;

const FeatureSet kSve = kScalableFeatures;

Result run_here(const Case& c, State& s, Way way) {
    static Engine engine(kSve);
    return engine.run(c, s, way);
}

std::string temporary(const char* what) {
    return std::filesystem::temp_directory_path() / ("arclight-sve-" + std::to_string(getpid()) + what);
}

/// The results, and with `states` what the registers are afterwards.
std::vector<Result> run_qemu(const std::vector<Case>& cases, std::vector<State>* states = nullptr) {
    const std::string in = temporary(".in"), out = temporary(".out"), registers = temporary(".states");
    std::ofstream(in, std::ios::binary)
        .write(reinterpret_cast<const char*>(cases.data()),
               static_cast<std::streamsize>(cases.size() * sizeof(Case)));
    const char* named = std::getenv("ARCLIGHT_QEMU_AARCH64");
    const std::string command = std::string(named != nullptr ? named : "qemu-aarch64") +
                                " -cpu max,sve512=on,sve1024=off,sve2048=off " SVE_RUNNER " " + in + " " +
                                out + " " + (states != nullptr ? registers : "");
    const int status = std::system(command.c_str());
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command << ": status " << status;
    const auto read = [&](const std::string& path, void* to, size_t bytes) {
        std::ifstream file(path, std::ios::binary);
        file.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes));
        EXPECT_TRUE(file.good()) << "the runner wrote too few results";
    };
    std::vector<Result> results(cases.size());
    read(out, results.data(), results.size() * sizeof(Result));
    if (states != nullptr) {
        states->resize(cases.size());
        read(registers, states->data(), states->size() * sizeof(State));
    }
    for (const std::string& path : {in, out, registers}) std::filesystem::remove(path);
    return results;
}

std::string differences(const State& mine, const State& other, const Case& c) {
    std::string text;
    const auto hex = [](const uint8_t* bytes, unsigned n) {
        std::string s;
        char two[3];
        while (n-- > 0)
            std::snprintf(two, sizeof two, "%02x", bytes[n]), s += two, s += n % 8 == 0 ? " " : "";
        return s;
    };
    const auto word = [&](const std::string& name, uint64_t a, uint64_t b) {
        char line[96];
        std::snprintf(line, sizeof line, "  %s %016lx, QEMU %016lx\n", name.c_str(), a, b);
        if (a != b) text += line;
    };
    for (unsigned i = 0; i < 31; ++i) word("x" + std::to_string(i), mine.x[i], other.x[i]);
    word("nzcv", mine.nzcv, other.nzcv);
    word("fpsr", mine.fpsr, other.fpsr);
    const uint64_t bits = c.vector_bytes == 64 ? ~uint64_t{0} : (uint64_t{1} << c.vector_bytes) - 1;
    for (unsigned i = 0; i < 17; ++i) word("p" + std::to_string(i), mine.p[i] & bits, other.p[i] & bits);
    for (unsigned i = 0; i < 32; ++i)
        if (std::memcmp(mine.z[i], other.z[i], c.vector_bytes) != 0)
            text += "  z" + std::to_string(i) + "\n    " + hex(mine.z[i], c.vector_bytes) + "\n    " +
                    hex(other.z[i], c.vector_bytes) + "\n";
    return text.empty() ? "  memory\n" : text;
}

bool is_sve(const Encoding& row) { return !kUsualFeatures.has(row.feature) && kSve.has(row.feature); }

/// What addresses a row's instructions need: 0 none, 1 in registers, 2 offsets in vectors, 3 addresses of words, 4 of doublewords; 5 and
/// 6 as 1, with less that may go wrong; 7 and 8 as 3 and 4, with offsets in registers.
unsigned addresses_of(const Encoding& row) {
    const std::string name = row.name;

    if (row.value >> 29 < 4) return 0;  // of registers alone
    if (name.ends_with("NT1_s_sve")) return 7;
    if (name.ends_with("NT1_d_sve")) return 8;
    if (name.ends_with("_s_imm_sve")) return 3;
    if (name.ends_with("_d_imm_sve")) return 4;
    if (std::string(row.title).find("plus vector") != std::string::npos) return 2;
    // QEMU 7.2 aborts where a structure is not all in memory.
    if (name.starts_with("LD2") || name.starts_with("LD3") || name.starts_with("LD4") ||
        name.starts_with("ST2") || name.starts_with("ST3") || name.starts_with("ST4"))
        return 5;
    // Elements on a second page may be left out, and QEMU does so.
    if (name.starts_with("LDFF1") || name.starts_with("LDNF1")) return 6;
    return 1;
}

/// Where QEMU 7.2 errs.
bool is_wrong_in_qemu(const Encoding& row, const Case& c) {
    const std::string name = row.name;
    // It is UNDEFINED where vectors are shorter than a matrix.
    if (name == "FMMLA_d_sve") return c.vector_bytes == 16;
    // Addresses less than an element apart do not conflict.
    if (!name.starts_with("WHILERW") && !name.starts_with("WHILEWR")) return false;
    State s;
    std::array<uint8_t, sve_test::kMemoryBytes> memory;
    sve_test::fill(s, memory.data(), c);
    const auto x = [&](unsigned lsb) { return (c.insn >> lsb & 31) == 31 ? 0 : s.x[c.insn >> lsb & 31]; };
    return x(5) - x(16) + 8 <= 16;
}

/// Those of one row, which are the same whatever other rows there are. `memory`: Case::memory.
std::vector<Case> cases_of(const Encoding& row, const Decoder& decoder, uint64_t memory) {
    constexpr unsigned kCases = 23;
    uint64_t seed = 1;
    for (const char letter : std::string_view(row.name))
        seed = sve_test::mix(seed, static_cast<uint8_t>(letter));
    sve_test::Random random(seed);
    std::vector<Case> cases;
    for (const uint32_t bytes : {16u, 32u, 64u})
        for (unsigned i = 0; i < kCases; ++i) {
            Case c{.insn = (static_cast<uint32_t>(random()) & ~row.mask) | row.value,
                   .vector_bytes = bytes,
                   .seed = random(),
                   .memory = memory};
            // The stack pointer is the runner's.
            if ((c.insn >> 5 & 31) == 31) c.insn &= row.mask | ~(1u << 9);
            if (std::string(row.title).starts_with("ADDVL") || std::string(row.title).starts_with("ADDPL"))
                c.insn &= ~(1u << 16 | 1u);
            // A base that is the offset too.
            if (c.memory == 5 && (c.insn >> 5 & 31) == (c.insn >> 16 & 31)) c.insn ^= 1u << 16 & ~row.mask;
            if (decoder.find(c.insn) == &row - encodings().data() && !is_wrong_in_qemu(row, c))
                cases.push_back(c);
        }
    return cases;
}

std::vector<Case> cases_of(const Encoding& row, const Decoder& decoder) {
    return cases_of(row, decoder, addresses_of(row));
}

struct Sum {
    const char* row;
    uint64_t sum;
};
/// Of the results of each row's cases, as QEMU had them.
constexpr Sum kSums[] = {
#include "tests/frontend/a64/sve/sums.inc"
};

TEST(Sve, EveryRowHasTheResultsThatWereKept) {
    const Decoder decoder(kSve);
    std::string lines;
    for (const Encoding& row : encodings()) {
        if (!is_sve(row)) continue;
        uint64_t sum = 0;
        for (const Case& c : cases_of(row, decoder)) {
            State state;
            const Result r = run_here(c, state, Way::Interpreted);
            sum = sve_test::mix(sve_test::mix(sum, r.status), r.sum);
        }
        const auto* kept =
            std::ranges::find_if(kSums, [&](const Sum& s) { return std::string_view(s.row) == row.name; });
        if (kept != std::end(kSums) && kept->sum == sum) continue;
        char line[80];
        std::snprintf(line, sizeof line, "{\"%s\", 0x%016lx},\n", row.name, sum);
        lines += line;
    }
    EXPECT_EQ(lines, "")
        << "sums.inc has others. If the rows are right (SveQemu says so), it gets these lines";
}

/// What the back end does itself has the results that the runtime has.
TEST(Sve, CompiledCodeHasTheSameResults) {
    const Decoder decoder(kSve);
    for (const Encoding& row : encodings()) {
        if (!is_sve(row)) continue;
        for (const Case& c : cases_of(row, decoder)) {
            State state, compiled;
            const Result wanted = run_here(c, state, Way::Interpreted);
            for (const Way way : {Way::Compiled, Way::CompiledReadOnly, Way::CompiledWithoutTlb}) {
                if (c.memory == 0 && way != Way::Compiled) continue;
                const Result r = run_here(c, compiled, way);
                ASSERT_TRUE(r.status == wanted.status && r.sum == wanted.sum)
                    << row.name << ' ' << std::hex << c.insn << std::dec << ", vectors of " << c.vector_bytes
                    << ", way " << static_cast<int>(way) << ": status " << r.status << ", not "
                    << wanted.status << '\n'
                    << (r.status == 0 && wanted.status == 0 ? differences(compiled, state, c) : "");
            }
        }
    }
}

/// Of those of the base architecture, what registers of integers and vectors, and the flags, go through between scalable ones.
bool is_plain(const Encoding& row) {
    static const FeatureSet kPlain = FeatureSet{Feature::Base}.with(Feature::AdvSimd);
    const std::string_view name = row.name;
    if (!kPlain.has(row.feature)) return false;
    return name.starts_with("ADD_") || name.starts_with("SUB_") || name.starts_with("EOR_") ||
           name.starts_with("CSEL") || name.starts_with("CCMP") || name.starts_with("ADDS_") ||
           name.starts_with("FADD_") || name.starts_with("FMUL_") || name.starts_with("INS_") ||
           name.starts_with("UMOV") || name.starts_with("DUP_") || name.starts_with("MOVI");
}

/// Several instructions as one block: what one has left in host registers, or in GuestState alone, is what the next one finds.
TEST(Sve, BlocksHaveTheSameResults) {
    const Decoder decoder(kSve);
    std::vector<const Encoding*> scalable, plain;
    for (const Encoding& row : encodings()) {
        if (is_sve(row) && addresses_of(row) <= 1) scalable.push_back(&row);
        if (is_plain(row)) plain.push_back(&row);
    }
    EXPECT_GT(plain.size(), 10u);
    sve_test::Random random(11);
    Engine engine(kSve);
    unsigned whole = 0;
    for (unsigned k = 0; k < 1500; ++k) {
        const Case c{.insn = 0, .vector_bytes = 16u << random() % 3, .seed = random(), .memory = 5};
        std::vector<uint32_t> code;
        while (code.size() < 12) {
            const auto& rows = random() % 3 == 0 ? plain : scalable;
            const Encoding& row = *rows[random() % rows.size()];
            uint32_t insn = (static_cast<uint32_t>(random()) & ~row.mask) | row.value;
            // Few registers, so that they meet; x0 has the addresses, and nothing else is done to it.
            for (const unsigned lsb : {0u, 5u, 16u}) insn &= row.mask | ~(0x1cu << lsb);
            if (row.value >> 29 >= 4 && is_sve(row))
                insn &= row.mask | ~(31u << 5);
            else if ((insn & 31) == 0)
                insn |= 1 & ~row.mask;
            // Mostly none that ends the block.
            State alone;
            if (decoder.find(insn) == &row - encodings().data() &&
                (engine.run(c, std::span(&insn, 1), alone, Way::Interpreted).status == 0 ||
                 random() % 64 == 0))
                code.push_back(insn);
        }
        State state, compiled;
        const Result wanted = engine.run(c, code, state, Way::Interpreted);
        whole += wanted.status == 0;
        for (const Way way : {Way::Compiled, Way::CompiledReadOnly, Way::CompiledWithoutTlb}) {
            const Result r = engine.run(c, code, compiled, way);
            std::string listing;
            for (const uint32_t insn : code) listing += fmt::format("{:08x} ", insn) + describe(insn) + '\n';
            ASSERT_TRUE(r.status == wanted.status && r.sum == wanted.sum)
                << "block " << k << ", vectors of " << c.vector_bytes << ", way " << static_cast<int>(way)
                << ": status " << r.status << ", not " << wanted.status << '\n'
                << listing << (r.status == 0 && wanted.status == 0 ? differences(compiled, state, c) : "");
        }
    }
    EXPECT_GT(whole, 750u) << "blocks that came to their end";
}

/// Two products of the lowest number are more than 32 bits hold.
TEST(Sve, DotProductsOfTheLowestNumbers) {
    constexpr uint32_t kCode[] = {
        0x2578'f001,  // mov z1.h, #-32768
        0x44c1'0022,  // sdot z2.d, z1.h, z1.h
        0x44c1'0423,  // udot z3.d, z1.h, z1.h
        0x44e1'0024,  // sdot z4.d, z1.h, z1.h[0]
        0x2538'd005,  // mov z5.b, #-128
        0x4485'00a6,  // sdot z6.s, z5.b, z5.b
        0x4485'78a7,  // usdot z7.s, z5.b, z5.b
    };
    Engine engine(kSve);
    for (const uint32_t bytes : {16u, 32u, 64u}) {
        const Case c{.insn = 0, .vector_bytes = bytes, .seed = 5, .memory = 0};
        State state, compiled;
        const Result wanted = engine.run(c, kCode, state, Way::Interpreted);
        const Result r = engine.run(c, kCode, compiled, Way::Compiled);
        EXPECT_EQ(wanted.status, 0u);
        EXPECT_EQ(r.sum, wanted.sum) << differences(compiled, state, c);
    }
}

/// Of instructions that compilers make loops of, and libraries.
TEST(Sve, LoopsCallNothing) {
    if (__builtin_cpu_supports("avx512bw") == 0 || __builtin_cpu_supports("avx512dq") == 0)
        GTEST_SKIP() << "no AVX-512";
    constexpr uint32_t kLoop[] = {
        0x2598'e3e1,  // ptrue p1.s
        0x25a6'1ca2,  // whilelo p2.s, x5, x6
        0x04a0'e3e7,  // cntw x7
        0xa545'4800,  // ld1w {z0.s}, p2/z, [x0, x5, lsl #2]
        0xa540'a801,  // ld1w {z1.s}, p2/z, [x0]
        0xa445'4804,  // ld1b {z4.s}, p2/z, [x0, x5]
        0x6581'0822,  // fmul z2.s, z1.s, z1.s
        0x65a1'0402,  // fmla z2.s, p1/m, z0.s, z1.s
        0x6580'8402,  // fadd z2.s, p1/m, z2.s, z0.s
        0x25b8'c0e3,  // mov z3.s, #7
        0x04a3'0084,  // add z4.s, z4.s, z3.s
        0x0483'c464,  // mad z4.s, p1/m, z3.s, z3.s
        0x0463'9c84,  // lsl z4.s, z4.s, #3
        0x0491'2885,  // movprfx z5.s, p2/m, z4.s
        0x0488'0865,  // smax z5.s, p2/m, z5.s, z3.s
        0x2583'0893,  // cmpgt p3.s, p2/z, z4.s, #3
        0x6590'2854,  // fcmgt p4.s, p2/z, z2.s, #0.0
        0x05a5'cc86,  // sel z6.s, p3, z4.s, z5.s
        0x0530'4065,  // punpklo p5.h, p3.b
        0x05f3'38c7,  // uunpkhi z7.d, z6.s
        0x2550'c460,  // ptest p1, p3.b
        0x04a1'4008,  // index z8.s, #0, #1
        0x05a0'38a9,  // mov z9.s, w5
        0x8542'c80a,  // ld1rw {z10.s}, p2/z, [x0, #8]
        0x85c3'880b,  // ld1rsb {z11.d}, p2/z, [x0, #3]
        0x85c2'e40c,  // ld1rd {z12.d}, p1/z, [x0, #16]
        0xe545'4802,  // st1w {z2.s}, p2, [x0, x5, lsl #2]
        0xe4c0'e806,  // st1h {z6.s}, p2, [x0]
        0xe580'4000,  // str z0, [x0]
        0x8580'4401,  // ldr z1, [x0, #1, mul vl]
        0xe580'0001,  // str p1, [x0]
        0x8580'0006,  // ldr p6, [x0]
        0x04b0'e3e5,  // incw x5
        0x0426'5026,  // addvl x6, x6, #1
        0x046c'3422,  // xar z2.s, z2.s, z1.s, #20
        0x042d'3422,  // xar z2.b, z2.b, z1.b, #3
        0x0421'3862,  // eor3 z2.d, z2.d, z1.d, z3.d
        0x0421'3c62,  // bsl z2.d, z2.d, z1.d, z3.d
        0x4483'0022,  // sdot z2.s, z1.b, z3.b
        0x44c3'0422,  // udot z2.d, z1.h, z3.h
        0x44f3'0022,  // sdot z2.d, z1.h, z3.h[1]
        0x4483'7822,  // usdot z2.s, z1.b, z3.b
        0x64b3'2022,  // fmul z2.s, z1.s, z3.s[2]
        0x64f3'0022,  // fmla z2.d, z1.d, z3.d[1]
        0x64a3'0422,  // fmls z2.s, z1.s, z3.s[0]
        0x0523'6022,  // zip1 z2.b, z1.b, z3.b
        0x05e3'6422,  // zip2 z2.d, z1.d, z3.d
        0x0563'6822,  // uzp1 z2.h, z1.h, z3.h
        0x05a3'6c22,  // uzp2 z2.s, z1.s, z3.s
        0x0523'7022,  // trn1 z2.b, z1.b, z3.b
        0x05e3'7422,  // trn2 z2.d, z1.d, z3.d
        0x0563'3022,  // tbl z2.h, {z1.h}, z3.h
        0x0578'3822,  // rev z2.h, z1.h
        0x0520'1422,  // ext z2.b, z2.b, z1.b, #5
        0x0561'0062,  // ext z2.b, {z3.b, z4.b}, #8
        0x04c1'2422,  // uaddv d2, p1, z1.d
        0x0400'2422,  // saddv d2, p1, z1.b
        0x0408'2422,  // smaxv b2, p1, z1.b
        0x049a'2422,  // andv s2, p1, z1.s
        0xa500'2802,  // ld1rqw {z2.s}, p2/z, [x0]
        0xa581'2802,  // ld1rqd {z2.d}, p2/z, [x0, #16]
        0x042b'9c22,  // lsl z2.b, z1.b, #3
        0x0400'85c2,  // asr z2.b, p1/m, z2.b, #2
        0x047b'9422,  // lsr z2.s, z1.s, #5
        0x0423'1422,  // uqadd z2.b, z1.b, z3.b
        0x0463'1822,  // sqsub z2.h, z1.h, z3.h
        0x05a1'8422,  // compact z2.s, p1, z1.s
        0x6586'8422,  // fmax z2.s, p1/m, z2.s, z1.s
        0x65c5'8422,  // fminnm z2.d, p1/m, z2.d, z1.d
        0x6594'a422,  // scvtf z2.s, p1/m, z1.s
        0x65d7'a422,  // ucvtf z2.d, p1/m, z1.d
        0x659c'a402,  // fcvtzs z2.s, p1/m, z0.s
        0x65df'a402,  // fcvtzu z2.d, p1/m, z0.d
    };
    Engine engine(kSve);
    for (const uint32_t bytes : {16u, 32u, 64u})
        for (const uint32_t insn : kLoop) {
            // Nothing that ends up in the reference functions: numbers that are neither NaNs nor small.
            Case c{.insn = insn, .vector_bytes = bytes, .seed = 3, .memory = kQuiet};
            State state;
            EXPECT_EQ(engine.run(c, state, Way::Compiled).status, 0u) << std::hex << insn;
            EXPECT_EQ(engine.calls(), 0u) << std::hex << insn << ", vectors of " << std::dec << bytes;
        }
}

class SveQemu : public ::testing::Test {
  protected:
    void SetUp() override {
        if (std::system("command -v qemu-aarch64 >/dev/null 2>&1") != 0) GTEST_SKIP() << "no qemu-aarch64";
    }
};

/// Runs the cases, which are of these rows, in both.
void compare(const std::vector<Case>& cases, const std::vector<const Encoding*>& rows) {
    const Decoder decoder(kSve);
    const std::vector<Result> results = run_qemu(cases);
    if (testing::Test::HasFailure()) return;
    std::vector<unsigned> wrong(encodings().size());
    std::vector<Case> again;
    for (size_t i = 0; i < cases.size(); ++i) {
        State state;
        const Result mine = run_here(cases[i], state, Way::Interpreted);
        const Result& other = results[i];
        if (mine.status == other.status && mine.sum == other.sum) continue;
        if (wrong[static_cast<size_t>(rows[i] - encodings().data())]++ == 0) again.push_back(cases[i]);
    }
    std::vector<State> states;
    if (again.empty()) return;
    const std::vector<Result> more = run_qemu(again, &states);
    for (size_t i = 0; i < again.size(); ++i) {
        State state;
        const Result mine = run_here(again[i], state, Way::Interpreted);
        const Encoding& row = encodings()[static_cast<size_t>(decoder.find(again[i].insn))];
        const bool done = mine.status == 0 && more[i].status == 0;
        ADD_FAILURE() << wrong[static_cast<size_t>(&row - encodings().data())] << " cases of " << row.name
                      << ' ' << std::hex << again[i].insn << std::dec << ", vectors of "
                      << again[i].vector_bytes << ": status " << mine.status << ", QEMU " << more[i].status
                      << '\n'
                      << (done ? differences(state, states[i], again[i]) : "");
    }
}

TEST_F(SveQemu, EveryRowAtEachLength) {
    std::vector<Case> cases;
    std::vector<const Encoding*> rows;
    const Decoder decoder(kSve);
    for (const Encoding& row : encodings()) {
        if (!is_sve(row)) continue;
        for (const Case& c : cases_of(row, decoder)) cases.push_back(c), rows.push_back(&row);
    }
    compare(cases, rows);
}

/// Some results of theirs differ from QEMU 10.0's while FPCR has bits of FEAT_AFP: docs/cpu.md.
constexpr std::string_view kOtherWithAfp[] = {"FMAXP_sve",   "FMINP_sve", "FCVTLT_hs_sve", "FRECPE_sve",
                                              "FRSQRTE_sve", "FCMUO_sve", "FCMLA_h_sve",   "FCMLA_s_sve"};

/// FEAT_AFP, which QEMU 10 has.
TEST_F(SveQemu, AlternativeFloatingPoint) {
    if (std::getenv("ARCLIGHT_QEMU_AARCH64") == nullptr) GTEST_SKIP() << "no QEMU 10 is named";
    std::vector<Case> cases;
    std::vector<const Encoding*> rows;
    const Decoder decoder(kSve);
    for (const Encoding& row : encodings()) {
        const bool is_fp = row.value >> 24 == 0x65 || row.value >> 24 == 0x64 || row.name[0] == 'F';
        if (!is_sve(row) || !is_fp || addresses_of(row) != 0) continue;
        if (std::ranges::find(kOtherWithAfp, std::string_view(row.name)) != std::end(kOtherWithAfp)) continue;
        for (const Case& c : cases_of(row, decoder, sve_test::kAlternative))
            cases.push_back(c), rows.push_back(&row);
    }
    compare(cases, rows);
}

}  // namespace
}  // namespace arclight::frontend::a64
