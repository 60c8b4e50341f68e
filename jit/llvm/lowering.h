// Internal to jit/llvm: from a region's IR to one LLVM function.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/MDBuilder.h>
#include <llvm/IR/Module.h>

#include <array>
#include <bitset>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "jit/guest_state.h"
#include "jit/llvm/region.h"
#include "jit/llvm/region_exits.h"
#include "jit/region_abi.h"
#include "jit/translation_flags.h"

namespace arclight::jit::tier2 {

using ir::Inst;
using ir::Op;
using ir::Ref;
using ir::Type;
using llvm::BasicBlock;
using llvm::Value;

/// NZCV, not computed before somebody asks. The kinds up to kLastDynamic may be a block's last word and then
/// are held as (kind, a, b) in three variables.
struct Flags {
    enum Kind : uint8_t {
        Packed,  ///< a: as in GuestState::flags
        Add32,
        Add64,
        Sub32,
        Sub64,
        Logic32,  ///< a is the result
        Logic64,
        FCmp32,  ///< a, b: bits of the numbers
        FCmp64,
        kLastDynamic = FCmp64,
        Carry,        ///< a + b + c, where b is inverted already for a subtraction
        CondCompare,  ///< c ? a - b : imm
        CondFCmp,
        Dynamic,  ///< in the variables
    };
    Kind kind = Dynamic;
    bool wide = true, add = false;
    Value* a = nullptr;
    Value* b = nullptr;
    Value* c = nullptr;
    unsigned imm = 0;
};

/// What is known of the flags where a block begins.
struct KnownFlags {
    /// Where an operand is to be found too: a variable of its own would change along with that register.
    struct Source {
        enum Kind : uint8_t { Nowhere, Register, Constant } kind = Nowhere;
        uint64_t what = 0;  ///< the register's slot, or the constant
        bool operator==(const Source&) const = default;
    };
    Flags::Kind kind = Flags::Dynamic;
    Source a{}, b{};
    bool operator==(const KnownFlags&) const = default;
};

struct Unsupported {};

bool has_low_half_only(const ir::Block& block, Ref r);

class Lowering {
  public:
    Lowering(llvm::Module& module, const Region& region);
    /// Null: the entry's first instruction is not supported.
    llvm::Function* run();
    /// By the numbers of the function's statepoints.
    const std::vector<RegionExit>& exits() const { return exits_; }

  private:
    static constexpr unsigned kVSlot = 32, kFlagsSlot = 64, kSlots = 65;
    using Slots = std::bitset<kSlots>;

    // ---- lowering.cpp: blocks, guest registers, ways out
    void declare_variables();
    void load_known_flags();
    Value* low_bits(unsigned slot);
    int64_t block_offset() const { return region_.blocks[current_].offset; }
    /// Goes on unless interrupted, else leaves to go on at `offset`.
    void poll(int64_t offset);
    /// From block to block, and what was written on the way from the first one's start.
    struct Edge {
        size_t from, to;
        KnownFlags flags;
        Slots written, low;  ///< low: of those, what got a double and zeros above
    };
    void find_dirty();
    void lower_block(size_t index);
    void lower(const Inst& i, Ref index);
    void exit_instruction(const Inst& i);
    void commit();
    BasicBlock* new_block(const char* name = "");
    /// The way out to `offset`, with the guest's registers as they are now.
    BasicBlock* exit_to(int64_t offset);
    void emit_exit(Value* pc, int64_t offset = 0);
    using SlotValues = std::vector<std::pair<unsigned, Value*>>;
    /// Leaves with these values in guest registers, going on at `pc`, or at `offset` if that is null.
    /// `how`: kRegionStuck and the like.
    void leave(const SlotValues& slots, bool flags_dirty, const Flags& flags, Value* pc, int64_t offset,
               uint64_t how);
    /// The way out at the last checkpoint: tier 1 executes again what came since, which has no effects but on
    /// registers.
    BasicBlock* side_exit();
    /// Goes on if `ok`, else takes the side exit.
    void guard(Value* ok);
    void start_instruction(Ref index);
    void take_checkpoint();
    BasicBlock* edge_to(int64_t offset);
    BasicBlock* checked_edge_to(int64_t offset);
    const std::vector<int64_t>& targets_of(const RegionBlock& block, const Inst& i) const;
    uint32_t taken(int64_t offset) const;
    void jump_to_one_of(const std::vector<int64_t>& offsets, Value* pc);
    Value* page_base();
    Value* slot_value(unsigned slot);
    void set_slot(unsigned slot, Value* v, Value* low);
    Value* state_field(size_t offset, llvm::Type* type, unsigned align = 8);
    Value* load_state(size_t offset, llvm::Type* type, unsigned align = 8);
    void store_state(size_t offset, Value* v, unsigned align = 8);
    SlotValues dirty_values();

