// Which loops wait for another CPU.
#include "jit/ir/spin_loop.h"

#include <gtest/gtest.h>

#include <vector>

#include "frontend/a64/translate/translator.h"
#include "tests/frontend/a64/block_check.h"

namespace arclight::frontend::a64 {
namespace {

struct Loop {
    const char* text;
    std::vector<uint32_t> code;
    bool spins;
};

TEST(SpinLoop, OnlyWhatChangesNothingThatItReads) {
    const Loop loops[] = {
        {"ldr w0, [x1]; cbz w0", {0xb9400020, 0x34ffffe0}, true},
        {"ldr w0, [x1]; cbnz w0, out; b", {0xb9400020, 0x35000040, 0x17fffffe}, true},
        {"ldar w0, [x1]; cmp w0, w2; b.eq", {0x88dffc20, 0x6b02001f, 0x54ffffc0}, true},
        {"ldaxr w0, [x1]; cbnz w0; stxr w2, w3, [x1]; cbnz w2",
         {0x885ffc20, 0x35ffffe0, 0x88027c23, 0x35ffffa2},
         true},
        {"swpa w0, w2, [x1]; cbnz w2", {0xb8a08022, 0x35ffffe2}, true},
        {"mov w2, w4; casa w2, w3, [x1]; cmp w2, w4; b.ne",
         {0x2a0403e2, 0x88e27c23, 0x6b04005f, 0x54ffffa1},
         true},
        {"a counter: ldr w0, [x1]; subs x2, x2, #1; b.ne", {0xb9400020, 0xf1000442, 0x54ffffc1}, false},
        {"a cursor: ldr w0, [x1], #4; cbz w0", {0xb8404420, 0x34ffffe0}, false},
        {"a list: ldr x0, [x0]; cbnz x0", {0xf9400000, 0xb5ffffe0}, false},
        {"a store: ldr w0, [x1]; str w0, [x2]; cbz w0", {0xb9400020, 0xb9000040, 0x34ffffc0}, false},
        {"a sum in memory: ldadd w0, w2, [x1]; cbnz w2", {0xb8200022, 0x35ffffe2}, false},
        {"no memory: cbz x0", {0xb4000000}, false},
        {"not its start: nop; ldr w0, [x1]; cbz w0", {0xd503201f, 0xb9400020, 0x34ffffe0}, false},
    };
    for (const Loop& loop : loops) {
        ir::Block block;
        block.pa = 0x4000'0100;
        translate_block(block, loop.code, 0x100, 0, kMaxBlockInsns);
        EXPECT_EQ(check_block(block), "");
        EXPECT_EQ(jit::ir::spins(block), loop.spins) << loop.text;
    }
}

}  // namespace
}  // namespace arclight::frontend::a64
