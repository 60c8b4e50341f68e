// Traditional shadow paging (mmu/table_pages.h) from a virtual CPU's side: walks make tables of pages, stores
// to them undo what was derived.
#include "guestos/machine/board/machine.h"
#include "guestos/machine/cpu/vcpu.h"

namespace arclight::guestos {

/// As other CPUs must know of (HeldTranslations).
mmu::WalkResult Vcpu::walk(uint64_t va, const mmu::Access& access, mmu::WalkPath* path) {
    const auto plain = [&] { return mmu::walk(cpu_.translation, cpu_.memory, va, access, path); };
    // With traditional shadow paging nobody asks: what stores to tables undo goes to all CPUs.
    if (machine_.options().cpus == 1 || machine_.table_pages() != nullptr) return plain();
    return held_.record(va, cpu_.translation.asid, plain);
}

/// A walk whose result may be cached, until TLBI or a store to its tables.
mmu::WalkResult Vcpu::walk_to_cache(uint64_t va, const mmu::Access& access) {
    mmu::TablePages* tables = machine_.table_pages();
    if (tables == nullptr) return walk(va, access);
    for (;;) {
        const uint64_t generation = tables->generation();
        mmu::WalkPath path;
        const mmu::WalkResult result = walk(va, access, &path);
        if (!result.ok() || path.count == 0) return result;
        if (tables->in_use(path, va, root_of(va))) {
            if (tables->generation() == generation) return result;
        } else {
            protect_tables(path, va);
        }
    }
}

/// The same where nobody asked for it: false unless the tables are known already.
bool Vcpu::walk_known(uint64_t va, const mmu::Access& access, mmu::WalkResult& result) {
    mmu::TablePages* tables = machine_.table_pages();
    const uint64_t generation = tables != nullptr ? tables->generation() : 0;
    mmu::WalkPath path;
    result = walk(va, access, &path);
    if (tables == nullptr || !result.ok() || path.count == 0) return result.ok();
    return tables->in_use(path, va, root_of(va)) && tables->generation() == generation;
}

/// Makes tables of the pages that are none yet. Carries out other CPUs' requests meanwhile.
void Vcpu::protect_tables(const mmu::WalkPath& path, uint64_t va) {
    mmu::TablePages& tables = *machine_.table_pages();
    const mmu::TablePages::Change change = tables.begin(path, va, root_of(va));
    for (const uint64_t page : change.protect) {
        ++stats_.tables_protected;
        tlbs_.write_protect(page);
        broadcast({Request::Kind::WriteProtect, {}, {.va = page}});
    }
    drop_derived(change.drop);
    ++table_waits_;
    if (change.pages.empty()) {
        // Another CPU is at it, and may wait for this one.
        if (table_spin_.waited() <= GuestSpin::kShort) {
            work_.carry_out();
        } else {
            work_.nap();
            table_spin_.slept();
        }
        return;
    }
    wait_for_broadcasts();
    tables.finish(change);
}

void Vcpu::drop_derived(const std::vector<mmu::Derived>& derived) {
    for (const mmu::Derived& d : derived) {
        tlbs_.drop(d);
        broadcast({Request::Kind::DropDerived, {}, d});
    }
}

mmu::TablePages& Vcpu::table_pages() { return *machine_.table_pages(); }

bool Vcpu::is_table(uint64_t pa) const {
    const mmu::TablePages* tables = machine_.table_pages();
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
    machine_.table_pages()->left(write.leaving);
}

}  // namespace arclight::guestos