    // ---- vector_slots.cpp
    void find_low_slots(const std::vector<Edge>& edges);
    void declare_vector(unsigned slot);
    void enter();
    void get_vector(const Inst& i, Ref index);
    void set_vector(const Inst& i);
    Value* to_leave_with(unsigned slot);

    // ---- values
    const Inst& inst(Ref r) const { return (*block_)[r]; }
    Value* get(Ref r) const { return values_[r]; }
    Value* i64(Ref r);
    Value* i32(Ref r);
    Value* integer(Ref r, Type t) { return t == Type::I32 ? i32(r) : i64(r); }
    Value* boolean(Ref r) { return values_[r]; }
    Value* fp(Ref r, Type t);
    Value* vec(Ref r) { return as_v128(values_[r], inst(r).type); }
    Value* vec(Ref r, unsigned esize) { return b_.CreateBitCast(vec(r), int_vector(esize)); }
    Value* fvec(Ref r, unsigned esize) { return b_.CreateBitCast(vec(r), fp_vector(esize)); }
    Value* as_v128(Value* v, Type t);
    Value* zext_lane(Value* scalar);
    llvm::FixedVectorType* int_vector(unsigned esize) {
        return llvm::FixedVectorType::get(b_.getIntNTy(8u << esize), 16u >> esize);
    }
    llvm::FixedVectorType* fp_vector(unsigned esize) {
        return llvm::FixedVectorType::get(esize == 3 ? b_.getDoubleTy() : b_.getFloatTy(), 16u >> esize);
    }
    Value* splat(unsigned esize, uint64_t v) {
        return llvm::ConstantVector::getSplat(llvm::ElementCount::getFixed(16u >> esize),
                                              llvm::ConstantInt::get(b_.getIntNTy(8u << esize), v));
    }
    Value* c64(uint64_t v) { return b_.getInt64(v); }
    void def(Ref r, Value* v) { values_[r] = v; }

    // ---- lower_flags.cpp
    FlagsAtExit flags_at_exit(const Flags& f, std::vector<Value*>& operands);
    Flags flags_of(Ref arg);
    Flags& flags(Ref r) { return flags_[r]; }
    Value* condition(const Flags& f, unsigned cc);
    Value* carry(const Flags& f);
    Value* pack(const Flags& f);
    Flags dynamic_flags() { return pack_dynamic(read_dynamic()); }
    Flags read_dynamic();
    Flags pack_dynamic(const Flags& read);
    void store_flags(const Flags& f);
    llvm::Function* pack_function();
    struct Bits {
        Value *n, *z, *c, *v;
    };
    Bits bits(const Flags& f);

    // ---- lower_integer.cpp
    bool lower_integer(const Inst& i, Ref index);
    Value* bit_field(const Inst& i, bool is_signed);
    Value* crc32(const Inst& i);

    // ---- lower_memory.cpp
    bool lower_memory(const Inst& i, Ref index);
    Value* host_address(const Inst& i, Ref index, unsigned bytes, bool write, bool aligned);
    Value* host_of_group(const Inst& i, uint32_t number, unsigned part);
    Value* host_address_alone(Ref address, unsigned bytes, bool write, uint32_t aux, bool aligned);
    /// What the soft TLB has for the page, or the side exit.
    struct Page {
        Value *tag, *addend;
        Value* writable = nullptr;  ///< of a page that may be shared, looked up to read
    };
    struct Sought {
        bool write;
        uint32_t aux = 0;
        bool shared = false;  ///< whether it may be written is asked too
        Guesses guessed = 0;  ///< that all of it lies in one page
    };
    Page look_up(Value* address, Value* wanted, const Sought& sought);
    struct Group;
    static Guesses guessed(const Group& g);
    void count_wrong_guesses(Value* how_many, Guesses which);
    Value* only_here(Value* v);
    void check_group(Group& g);
    struct LastPage;
    LastPage& last_page(unsigned number);
    void declare_page(LastPage& page);
    void remember(const LastPage& last, const Page& page, unsigned span);
    // ---- loop_checks.cpp
    void peel_loops();
    bool plan_loop_checks(size_t block);
    struct Carrier {
        unsigned x, shift;
    };
    std::optional<Carrier> carrier_of(int64_t stride) const;
    BasicBlock* after_first_turn();
    struct Placed {
        Value *host, *turns;
    };
    Placed place(const Group& g, Value* start);
    void check_at_head();
    // ---- plan_accesses.cpp
    static constexpr unsigned kNoRegister = 32, kOtherIndex = 33, kNoPage = ~0u;
    static constexpr uint32_t kNoGroup = ~uint32_t{0};
    /// Where guesses are not to be made so much at most is taken to lie in one page.
    static constexpr unsigned kPartBytes = 8;
    void plan_accesses();
    std::bitset<32> stable_registers() const;
    unsigned page_for(const ir::Block& block, const std::vector<uint8_t>& registers, Ref root, bool write,
                      const std::bitset<32>& stable);
    void share_pages();

