// Fastmem on page tables in ordinary memory, read by the test's own table walker.
#include "mmu/fastmem.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace arclight::mmu {
namespace {

constexpr uint64_t kSpan4K = uint64_t{1} << 12, kSpan2M = uint64_t{1} << 21;
constexpr uint64_t kSlot = uint64_t{1} << 39;
constexpr uint64_t kTablesPhysical = 0x12'3456'7000, kRamPhysical = 0x80'0000'0000;
// Addresses alone: nothing reads guest memory here.
constexpr uint64_t kRam = 0x7e00'0000'0000, kRamSize = uint64_t{8} << 30;

/// As the walker below reads it.
constexpr HostPageFormat kFormat{.present = 1,
                                 .writable = 2,
                                 .user = 4,
                                 .accessed = 0x20,
                                 .dirty = 0x40,
                                 .no_execute = uint64_t{1} << 63,
                                 .large = 0x80,
                                 .address_mask = 0x000f'ffff'ffff'f000,
                                 .software = {1 << 9, 1 << 10, 1 << 11, uint64_t{1} << 52},
                                 .non_canonical = uint64_t{1} << 47};

struct Leaf {
    uint64_t physical = 0;
    unsigned bits = 0;
    bool writable = false;
    bool operator==(const Leaf&) const = default;
};

/// Tables, and a processor whose TLB caches as much as the architecture allows: every translation and every
/// table on the path to one.
class FakeTables final : public HostTables {
  public:
    FakeTables(unsigned tables, unsigned entries)
        : pages_(new Page[tables + 1]()), count_(tables), entries_(entries) {
        for (unsigned i = 1; i <= tables; ++i) free_.push_back(i);
    }

    const HostPageFormat& format() const override { return kFormat; }
    uint64_t* root() override { return pages_[0].entry; }
    bool may_use_root_entry(unsigned index) override { return index >= 10 && index < 10 + entries_; }
    uint64_t* take_table() override {
        if (free_.empty()) return nullptr;
        // The table given back last: a stale use of it shows at once.
        const unsigned number = free_.back();
        free_.pop_back();
        taken.insert(number);
        std::fill(std::begin(pages_[number].entry), std::end(pages_[number].entry), 0);
        return pages_[number].entry;
    }
    void give_back_table(uint64_t* table) override {
        const unsigned number = number_of(table);
        if (taken.erase(number) == 0) errors.push_back("a table is given back twice");
        if (std::any_of(remembered_tables_.begin(), remembered_tables_.end(),
                        [&](const auto& r) { return r.second == number; }))
            errors.push_back("a table is given back that the processor remembers");
        free_.push_back(number);
    }
    uint64_t physical_of_table(const uint64_t* table) override {
        return kTablesPhysical + number_of(table) * kSpan4K;
    }
    uint64_t* table_at(uint64_t physical) override {
        return pages_[(physical - kTablesPhysical) / kSpan4K].entry;
    }
    std::optional<uint64_t> physical_of_page(const uint8_t* host) override {
        if (host == unreachable) return std::nullopt;
        return reinterpret_cast<uint64_t>(host) - kRam + kRamPhysical;
    }
    bool knows_page(const uint8_t*) override { return true; }
    void invalidate(std::span<const uint64_t> addresses) override {
        if (addresses.empty()) {
            remembered_.clear();
            remembered_tables_.clear();
        }
        for (const uint64_t a : addresses) {
            std::erase_if(remembered_,
                          [&](const auto& r) { return (r.first.second ^ a) >> r.first.first == 0; });
            std::erase_if(remembered_tables_, [&](const auto& r) {
                return (r.first.second ^ a) >> (12 + 9 * (r.first.first + 1)) == 0;
            });
        }
    }

