// The MMU: table walks, filling the soft TLB, and TLBI by kind with a full TLB.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "backend/x64/page_format.h"
#include "mmu/soft_tlb_set.h"
#include "mmu/table_pages.h"
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

SoftTlbSet::Mapping mapping(uint64_t va, bool non_global) {
    return {.va = va,
            .pa = 0x4000'0000 + va,
            .host = host_page,
            .page_bits = 12,
            .readable = true,
            .writable = true,
            .non_global = non_global};
}

void soft_tlb_fill(benchmark::State& state) {
    SoftTlbSet tlbs;
    mmu::SoftTlb* tlb = tlbs.select(0, false, 1);
    uint64_t i = 0;
    for (auto _ : state) benchmark::DoNotOptimize(tlbs.fill(tlb, mapping((i++ % 4096) << 12, true)));
}
BENCHMARK(soft_tlb_fill);

/// x86 page tables in plain memory, which no processor uses. The cost of the accelerator's invalidation is
/// extra.
class PlainTables final : public HostTables {
  public:
    const HostPageFormat& format() const override { return backend::page_entry::kFormat; }
    uint64_t* root() override { return at(0); }
    bool may_use_root_entry(unsigned index) override { return index < 256; }
    uint64_t* take_table() override {
        if (free_.empty()) {
            if (used_ == kTables) return nullptr;
            free_.push_back(used_++);
        }
        uint64_t* table = at(free_.back());
        free_.pop_back();
        std::memset(table, 0, 4096);
        return table;
    }
    void give_back_table(uint64_t* table) override {
        free_.push_back(static_cast<size_t>(table - at(0)) / HostPageFormat::kTableEntries);
    }
    uint64_t physical_of_table(const uint64_t* table) override { return reinterpret_cast<uint64_t>(table); }
    uint64_t* table_at(uint64_t physical) override { return reinterpret_cast<uint64_t*>(physical); }
    std::optional<uint64_t> physical_of_page(const uint8_t* host) override {
        return reinterpret_cast<uint64_t>(host);
    }
    bool knows_page(const uint8_t*) override { return true; }
    void invalidate(std::span<const uint64_t>) override {}

  private:
    static constexpr size_t kTables = 512;
    uint64_t* at(size_t n) { return memory_.get() + n * HostPageFormat::kTableEntries; }
    struct Free {
        void operator()(uint64_t* p) const { std::free(p); }
    };
    std::unique_ptr<uint64_t[], Free> memory_{
        static_cast<uint64_t*>(std::aligned_alloc(4096, kTables * 4096))};
    size_t used_ = 1;
    std::vector<size_t> free_;
};

constexpr uint64_t kFastmemPages = 4096;

void fastmem_fill(benchmark::State& state) {  // of a page that is not mapped, as after a fastmem fault
    PlainTables tables;
    FastmemSet fastmem(tables);
    auto tlb = std::make_unique<mmu::SoftTlb>();
    fastmem.initialise(2, tlb.get());
    uint64_t i = 0;
    for (auto _ : state) {
        if (i % kFastmemPages == 0) {
            state.PauseTiming();
            fastmem.drop_all(2);
            fastmem.finish();
            state.ResumeTiming();
        }
        benchmark::DoNotOptimize(fastmem.fill(
            2, {.va = i++ % kFastmemPages << 12, .host = host_page, .writable = true, .non_global = true}));
    }
}
BENCHMARK(fastmem_fill);

void fastmem_fill_large(benchmark::State& state) {  // 2 MiB at once
    PlainTables tables;
    FastmemSet fastmem(tables);
    auto tlb = std::make_unique<mmu::SoftTlb>();
    fastmem.initialise(0, tlb.get());
    auto* const block = reinterpret_cast<uint8_t*>(uint64_t{1} << 30);  // an address only
    uint64_t i = 0;
    for (auto _ : state) {
        if (i % 512 == 0) {
            state.PauseTiming();
            fastmem.drop_all(0);
            fastmem.finish();
            state.ResumeTiming();
        }
        benchmark::DoNotOptimize(fastmem.fill(
            0, {.va = i++ % 512 << 21, .host = block, .page_bits = 21, .writable = true, .large = true}));
    }
}
BENCHMARK(fastmem_fill_large);

