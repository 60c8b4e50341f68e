// A virtual CPU's memory accesses that translated code did not carry out inline: soft-TLB misses, faults,
// devices, page crossings, intercepted pages; and the pages that fastmem lacks.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "frontend/a64/scalable/memory.h"
#include "frontend/a64/system/block_operation.h"
#include "frontend/a64/system/hardware_debug.h"
#include "frontend/a64/system/tags.h"
#include "guestos/machine/cpu/device_path.h"
#include "guestos/machine/cpu/shadow_pager.h"
#include "guestos/machine/cpu/vcpu_core.h"
#include "host/memory_fault.h"
#include "jit/ir/memory_loop.h"
#include "jit/memory_access.h"

namespace arclight::guestos {

/// On the virtual CPU's own thread.
class MemoryPath : public frontend::a64::scalable::Memory {
  public:
    MemoryPath(VcpuCore& core, ShadowPager& pager)
        : core_(core),
          state_(core.state),
          cpu_(core.cpu),
          tlbs_(core.tlbs),
          stats_(core.stats),
          pager_(pager),
          devices_(core) {}

    /// RuntimeEntry kMemorySlow: the access that `descriptor` (jit::MemoryAccess) packs, at
    /// GuestState::access_addr. An exception makes translated code exit. `host_pc` is where it is to return.
    void slow_path(uint64_t descriptor, const void* host_pc);
    /// CASP, which is a helper: a pair of units of 4 or 8 bytes. `aux`: ir::MemAux of a unit.
    void compare_and_swap_pair(uint64_t va, uint32_t aux);
    /// LDCLRP, LDSETP, SWPP, which are helpers.
    void atomic_pair(uint64_t va, jit::ir::AtomicKind kind, uint32_t aux);
    // ---- Allocation tags: memory_path_tags.cpp
    /// LDG: the tag.
    uint64_t load_tag(uint64_t va);
    /// STG and others, DC GVA, DC GZVA: the tag of the address `tag`.
    void store_tags(uint64_t va, uint64_t tag, const frontend::a64::TagStore& what);
    /// LDGM, STGM: tags of 256 bytes.
    uint64_t load_tag_block(uint64_t va);
    void store_tag_block(uint64_t va, uint64_t tags);
    /// CPY and SET, which are helpers.
    void block_operation(const frontend::a64::BlockOperation& op);
    /// RuntimeEntry kMemoryLoop: memory_loops.cpp.
    void run_loop(const jit::ir::MemoryLoop& loop);
    // Scalable operations, which are helpers: elements.
    bool load(uint64_t va, unsigned size, uint64_t& value) override;
    bool store(uint64_t va, unsigned size, uint64_t value) override;
    bool try_load(uint64_t va, unsigned size, uint64_t& value) override;
    void undefined() override;
    /// A region's access at host_pc to `address` in fastmem has faulted. True: the page is there now, try
    /// again.
    bool refill_fastmem(const void* host_pc, uint64_t address);
    /// Why the last access left with ExitReason::Stop; nothing, if it did not.
    std::optional<DebugPoints::Stop> take_debug_hit() { return std::exchange(debug_hit_, std::nullopt); }
    /// Walks again for the leaves that TLBIs have taken out of this CPU's soft TLBs, and enters what is there.
    void rewrite_leaves();
    /// The same for what EL0's soft TLB held before it was invalidated: to be called before EL0 runs in it.
    void synchronise(mmu::SoftTlb* tlb);
    /// The same for all tables that the guest has written to since (ShadowPolicy::TspUnsync).
    void synchronise_tables();
    /// The access that follows has faulted in fastmem.
    void note_fastmem_fault() { faulted_ = true; }
    /// An address may have got another meaning in its soft TLB.
    void translations_changed() {
        devices_.forget();
        ++translation_changes_;
    }

  private:
    /// What became of an access. All but Done and Retry are exceptions, or a debugger's watchpoint.
    struct Outcome {
        enum class Kind : uint8_t {
            Done,
            Retry,
            DataAbort,
            Watchpoint,
            SpAlignment,
            PointerAuthentication,
            ScalableTrap,
            Debugger
        } kind = Kind::Done;
        bool write = false;  ///< ESR_EL1.WnR
        uint8_t fsc = 0;     ///< fault status code, of DataAbort; of PointerAuthentication the key's number
        uint64_t far = 0;
    };
    static Outcome data_abort(uint64_t far, uint8_t fsc, bool write) {
        return {Outcome::Kind::DataAbort, write, fsc, far};
    }
    /// Of an access to RAM: `done` is what host::touch() returned.
    static Outcome touched(bool done, uint64_t far, bool write) {
        if (done) return {};
        if (host::take_withheld()) return {.kind = Outcome::Kind::Retry};
        return data_abort(far, mmu::kFscSynchronousExternal, write);
    }
    /// Whether the host still has the memory (host/memory_fault.h).
    static bool is_there(const uint8_t* host);
    /// Where a translated address is.
    struct Target {
        uint8_t* host = nullptr;  ///< null: a device at pa
        uint64_t pa = 0;
        uint8_t flags = 0;  ///< mmu::page_flag
        bool device_memory = false;
        bool tagged = false;  ///< it has allocation tags
    };
    /// A tagged page, so that the next access to it need not walk.
    struct TaggedPage {
        uint64_t va = 1, pa = 0;
        const mmu::SoftTlb* tlb = nullptr;
        uint64_t changes = 0;
        uint8_t* host = nullptr;
        bool readable = false, writable = false;
    };