    // ---- lower_memory.cpp
    Value* guest_load(Value* host, llvm::Type* type, unsigned offset = 0);
    void guest_store(Value* host, Value* v, unsigned offset = 0);
    Value* load_integer(Value* host, const Inst& i, unsigned offset);
    Value* compare_exchange(Value* host, Value* expected, Value* desired, unsigned unit);
    void atomic_rmw(const Inst& i, Ref index);
    void store_exclusive(const Inst& i, Ref index);
    void load_exclusive(const Inst& i, Ref index);

    // ---- lower_fastmem.cpp
    Value* fastmem_of(Value* address, uint64_t foreseen, uint32_t aux);
    Value* fastmem_address(Ref ref, unsigned bytes, uint64_t foreseen, uint32_t aux, bool aligned);
    /// How an instruction that may fault is told to LLVM: AT&T syntax, $0 and so on are its operands.
    struct FaultingInst {
        std::string text, constraints;
        unsigned operands;     ///< in `constraints`, but for labels and what is clobbered
        llvm::Type* result;    ///< void: none
        llvm::Type* accessed;  ///< in memory
    };
    Value* may_fault(const FaultingInst& how, const std::vector<Value*>& args);
    Value* fastmem_load(Value* host, unsigned log2, bool is_signed, bool wide, unsigned offset);
    Value* fastmem_load_vector(Value* host, unsigned log2, unsigned offset);
    void fastmem_store(Value* host, Value* v, unsigned log2, unsigned offset);
    void fastmem_store_vector(Value* host, Value* v, unsigned log2, unsigned offset);
    void fastmem_zero_block(Value* host);
    Value* fastmem_compare_exchange(Value* host, Value* expected, Value* desired, unsigned log2);
    Value* fastmem_rmw(ir::AtomicKind kind, Value* host, Value* v, unsigned log2);

    // ---- lower_fp.cpp
    bool lower_fp(const Inst& i, Ref index);
    bool lower_vector_fp(const Inst& i, Ref index);
    Value* strict(llvm::Intrinsic::ID id, llvm::Type* type, std::initializer_list<Value*> args);
    Value* strict_compare(llvm::CmpInst::Predicate p, Value* a, Value* b, bool signalling);
    void define_checked(const Inst& i, Ref index, Value* v, bool may_be_tiny);
    void check_results();
    Value* is_bad(Value* v);
    void leave_if_any(Value* bad);
    void check_tiny(std::vector<Value*>& scalars, std::vector<Value*>& vectors);
    bool is_number(Ref r, Value* v) const;
    void guard_numbers(Ref a, Value* x, Ref b, Value* y);
    struct Lane {
        Ref ref;
        unsigned lane;
    };
    Lane number_of(Ref r, unsigned esize) const;
    Value* quiet(const Inst& i, unsigned arg);
    void define_vector_fp(const Inst& i, Ref index, Value* v);
    void to_integer(const Inst& i, Ref index);
    Value* integral(Value* x, ir::RoundMode mode);

    // ---- lower_vector.cpp
    bool lower_vector(const Inst& i, Ref index);
    Value* shuffle(Value* a, Value* b, const std::vector<int>& mask) {
        return b_.CreateShuffleVector(a, b, mask);
    }
    void def_vec(Ref r, Value* v) { def(r, b_.CreateBitCast(v, v128_)); }
    Value* low_half(Value* v);
    Value* clear_upper(Value* v);
    void note_saturation(Value* saturated, Value* exact);
    Value* shift_by_register(Value* x, Value* by, unsigned esize, bool is_signed);
    bool lower_vector_shift(const Inst& i, Ref index);
    bool lower_vector_permute(const Inst& i, Ref index);
    bool lower_vector_widen(const Inst& i, Ref index);
    bool lower_vector_reduce(const Inst& i, Ref index);
    bool lower_vector_crypto(const Inst& i, Ref index);

    llvm::Module& module_;
    llvm::LLVMContext& context_;
    Region region_;  ///< with the first turns of loops (loop_checks.cpp)
    const bool fastmem_;
    /// How long one addend lasts: a page of the soft TLB, or a slot of the fastmem.
    const uint64_t page_size_, page_mask_;
    llvm::IRBuilder<> b_;
    llvm::MDBuilder md_;
    llvm::FixedVectorType* v128_;
    llvm::Function* function_ = nullptr;
    Value* state_ = nullptr;
    Value* tlb_ = nullptr;
    llvm::MDNode *guest_scope_, *state_scope_, *unlikely_, *likely_;

