// Cost of guest memory accesses in a tier-2 region: by the soft TLB, whose entries it checks, and by fastmem,
// where an unmapped page faults. Both run the same loops; an item is an access.
//
//     arclight_micro --benchmark_filter=region_ --benchmark_enable_random_interleaving --benchmark_repetitions=9
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

#include "backend/process_accelerator.h"
#include "frontend/a64/translate/translator.h"
#include "jit/host_code.h"
#include "jit/llvm/region_compiler.h"
#include "jit/runtime_entries.h"

namespace arclight {
namespace {

using jit::ir::Op;
using jit::ir::Ref;
using jit::ir::Type;

constexpr uint64_t kMaxBytes = uint64_t{32} << 20;  ///< half of what the soft TLB reaches
constexpr uint64_t kGuest = 0x4000'0000, kCode = 0x1000, kIterations = 100'000;
static_assert(kMaxBytes / mmu::kPageSize <= mmu::kTlbEntries / 2);

/// Guest memory, all of it mapped by the soft TLB and by fastmem.
struct Guest {
    Guest() : accelerator(code) {
        void* p = mmap(nullptr, kMaxBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) throw std::bad_alloc();
        madvise(p, kMaxBytes, MADV_HUGEPAGE);
        memory = static_cast<uint64_t*>(p);
        for (uint64_t at = 0; at < kMaxBytes; at += mmu::kPageSize) {
            mmu::TlbEntry& e = tlb->entries[mmu::tlb_index(kGuest + at)];
            e.read_tag = e.write_tag = kGuest + at;
            e.addend = reinterpret_cast<uint64_t>(memory) - kGuest;
        }
        tlb->fastmem_offset[kGuest >> mmu::kFastmemSlotBits] = reinterpret_cast<uint64_t>(memory) - kGuest;
        for (uint64_t k = 0; k < mmu::kJumpCacheLines; ++k)
            tlb->jump_cache[k] = mmu::JumpCacheEntry::empty(k);
        state->tlb = state->user_tlb = tlb.get();
        state->guest_fp_control = 0x1f80;
        state->runtime.entry[jit::kLookupIndirect] =
            reinterpret_cast<const void*>(+[](jit::GuestState&, uint64_t) -> const void* { return nullptr; });
    }
    ~Guest() { munmap(memory, kMaxBytes); }
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

    jit::CodeBuffer code{size_t{1} << 20};
    backend::ProcessAccelerator accelerator;
    std::unique_ptr<mmu::SoftTlb> tlb = std::make_unique<mmu::SoftTlb>();
    std::unique_ptr<jit::GuestState> state = std::make_unique<jit::GuestState>();
    uint64_t* memory;
};

enum Loop : int64_t { kChase, kRandom, kSequential };

/// x1 is an address, x4 the start, x5 a mask, x20 counts iterations.
void build(jit::ir::Builder& b, Loop loop) {
    uint32_t offset = 0;
    const auto next = [&] {
        b.insn_start(offset, 0);
        offset += 4;
    };
    const auto load = [&](Ref address) { return b.emit(Op::Load, Type::I64, {address}, 0, 3); };
    const auto constant = [&](Op op, Ref a, uint64_t v) { return b.emit(op, Type::I64, {a, b.i64(v)}); };
    next();
    switch (loop) {
        case kChase: b.set_x(1, load(b.get_x(1))); break;
        case kSequential:
            b.set_x(2, b.emit(Op::Add, Type::I64, {b.get_x(2), load(b.get_x(1))}));
            next();
            b.set_x(1, constant(Op::Add, b.get_x(1), 8));
            break;
        case kRandom: {
            const Ref random = constant(Op::Add, constant(Op::Mul, b.get_x(3), 0x5851'f42d'4c95'7f2d), 1);
            b.set_x(3, random);
            next();
            b.set_x(1, b.emit(Op::Add, Type::I64,
                              {b.get_x(4),
                               b.emit(Op::And, Type::I64, {constant(Op::Shr, random, 29), b.get_x(5)})}));
            next();
            b.set_x(2, b.emit(Op::Add, Type::I64, {b.get_x(2), load(b.get_x(1))}));
            break;
        }
    }
    next();
    const Ref left = constant(Op::Sub, b.get_x(20), 1);
    b.set_x(20, left);
    b.emit(Op::ExitIf, Type::Void, {b.emit(Op::IsNotZero, Type::I1, {left}, 0, 64)}, 0);
    b.emit(Op::Exit, Type::Void, {}, offset);
    b.block().guest_insns = offset / 4;
    for (jit::ir::Inst& i : b.block().insts)
        if (jit::ir::is_plain_access(i.op)) i.imm = (kGuest >> mmu::kFastmemSlotBits) + 1;  // predicted slot
}

void region_access(benchmark::State& state) {
    const auto loop = static_cast<Loop>(state.range(0));
    const auto bytes = static_cast<uint64_t>(state.range(1)) << 10;
    std::unique_ptr<jit::RegionCompiler> compiler;
    try {
        compiler = jit::make_region_compiler();
    } catch (const std::exception& e) {
        return state.SkipWithError(e.what());
    }
    Guest guest;
    // A cyclic walk that visits every line once.
    constexpr uint64_t kWords = 8;
    std::vector<uint64_t> order(bytes / 64);
    std::iota(order.begin(), order.end(), uint64_t{0});
    std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
    for (size_t k = 0; k < order.size(); ++k)
        guest.memory[order[k] * kWords] = kGuest + order[(k + 1) % order.size()] * 64;

    jit::Region region;
    region.pa = kGuest;
    region.translation_flags = state.range(2) != 0 ? frontend::a64::translation_flag::kFastmem : 0;
    jit::RegionBlock& block = region.blocks.emplace_back();
    block.ir.pa = region.pa;
    jit::ir::Builder builder(block.ir);
    build(builder, loop);
    const auto code = compiler->load(compiler->compile(region));
    if (!code) return state.SkipWithError("no region");
    const uint8_t* stub = jit::emit_region_stub(guest.code, {code->entry, nullptr, jit::kNoCounter});
    jit::GuestState& s = *guest.state;
    s.x[1] = s.x[4] = kGuest;
    s.x[5] = (bytes - 1) & ~uint64_t{7};
    s.x[3] = 1;
    const uint64_t iterations = loop == kSequential ? std::min(kIterations, bytes / 8) : kIterations;
    for (auto _ : state) {
        if (loop == kSequential) s.x[1] = kGuest;
        s.x[20] = iterations;
        s.pc = kCode;
        guest.accelerator.run(s, stub);
        if (s.x[20] != 0) return state.SkipWithError("it was left");
    }
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * iterations));
    compiler->unload(code->handle);
}
BENCHMARK(region_access)
    ->ArgsProduct({{kChase, kRandom, kSequential}, {16, 1024, kMaxBytes >> 10}, {0, 1}})
    ->ArgNames({"loop", "KiB", "fastmem"});

}  // namespace
}  // namespace arclight
