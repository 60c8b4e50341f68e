// Emitters of guest memory accesses: plain, exclusive and atomic.
#pragma once

#include "backend/x64/emitter.h"
#include "jit/memory_access.h"

namespace arclight::backend {

class MemoryEmitter : public Emitter {
  public:
    using Emitter::Emitter;

    // ---- emit_atomic.cpp
    void emit_load_exclusive(const Inst& i);
    void emit_store_exclusive(const Inst& i);
    void emit_rmw(const Inst& i);
    void emit_cas(const Inst& i);
    void emit_zero_block(const Inst& i);

    // ---- emit_grouped.cpp
    void cold_grouped(const ColdArgs& args);
    void cold_group_leaves(const ColdArgs& args);

    // ---- emit_memory.cpp
    void take_off_tag(const Reg64& addr);
    void cold_fastmem(const ColdArgs& args);
    void emit_check_stack(const Inst& i);
    void emit_check_zero(const Inst& i);
    void emit_sign_pointer(const Inst& i);
    void emit_auth_pointer(const Inst& i);
    void cold_memory(const ColdArgs& args);
    void emit_load(const Inst& i);
    void emit_load_vector(const Inst& i);
    void emit_store(const Inst& i);
    void emit_store_vector(const Inst& i);

  protected:
    // ---- emit_tag_check.cpp
    /// What check_tags() compares: bytes from a guest address on.
    struct Tagged {
        Xbyak::RegExp from;
        unsigned bytes;       ///< 256 at most
        bool write;           ///< which of the entry's tags
        bool checked = true;  ///< false: the page may be a checked one, but the allocation tags do not matter
        bool unprivileged = false;
        int alignment = 1;  ///< what `from` is any address in
    };
    /// Where a check goes that does not succeed, and where it begins with rax = the addend of the address without its tag.
    struct TagsDiffer {
        Jump page, tags;
        const uint8_t* addend_is_known;
    };
    /// Behind a miss: see the file.
    TagsDiffer check_tags(const Reg64& temp, const Tagged& what);
    void land(const TagsDiffer& differ);
    bool checks_tags() const;
    const uint8_t* behind_check(const ColdArgs& args) const;
    void try_behind_miss(const ColdArgs& args, const Reg64& addend, const Tagged& what);
    /// The same, where `what` is only asked what the tags are compared of if they are; `write` is that of it.
    void try_behind_miss(const ColdArgs& args, const Reg64& addend, bool write,
                         Tagged (MemoryEmitter::*what)(const ColdArgs&) const);
    Tagged tagged(const ColdArgs& args) const;
    Tagged tagged_group(const ColdArgs& args) const;

    /// Where an access is, as a guest address.
    struct Place {
        Reg64 base;
        int32_t displacement = 0;
        Mem plus(int bytes) const { return mem(base, displacement + bytes); }
    };
    struct Checked {
        size_t cold;   ///< index of the cold path
        Reg64 addend;  ///< to be added to the address
    };
    void lock_if_shared();
    /// Where the slow path goes on, and the end of the instructions that may fault in the fastmem.
    void resume_here(size_t cold);
    /// What must be done before the operands of an access are fetched: NZCV may not be in EFLAGS any more.
    void prepare_access();
    /// Leaves ZF set if the soft TLB has the page, and the entry's place for load_addend() in rax.
    void compare_tag(const jit::MemoryAccess& access, const Place& addr, const Reg64& temp, int back,
                     int last, bool write);
    void load_addend(const Reg64& addend, bool unprivileged);
    void mask_addend(const Reg64& addr);
    uint16_t with_victim(const Reg64& tag) const;
    static constexpr unsigned kTagRegister = 5;  ///< ColdArgs::reg
    uint8_t with_tags(const Reg64& tag) const;
    void try_victim(const ColdArgs& args, const Reg64& addend, bool write);
    /// Looks the access at `addr` up in the soft TLB; jumps to the slow path on a miss, else leaves the
    /// addend in rax. `temp` is clobbered. `args` has the operands' registers; see slow_memory(). Returns the
    /// cold path's index.
    size_t check_access(const jit::MemoryAccess& access, const Place& addr, const Reg64& temp, ColdArgs args);
    /// The same as check_access for an access that may be of a group.
    Checked check_grouped(const jit::MemoryAccess& access, const Place& addr, ColdArgs args);
    Checked check_grouped_fastmem(const jit::MemoryAccess& access, const Place& addr, ColdArgs args);
    bool leaves_where_check_fails() const;
    void test_stack(const Place& addr, int back);
    Place use_address(const Inst& i);
    Place place_of(const ColdArgs& args) const;
    /// The same through the fastmem: what is not mapped faults, see FaultPoint::fastmem_start.
    size_t check_fastmem(const jit::MemoryAccess& access, const Reg64& addr, ColdArgs args);
    void look_up_fastmem(const Reg64& addr, bool unprivileged);
    /// Goes to the slow path of the current instruction if cc holds.
    size_t miss_if(Cc cc, const Reg64& addr, ColdArgs args);
    /// `jump` leads to the slow path; none if only a fault does.
    size_t miss(Jump jump, const Reg64& addr, ColdArgs args,
                ColdFn fn = cold_fn<&MemoryEmitter::cold_memory>);
    void slow_memory(const ColdArgs& args);
    void compute_pointer_code(const Reg64& d, const Reg64& pointer, const Reg64& modifier, uint32_t key);
    void load_copies_of_bit_55(const Reg64& d, const Reg64& from);
    void access_memory(const Inst& i, const ColdArgs& args, const Mem& where);
};

}  // namespace arclight::backend
