#include "guestos/machine/cpu/shadow_pager.h"

namespace arclight::guestos {

using Request = CrossCpuWork::Request;

mmu::WalkResult ShadowPager::walk(uint64_t va, const mmu::Access& access, mmu::WalkPath* path) {
    const auto plain = [&] { return mmu::walk(cpu_.translation, cpu_.memory, va, access, path); };
    // With traditional shadow paging nobody asks: what stores to tables undo goes to all CPUs.
    if (core_.options.cpus == 1 || tables_ != nullptr) return plain();
    return core_.held.record(va, cpu_.translation.asid, cpu_.translation.granule_bits(va), plain);
}

mmu::WalkResult ShadowPager::walk_to_cache(uint64_t va, const mmu::Access& access) {
    if (tables_ == nullptr) return walk(va, access);
    for (;;) {
        const uint64_t generation = tables_->generation();
        mmu::WalkPath path;
        const mmu::WalkResult result = walk(va, access, &path);
        if (!result.ok() || path.count == 0) return result;
        if (tables_->in_use(path, va, root_of(va))) {
            if (tables_->generation() == generation) return result;
        } else {
            protect_tables(path, va);
        }
    }
}

bool ShadowPager::walk_known(uint64_t va, const mmu::Access& access, mmu::WalkResult& result) {
    const uint64_t generation = tables_ != nullptr ? tables_->generation() : 0;
    mmu::WalkPath path;
    result = walk(va, access, &path);
    if (tables_ == nullptr || !result.ok() || path.count == 0) return result.ok();
    return tables_->in_use(path, va, root_of(va)) && tables_->generation() == generation;
}

/// Makes tables of the pages that are none yet. Carries out other CPUs' requests meanwhile.
void ShadowPager::protect_tables(const mmu::WalkPath& path, uint64_t va) {
    const mmu::TablePages::Change change = tables_->begin(path, va, root_of(va));
    carry_out(change);
    ++waits_;
    if (change.pages.empty()) {
        // Another CPU is at it, and may wait for this one.
        if (spin_.waited() <= GuestSpin::kShort) {
            core_.work.carry_out();
        } else {
            core_.work.nap();
            spin_.slept();
        }
        return;
    }
    core_.wait_for_broadcasts();
    tables_->finish(change);
}

void ShadowPager::carry_out(const mmu::TablePages::Change& change) {
    for (const uint64_t page : change.protect) {
        ++stats_.tables_protected;
        tlbs_.write_protect(page);
        core_.broadcast({Request::Kind::WriteProtect, {}, {.va = page}});
    }
    drop_derived(change.drop);
}

void ShadowPager::synchronise() {
    const mmu::TablePages::Change change = tables_->synchronise();
    if (change.pages.empty()) return;
    carry_out(change);
    ++waits_;
    core_.wait_for_broadcasts();
    tables_->finish(change);
}

void ShadowPager::drop_derived(const std::vector<mmu::Derived>& derived) {
    for (const mmu::Derived& d : derived) {
        tlbs_.drop(d);
        core_.broadcast({Request::Kind::DropDerived, {}, d});
    }
}

void ShadowPager::finish_table_write(const mmu::TablePages::Write& write) {
    ++stats_.table_writes;
    core_.shadow_exit(mmu::ShadowExit::TableStore);
    stats_.table_synchronisations += write.changed != 0;
    drop_derived(write.drop);
    if (write.leaving == mmu::TablePages::kNoPage) return tlbs_.finish_invalidation();
    ++stats_.tables_left;
    ++waits_;
    core_.wait_for_broadcasts();
    tables_->left(write.leaving);
}

}  // namespace arclight::guestos
