// Guest words to host code: decode, IR, tier 1, and finding a block again. Times are per guest instruction.
#include <benchmark/benchmark.h>

#include <cstring>
#include <set>
#include <vector>

#include "bench/micro/guest_code.h"
#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/frontend.h"
#include "frontend/a64/translate/translator.h"
#include "jit/engine/engine.h"
#include "jit/host_code.h"
#include "jit/llvm/region_compiler.h"

namespace arclight {
namespace {

namespace a64 = frontend::a64;
constexpr uint32_t kMode =
    a64::translation_flag::kEl1 | a64::translation_flag::kSpElx | a64::translation_flag::kSerial;
constexpr uint64_t kRam = 0x4000'0000;

bool no_code(benchmark::State& state) {
    if (!bench::guest_code().empty()) return false;
    state.SkipWithError("no guest code: no cross compiler when this was built");
    return true;
}

void per_instruction(benchmark::State& state, uint64_t instructions) {
    state.SetItemsProcessed(static_cast<int64_t>(instructions));
    state.counters["per_insn"] = benchmark::Counter(
        static_cast<double>(instructions), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// Calls f(words to the end of the page, offset in the page) for each block of the code; f returns the
/// block's length.
template <typename F>
uint64_t for_each_block(F f) {
    const auto code = bench::guest_code();
    uint64_t instructions = 0;
    for (size_t at = 0; at < code.size();) {
        const size_t in_page = at % 1024;
        const uint32_t length = f(code.subspan(at, 1024 - in_page), static_cast<uint32_t>(in_page * 4), at);
        instructions += length;
        at += length;
    }
    return instructions;
}

void decode(benchmark::State& state) {
    if (no_code(state)) return;
    uint64_t n = 0;
    for (auto _ : state)
        for (uint32_t word : bench::guest_code()) {
            benchmark::DoNotOptimize(a64::find_encoding(word));
            ++n;
        }
    per_instruction(state, n);
}
BENCHMARK(decode);

void build_ir(benchmark::State& state) {
    if (no_code(state)) return;
    jit::ir::Block block;
    uint64_t n = 0;
    for (auto _ : state)
        n += for_each_block([&](auto words, uint32_t offset, size_t) {
            block.clear();
            a64::translate_block(block, words, offset, kMode, a64::kMaxBlockInsns);
            return block.guest_insns;
        });
    per_instruction(state, n);
}
BENCHMARK(build_ir);

void tier1_compile(benchmark::State& state) {
    if (no_code(state)) return;
    std::vector<jit::ir::Block> blocks;
    uint64_t each = for_each_block([&](auto words, uint32_t offset, size_t) {
        blocks.emplace_back();
        a64::translate_block(blocks.back(), words, offset, kMode, a64::kMaxBlockInsns);
        return blocks.back().guest_insns;
    });
    jit::CodeBuffer buffer(64 << 20);
    uint64_t n = 0, bytes = 0;
    for (auto _ : state) {
        state.PauseTiming();
        buffer.reset();
        state.ResumeTiming();
        for (const auto& block : blocks) {
            const jit::CompiledBlock c = jit::compile(block, buffer, 0);
            if (!c) state.SkipWithError("a block did not compile");
            bytes += c.hot_bytes + c.cold_bytes;
        }
        n += each;
    }
    per_instruction(state, n);
    state.counters["host_bytes_per_insn"] = static_cast<double>(bytes) / static_cast<double>(n);
}
BENCHMARK(tier1_compile);

/// An engine whose RAM holds the code.
struct Machine {
    std::vector<uint8_t> ram;
    mmu::GuestMemory memory;
    jit::Engine engine;

    static jit::EngineOptions options() {
        jit::EngineOptions o;
        o.code_bytes = 64 << 20;
        return o;
    }
    Machine()
        : ram(8 << 20), memory(ram.data(), kRam, ram.size()), engine(a64::frontend(), memory, options()) {
        const auto code = bench::guest_code();
        std::memcpy(ram.data(), code.data(), std::min(ram.size(), code.size_bytes()));
    }
};

void tier1_translate(benchmark::State& state) {  // all of it: decode to cached block
    if (no_code(state)) return;
    Machine m;
    uint64_t n = 0;
    for (auto _ : state) {
        state.PauseTiming();
        m.engine.flush();
        const uint64_t before = m.engine.stats().guest_insns;
        state.ResumeTiming();
        for (size_t page = 0; page < bench::guest_code().size() * 4; page += 4096)
            for (unsigned at = 0; at < 4096; at += 64)
                benchmark::DoNotOptimize(m.engine.entry(kRam + page + at, kMode));
        state.PauseTiming();
        n += m.engine.stats().guest_insns - before;
        state.ResumeTiming();
    }
    per_instruction(state, n);
}
BENCHMARK(tier1_translate);

/// Regions as tier 2 would build them: the blocks that can be reached from a block within its page, up to
/// about the given number of instructions.
std::vector<jit::Region> make_regions(uint32_t instructions) {
    const auto code = bench::guest_code();
    std::vector<jit::Region> regions;
    for_each_block([&](auto, uint32_t first, size_t at) {
        const auto page =
            code.subspan(at - first / 4, std::min<size_t>(1024, code.size() - (at - first / 4)));
        jit::Region region{.pa = kRam + at * 4, .translation_flags = kMode};
        std::vector<int64_t> next{first};
        std::set<int64_t> seen{first};
        const auto reach = [&](int64_t offset) {
            if (offset >= 0 && offset < static_cast<int64_t>(page.size() * 4) && seen.insert(offset).second)
                next.push_back(offset);
        };
        for (size_t i = 0; i < next.size() && region.guest_insns() < instructions; ++i) {
            jit::RegionBlock& block = region.blocks.emplace_back();
            block.offset = next[i];
            const auto offset = static_cast<uint32_t>(block.offset);
            a64::translate_block(block.ir, page.subspan(offset / 4), offset, kMode, a64::kMaxBlockInsns);
            for (const jit::ir::Inst& inst : block.ir.insts)
                if (inst.op == jit::ir::Op::Exit || inst.op == jit::ir::Op::ExitIf)
                    reach(static_cast<int64_t>(inst.imm));
        }
        const uint32_t length = region.blocks[0].ir.guest_insns;
        if (region.guest_insns() >= instructions) regions.push_back(std::move(region));
        return length;
    });
    return regions;
}

void tier2_compile(benchmark::State& state) {  // without building the region: LLVM, linking, unloading
    if (no_code(state)) return;
    std::unique_ptr<jit::RegionCompiler> compiler;
    try {
        compiler = jit::make_region_compiler();
    } catch (const std::exception& e) {
        return state.SkipWithError(e.what());
    }
    const std::vector<jit::Region> regions = make_regions(static_cast<uint32_t>(state.range(0)));
    uint64_t n = 0, bytes = 0, failed = 0;
    if (regions.empty()) return state.SkipWithError("no region of that size");
    size_t next = 0;
    for (auto _ : state) {
        const jit::Region& region = regions[next++ % regions.size()];
        try {
            const std::string object = compiler->compile(region);
            const auto code = object.empty() ? std::nullopt : compiler->load(object);
            if (!code) continue;
            n += region.guest_insns();
            bytes += code->bytes;
            compiler->unload(code->handle);
        } catch (const std::exception&) {
            ++failed;
        }
    }
    if (n == 0) return state.SkipWithError("no region compiled");
    per_instruction(state, n);
    state.counters["host_bytes_per_insn"] = static_cast<double>(bytes) / static_cast<double>(n);
    state.counters["failed"] = static_cast<double>(failed);
}
BENCHMARK(tier2_compile)->Arg(20)->Arg(100)->Arg(400)->ArgName("insns")->Unit(benchmark::kMillisecond);

void block_lookup(benchmark::State& state) {  // of blocks that are there, by physical address
    if (no_code(state)) return;
    Machine m;
    const size_t lines = bench::guest_code().size() * 4 / 64;
    for (size_t i = 0; i < lines; ++i) m.engine.entry(kRam + i * 64, kMode);
    size_t i = 0;
    for (auto _ : state) benchmark::DoNotOptimize(m.engine.entry(kRam + (i++ * 7919 % lines) * 64, kMode));
}
BENCHMARK(block_lookup);

void invalidate_line(benchmark::State& state) {  // IC IVAU of a line that no block was made from
    if (no_code(state)) return;
    Machine m;
    const size_t lines = bench::guest_code().size() * 4 / 64;
    for (size_t i = 0; i < lines; ++i) m.engine.entry(kRam + i * 64, kMode);
    for (auto _ : state) benchmark::DoNotOptimize(m.engine.invalidate(kRam + (4 << 20), 64));
}
BENCHMARK(invalidate_line);

}  // namespace
}  // namespace arclight