    /// What the processor would find in the tables. Checks what every entry must look like.
    std::optional<Leaf> walk(uint64_t host, bool remember = false) {
        if (host >> 47 != 0 && ~host >> 47 != 0) return std::nullopt;
        const uint64_t* table = root();
        for (unsigned level = 3;; --level) {
            const uint64_t entry = table[host >> (12 + 9 * level) & 511];
            if ((entry & 1) == 0) return std::nullopt;
            if ((entry & 4) == 0) errors.push_back("an entry that ring 3 may not use");
            if (level == 0 || (level != 3 && (entry & 0x80) != 0)) {
                const Leaf leaf = make_leaf(entry, level);
                if (remember) remembered_[{leaf.bits, host & ~((uint64_t{1} << leaf.bits) - 1)}] = leaf;
                return leaf;
            }
            const unsigned number = static_cast<unsigned>(((entry & kAddress) - kTablesPhysical) / kSpan4K);
            if (remember)
                remembered_tables_[{level - 1, host & ~((uint64_t{1} << (12 + 9 * level)) - 1)}] = number;
            table = table_at(entry & kAddress);
        }
    }
    /// Nothing remembered may say another thing than the tables do, or allow more; `at` restricts this to
    /// what covers one address.
    void check_nothing_is_stale(std::optional<uint64_t> at = std::nullopt) {
        for (const auto& [key, leaf] : remembered_) {
            const auto [bits, host] = key;
            if (at && (*at ^ host) >> bits != 0) continue;
            const auto now = walk(host);
            if (!now || now->bits != bits || now->physical != leaf.physical ||
                (leaf.writable && !now->writable))
                errors.push_back("the processor remembers what is not in the tables");
        }
    }
    /// Every leaf, by host address. Also: every table hangs in one place, and no other is taken.
    std::map<uint64_t, Leaf> leaves(bool pending = false) {
        std::map<uint64_t, Leaf> out;
        std::set<unsigned> seen;
        collect(root(), 3, 0, out, seen);
        if (!pending && seen != taken) errors.push_back("tables are taken that lead nowhere");
        return out;
    }

    std::set<unsigned> taken;
    const uint8_t* unreachable = nullptr;  // a page that physical_of_page() has no answer for
    std::vector<std::string> errors;

  private:
    static constexpr uint64_t kAddress = 0x000f'ffff'ffff'f000;
    struct alignas(4096) Page {
        uint64_t entry[512];
    };
    unsigned number_of(const uint64_t* table) const {
        return static_cast<unsigned>(reinterpret_cast<const Page*>(table) - pages_.get());
    }
    Leaf make_leaf(uint64_t entry, unsigned level) {
        const Leaf leaf{entry & kAddress, 12 + 9 * level, (entry & 2) != 0};
        if (entry >> 63 == 0) errors.push_back("guest memory that the host may execute");
        if ((entry & 0x20) == 0 || (leaf.writable && (entry & 0x40) == 0))
            errors.push_back("a leaf whose accessed or dirty bit the processor would have to set");
        if ((leaf.physical & ((uint64_t{1} << leaf.bits) - 1)) != 0) errors.push_back("a misaligned leaf");
        if (leaf.physical < kRamPhysical ||
            leaf.physical + (uint64_t{1} << leaf.bits) > kRamPhysical + kRamSize)
            errors.push_back("a leaf outside guest RAM");
        return leaf;
    }
    void collect(const uint64_t* table, unsigned level, uint64_t base, std::map<uint64_t, Leaf>& out,
                 std::set<unsigned>& seen) {
        for (uint64_t i = 0; i < 512; ++i) {
            const uint64_t entry = table[i], address = base + (i << (12 + 9 * level));
            if ((entry & 1) == 0) continue;
            if (level == 0 || (level != 3 && (entry & 0x80) != 0)) {
                out[address] = make_leaf(entry, level);
                continue;
            }
            if (level == 3 && !may_use_root_entry(static_cast<unsigned>(i)))
                errors.push_back("a root entry that is not its own");
            if ((entry & 2) == 0) errors.push_back("a table's entry that forbids writing");
            const unsigned number = static_cast<unsigned>(((entry & kAddress) - kTablesPhysical) / kSpan4K);
            if (number == 0 || number > count_ || !taken.contains(number))
                errors.push_back("an entry leads to a table that was not taken");
            else if (!seen.insert(number).second)
                errors.push_back("a table hangs in two places");
            else
                collect(pages_[number].entry, level - 1, address, out, seen);
        }
    }

