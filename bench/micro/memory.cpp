// The MMU: table walks, filling the soft TLB, and TLBI by kind with a full TLB.
#include <benchmark/benchmark.h>

#include "mmu/views.h"
#include "tests/mmu/page_tables.h"

namespace arclight::mmu {
namespace {

namespace d = test::descriptor;
constexpr unsigned kPages = 256;

void table_walk(benchmark::State& state) {
    const auto level = static_cast<unsigned>(state.range(0));
    test::PageTables tables;
    const unsigned bits = 39 - 9 * level;
    const unsigned n = level == 3 ? kPages : 4;
    for (uint64_t i = 0; i < n; ++i)
        tables.map(i << bits, level,
                   (level == 3 ? test::kRamBase + i * 4096 : 0) | d::attribute(0) | d::kAf | d::sh(3) |
                       (level == 3 ? d::kPage : d::kBlock));
    uint64_t i = 0;
    for (auto _ : state) {
        const WalkResult r = tables.walk((i++ % n) << bits);
        if (!r.ok()) state.SkipWithError("the walk faults");
        benchmark::DoNotOptimize(r);
    }
}
BENCHMARK(table_walk)->Arg(1)->Arg(2)->Arg(3)->ArgName("level");

uint8_t host_page[4096];

ViewSet::Mapping mapping(uint64_t va, bool non_global) {
    return {.va = va,
            .pa = 0x4000'0000 + va,
            .host = host_page,
            .page_bits = 12,
            .readable = true,
            .writable = true,
            .non_global = non_global};
}

void soft_tlb_fill(benchmark::State& state) {
    ViewSet views;
    jit::View* view = views.select(0, false, 1);
    uint64_t i = 0;
    for (auto _ : state) benchmark::DoNotOptimize(views.fill(view, mapping((i++ % 4096) << 12, true)));
}
BENCHMARK(soft_tlb_fill);

void context_switch(benchmark::State& state) {  // selecting the view of another ASID, as after a TTBR write
    ViewSet views;
    for (uint16_t asid = 0; asid < 8; ++asid) views.fill(views.select(0, false, asid), mapping(0x1000, true));
    uint16_t asid = 0;
    for (auto _ : state) benchmark::DoNotOptimize(views.select(0, false, asid++ % 8));
}
BENCHMARK(context_switch);

/// What is taken out is put back outside the measured time.
void tlbi(benchmark::State& state, TlbiRequest request) {
    ViewSet views;
    jit::View* user = views.select(0, false, 1);
    jit::View* kernel = views.select(1, true, 1);
    for (uint64_t i = 0; i < kPages; ++i) {
        views.fill(kernel, mapping(0xffff'0000'0000'0000 + (i << 12), false));
        views.fill(user, mapping(i << 12, true));
    }
    // Few iterations in a row need no refill: only the address forms take one entry each.
    const bool by_address =
        request.kind == TlbiRequest::Kind::Va || request.kind == TlbiRequest::Kind::VaAllAsids;
    uint64_t i = 0;
    for (auto _ : state) {
        if (by_address) {
            request.va = (i++ % kPages) << 12;
            views.apply(request);
            views.fill(user, mapping(request.va, true));
        } else {
            views.apply(request);
            state.PauseTiming();
            for (uint64_t p = 0; p < kPages; ++p) {
                views.fill(kernel, mapping(0xffff'0000'0000'0000 + (p << 12), false));
                views.fill(user, mapping(p << 12, true));
            }
            state.ResumeTiming();
        }
    }
}
BENCHMARK_CAPTURE(tlbi, all, {.kind = TlbiRequest::Kind::All})->Iterations(20000);
BENCHMARK_CAPTURE(tlbi, asid, {.kind = TlbiRequest::Kind::Asid, .asid = 1})->Iterations(20000);
BENCHMARK_CAPTURE(tlbi, address_and_refill, {.kind = TlbiRequest::Kind::Va, .asid = 1});
BENCHMARK_CAPTURE(tlbi, address_all_asids_and_refill, {.kind = TlbiRequest::Kind::VaAllAsids});

void tlbi_absent(benchmark::State& state) {  // an address that is in no view: most of a kernel's
    ViewSet views;
    views.fill(views.select(0, false, 1), mapping(0x1000, true));
    for (auto _ : state) views.apply({.kind = TlbiRequest::Kind::Va, .asid = 1, .va = 0x7000'0000});
}
BENCHMARK(tlbi_absent);

}  // namespace
}  // namespace arclight::mmu
