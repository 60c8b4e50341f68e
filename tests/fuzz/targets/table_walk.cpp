// Walks of a guest's translation tables, which are the input's: what is found keeps the promises of WalkResult, and a walk that
// may not update changes nothing.
#include <cstdlib>
#include <cstring>
#include <memory>

#include "mmu/walk.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace mmu;

constexpr uint64_t kBase = 0x4000'0000, kPages = 8, kSize = kPages * 4096;

void run(std::span<const uint8_t> bytes) {
    static const std::unique_ptr<uint8_t, void (*)(void*)> ram(
        static_cast<uint8_t*>(std::aligned_alloc(4096, kSize)), std::free);
    std::memset(ram.get(), 0, kSize);
    const GuestMemory memory(ram.get(), kBase, kSize);
    Input in(bytes);
    TranslationRegs regs;
    regs.sctlr = in.u64();
    regs.tcr = in.u64();
    regs.mair = in.u64();
    regs.ttbr0 = in.flag() ? kBase | in.below(kPages) * 4096u : in.u64();
    regs.ttbr1 = in.flag() ? kBase | in.below(kPages) * 4096u : in.u64();
    const uint64_t va = in.u64();
    const uint8_t how = in.u8();
    regs.options.lva = (how & 32) != 0;
    regs.options.lpa = (how & (64 | 128)) != 0;
    regs.options.lpa2 = (how & 128) != 0;
    regs.update();
    const unsigned granule_bits = regs.granule_bits(va);
    const Access access{.kind = static_cast<AccessKind>(how % 3),
                        .privileged = (how & 4) != 0,
                        .pan = (how & 8) != 0,
                        .update = (how & 16) != 0};
    // Entries where the walk looks: at one index of each level's table. The rest may be any.
    while (!in.empty()) {
        const uint8_t what = in.u8();
        const uint64_t page = what & 7, index = (what & 8) != 0
                                                    ? in.u16() & 511
                                                    : va >> level_shift(granule_bits, what >> 4 & 3) & 511;
        uint64_t entry = in.u64();
        if ((what & 0x40) != 0)
            entry = (entry & 0xfff0'0000'0000'0ffcull) | 3 | (kBase + (entry >> 12 & 7) * 4096);
        std::memcpy(ram.get() + page * 4096 + index * 8, &entry, 8);
    }
    const std::vector<uint8_t> before(ram.get(), ram.get() + kSize);
    WalkPath path;
    const WalkResult result = walk(regs, memory, va, access, &path);
    if (!access.update)
        require(std::memcmp(before.data(), ram.get(), kSize) == 0,
                "a walk that may not update changes nothing");
    require(result.level >= -1 && result.level <= 3, "a level is -1 to 3");
    if (!result.ok()) return;
    require(result.page_bits == (result.stage1_off ? 12 : level_shift(granule_bits, result.level)),
            "a mapping has the size of its level");
    require(((result.pa ^ va) & ((uint64_t{1} << result.page_bits) - 1)) == 0, "a mapping keeps the offset");
    require(result.pa >> (regs.options.lpa ? kLargePhysicalAddressBits : kPhysicalAddressBits) == 0,
            "an output address is the CPU's");
    require(path.count <= 5, "there are five levels");
    for (unsigned i = 0; i < path.count; i++) require(memory.contains(path.table[i], 8), "tables lie in RAM");
    const bool allowed = access.kind == AccessKind::Read ? result.readable(access.privileged, access.pan)
                         : access.kind == AccessKind::Write
                             ? result.clean || result.writable(access.privileged, access.pan)
                             : result.executable(access.privileged);
    require(allowed, "what is found permits the access");
    if (!access.update) return;
    // What hardware has updated stays: the second walk finds the same.
    const WalkResult again = walk(regs, memory, va, access);
    require(again.ok() && again.pa == result.pa && again.permissions == result.permissions,
            "a walk can be repeated");
    if (access.kind == AccessKind::Write) require(!again.clean, "a write has set the dirty state");
}

const Registered registered({.name = "table_walk", .run = run, .max_size = 512, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