    std::unique_ptr<Page[]> pages_;
    const unsigned count_, entries_;
    std::vector<unsigned> free_;
    std::map<std::pair<unsigned, uint64_t>, Leaf> remembered_;             // by size and first address
    std::map<std::pair<unsigned, uint64_t>, unsigned> remembered_tables_;  // by level and first address
};

constexpr uint64_t canonical(uint64_t va) {
    return va & uint64_t{1} << 55 ? va | 0xfffe'0000'0000'0000 : va & 0x0001'ffff'ffff'ffff;
}
constexpr unsigned slot_of(uint64_t va) { return va >> 39 & 1023; }

/// Some soft TLBs, and what ought to be in them.
class Model {
  public:
    struct Entry {
        Leaf leaf;
        bool non_global = false;
        unsigned block_bits = 12;
    };
    using Key = std::pair<unsigned, uint64_t>;  // soft TLB, canonical address of the leaf

    Model(unsigned tlbs, unsigned tables, unsigned entries)
        : host(tables, entries), fastmem(host), storage_(tlbs) {
        for (unsigned i = 0; i < tlbs; ++i) {
            storage_[i] = std::make_unique<mmu::SoftTlb>();
            fastmem.initialise(i, storage_[i].get());
        }
    }

    uint64_t host_address(unsigned tlb, uint64_t va) const {
        return storage_[tlb]->fastmem_offset[slot_of(va)] + va;
    }
    mmu::SoftTlb& tlb(unsigned n) { return *storage_[n]; }
    unsigned tlbs() const { return static_cast<unsigned>(storage_.size()); }

    /// The slots that a soft TLB has, by root entry: whose fastmem is a host address.
    std::map<unsigned, Key> owners() const {
        std::map<unsigned, Key> out;
        for (unsigned v = 0; v < storage_.size(); ++v)
            for (unsigned guest = 0; guest < 1024; ++guest) {
                const uint64_t first =
                    canonical(uint64_t{guest} << 39 | (guest >= 512 ? uint64_t{1} << 55 : 0));
                const uint64_t at = storage_[v]->fastmem_offset[guest] + first;
                if (at >> 47 == 0 && !out.emplace(at >> 39, Key{v, first}).second)
                    host.errors.push_back("two soft TLBs lead to one host slot");
            }
        return out;
    }

    /// Compares the tables with the model after an operation that may have cost the entries that `lost`
    /// names.
    template <typename F>
    void check(F&& lost, const char* what) {
        std::map<Key, Leaf> found;
        const auto own = owners();
        for (const auto& [at, leaf] : host.leaves(true)) {
            const auto owner = own.find(static_cast<unsigned>(at >> 39));
            if (owner == own.end()) {
                host.errors.push_back("a leaf in a host slot that no soft TLB has");
                continue;
            }
            found[{owner->second.first, owner->second.second + (at & (kSlot - 1))}] = leaf;
            if ((at & (kSlot - 1)) + (uint64_t{1} << leaf.bits) > kSlot - kSpan4K)
                host.errors.push_back("the last page of a slot is mapped");
            if ((at & (kSlot - 1)) < kSpan4K) host.errors.push_back("the first page of a slot is mapped");
        }
        for (const auto& [key, leaf] : found)
            if (const auto m = entries.find(key); m == entries.end() || !(m->second.leaf == leaf))
                ADD_FAILURE() << what << ": soft TLB " << key.first << " has " << std::hex << key.second
                              << " -> " << leaf.physical << (leaf.writable ? " w" : " r") << std::dec
                              << leaf.bits
                              << (m == entries.end() ? ", which is not to be there"
                                                     : ", which ought to be another");
        for (auto m = entries.begin(); m != entries.end();) {
            if (found.contains(m->first)) {
                ++m;
                continue;
            }
            if (!lost(m->first, m->second))
                ADD_FAILURE() << what << ": soft TLB " << m->first.first << " has lost " << std::hex
                              << m->first.second;
            m = entries.erase(m);
        }
        for (const std::string& error : host.errors) ADD_FAILURE() << what << ": " << error;
        host.errors.clear();
    }

