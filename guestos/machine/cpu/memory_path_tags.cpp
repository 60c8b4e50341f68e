// Allocation tags (FEAT_MTE). Pages whose accesses may be checked are in soft TLBs under a mark (mmu::kCheckedMark), where translated code
// reaches tags, and in no fastmem: accesses whose tags translated code has not found to be right come here. Of EL0 these are all tagged
// pages, of EL1 those while SCTLR_EL1.TCF asks for checks; PSTATE.TCO, which changes often, decides here.
#include <cstring>

#include "guestos/machine/cpu/memory_path.h"
#include "mmu/bits.h"

namespace arclight::guestos {

namespace a64 = frontend::a64;
using jit::MemoryAccess;
using jit::MemoryKind;
using mmu::kPageMask;
using mmu::kTagGranule;

namespace {
constexpr uint8_t kFscTagCheck = 0b010001;
constexpr uint64_t granule_of(uint64_t address) { return address & ~(kTagGranule - 1); }
}  // namespace

bool MemoryPath::tags_are_checked(const mmu::WalkResult& walk, uint64_t va, bool privileged) const {
    return walk.tagged && (!privileged || a64::tags_checked_at_el1(cpu_)) && a64::has_tag_checks(cpu_, va);
}

/// The soft TLB's, of a checked page for reading or writing, or null.
const mmu::TlbEntry* MemoryPath::checked_entry(uint64_t va, bool write, bool unprivileged) const {
    const mmu::SoftTlb& tlb = unprivileged ? *state_.user_tlb : *state_.tlb;
    const mmu::TlbEntry& e = tlb.entries[mmu::tlb_index(va)];
    return (write ? e.write_tag : e.read_tag) == mmu::checked_tag(va) ? &e : nullptr;
}

/// Whether all granules of these bytes, which are in one page, have the tag.
bool MemoryPath::tags_match(uint64_t pa, uint64_t bytes, unsigned tag) const {
    for (uint64_t at = granule_of(pa); at < pa + bytes; at += kTagGranule)
        if (cpu_.memory.tag(at) != tag) return false;
    return true;
}

/// Of `bytes` at `va`, in one tagged page. Nothing: go on.
std::optional<MemoryPath::Outcome> MemoryPath::check_tags(const MemoryAccess& access, uint64_t va,
                                                          unsigned bytes, uint64_t pa) {
    if ((access.aux & jit::ir::kMemUnchecked) != 0) return std::nullopt;
    const bool privileged = cpu_.el != 0 && !access.is_unprivileged();
    const a64::TagCheck check = a64::tag_check(cpu_, va, privileged, access.reads());
    if (check == a64::TagCheck::None || !cpu_.memory.contains(pa, bytes)) return std::nullopt;
    for (uint64_t at = granule_of(pa); at < pa + bytes; at += kTagGranule) {
        if (cpu_.memory.tag(at) == a64::tag_of(va)) continue;
        if (check == a64::TagCheck::Asynchronous) {
            a64::note_tag_fault(cpu_, va, privileged);
            return std::nullopt;
        }
        return data_abort(at <= pa ? va : va + (at - pa), kFscTagCheck, access.writes() && !access.reads());
    }
    return std::nullopt;
}

/// With fastmem every access would fault first.
void MemoryPath::note_checked(const MemoryAccess& access, const void* host_pc) {
    if (host_pc == nullptr || !core_.has_fastmem() || (access.aux & jit::ir::kMemDevice) != 0) return;
    const bool privileged = cpu_.el != 0 && !access.is_unprivileged();
    if ((privileged && !a64::tags_checked_at_el1(cpu_)) || !core_.context.engine.mark_device(host_pc)) return;
    ++stats_.device_sites;
    core_.clear_all_jumps();
}

// ---- Pages that were accessed before

const MemoryPath::TaggedPage* MemoryPath::tagged_page(uint64_t va, bool write, bool unprivileged) const {
    const TaggedPage& page = tagged_[hash_bits(va >> mmu::kPageBits, kTaggedPagesLog2)];
    const mmu::SoftTlb* tlb = unprivileged ? state_.user_tlb : state_.tlb;
    if (page.va != (va & kPageMask) || page.tlb != tlb || page.changes != translation_changes_ ||
        !(write ? page.writable : page.readable) || cpu_.memory.has_intercepted_pages())
        return nullptr;
    return &page;
}

void MemoryPath::remember_tagged(const mmu::SoftTlb* tlb, uint64_t va, const mmu::WalkResult& walk,
                                 const Target& target, bool privileged) {
    if (!walk.may_cache() || cpu_.memory.has_intercepted_pages() || core_.watches_page(va) ||
        mmu::protects_tables(core_.options.shadow.policy) || host::memory_was_lost())
        return;
    tagged_[hash_bits(va >> mmu::kPageBits, kTaggedPagesLog2)] = {
        .va = va & kPageMask,
        .pa = walk.pa & kPageMask,
        .tlb = tlb,
        .changes = translation_changes_,
        .host = target.host - (va & ~kPageMask),
        .readable = walk.readable(privileged, cpu_.pan),
        .writable = walk.writable(privileged, cpu_.pan)};
}

// ---- Instructions

/// False: an exception was taken. `given`: the address in FAR_EL1.
bool MemoryPath::translate_tags(uint64_t va, uint64_t given, unsigned bytes, bool write, Target& out) {
    if (const TaggedPage* page = tagged_page(va, write, false); page != nullptr) {
        out.pa = page->pa + (va & ~kPageMask);
        out.host = page->host + (va & ~kPageMask);
        out.tagged = true;
        return true;
    }
    uint8_t fsc = 0;
    std::optional<Outcome> wrong;
    if (!translate(va, write, false, out, fsc))
        wrong = data_abort(given, fsc, write);
    else
        wrong = watchpoint({va, bytes, !write, write, false});
    if (wrong) raise(*wrong, core_.helper_pc());
    return !wrong;
}

uint64_t MemoryPath::load_tag(uint64_t va) {
    va = granule_of(va);
    Target target;
    if (!translate_tags(va, va, kTagGranule, false, target)) return 0;
    if (!target.tagged || target.host == nullptr || !a64::tag_access_enabled(cpu_, cpu_.el != 0)) return 0;
    return cpu_.memory.tag(target.pa);
}

void MemoryPath::store_tags(uint64_t va, uint64_t tag, const a64::TagStore& what) {
    const uint64_t given = va;
    const unsigned bytes = what.granules * static_cast<unsigned>(kTagGranule);
    if (what.block) va &= ~uint64_t{bytes - 1};
    if (va != granule_of(va)) return raise(data_abort(va, mmu::kFscAlignment, true), core_.helper_pc());
    // Two granules may be in two pages.
    const uint64_t last = va + bytes - kTagGranule;
    const bool split = ((va ^ last) & kPageMask) != 0;
    Target targets[2];
    if (!translate_tags(va, given, split ? kTagGranule : bytes, true, targets[0])) return;
    if (split && !translate_tags(last, last, kTagGranule, true, targets[1])) return;
    if (what.block && targets[0].device_memory)
        return raise(data_abort(given, mmu::kFscAlignment, true), core_.helper_pc());
    const bool known = !split && tagged_page(va, true, false) != nullptr;
    if (what.zero && !(known && host::touch([&] { std::memset(targets[0].host, 0, bytes); }))) {
        constexpr unsigned kGranuleLog2 = mmu::kTagGranuleBits;
        const MemoryAccess zero{.kind = MemoryKind::StoreV, .aux = kGranuleLog2 | jit::ir::kMemUnchecked};
        for (uint64_t at = va; at <= last; at += kTagGranule) {
            state_.access_addr = at;
            state_.access_value[0] = state_.access_value[1] = 0;
            const Outcome outcome = finish(zero, nullptr);
            if (outcome.kind != Outcome::Kind::Done) return raise(outcome, core_.helper_pc());
        }
    }
    if (!a64::tag_access_enabled(cpu_, cpu_.el != 0)) return;
    for (uint64_t at = va; at <= last; at += kTagGranule) {
        const bool second = split && at == last;
        const Target& target = targets[second ? 1 : 0];
        if (target.tagged && target.host != nullptr)
            cpu_.memory.set_tag(target.pa + (second ? 0 : at - va), a64::tag_of(tag));
    }
}

uint64_t MemoryPath::load_tag_block(uint64_t va) {
    va &= ~(a64::kTagBlockBytes - 1);
    Target target;
    if (!translate_tags(va, va, a64::kTagBlockBytes, false, target)) return 0;
    if (!target.tagged || target.host == nullptr || !a64::tag_access_enabled(cpu_, cpu_.el != 0)) return 0;
    uint64_t tags = 0;
    for (unsigned i = 0; i < 16; ++i)
        tags |= uint64_t{cpu_.memory.tag(target.pa + i * kTagGranule)} << (4 * i);
    return tags;
}

void MemoryPath::store_tag_block(uint64_t va, uint64_t tags) {
    va &= ~(a64::kTagBlockBytes - 1);
    Target target;
    if (!translate_tags(va, va, a64::kTagBlockBytes, true, target)) return;
    if (!target.tagged || target.host == nullptr || !a64::tag_access_enabled(cpu_, cpu_.el != 0)) return;
    for (unsigned i = 0; i < 16; ++i) cpu_.memory.set_tag(target.pa + i * kTagGranule, tags >> (4 * i) & 15);
}

}  // namespace arclight::guestos