void fastmem_drop(benchmark::State& state) {  // a TLBI of one page, and the page again
    PlainTables tables;
    FastmemSet fastmem(tables);
    auto tlb = std::make_unique<mmu::SoftTlb>();
    fastmem.initialise(2, tlb.get());
    const auto fill = [&](uint64_t page) {
        return fastmem.fill(2, {.va = page << 12, .host = host_page, .writable = true, .non_global = true});
    };
    for (uint64_t page = 0; page < kPages; ++page) fill(page);
    uint64_t i = 0;
    for (auto _ : state) {
        const uint64_t page = i++ % kPages;
        fastmem.drop_address(2, page << 12, true, true);
        fastmem.finish();
        benchmark::DoNotOptimize(fill(page));
    }
}
BENCHMARK(fastmem_drop);

/// A store to a table under traditional shadow paging: the drop, and the fill of the entry.
void table_store(benchmark::State& state) {
    test::PageTables ram;
    SoftTlbSet tlbs(nullptr, {.policy = ShadowPolicy::Tsp}, &ram.memory());
    TablePages pages(ram.memory());
    const uint64_t root = ram.regs.half[0].table, va = 0x40'0000;
    const uint64_t leaf = test::kRamBase | d::attribute(0) | d::kAf | d::sh(3) | d::kPage;
    const uint64_t entry = ram.map(va, 3, leaf);
    mmu::SoftTlb* tlb = tlbs.select(0, false, Root{1, root, 0});
    WalkPath path;
    (void)walk(ram.regs, ram.memory(), va, {}, &path);
    pages.finish(pages.begin(path, va, root));
    for (auto _ : state) {
        benchmark::DoNotOptimize(pages.in_use(path, va, root));
        tlbs.fill(tlb, mapping(va, true));
        for (const Derived& derived : pages.write(entry, 8, 0, 0, [&] { ram.write(entry, 0); }).drop)
            tlbs.drop(derived);
        pages.write(entry, 8, 0, 0, [&] { ram.write(entry, leaf); });
    }
}
BENCHMARK(table_store);

void context_switch(
    benchmark::State& state) {  // selecting the soft TLB of another ASID, as after a TTBR write
    SoftTlbSet tlbs;
    for (uint16_t asid = 0; asid < 8; ++asid) tlbs.fill(tlbs.select(0, false, asid), mapping(0x1000, true));
    uint16_t asid = 0;
    for (auto _ : state) benchmark::DoNotOptimize(tlbs.select(0, false, asid++ % 8));
}
BENCHMARK(context_switch);

/// Refills the dropped entries outside the measured time.
void tlbi(benchmark::State& state, TlbiRequest request) {
    SoftTlbSet tlbs;
    mmu::SoftTlb* user = tlbs.select(0, false, 1);
    mmu::SoftTlb* kernel = tlbs.select(1, true, 1);
    for (uint64_t i = 0; i < kPages; ++i) {
        tlbs.fill(kernel, mapping(0xffff'0000'0000'0000 + (i << 12), false));
        tlbs.fill(user, mapping(i << 12, true));
    }
    // Only the address forms, which drop one entry each, can run several iterations between refills.
    const bool by_address =
        request.kind == TlbiRequest::Kind::Va || request.kind == TlbiRequest::Kind::VaAllAsids;
    uint64_t i = 0;
    for (auto _ : state) {
        if (by_address) {
            request.va = (i++ % kPages) << 12;
            tlbs.apply(request);
            tlbs.fill(user, mapping(request.va, true));
        } else {
            tlbs.apply(request);
            state.PauseTiming();
            for (uint64_t p = 0; p < kPages; ++p) {
                tlbs.fill(kernel, mapping(0xffff'0000'0000'0000 + (p << 12), false));
                tlbs.fill(user, mapping(p << 12, true));
            }
            state.ResumeTiming();
        }
    }
}
BENCHMARK_CAPTURE(tlbi, all, {.kind = TlbiRequest::Kind::All})->Iterations(20000);
BENCHMARK_CAPTURE(tlbi, asid, {.kind = TlbiRequest::Kind::Asid, .asid = 1})->Iterations(20000);
BENCHMARK_CAPTURE(tlbi, address_and_refill, {.kind = TlbiRequest::Kind::Va, .asid = 1});
BENCHMARK_CAPTURE(tlbi, address_all_asids_and_refill, {.kind = TlbiRequest::Kind::VaAllAsids});

void tlbi_absent(benchmark::State& state) {  // an address that is in no soft TLB: most of a kernel's
    SoftTlbSet tlbs;
    tlbs.fill(tlbs.select(0, false, 1), mapping(0x1000, true));
    for (auto _ : state) tlbs.apply({.kind = TlbiRequest::Kind::Va, .asid = 1, .va = 0x7000'0000});
}
BENCHMARK(tlbi_absent);

}  // namespace
}  // namespace arclight::mmu