    bool fill(unsigned v, const FastmemSet::Page& page) {
        const uint64_t evictions = fastmem.stats().evictions, va = canonical(page.va);
        const bool done = fastmem.fill(v, page);
        const bool evicted = fastmem.stats().evictions != evictions;
        const Key large{v, va & ~(kSpan2M - 1)};
        bool split = false;
        if (done) {
            const auto now = host.walk(host_address(v, va), true);
            if (!now) {
                ADD_FAILURE() << "filled, but not there: " << std::hex << va;
                return false;
            }
            // It is what was asked for, and large only if that was allowed.
            const uint64_t wanted = reinterpret_cast<uint64_t>(page.host) - kRam + kRamPhysical;
            EXPECT_EQ(now->physical | (va & ((uint64_t{1} << now->bits) - 1)), wanted);
            EXPECT_EQ(now->writable, page.writable);
            EXPECT_TRUE(now->bits == 12 || (now->bits == 21 && page.large));
            if (const auto old = entries.find(large); old != entries.end() && old->second.leaf.bits == 21) {
                split = true;
                entries.erase(old);
            }
            entries[{v, va & ~((uint64_t{1} << now->bits) - 1)}] = {*now, page.non_global, page.page_bits};
            host.check_nothing_is_stale(host_address(v, va));
        }
        check(
            [&](const Key& key, const Entry& e) {
                return (key == large && e.leaf.bits == 21) ||
                       (evicted && (key.first == v || is_empty(key.first)));
            },
            split ? "fill that splits" : "fill");
        if (evicted)
            for (unsigned u = 0; u < tlbs(); ++u)
                if (is_empty(u)) forget(u);
        if (done && page.non_global) non_global.insert(v);
        if (page.page_bits == 30) blocks.insert({v, 30, va >> 30});
        if (page.page_bits != 12) blocks.insert({v, 21, va >> 21});
        return done;
    }

    void drop_address(unsigned v, uint64_t any_va, bool globals, bool non_globals) {
        const uint64_t va = canonical(any_va);
        fastmem.drop_address(v, any_va, globals, non_globals);
        const auto meant = [&](const Key& key, const Entry& e) {
            return key.first == v && (e.non_global ? non_globals : globals) &&
                   (key.second ^ va) >> std::max(e.block_bits, e.leaf.bits) == 0;
        };
        // A table that ever held parts of a block goes whole, and if non-global pages are about, all of the
        // soft TLB.
        const unsigned block = blocks.contains({v, 30, va >> 30})   ? 30
                               : blocks.contains({v, 21, va >> 21}) ? 21
                                                                    : 0;
        const bool all = block != 0 && non_global.contains(v);
        check(
            [&](const Key& key, const Entry& e) {
                return meant(key, e) ||
                       (key.first == v && (all || (block != 0 && (key.second ^ va) >> block == 0)));
            },
            "drop_address");
        for (const auto& [key, e] : entries)
            if (meant(key, e))
                ADD_FAILURE() << "drop_address has left " << std::hex << key.second << " for " << va;
    }

    void drop_non_global(unsigned v) {
        fastmem.drop_non_global(v);
        check([&](const Key& key, const Entry& e) { return key.first == v && e.non_global; },
              "drop_non_global");
        for (const auto& [key, e] : entries)
            EXPECT_FALSE(key.first == v && e.non_global)
                << "drop_non_global has left " << std::hex << key.second;
        non_global.erase(v);
    }

    void drop_all(unsigned v) {
        fastmem.drop_all(v);
        check([&](const Key& key, const Entry&) { return key.first == v; }, "drop_all");
        for (const auto& [key, e] : entries) EXPECT_NE(key.first, v);
        forget(v);
    }

    void finish() {
        fastmem.finish();
        host.check_nothing_is_stale();
        (void)host.leaves();
        check([](const Key&, const Entry&) { return false; }, "finish");
    }

