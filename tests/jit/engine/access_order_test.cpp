// The order in which guest code's accesses reach memory, in tier 2's regions and tier 1's blocks: what ARM orders
// (ARM ARM B2.3.10, barrier-ordered-before) must stay in order through all passes of LLVM's, and be ordered by
// the host too. Random guest programs around each ordering instruction are executed in single steps.
#include <fmt/format.h>

#include <map>
#include <random>
#include <set>

#include "frontend/a64/translate/translator.h"
#include "tests/backend/harness.h"
#include "tests/jit/access_trace.h"
#include "tests/jit/engine/region_fixture.h"

namespace arclight::jit {
namespace {

using backend::testing::Harness;
using backend::testing::Memory;
using testing::AccessTrace;
using testing::Regions;
using testing::TracedAccess;

/// What a guest instruction does to memory, and what that orders.
struct Event {
    uint64_t offset = 0;  ///< from Memory::kBase
    unsigned bytes = 0;   ///< 0: a barrier, which orders loads, stores or all, with later ones
    bool load = false, store = false;
    bool acquire = false, release = false;
    bool acquire_rcpc = false;  ///< LDAPR: may pass an earlier release
    bool barrier_loads = false, barrier_stores = false;
    std::string text;
};

/// X0..X7 are loaded, X8 sums up all that was, X9 is for a result that nobody uses, X10..X19 are addresses, X20 is
/// one that several accesses share, X21..X24 are stored, X25 counts down, X26 is 0, X27 and X28 are computed with.
constexpr unsigned kSum = 8, kResult = 9, kFirstBase = 10, kBases = 10, kSharedBase = 20, kStored = 21,
                   kCounter = 25, kZero = 26;

struct Program {
    std::vector<std::vector<uint32_t>> blocks;  ///< words
    std::vector<std::vector<Event>> events;     ///< the same blocks'
    unsigned loop_from = 0;                     ///< the last block goes back to this one
    unsigned iterations = 1;

    std::vector<Event> executed() const {
        std::vector<Event> all;
        for (unsigned n = 0; n < iterations; ++n)
            for (size_t k = n == 0 ? 0 : loop_from; k < events.size(); ++k)
                all.insert(all.end(), events[k].begin(), events[k].end());
        return all;
    }
    std::string print() const {
        std::string s;
        for (size_t k = 0; k < events.size(); ++k) {
            s += fmt::format("block {}{}\n", k,
                             iterations > 1 && k == loop_from ? ", of a loop from here on" : "");
            for (const Event& e : events[k]) s += "    " + e.text + "\n";
        }
        return s;
    }
};

/// Instructions that order accesses, each with the accesses that it is about.
enum class Form {
    Ldar,
    Ldapr,
    LdarW,
    Stlr,
    StlrW,
    StlrLdar,
    StlrLdapr,
    DmbLoad,
    DmbStore,
    DmbFull,
    LdaxrStxr,
    LdxrStlxr,
    LdaxrStlxr,
    Ldadda,
    Ldaddl,
    Ldaddal,
    Swpal,
    Ldsmaxal,
    Casa,
    Casal,
    Count
};

class Generator {
  public:
    explicit Generator(uint64_t seed) : rng_(seed) {}

