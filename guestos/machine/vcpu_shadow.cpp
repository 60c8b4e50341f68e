// Traditional shadow paging (mmu/table_pages.h) from a virtual CPU's side: walks make tables of pages, stores
// to them undo what was derived.
#include <sched.h>

#include "guestos/machine/board.h"
#include "guestos/machine/vcpu.h"

namespace arclight::guestos {

/// A walk whose result may be cached, until TLBI or a store to its tables.
mmu::WalkResult Vcpu::walk_to_cache(uint64_t va, const mmu::Access& access) {
    mmu::TablePages* tables = board_.table_pages();
    if (tables == nullptr) return mmu::walk(cpu_.translation, cpu_.memory, va, access);
    for (;;) {
        const uint64_t generation = tables->generation();
        mmu::WalkPath path;
        const mmu::WalkResult walk = mmu::walk(cpu_.translation, cpu_.memory, va, access, &path);
        if (!walk.ok() || path.count == 0) return walk;
        if (tables->in_use(path, va, root_of(va))) {
            if (tables->generation() == generation) return walk;
        } else {
            protect_tables(path, va);
        }
    }
}

/// The same where nobody asked for it: false unless the tables are known already.
bool Vcpu::walk_known(uint64_t va, const mmu::Access& access, mmu::WalkResult& walk) {
    mmu::TablePages* tables = board_.table_pages();
    const uint64_t generation = tables != nullptr ? tables->generation() : 0;
    mmu::WalkPath path;
    walk = mmu::walk(cpu_.translation, cpu_.memory, va, access, &path);
    if (tables == nullptr || !walk.ok() || path.count == 0) return walk.ok();
    return tables->in_use(path, va, root_of(va)) && tables->generation() == generation;
}

/// Makes tables of the pages that are none yet. Carries out other CPUs' requests meanwhile.
void Vcpu::protect_tables(const mmu::WalkPath& path, uint64_t va) {
    mmu::TablePages& tables = *board_.table_pages();
    const mmu::TablePages::Change change = tables.begin(path, va, root_of(va));
    for (const uint64_t page : change.protect) {
        ++stats_.tables_protected;
        tlbs_.write_protect(page);
        if (board_.options().cpus == 1) continue;
        broadcasts_outstanding_ = true;
        board_.for_each_other(*this, [&](Vcpu& other) {
            other.post({Request::Kind::WriteProtect, {}, {.va = page}});
        });
    }
    drop_derived(change.drop);
    ++table_waits_;
    if (change.pages.empty()) {
        process_requests();
        sched_yield();
        return;
    }
    wait_for_broadcasts();
    tables.finish(change);
}

void Vcpu::drop_derived(const std::vector<mmu::Derived>& derived) {
    for (const mmu::Derived& d : derived) {
        tlbs_.drop(d);
        if (board_.options().cpus == 1) continue;
        broadcasts_outstanding_ = true;
        board_.for_each_other(*this, [&](Vcpu& other) { other.post({Request::Kind::DropDerived, {}, d}); });
    }
}

mmu::TablePages& Vcpu::board_tables() { return *board_.table_pages(); }

bool Vcpu::is_table(uint64_t pa) const {
    const mmu::TablePages* tables = board_.table_pages();
    return tables != nullptr && tables->is_protected(pa);
}

void Vcpu::finish_table_write(const mmu::TablePages::Write& write) {
    ++stats_.table_writes;
    stats_.table_synchronisations += write.changed != 0;
    drop_derived(write.drop);
    if (write.leaving == mmu::TablePages::kNoPage) return tlbs_.finish_invalidation();
    ++stats_.tables_left;
    ++table_waits_;
    wait_for_broadcasts();
    board_.table_pages()->left(write.leaving);
}

}  // namespace arclight::guestos
