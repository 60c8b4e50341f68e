// A virtual CPU's walks of the guest's tables, as other CPUs must know of them; and traditional shadow paging
// (mmu/table_pages.h) from the CPU's side: walks make tables of pages, stores to them undo what was derived.
#pragma once

#include <cstdint>
#include <vector>

#include "guestos/machine/cpu/guest_spin.h"
#include "guestos/machine/cpu/vcpu_core.h"
#include "mmu/table_pages.h"
#include "mmu/walk.h"

namespace arclight::guestos {

class ShadowPager {
  public:
    explicit ShadowPager(VcpuCore& core)
        : core_(core),
          cpu_(core.cpu),
          tlbs_(core.tlbs),
          stats_(core.stats),
          tables_(core.context.table_pages) {}

    /// A walk whose result is used for one access.
    mmu::WalkResult walk(uint64_t va, const mmu::Access& access, mmu::WalkPath* path = nullptr);
    /// A walk whose result may be cached, until a TLBI or a store to its tables.
    mmu::WalkResult walk_to_cache(uint64_t va, const mmu::Access& access);
    /// The same for an access that nobody asked for: false unless the tables are known already.
    bool walk_known(uint64_t va, const mmu::Access& access, mmu::WalkResult& walk);

    bool is_table(uint64_t pa) const { return tables_ != nullptr && tables_->is_protected(pa); }
    /// Makes tables again of those that were written to since (ShadowPolicy::TspUnsync), and undoes what was derived.
    void synchronise();
    /// May the 2 MiB around pa be mapped writable at once?
    bool block_is_free(uint64_t pa) const { return tables_ == nullptr || tables_->block_is_free(pa); }
    /// Calls `store()`, which writes `bytes` at pa and, across the end of its page, `more` at next_pa. True if a page that
    /// it writes to was a table and is written to directly from now on.
    template <typename Store>
    bool store_to_ram(uint64_t pa, unsigned bytes, uint64_t next_pa, unsigned more, Store store) {
        if (!is_table(pa) && (more == 0 || !is_table(next_pa))) {
            store();
            return false;
        }
        const mmu::TablePages::Write write = tables_->write(pa, bytes, next_pa, more, store);
        finish_table_write(write);
        return write.unsynchronised;
    }
    /// Grows whenever cross-CPU work was carried out inside a walk or a store: what was found before may have
    /// changed.
    uint64_t waits() const { return waits_; }

  private:
    uint64_t root_of(uint64_t va) const { return cpu_.translation.half[va >> 55 & 1].table; }
    void protect_tables(const mmu::WalkPath& path, uint64_t va);
    void carry_out(const mmu::TablePages::Change& change);
    void drop_derived(const std::vector<mmu::Derived>& derived);
    void finish_table_write(const mmu::TablePages::Write& write);

    VcpuCore& core_;
    frontend::a64::Cpu& cpu_;
    mmu::SoftTlbSet& tlbs_;
    VcpuStats& stats_;
    mmu::TablePages* const tables_;  ///< null: another policy
    GuestSpin spin_;                 ///< of protect_tables()
    uint64_t waits_ = 0;
};

}  // namespace arclight::guestos