    Program make(Form form) {
        bases_.clear();
        displacements_.clear();
        pending_.clear();
        next_register_ = 0;
        program_ = {};
        // Half of the programs are as short as can be: what may pass what depends on all that is around it.
        const bool short_one = below(2) == 0, loop = !short_one && below(3) == 0;
        const unsigned blocks = short_one ? 1 : 1 + below(4), ordering = below(blocks);
        program_.loop_from = loop ? below(ordering + 1) : 0;
        program_.iterations = loop ? 3 : 1;
        late_ = short_one || below(4) != 0;
        const bool pressure = !short_one && below(2) == 0;
        for (unsigned k = 0; k < blocks; ++k) {
            program_.blocks.emplace_back();
            program_.events.emplace_back();
            if (pressure) compute();
            plain(k == ordering ? 1 + below(2) : below(2));
            if (k == ordering) order(form);
            plain(k == ordering ? 1 + below(2) : below(2));
            if (pressure) compute();
            if (program_.blocks.back().empty()) word(0xd503'201f);  // NOP
            if (k + 1 == blocks) break;
            switch (below(4)) {
                case 0: word(0xb500'0000u | 64u << 5 | kZero); break;  // CBNZ: to nowhere
                case 1: word(0xb400'0000u | 1u << 5 | kZero); break;   // CBZ: to the next block
                case 2: word(0x1400'0001); break;                      // B: to the next block
                default: break;
            }
        }
        use_pending();
        if (loop) word(0xd100'0400u | kCounter << 5 | kCounter);
        return program_;
    }

  private:
    static constexpr unsigned kLoaded = 8;

    unsigned below(unsigned n) { return static_cast<unsigned>(rng_() % n); }
    void word(uint32_t w) { program_.blocks.back().push_back(w); }
    void event(const Event& e) { program_.events.back().push_back(e); }

    /// A register with an address that nothing else accesses.
    unsigned base() {
        unsigned b;
        do b = below(kBases);
        while (bases_.contains(b));
        bases_.insert(b);
        return kFirstBase + b;
    }
    static uint64_t offset_of(unsigned base) { return (base - kFirstBase) * uint64_t{1088}; }
    /// To be used by use_pending(): at once or at the end.
    unsigned loaded() {
        const unsigned t = next_register_++;
        EXPECT_LT(t, kLoaded);
        pending_.push_back(t);
        return t;
    }
    void use(unsigned t) { word(0x8b00'0000u | t << 16 | kSum << 5 | kSum); }
    void use_pending() {
        for (const unsigned t : pending_) use(t);
        pending_.clear();
    }
    void after_load() {
        if (late_ || below(3) != 0) return;
        use_pending();
    }
    void compute() {
        for (unsigned k = 0; k < 4; ++k) {
            const unsigned d = 27 + k % 2, m = kStored + below(4);
            word(0x9b00'7c00u | m << 16 | 27 << 5 | d);  // MUL
            word(0x8b00'0000u | d << 16 | m << 5 | m);   // ADD
        }
    }
    void plain(unsigned n) {
        for (unsigned k = 0; k < n; ++k) {
            const bool store = below(2) == 0;
            if (!store && next_register_ >= kLoaded - 2) continue;
            if (bases_.size() > kBases - 4) return;
            const unsigned log2 = 2 + below(2), bytes = 1u << log2;
            unsigned n_reg = kSharedBase, displacement = 0;
            if (below(3) == 0 && displacements_.size() < 6) {
                do displacement = below(8) * 8;
                while (displacements_.contains(displacement));
                displacements_.insert(displacement);
            } else {
                n_reg = base();
            }
            const unsigned t = store ? kStored + below(4) : loaded();
            word((log2 == 3 ? 0xf900'0000u : 0xb900'0000u) | (store ? 0u : 1u << 22) |
                 (displacement >> log2) << 10 | n_reg << 5 | t);
            event({.offset = offset_of(n_reg) + displacement,
                   .bytes = bytes,
                   .load = !store,
                   .store = store,
                   .text = fmt::format("{} {}{}, [x{}, #{}]", store ? "str" : "ldr", log2 == 3 ? 'x' : 'w', t,
                                       n_reg, displacement)});
            if (!store) after_load();
        }
    }
    void ordered(const char* name, uint32_t opcode, unsigned log2, Event e) {
        const unsigned n = base(), t = e.load ? loaded() : kStored + below(4);
        word(opcode | n << 5 | t);
        e.offset = offset_of(n), e.bytes = 1u << log2;
        e.text = fmt::format("{} {}{}, [x{}]", name, log2 == 3 ? 'x' : 'w', t, n);
        event(e);
        if (e.load) after_load();
    }
    void barrier(const char* name, unsigned type, bool loads, bool stores) {
        word(0xd503'30bf | (8 | type) << 8);
        event({.barrier_loads = loads, .barrier_stores = stores, .text = name});
    }
    void exclusive(bool acquire, bool release) {
        const unsigned n = base(), t = loaded(), s = kStored + below(4);
        word((acquire ? 0xc85f'fc00u : 0xc85f'7c00u) | n << 5 | t);
        event({.offset = offset_of(n),
               .bytes = 8,
               .load = true,
               .acquire = acquire,
               .text = fmt::format("{} x{}, [x{}]", acquire ? "ldaxr" : "ldxr", t, n)});
        plain(below(2));
        word((release ? 0xc800'fc00u : 0xc800'7c00u) | kResult << 16 | n << 5 | s);
        event({.offset = offset_of(n),
               .bytes = 8,
               .store = true,
               .release = release,
               .text = fmt::format("{} w{}, x{}, [x{}]", release ? "stlxr" : "stxr", kResult, s, n)});
    }
    void atomic(const char* name, uint32_t opcode, bool acquire, bool release) {
        const unsigned n = base(), t = loaded(), s = kStored + below(4);
        word(opcode | (acquire ? 1u << 23 : 0) | (release ? 1u << 22 : 0) | s << 16 | n << 5 | t);
        event({.offset = offset_of(n),
               .bytes = 8,
               .load = true,
               .store = true,
               .acquire = acquire,
               .release = release,
               .text = fmt::format("{} x{}, x{}, [x{}]", name, s, t, n)});
        after_load();
    }
    /// What is in memory is 0, and so is X26: it succeeds.
    void compare_and_swap(const char* name, bool release) {
        const unsigned n = base(), t = kStored + below(4), s = loaded();
        word(0xaa1f'03e0u | s);  // MOV Xs, XZR
        word(0xc8e0'7c00u | (release ? 1u << 15 : 0) | s << 16 | n << 5 | t);
        event({.offset = offset_of(n),
               .bytes = 8,
               .load = true,
               .store = true,
               .acquire = true,
               .release = release,
               .text = fmt::format("{} x{}, x{}, [x{}]", name, s, t, n)});
        after_load();
    }
    void order(Form form) {
        const Event ldar{.load = true, .acquire = true};
        const Event ldapr{.load = true, .acquire = true, .acquire_rcpc = true};
        const Event stlr{.store = true, .release = true};
        const auto store_release = [&] { ordered("stlr", 0xc89f'fc00, 3, stlr); };
        const auto load_acquire = [&] { ordered("ldar", 0xc8df'fc00, 3, ldar); };
        const auto load_acquire_rcpc = [&] { ordered("ldapr", 0xf8bf'c000, 3, ldapr); };
        switch (form) {
            case Form::Ldar: return load_acquire();
            case Form::LdarW: return ordered("ldar", 0x88df'fc00, 2, ldar);
            case Form::Ldapr: return load_acquire_rcpc();
            case Form::Stlr: return store_release();
            case Form::StlrW: return ordered("stlr", 0x889f'fc00, 2, stlr);
            case Form::StlrLdar: return store_release(), plain(below(2)), load_acquire();
            case Form::StlrLdapr: return store_release(), plain(below(2)), load_acquire_rcpc();
            case Form::DmbLoad: return barrier("dmb ishld", 1, true, false);
            case Form::DmbStore: return barrier("dmb ishst", 2, false, true);
            case Form::DmbFull: return barrier("dmb ish", 3, true, true);
            case Form::LdaxrStxr: return exclusive(true, false);
            case Form::LdxrStlxr: return exclusive(false, true);
            case Form::LdaxrStlxr: return exclusive(true, true);
            case Form::Ldadda: return atomic("ldadda", 0xf820'0000, true, false);
            case Form::Ldaddl: return atomic("ldaddl", 0xf820'0000, false, true);
            case Form::Ldaddal: return atomic("ldaddal", 0xf820'0000, true, true);
            case Form::Swpal: return atomic("swpal", 0xf820'8000, true, true);
            case Form::Ldsmaxal: return atomic("ldsmaxal", 0xf820'4000, true, true);
            case Form::Casa: return compare_and_swap("casa", false);
            case Form::Casal: return compare_and_swap("casal", true);
            case Form::Count: break;
        }
    }

    std::mt19937_64 rng_;
    Program program_;
    std::set<unsigned> bases_, displacements_;
    std::vector<unsigned> pending_;  ///< registers that were loaded and not used yet
    unsigned next_register_ = 0;
    bool late_ = false;
};

/// Whether an observer must see i, which is before j in the program, before j.
bool must_be_ordered(const std::vector<Event>& events, size_t i, size_t j) {
    const Event &a = events[i], &b = events[j];
    if (a.acquire || b.release) return true;
    if (a.release && b.acquire && !b.acquire_rcpc) return true;
    for (size_t k = i + 1; k < j; ++k) {
        const Event& barrier = events[k];
        if (barrier.barrier_loads && barrier.barrier_stores) return true;
        if (barrier.barrier_loads && a.load) return true;
        if (barrier.barrier_stores && a.store && b.store) return true;
    }
    return false;
}

class AccessOrderTest : public ::testing::TestWithParam<uint32_t> {
  protected:
    AccessOrderTest() { h_.fill_tlb(); }

    /// The region's or the first block's; the program is at the start of its page.
    std::vector<uint32_t> lay_out(const Program& p) {
        std::vector<uint32_t> words;
        offsets_.clear();
        for (const auto& block : p.blocks) {
            offsets_.push_back(static_cast<uint32_t>(4 * words.size()));
            words.insert(words.end(), block.begin(), block.end());
        }
        if (p.iterations > 1) {
            const auto back = static_cast<uint32_t>((offsets_[p.loop_from] / 4) - words.size());
            words.push_back(0xb500'0000u | (back & 0x7'ffff) << 5 | kCounter);
        }
        end_ = static_cast<uint32_t>(4 * words.size());
        return words;
    }
    ir::Block translate(const std::vector<uint32_t>& words, size_t block) {
        const uint32_t from = offsets_[block], to = block + 1 < offsets_.size() ? offsets_[block + 1] : end_;
        ir::Block b;
        b.pa = 0x4100'0000 + from;
        frontend::a64::translate_block(b, std::span(words).subspan(from / 4, (to - from) / 4), from, flags(),
                                       64);
        EXPECT_EQ(ir::verify(b), "");
        return b;
    }
    static uint32_t flags() { return GetParam() | frontend::a64::translation_flag::kEl1; }

    void start(const Program& p) {
        GuestState& s = h_.state();
        for (unsigned r = 0; r < 31; ++r) s.x[r] = 0x1234'5678'9abc'def0 + r;
        for (unsigned k = 0; k <= kBases; ++k) s.x[kFirstBase + k] = Memory::kBase + k * uint64_t{1088};
        s.x[kCounter] = p.iterations;
        s.x[kZero] = 0;
        s.pc = s.page_base = Harness::kPage;
        s.translation_flags = flags();
        std::memset(h_.memory.bytes, 0, sizeof h_.memory.bytes);
        std::ranges::fill(h_.tlb->fastmem_offset,
                          reinterpret_cast<uint64_t>(h_.memory.bytes) - Memory::kBase);
    }

    /// Finds each of the program's accesses in the trace, and compares.
    void check(const Program& p) {
        const std::vector<Event> events = p.executed();
        std::map<uint64_t, std::vector<size_t>> traced;  // by offset
        const auto trace = trace_.accesses();
        ASSERT_FALSE(trace_.overflowed());
        std::string listing = "executed:\n";
        for (size_t k = 0; k < trace.size(); ++k) {
            listing += fmt::format("    {}{}{} {} bytes at base x{} + {}\n", trace[k].locked ? "locked " : "",
                                   trace[k].reads ? "r" : "", trace[k].writes ? "w" : "", trace[k].bytes,
                                   kFirstBase + trace[k].offset / 1088, trace[k].offset % 1088);
            if (trace[k].bytes != 0) traced[trace[k].offset].push_back(k);
        }
        std::map<uint64_t, size_t> next;
        std::vector<size_t> when(events.size());
        for (size_t k = 0; k < events.size(); ++k) {
            const Event& e = events[k];
            if (e.bytes == 0) continue;
            const std::vector<size_t>& places = traced[e.offset];
            size_t& n = next[e.offset];
            // A read-modify-write may first read, as a guess or under one virtual CPU.
            if (e.store && e.load)
                while (n < places.size() && !trace[places[n]].writes) ++n;
            ASSERT_LT(n, places.size()) << e.text << " is missing\n" << listing;
            const TracedAccess& access = trace[when[k] = places[n++]];
            ASSERT_EQ(access.bytes, e.bytes) << e.text << "\n" << listing;
            ASSERT_TRUE(e.store ? access.writes : access.reads) << e.text << "\n" << listing;
        }
        for (const auto& [offset, places] : traced)
            ASSERT_EQ(next[offset], places.size()) << "accessed once more: " << offset << "\n" << listing;
        const bool serial = (flags() & frontend::a64::translation_flag::kSerial) != 0;
        for (size_t i = 0; i < events.size(); ++i) {
            for (size_t j = i + 1; j < events.size(); ++j) {
                if (events[i].bytes == 0 || events[j].bytes == 0 || !must_be_ordered(events, i, j)) continue;
                ASSERT_LT(when[i], when[j]) << events[i].text << " and " << events[j].text << "\n" << listing;
                // The host may let a later load pass an earlier store. With one CPU nobody else takes part in a
                // read-modify-write, which needs no lock, but the devices' threads see all other stores.
                if ((serial && (events[i].load || events[j].store)) || !events[i].store || !events[j].load)
                    continue;
                ASSERT_TRUE(std::any_of(trace.begin() + static_cast<std::ptrdiff_t>(when[i]),
                                        trace.begin() + static_cast<std::ptrdiff_t>(when[j]) + 1,
                                        [](const TracedAccess& a) { return a.orders_stores_before_loads(); }))
                    << "no fence between " << events[i].text << " and " << events[j].text << "\n"
                    << listing;
            }
        }
    }

    /// `run` has a program executed to its end, traced.
    template <typename F>
    void each_program(uint64_t seeds, F&& run) {
        for (uint64_t form = 0; form < static_cast<uint64_t>(Form::Count); ++form) {
            for (uint64_t seed = 0; seed < seeds; ++seed) {
                const Program p = Generator(seed * 100 + form).make(static_cast<Form>(form));
                SCOPED_TRACE(fmt::format("form {}, seed {}\n{}", form, seed, p.print()));
                const std::vector<uint32_t> words = lay_out(p);
                start(p);
                run(words);
                ASSERT_EQ(h_.state().pc, Harness::kPage + end_) << "left early";
                check(p);
                if (HasFatalFailure()) return;
            }
        }
    }

    Harness h_{size_t{64} << 20};
    AccessTrace trace_{std::as_bytes(std::span(h_.memory.bytes))};
    std::vector<uint32_t> offsets_;  ///< of the program's blocks in their page
    uint32_t end_ = 0;
};

TEST_P(AccessOrderTest, Tier2) {
    Regions regions;
    // Accesses by fastmem are inline assembly, which LLVM does not move.
    const uint64_t seeds = (flags() & translation_flag::kFastmem) != 0 ? 2 : 24;
    each_program(seeds, [&](const std::vector<uint32_t>& words) {
        Region region = Regions::empty();
        region.translation_flags = flags();
        for (size_t k = 0; k < offsets_.size(); ++k) {
            RegionBlock& b = region.blocks.emplace_back();
            b.offset = offsets_[k];
            b.ir = translate(words, k);
        }
        const void* entry = regions.load(regions.compile(region));
        const uint8_t* stub = jit::emit_region_stub(h_.code, {entry, nullptr, jit::kNoCounter});
        trace_.record([&] { h_.accelerator.run(h_.state(), stub); });
    });
}

// What other virtual CPUs could tell: whether two reads of one place (by two registers, perhaps) changed places, and
// whether a store was as wide as the guest's.
TEST_P(AccessOrderTest, PlainAccessesAsManyAsLargeAndInOrder) {
    if ((flags() & translation_flag::kSerial) != 0) GTEST_SKIP() << "nobody else looks on";
    struct Access {
        uint64_t offset;
        unsigned bytes;
        bool store;
    };
    struct Case {
        const char* name;
        std::vector<uint32_t> words;
        std::vector<Access> accesses;
    };
    constexpr uint64_t kSecond = 1088;  // X11
    const Case cases[] = {
        {"a place read again after another",
         {0xf940'0140, 0xf940'0161, 0xf940'0142, 0x8b00'0108, 0x8b01'0108, 0x8b02'0108},
         {{0, 8, false}, {kSecond, 8, false}, {0, 8, false}}},
        {"EOR of one bit",
         {0xf940'0140, 0xd278'0000, 0xf900'0140, 0xd280'0000},
         {{0, 8, false}, {0, 8, true}}},
        {"ORR of one byte",
         {0xf940'0140, 0xb278'1c00, 0xf900'0140, 0xd280'0000},
         {{0, 8, false}, {0, 8, true}}},
        {"a store twice", {0xf900'0155, 0xf900'0156}, {{0, 8, true}, {0, 8, true}}},
        {"a store that is read", {0xf900'0155, 0xf940'0140}, {{0, 8, true}, {0, 8, false}}},
        {"a load that nobody uses", {0xf940'0140, 0xd280'0000}, {{0, 8, false}}},
        {"half of a load used", {0xf940'0140, 0x5300'1c00}, {{0, 8, false}}},
        {"two words beside each other", {0xb900'0155, 0xb900'0556}, {{0, 4, true}, {4, 4, true}}},
    };
    Regions regions;
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        Program p;
        p.blocks = {c.words};
        p.events.resize(1);
        const std::vector<uint32_t> words = lay_out(p);
        start(p);
        Region region = Regions::empty();
        region.translation_flags = flags();
        RegionBlock& b = region.blocks.emplace_back();
        b.ir = translate(words, 0);
        const void* entry = regions.load(regions.compile(region));
        const uint8_t* stub = jit::emit_region_stub(h_.code, {entry, nullptr, jit::kNoCounter});
        trace_.record([&] { h_.accelerator.run(h_.state(), stub); });
        ASSERT_EQ(h_.state().pc, Harness::kPage + end_) << "left early";
        // An instruction that reads and writes is both of them.
        std::vector<Access> found;
        for (const TracedAccess& a : trace_.accesses()) {
            if (a.reads) found.push_back({a.offset, a.bytes, false});
            if (a.writes) found.push_back({a.offset, a.bytes, true});
        }
        ASSERT_EQ(found.size(), c.accesses.size());
        for (size_t k = 0; k < found.size(); ++k) {
            EXPECT_EQ(found[k].offset, c.accesses[k].offset) << k;
            EXPECT_EQ(found[k].bytes, c.accesses[k].bytes) << k;
            EXPECT_EQ(found[k].store, c.accesses[k].store) << k;
        }
    }
}

// Emitted as the guest has it.
TEST_P(AccessOrderTest, Tier1) {
    each_program(2, [&](const std::vector<uint32_t>& words) {
        std::map<uint64_t, CompiledBlock> blocks;
        for (size_t k = 0; k < offsets_.size(); ++k)
            blocks.emplace(Harness::kPage + offsets_[k], h_.compile(translate(words, k)));
        trace_.record([&] {
            for (auto it = blocks.begin(); it != blocks.end(); it = blocks.find(h_.state().pc))
                h_.run(it->second);
        });
    });
}

constexpr uint32_t kSerial = translation_flag::kSerial, kFastmem = translation_flag::kFastmem;
INSTANTIATE_TEST_SUITE_P(OneOrManyCpus, AccessOrderTest,
                         ::testing::Values(0, kSerial, kFastmem, kFastmem | kSerial),
                         [](const ::testing::TestParamInfo<uint32_t>& flags) {
                             return std::string((flags.param & kFastmem) != 0 ? "Fastmem" : "SoftTlb") +
                                    ((flags.param & kSerial) != 0 ? "Serial" : "");
                         });

}  // namespace
}  // namespace arclight::jit
