// LightV's policy and its control protocol: one line of answer to every line, and errors of one line.
#include <string>
#include <string_view>

#include "guestos/lightv/control.h"
#include "guestos/lightv/policy.h"
#include "tests/fuzz/driver/target.h"
#include "tests/fuzz/targets/lightv_machine.h"
#include "tests/fuzz/targets/scratch_file.h"

namespace arclight::fuzz {
namespace {

using namespace guestos;

/// A backing may be a file of any name, which a fuzzer must not make.
bool names_files(std::string_view text) {
    return text.find("file") != std::string_view::npos || text.find("\\u") != std::string_view::npos;
}

RunOptions with_policy(const ScratchFile& file) {
    RunOptions options;
    options.lightv = file.path();
    return options;
}

void run_policy(std::span<const uint8_t> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (names_files(text)) return;
    static ScratchFile file;
    file.fill(bytes);
    LightvMachine machine;
    if (const auto control = LightvControl::create(machine, with_policy(file)); !control)
        require_one_line(control.error());
}

void run_control(std::span<const uint8_t> bytes) {
    std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (names_files(text)) return;
    constexpr std::string_view kNothing = R"({"attach": []})";
    static const ScratchFile file({reinterpret_cast<const uint8_t*>(kNothing.data()), kNothing.size()});
    LightvMachine machine;
    const auto control = LightvControl::create(machine, with_policy(file));
    require(control.has_value(), "an empty policy is one");
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        const std::string answer = (*control)->answer(std::string(text.substr(0, end)));
        require(answer.starts_with('{') && answer.ends_with('}'), "an answer is an object");
        require(answer.find('\n') == std::string::npos, "an answer is one line");
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    for (uint64_t pa = LightvMachine::kBase; pa < LightvMachine::kBase + LightvMachine::kSize; pa += 4096) {
        const auto held = machine.memory().dma();
        machine.memory().pieces(pa, 8, true, [](uint8_t* host, uint64_t n) { std::memset(host, 1, n); });
    }
}

const std::vector<std::string_view> kWords{
    R"({"do": "attach", "name": "a", "module": "observe", "pages": {"physical": 1073741824, "bytes": 4096}})",
    R"("physical": "0x40000000")",
    R"("bytes": "4K")",
    R"("device": "uart")",
    R"("with": {)",
    R"("do": ")",
    R"("name": ")",
    R"("controller": ")",
    R"("module": ")",
    "attach",
    "detach",
    "command",
    "stats",
    "kinds",
    "list",
    "anonymous",
    "node:0",
    "page:0x40000000",
    "own",
    "content",
    "interval_ms",
    "[",
    "]",
    "{",
    "}",
    ",",
    "\n"};

const Registered policy({.name = "lightv_policy", .run = run_policy, .max_size = 1024, .words = kWords});
const Registered control({.name = "lightv_control", .run = run_control, .max_size = 1024, .words = kWords});

}  // namespace
}  // namespace arclight::fuzz