    /// The processor remembers some more.
    void use(unsigned v, uint64_t va) { (void)host.walk(host_address(v, canonical(va)), true); }

    /// Whatever a guest may put into a register, for all slots: its sum is no address, or its own place.
    void check_isolation(std::mt19937_64& random) {
        const auto own = owners();
        for (unsigned v = 0; v < tlbs(); ++v)
            for (uint64_t guest = 0; guest < 1024; ++guest) {
                const uint64_t inside = (random() & 3) != 0 ? random() % kSlot : kSlot - 1 - random() % 64;
                const uint64_t a = wild_top(random, guest) | guest << 39 | inside;
                const uint64_t sum = host_address(v, a);
                if (sum >> 47 != 0) {
                    ASSERT_NE(sum >> 47, 0x1ffffu) << "the kernel's half: " << std::hex << a;
                    // Neither do the bytes behind it come around.
                    ASSERT_NE((sum + 64) >> 47, 0u) << std::hex << a;
                    ASSERT_NE((sum + 64) >> 47, 0x1ffffu) << std::hex << a;
                    continue;
                }
                const auto owner = own.find(static_cast<unsigned>(sum >> 39));
                ASSERT_NE(owner, own.end()) << std::hex << a;
                ASSERT_EQ(owner->second, (Key{v, canonical(a) & ~(kSlot - 1)})) << std::hex << a;
                ASSERT_EQ(a, canonical(a)) << "an address of no half";
                ASSERT_EQ(sum & (kSlot - 1), inside);
                // What crosses into the next slot has bytes in a page that is not mapped.
                if (inside >= kSlot - kSpan4K) {
                    ASSERT_FALSE(host.walk(sum)) << std::hex << a;
                }
            }
    }

    std::map<Key, Entry> entries;
    mutable FakeTables host;
    FastmemSet fastmem;

