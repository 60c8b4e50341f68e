// A kernel's list of symbols.
#include "guestos/lightv/symbols.h"

#include "tests/fuzz/driver/target.h"
#include "tests/fuzz/targets/scratch_file.h"

namespace arclight::fuzz {
namespace {

void run(std::span<const uint8_t> bytes) {
    static ScratchFile file;
    file.fill(bytes);
    const auto symbols = guestos::Symbols::read(file.path());
    if (!symbols) return require_one_line(symbols.error());
    (*symbols)->find("init_task");
}

const Registered registered({.name = "symbols",
                             .run = run,
                             .max_size = 512,
                             .words = {"ffff800080000000 T init_task\n", " t ", "$x"}});

}  // namespace
}  // namespace arclight::fuzz