    std::array<llvm::AllocaInst*, kFlagsSlot> variable_{};
    /// Of vector registers: the lower half, wherever it is all there is (vector_slots.cpp).
    std::array<llvm::AllocaInst*, kFlagsSlot> low_variable_{};
    Slots guessed_low_;  ///< where the region is entered, or it is left at once
    llvm::AllocaInst *flag_kind_ = nullptr, *flag_a_ = nullptr, *flag_b_ = nullptr;
    Slots used_, written_;

    /// Accesses at root + lo .. root + hi that are checked together.
    struct Group {
        Ref root = ir::kNoRef;
        int64_t lo = 0, hi = 0;
        bool write = false;
        unsigned accesses = 0;
        unsigned page = kNoPage;  ///< in last_pages_
        Guesses guesses = 0;      ///< of the accesses, unless they are distrusted
        uint64_t foreseen = 0;    ///< Inst::imm of an access (jit/engine/predict.h)
        Value* host = nullptr;    ///< of root + lo, once checked
        bool at_head = false;     ///< checked at the block's head, for many turns of its loop
        int64_t stride = 0;       ///< then: bytes from turn to turn
    };
    struct BlockInfo {
        BasicBlock* head = nullptr;
        bool checks_turns = false;           ///< loop_checks.cpp
        BasicBlock* next_turn = nullptr;     ///< then: where its own loop goes on
        std::map<unsigned, int64_t> moving;  ///< then: registers that each turn moves by so much
        std::vector<Group> groups;
        std::vector<uint32_t> group_of;              ///< by instruction
        std::map<Ref, std::vector<uint32_t>> parts;  ///< of those that belong to several
        Slots dirty_in, written;
        Slots low_in;  ///< vector registers with zeros above a double
        std::vector<size_t> successors;
        KnownFlags flags_in;
        bool flags_known = false;
    };
    std::vector<BlockInfo> info_;
    std::map<int64_t, size_t> by_offset_;
    /// By block: the one that is the further turns of its loop.
    std::map<size_t, size_t> further_turns_;
    size_t target_of(size_t from, size_t to) const;
    std::vector<std::vector<bool>> back_edge_;  ///< [from][nth successor]

    /// A page, and how far from its start an access may begin: 0 while none is known.
    struct LastPage {
        bool stable = false;  ///< worth looking at in a block that did not look it up itself
        bool shared = false;  ///< by groups of several bases, which may read and write
        unsigned span = 0;    ///< bytes of the widest group that uses it
        llvm::AllocaInst *minus_tag = nullptr, *addend = nullptr, *limit = nullptr;
        llvm::AllocaInst* write_limit = nullptr;  ///< of a shared one
        Ref root = ir::kNoRef;                    ///< in this block, known to have been looked up
    };
    std::vector<LastPage> last_pages_;
    std::map<std::tuple<unsigned, unsigned, bool>, unsigned> page_numbers_;  ///< by base, index, writing
    BasicBlock* entry_ = nullptr;

    // The block that is being lowered
    size_t current_ = 0;
    const ir::Block* block_ = nullptr;
    std::vector<Value*> values_;
    std::vector<Flags> flags_;
    Flags now_;  ///< NZCV after the instructions committed so far
    Slots dirty_;
    Slots low_;                ///< as BlockInfo::low_in, now
    int64_t insn_offset_ = 0;  ///< as RegionBlock::offset
    BasicBlock* side_exit_ = nullptr;
    struct Checkpoint {
        int64_t offset = 0;
        unsigned age = 0;  ///< in instructions
        SlotValues dirty;
        Flags flags;
        bool flags_dirty = false;
    } checkpoint_;
    bool effects_ = true;  ///< something since the checkpoint may not be done twice
    struct Pending {
        unsigned slot;
        Value* value;
        Flags flags;
        Value* low = nullptr;  ///< of a vector register: the lower half, if zeros are above
    };
    std::vector<RegionExit> exits_;
    std::vector<Pending> pending_;  ///< the current instruction's results: side exits do not see them
    /// Floating-point results since the checkpoint that x86 may have got wrong.
    struct Unchecked {
        Ref ref;
        Value* value;  ///< a number, or two or four
        bool tiny;
        unsigned shown = 0;  ///< by lane: a NaN there comes out of a later operation as one
    };
    std::vector<Unchecked> unchecked_;
    bool bits_read_ = false;  ///< of one of them, as an integer
    std::set<Ref> numbers_;   ///< results that were checked, in this block
};

}  // namespace arclight::jit::tier2