  private:
    static uint64_t wild_top(std::mt19937_64& random, uint64_t guest) {
        const uint64_t proper = guest >= 512 ? 0xfffe'0000'0000'0000 : 0;
        switch (random() % 6) {
            case 0: return proper;
            case 1: return (proper & 0x00fe'0000'0000'0000) | random() << 56;  // a tag
            case 2: return 0xfffe'0000'0000'0000 - proper;                     // the other half's
            case 3: return proper ^ uint64_t { 1 } << (49 + random() % 15);
            default: return random() << 49;
        }
    }
    bool is_empty(unsigned v) const {
        const auto own = owners();
        return std::none_of(own.begin(), own.end(), [&](const auto& o) { return o.second.first == v; });
    }
    void forget(unsigned v) {
        non_global.erase(v);
        std::erase_if(blocks, [&](const auto& b) { return std::get<0>(b) == v; });
    }

    std::vector<std::unique_ptr<mmu::SoftTlb>> storage_;
    std::set<unsigned> non_global;  // soft TLBs with such pages
    std::set<std::tuple<unsigned, unsigned, uint64_t>>
        blocks;  // soft TLB, bits, number: seen since the soft TLB was empty
};

uint64_t pick(std::mt19937_64& random, std::initializer_list<uint64_t> from) {
    return from.begin()[random() % from.size()];
}

uint64_t random_va(std::mt19937_64& random) {
    const uint64_t guest = pick(random, {0, 1, 511, 512, 1023});
    const uint64_t inside = pick(random, {0, 1, 511}) << 30 | pick(random, {0, 7, 511}) << 21 |
                            pick(random, {0, 1, 2, 511}) << 12 | (random() & 0xff8);
    uint64_t va = guest << 39 | inside | (guest >= 512 ? 0xfffe'0000'0000'0000 : 0);
    if (random() % 4 == 0) va = (va & 0x00ff'ffff'ffff'ffff) | random() << 56;
    return va;
}

FastmemSet::Page random_page(std::mt19937_64& random, uint64_t va) {
    FastmemSet::Page page{.va = va, .writable = random() % 2 == 0, .non_global = random() % 3 == 0};
    page.page_bits = static_cast<uint8_t>(pick(random, {12, 12, 21, 30}));
    const uint64_t block = random() % (kRamSize / kSpan2M) * kSpan2M;
    // A guest page lies anywhere; a block at its own place in RAM, unless RAM itself does not.
    uint64_t offset = va & (kSpan2M - 1);
    if (page.page_bits == 12) offset = (va & 0xfff) | (random() % 512 << 12);
    page.large = page.page_bits != 12 && random() % 2 == 0;
    if (page.large && random() % 8 == 0) offset ^= kSpan4K;
    page.host = reinterpret_cast<uint8_t*>(kRam + block + offset);
    return page;
}

bool is_end_page(uint64_t va) {
    return (va & (kSlot - 1)) >= kSlot - kSpan4K || (va & (kSlot - 1)) < kSpan4K;
}

class FastmemProperty : public ::testing::TestWithParam<std::tuple<unsigned, unsigned, unsigned>> {};

TEST_P(FastmemProperty, TheTablesHoldWhatWasFilled) {
    const auto [seed, tables, entries] = GetParam();
    std::mt19937_64 random(seed);
    Model m(4, tables, entries);
    unsigned refused = 0, filled = 0;
    for (unsigned step = 0; step < 3000 && !HasFailure(); ++step) {
        SCOPED_TRACE(::testing::Message() << "step " << step);
        const auto tlb = static_cast<unsigned>(random() % m.tlbs());
        const uint64_t va = random_va(random);
        const auto choice = random() % 100;
        if (choice < 60) {
            const bool done = m.fill(tlb, random_page(random, va));
            ++(done ? filled : refused);
            // Even the smallest configuration has room for one page.
            EXPECT_EQ(done, !is_end_page(va)) << std::hex << va;
        } else if (choice < 80) {
            const auto what = random() % 4;
            m.drop_address(tlb, va, what != 0, what != 1);
        } else if (choice < 83) {
            m.drop_non_global(tlb);
        } else if (choice < 84) {
            m.drop_all(tlb);
        } else if (choice < 92) {
            m.use(tlb, va);
        } else {
            m.finish();
        }
        if (step % 300 == 0) m.check_isolation(random);
    }
    EXPECT_GT(filled, 1000u);
    EXPECT_GT(refused, 0u);
    EXPECT_GT(m.fastmem.stats().large_fills, 10u);
    EXPECT_EQ(m.fastmem.stats().evictions > 0, entries < 20 || tables < 100);
}

INSTANTIATE_TEST_SUITE_P(Room, FastmemProperty,
                         ::testing::Values(std::tuple{1, 400, 100}, std::tuple{2, 400, 100},
                                           std::tuple{3, 400, 3}, std::tuple{4, 400, 1},
                                           std::tuple{5, 12, 100}, std::tuple{6, 4, 100},
                                           std::tuple{7, 30, 7}));

TEST(Fastmem, NothingGrows) {
    std::mt19937_64 random(8);
    Model m(6, 200, 12);
    size_t most = 0;
    for (unsigned step = 0; step < 100'000; ++step) {
        const auto tlb = static_cast<unsigned>(random() % m.tlbs());
        const uint64_t va = random_va(random);
        const auto choice = random() % 100;
        if (choice < 70)
            (void)m.fastmem.fill(tlb, random_page(random, va));
        else if (choice < 90)
            m.fastmem.drop_address(tlb, va, true, true);
        else if (choice < 92)
            m.fastmem.drop_non_global(tlb);
        else if (choice == 92)
            m.fastmem.drop_all(tlb);
        else
            m.fastmem.finish();
        if (step % 1000 == 0) {
            m.fastmem.finish();
            (void)m.host.leaves();
        }
        most = std::max(most, m.host.taken.size());
    }
    EXPECT_LE(most, 200u);
    for (unsigned v = 0; v < m.tlbs(); ++v) m.fastmem.drop_all(v);
    m.fastmem.finish();
    EXPECT_TRUE(m.host.taken.empty());
    EXPECT_TRUE(m.owners().empty());
    for (unsigned i = 0; i < 512; ++i) EXPECT_EQ(m.host.root()[i], 0u) << i;
    EXPECT_TRUE(m.host.errors.empty()) << m.host.errors.front();
}

FastmemSet::Page page_at(uint64_t va) {
    return {.va = va, .host = reinterpret_cast<uint8_t*>(kRam + (va & 0xfff)), .writable = true};
}

TEST(Fastmem, AFreshSoftTlbReachesNothing) {
    std::mt19937_64 random(9);
    Model m(2, 10, 10);
    EXPECT_TRUE(m.owners().empty());
    for (unsigned i = 0; i < 100; ++i) m.check_isolation(random);
}

TEST(Fastmem, APageThatTheHostCannotReachIsRefused) {
    FakeTables host(8, 2);
    FastmemSet fastmem(host);
    const auto tlb = std::make_unique<SoftTlb>();
    fastmem.initialise(0, tlb.get());
    auto* const ram = reinterpret_cast<uint8_t*>(kRam);
    host.unreachable = ram;
    const FastmemSet::Page page{.va = kSlot + kSpan2M, .host = ram, .writable = true};
    EXPECT_FALSE(fastmem.fill(0, page));
    EXPECT_FALSE(fastmem.add(0, page));
    EXPECT_TRUE(host.taken.empty()) << "nothing is allocated for it";
    EXPECT_EQ(fastmem.stats().fills, 0u);

    host.unreachable = nullptr;
    EXPECT_TRUE(fastmem.fill(0, page));
    EXPECT_TRUE(fastmem.is_writable(0, page.va, ram));
    host.unreachable = ram;
    EXPECT_FALSE(fastmem.is_writable(0, page.va, ram));
}

TEST(Fastmem, NoRoomAtAllIsRefused) {
    for (const unsigned tables : {0u, 1u, 2u}) {
        Model m(2, tables, 10);
        EXPECT_FALSE(m.fill(0, page_at(0x1000))) << tables;
        EXPECT_FALSE(m.fill(1, page_at(0x1000))) << tables;
    }
    Model m(2, 10, 0);
    EXPECT_FALSE(m.fill(0, page_at(0x1000)));
}

TEST(Fastmem, TheSoftTlbFilledLongestAgoMakesRoom) {
    Model m(3, 100, 2);
    ASSERT_TRUE(m.fill(0, page_at(0x1000)));
    ASSERT_TRUE(m.fill(1, page_at(0x1000)));
    ASSERT_TRUE(m.fill(0, page_at(0x2000)));
    ASSERT_TRUE(m.fill(2, page_at(0x1000)));
    EXPECT_TRUE(m.entries.contains({0, 0x1000}));
    EXPECT_FALSE(m.entries.contains({1, 0x1000}));
    EXPECT_EQ(m.fastmem.stats().evictions, 1u);
}

TEST(Fastmem, WriteProtectionTakesOneMappingBack) {
    Model m(2, 20, 4);
    const auto writable = [&](unsigned tlb, uint64_t va) {
        return m.fastmem.is_writable(tlb, va, page_at(va).host);
    };
    ASSERT_TRUE(m.fill(0, page_at(0x5000)));
    ASSERT_TRUE(m.fill(0, page_at(0x6000)));
    ASSERT_TRUE(m.fill(1, page_at(0x5000)));
    EXPECT_TRUE(writable(0, 0x5000));
    EXPECT_FALSE(m.fastmem.is_writable(0, 0x5000, page_at(0x5000).host + 0x1000)) << "another page of RAM";
    m.fastmem.write_protect(0, 0x5000);
    m.fastmem.write_protect(0, 0x9000);
    m.fastmem.write_protect(1, uint64_t{1} << 40);
    EXPECT_FALSE(writable(0, 0x5000));
    EXPECT_TRUE(m.host.walk(0x5000 + m.tlb(0).fastmem_offset[0])) << "it can be read";
    EXPECT_TRUE(writable(0, 0x6000));
    EXPECT_TRUE(writable(1, 0x5000));
    const uint64_t before = m.fastmem.stats().invalidations;
    m.fastmem.finish();
    EXPECT_EQ(m.fastmem.stats().invalidations, before + 1);
}

TEST(Fastmem, RangesGoWhole) {
    for (const unsigned bits : {21u, 30u, 39u}) {
        Model m(1, 40, 4);
        const uint64_t base = uint64_t{1} << bits, size = base;
        const bool one_slot = bits < 39;
        const uint64_t inside[] = {base + 0x1000, base + 0x3000, base + size / 2};
        for (const uint64_t va : inside) ASSERT_TRUE(m.fill(0, page_at(va)));
        ASSERT_TRUE(m.fill(0, page_at(base - 0x2000)));
        m.fastmem.drop_span(0, base, base + size - 1, true, true);
        for (const uint64_t va : inside) EXPECT_FALSE(m.fastmem.is_writable(0, va, page_at(va).host)) << bits;
        EXPECT_EQ(m.fastmem.is_writable(0, base - 0x2000, page_at(base - 0x2000).host), one_slot)
            << "beyond a slot's size, everything";
        m.fastmem.finish();
        m.fastmem.drop_all(0);
        m.fastmem.finish();
    }
}

TEST(Fastmem, PagesOfRamGoWhereverTheyAreMapped) {
    Model m(2, 60, 6);
    const auto mapped = [&](unsigned tlb, uint64_t va) {
        return m.host.walk(m.tlb(tlb).fastmem_offset[va >> 39 & 1023] + va).has_value();
    };
    const auto ram_page = [](uint64_t va) {
        return FastmemSet::Page{.va = va, .host = reinterpret_cast<uint8_t*>(kRam + va), .writable = true};
    };
    const auto physical = [&](uint64_t va) { return *m.fastmem.physical_of_page(ram_page(va).host); };
    FastmemSet::Page alias = ram_page(0x7000), watched = ram_page(0x9000), block = ram_page(kSpan2M * 3);
    alias.va = 0xb000;  // the same page of RAM at another address
    watched.intercepted = true;
    block.page_bits = 21;
    block.large = true;
    for (const uint64_t va : {0x5000, 0x7000}) ASSERT_TRUE(m.fastmem.fill(0, ram_page(va)));
    ASSERT_TRUE(m.fastmem.fill(0, alias));
    ASSERT_TRUE(m.fastmem.fill(0, watched));
    ASSERT_TRUE(m.fastmem.fill(0, block));
    ASSERT_TRUE(m.fastmem.fill(1, ram_page(0x7000)));
    std::vector<uint64_t> pages{physical(0x7000)};
    m.fastmem.drop_pages(0, pages);
    EXPECT_TRUE(mapped(0, 0x5000));
    EXPECT_FALSE(mapped(0, 0x7000));
    EXPECT_FALSE(mapped(0, 0xb000));
    EXPECT_FALSE(mapped(0, 0x9000)) << "an intercepted page may have been anywhere";
    EXPECT_TRUE(mapped(0, kSpan2M * 3));
    EXPECT_TRUE(mapped(1, 0x7000));
    pages = {physical(kSpan2M * 3) + 0x5000};
    m.fastmem.drop_pages(0, pages);
    EXPECT_FALSE(mapped(0, kSpan2M * 3)) << "the page is within";
    EXPECT_TRUE(mapped(0, 0x5000));
    const uint64_t before = m.fastmem.stats().invalidations;
    m.fastmem.finish();
    EXPECT_EQ(m.fastmem.stats().invalidations, before + 1);
}

TEST(Fastmem, ReadOnlyAfterWritableIsBelieved) {
    Model m(1, 10, 2);
    FastmemSet::Page page = page_at(0x5000);
    ASSERT_TRUE(m.fill(0, page));
    page.writable = false;
    ASSERT_TRUE(m.fill(0, page));
    EXPECT_EQ(m.fastmem.stats().invalidations, 1u);
    page.writable = true;
    ASSERT_TRUE(m.fill(0, page));
    EXPECT_EQ(m.fastmem.stats().invalidations, 1u) << "more rights need none";
}

}  // namespace
}  // namespace arclight::mmu