    template <typename F>
    Outcome until_done(F&& act);
    Outcome finish(const jit::MemoryAccess& access, const void* host_pc);
    Outcome carry_out(const jit::MemoryAccess& access, const void* host_pc);
    /// `act` has the host address of two units.
    template <typename F>
    Outcome carry_out_pair(uint64_t va, uint32_t aux, F&& act);
    Outcome access_device(const jit::MemoryAccess& access, uint64_t va, uint64_t pa, const void* host_pc);
    void note_tag(uint64_t va, const void* host_pc);
    void note_device(const jit::MemoryAccess& access, const void* host_pc);
    bool may_be_misaligned(const jit::MemoryAccess& access, uint64_t va) const;
    bool access_across(const jit::MemoryAccess& access, uint64_t va);
    uint8_t* cached_element(uint64_t va, unsigned size, bool write) const;
    Outcome element(jit::MemoryKind kind, uint64_t va, unsigned size);
    uint8_t* cached(uint64_t va, uint64_t bytes, bool write, bool unprivileged) const;
    uint8_t* cached_page(uint64_t va, bool write, bool unprivileged, bool& checked) const;
    bool block_step(const frontend::a64::BlockOperation& op, uint64_t from, uint64_t to, unsigned log2,
                    uint64_t value);
    void raise(const Outcome& outcome, uint64_t pc);
    uint64_t recover_pc(const void* host_pc);
    std::optional<Outcome> watchpoint(const frontend::a64::WatchedAccess& access);
    bool read_faults(uint64_t va, uint8_t fsc);

    // ---- Translation
    bool translate(uint64_t va, bool write, bool unprivileged, Target& out, uint8_t& fsc);
    bool known_mapping(uint64_t va, bool privileged, bool pan, mmu::SoftTlbSet::Mapping& mapping);
    void rewrite(const mmu::SoftTlbSet::Leaf& leaf);
    void count_missing(mmu::SoftTlb* tlb, uint64_t va, bool write);
    void fill_ahead(mmu::SoftTlb* tlb, uint64_t va, bool privileged, bool only_add);
    void fill_around(mmu::SoftTlb* tlb, uint64_t va, bool privileged);
    void add_range(mmu::SoftTlb* tlb, uint64_t from, uint64_t to, bool privileged);
    bool large_page(const mmu::WalkResult& walk, uint64_t va) const;

    // ---- Allocation tags: memory_path_tags.cpp
    bool tags_are_checked(const mmu::WalkResult& walk, uint64_t va, bool privileged) const;
    const mmu::TlbEntry* checked_entry(uint64_t va, bool write, bool unprivileged) const;
    bool tags_match(uint64_t pa, uint64_t bytes, unsigned tag) const;
    std::optional<Outcome> check_tags(const jit::MemoryAccess& access, uint64_t va, unsigned bytes,
                                      uint64_t pa);
    void note_checked(const jit::MemoryAccess& access, const void* host_pc);
    const TaggedPage* tagged_page(uint64_t va, bool write, bool unprivileged) const;
    void remember_tagged(const mmu::SoftTlb* tlb, uint64_t va, const mmu::WalkResult& walk,
                         const Target& target, bool privileged);
    bool translate_tags(uint64_t va, uint64_t given, unsigned bytes, bool write, Target& out);

    // ---- Pages that the page overlay intercepts: memory_path_intercepted.cpp
    Outcome access_intercepted(const jit::MemoryAccess& access, uint64_t va, Target first,
                               unsigned first_bytes, Target second);
    bool recheck_intercepted(mmu::AccessEvent::Kind kind, Target& target, uint64_t va, unsigned bytes,
                             uint8_t& fsc) const;
    bool enter_intercepted(const mmu::WalkResult& walk, bool write, uint8_t flags, uint8_t& fsc);

    VcpuCore& core_;
    jit::GuestState& state_;
    frontend::a64::Cpu& cpu_;
    mmu::SoftTlbSet& tlbs_;
    VcpuStats& stats_;
    ShadowPager& pager_;
    DevicePath devices_;
    std::pair<const void*, uint64_t> last_refill_{};
    std::optional<DebugPoints::Stop> debug_hit_;
    static constexpr unsigned kTaggedPagesLog2 = 8;
    std::array<TaggedPage, 1 << kTaggedPagesLog2> tagged_{};
    uint64_t translation_changes_ = 0;
    uint64_t last_fault_ = 0;  ///< page; where fill_ahead() stopped
    bool faulted_ = false;     ///< in fastmem, by the access that is carried out
};

}  // namespace arclight::guestos
