// The subject: translate_block, tier 1 and the process accelerator around a CPU at EL0, with the smallest
// possible machine. Guest pages lie in host memory in another order and with gaps, so that an access that
// crosses a page on the fast path is noticed.
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

#include "backend/process_accelerator.h"
#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/exceptions.h"
#include "frontend/a64/system/fp_control.h"
#include "frontend/a64/system/quiet_environment.h"
#include "frontend/a64/system/system_instructions.h"
#include "frontend/a64/system/translation_flags.h"
#include "frontend/a64/translate/translator.h"
#include "jit/host_code.h"
#include "jit/host_fp.h"
#include "jit/llvm/region_compiler.h"
#include "jit/memory_access.h"
#include "jit/runtime_entries.h"
#include "tests/differential/case.h"
#include "tests/differential/guest_access.h"
#include "tests/differential/random.h"
#include "tests/jit/fault_exits.h"

namespace arclight::differential {
namespace {

namespace a64 = frontend::a64;
namespace ir = jit::ir;
using a64::Helper;
using jit::ExitReason;
using jit::GuestState;

constexpr size_t kBufferBytes = size_t{32} << 20;
constexpr uint32_t kEpoch = 7;
constexpr uint64_t kSctlrA = 1u << 1;
constexpr unsigned kArenaPages = DIFF_ARENA_BYTES / mmu::kPageSize;

template <typename T>
T* map_zeroed() {
    void* p = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    return new (p) T();
}

/// How a case is run, by its number: every path through the backend gets its share, and --case finds it
/// again.
struct Variant {
    /// In 10,000. LLVM takes milliseconds a block; ARCLIGHT_DIFFERENTIAL_TIER2=10000 is for long runs.
    static uint64_t tier2_share() {
        static const char* text = std::getenv("ARCLIGHT_DIFFERENTIAL_TIER2");
        return text != nullptr ? std::strtoull(text, nullptr, 10) : 50;
    }
    unsigned max_insns;
    bool no_tlb;      ///< all accesses take the slow path
    bool interrupts;  ///< leave at every block boundary
    bool serial;
    bool tier2;    ///< every block is also the entry of a region, with the blocks translated before it
    bool fastmem;  ///< regions reach memory through fastmem
    bool avx512;   ///< regions use what the host has of it
    bool vector_registers;                  ///< CodeOptions::vector_registers
    jit::Assumptions disabled_assumptions;  ///< regions do not make them
    enum class Predicted : uint8_t { Nothing, Right, Wrong } predicted;

    explicit Variant(uint64_t index) {
        Rng rng(index ^ 0x5eed);
        max_insns = rng.chance(70) ? a64::kMaxBlockInsns : 1 + static_cast<unsigned>(rng.below(4));
        no_tlb = rng.chance(12);
        interrupts = rng.chance(12);
        serial = rng.chance(50);
        tier2 = rng.below(10'000) < tier2_share();
        fastmem = tier2 && rng.chance(50);
        predicted = static_cast<Predicted>(rng.below(3));
        avx512 = rng.chance(50);
        disabled_assumptions = rng.chance(50) ? 0 : rng.chance(50) ? jit::kEveryAssumption : rng.next();
        vector_registers = rng.chance(25) && !tier2 && jit::host_has_vector_registers();
    }
};

/// The arena's slot of fastmem on the host, where all but the arena faults; and a little of its neighbours.
class FastmemPage {
  public:
    FastmemPage() {
        void* p =
            mmap(nullptr, kSlot + 2 * kMargin, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) throw std::bad_alloc();
        start_ = static_cast<uint8_t*>(p);
        if (mprotect(arena(), DIFF_ARENA_BYTES, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    }
    ~FastmemPage() { munmap(start_, kSlot + 2 * kMargin); }
    FastmemPage(const FastmemPage&) = delete;
    FastmemPage& operator=(const FastmemPage&) = delete;

    static constexpr uint64_t kNumber = uint64_t{DIFF_ARENA_VA} >> mmu::kFastmemSlotBits;
    static_assert(kNumber < mmu::kFastmemSlots / 2);
    uint8_t* arena() { return start_ + kMargin + (DIFF_ARENA_VA & (kSlot - 1)); }
    uint64_t sum() { return reinterpret_cast<uint64_t>(arena()) - DIFF_ARENA_VA; }

  private:
    static constexpr uint64_t kSlot = uint64_t{1} << mmu::kFastmemSlotBits, kMargin = mmu::kPageSize;
    uint8_t* start_;
};

class ArclightEngine final : public Engine {
  public:
    ArclightEngine()
        : code_{CodeCache(false), CodeCache(jit::host_has_vector_registers())},
          state_(*map_zeroed<GuestState>()),
          tlb_(*map_zeroed<mmu::SoftTlb>()),
          memory_(host_pages_, DIFF_ARENA_VA, DIFF_ARENA_BYTES),
          cpu_(state_, environment_, memory_, {}) {
        state_.cpu = this;
        tlb_.epoch = kEpoch;
        tlb_.victims = &mmu::kNoVictims;
        state_.tlb = &tlb_;
        state_.user_tlb = &tlb_;
        for (uint64_t i = 0; i < mmu::kJumpCacheLines; ++i)
            tlb_.jump_cache[i] = mmu::JumpCacheEntry::empty(i);
        for (uint64_t i = 0; i < mmu::kFastmemSlots; ++i)
            tlb_.fastmem_offset[i] = jit::testing::fastmem_poison(i);
        tlb_.fastmem_offset[FastmemPage::kNumber] = fastmem_.sum();
        fill_runtime_table();
    }

    ~ArclightEngine() override {
        munmap(&state_, sizeof state_);
        munmap(&tlb_, sizeof tlb_);
    }
    const char* name() const override { return "arclight"; }

    std::vector<Outcome> run(const Batch& batch, const std::vector<bool>& wanted) override {
        std::vector<Outcome> out(batch.cases.size());
        for (size_t i = 0; i < out.size(); ++i)
            if (wanted[i]) run_case(batch, batch.cases[i], out[i]);
        return out;
    }

    std::string explain(const Batch& batch, size_t i) override {
        explain_ = true;
        explanation_.clear();
        Outcome ignored;
        run_case(batch, batch.cases[i], ignored);
        explain_ = false;
        return explanation_;
    }

  private:
    struct Block {
        uint64_t pc;
        uint32_t translation_flags;
        jit::CompiledBlock code;
        uint32_t first_link_slot;
        ir::Block ir;  ///< for regions
    };
    struct BlockExit {
        size_t block;
        size_t exit;
    };

    static ArclightEngine& self(GuestState& s) { return *static_cast<ArclightEngine*>(s.cpu); }

    // ---- one case
    void load(const Case& c) {
        const DiffState& s = c.initial;
        std::copy(std::begin(s.x), std::end(s.x), state_.x);
        state_.sp = s.sp;
        state_.pc = s.pc;
        state_.flags = jit::flags_from_nzcv(s.nzcv);
        state_.tpidr_el0 = s.tpidr;
        std::memcpy(state_.v, s.v, sizeof s.v);
        a64::reset_fp(state_);
        a64::write_fpsr(state_, s.fpsr);
        a64::write_fpcr(state_, s.fpcr);
        state_.exclusive_addr = jit::kNoExclusive;
        state_.interrupt = variant_.interrupts;
        cpu_.el = 0;
        cpu_.sp_elx = false;
        cpu_.registers.cpacr = 3u << 20;  // FPEN: no trap
        // Everything is allowed at EL0. M is set, or all memory would be Device memory, where misaligned
        // accesses fault.
        cpu_.translation.sctlr = 0xffffffff & ~kSctlrA;
        state_.translation_flags = variant_.serial ? a64::translation_flag::kSerial : 0;
        a64::update_translation_flags(cpu_);
    }

    void save(DiffState& s) const {
        std::copy(std::begin(state_.x), std::end(state_.x), s.x);
        s.sp = state_.sp;
        s.pc = state_.pc;
        s.nzcv = jit::nzcv_from_flags(state_.flags);
        s.tpidr = state_.tpidr_el0;
        s.fpcr = state_.fpcr;
        s.fpsr = a64::read_fpsr(state_);
        std::memcpy(s.v, state_.v, sizeof s.v);
    }

    uint8_t* host_page(unsigned page) {
        if (variant_.fastmem) return fastmem_.arena() + page * mmu::kPageSize;
        return host_pages_ + 2 * (kArenaPages - 1 - page) * mmu::kPageSize;
    }

    void load_memory(const Batch& batch) {
        for (unsigned p = 0; p < kArenaPages; ++p) {
            std::memcpy(host_page(p), batch.arena + p * mmu::kPageSize, mmu::kPageSize);
            const uint64_t va = DIFF_ARENA_VA + p * mmu::kPageSize;
            mmu::TlbEntry& e = tlb_.entries[mmu::tlb_index(va)];
            e = {};
            if (variant_.no_tlb) continue;
            e.read_tag = e.write_tag = va;
            e.addend = reinterpret_cast<uint64_t>(host_page(p)) - va;
        }
    }

    void run_case(const Batch& batch, const Case& c, Outcome& out) {
        variant_ = Variant(c.index);
        case_ = &c;
        outcome_ = &out;
        out = {};
        if (buffer().hot_used() > kBufferBytes / 4 || buffer().cold_used() > kBufferBytes / 4)
            buffer().reset();
        clear_jump_cache();
        blocks_.clear();
        faults_.clear();
        for (const auto& [compiler, handle] : loaded_) compiler->unload(handle);
        loaded_.clear();
        link_slots_.clear();
        load(c);
        load_memory(batch);

        for (unsigned leaves = 0; out.stop == Stop::NotRun; ++leaves) {
            if (leaves > 2'000'000) {
                out.stop = Stop::Limit;
                break;
            }
            if (!c.in_slot(state_.pc) || state_.pc % 4 != 0) {
                out.stop = Stop::End;
                break;
            }
            const Block* block = block_at(state_.pc);
            if (!block) break;
            switch (cache().accelerator.run(state_, block->code.entry)) {
                case ExitReason::Lookup:
                case ExitReason::Interrupt:
                case ExitReason::Redirect:
                case ExitReason::Halt: break;
                case ExitReason::Brk: out.stop = Stop::End; break;
                case ExitReason::Undefined: out.stop = Stop::Undefined; break;
                case ExitReason::Svc: out.stop = Stop::Svc; break;
                case ExitReason::Exception:
                    if (out.stop == Stop::NotRun) broken("an exception that nothing raised");
                    break;
                default:
                    broken(fmt::format("exit reason {}", static_cast<unsigned>(state_.exit_reason)));
                    break;
            }
        }
        save(out.state);
        std::vector<uint8_t> after(DIFF_ARENA_BYTES);
        for (unsigned p = 0; p < kArenaPages; ++p)
            std::memcpy(after.data() + p * mmu::kPageSize, host_page(p), mmu::kPageSize);
        out.memory = changed_granules(batch.arena, after.data());
    }

    void clear_jump_cache() {
        for (const Block& b : blocks_) {
            const uint64_t line = mmu::jump_cache_index(b.pc);
            tlb_.jump_cache[line] = mmu::JumpCacheEntry::empty(line);
        }
    }

    void broken(std::string why) {
        outcome_->stop = Stop::Broken;
        outcome_->problem = std::move(why);
    }

    // ---- translation
    const Block* block_at(uint64_t pc) {
        for (const Block& b : blocks_)
            if (b.pc == pc && b.translation_flags == state_.translation_flags) return &b;
        const uint64_t end =
            std::min((pc & mmu::kPageMask) + mmu::kPageSize, case_->slot_va() + case_->slot_bytes);
        std::vector<uint32_t> words;
        for (uint64_t at = pc; at < end; at += 4) words.push_back(case_->word_at(at));
        ir::Block block;
        const auto offset = static_cast<uint32_t>(pc & ~mmu::kPageMask);
        unsigned limit = variant_.max_insns;
        for (;;) {
            a64::translate_block(block, words, offset, state_.translation_flags, limit);
            block.pa = pc;
            const std::string raw = explain_ ? ir::print(block) : std::string();
            if (const std::string bad = ir::verify(block); !bad.empty()) {
                broken("IR: " + bad);
                return nullptr;
            }
            const auto first_link_slot = static_cast<uint32_t>(link_slots_.size());
            const uint32_t counter = variant_.tier2 ? 0 : jit::kNoCounter;
            buffer().counters()[0] = ~uint32_t{0} >> 1;
            jit::CompiledBlock code = jit::compile(block, buffer(), first_link_slot, counter);
            if (code.status == jit::CompileStatus::TooComplex && limit > 1) {
                limit = std::min<unsigned>(limit, block.guest_insns) / 2;
                continue;
            }
            if (!code) {
                broken(fmt::format("compile: status {}", static_cast<unsigned>(code.status)));
                return nullptr;
            }
            if (explain_) describe(pc, raw, block, code);
            for (size_t i = 0; i < code.exits.size(); ++i) link_slots_.push_back({blocks_.size(), i});
            blocks_.push_back({pc, state_.translation_flags, std::move(code), first_link_slot, block});
            if (variant_.tier2) make_region(blocks_.back());
            return &blocks_.back();
        }
    }

    void make_region(const Block& entry) {
        jit::Region region;
        region.pa = entry.pc;
        region.translation_flags =
            entry.translation_flags | (variant_.fastmem ? a64::translation_flag::kFastmem : 0);
        region.disabled_assumptions = variant_.disabled_assumptions;
        if (variant_.predicted != Variant::Predicted::Nothing) region.narrow = ~uint32_t{0};
        const auto add = [&](const Block& b) {
            region.blocks.push_back({static_cast<int64_t>(b.pc - (entry.pc & mmu::kPageMask)), b.ir});
            region.indirect_targets.push_back(region.blocks.back().offset);
            region.return_sites.push_back(region.blocks.back().offset);
            if (variant_.predicted == Variant::Predicted::Nothing) return;
            // Without fastmem: all in one page, which is right as often as not.
            for (ir::Inst& i : region.blocks.back().ir.insts)
                if (ir::is_plain_access(i.op))
                    i.imm = FastmemPage::kNumber + 1 + (variant_.predicted == Variant::Predicted::Wrong);
        };
        add(entry);
        for (const Block& b : blocks_)
            if (&b != &entry && b.translation_flags == entry.translation_flags && region.blocks.size() < 4)
                add(b);
        auto& compiler = regions_[variant_.avx512];
        if (!compiler) compiler = jit::make_region_compiler(variant_.avx512);
        jit::RegionDump text;
        const std::string object = compiler->compile(region, explain_ ? &text : nullptr);
        explanation_ += text.llvm + text.assembly;
        if (object.empty()) return;
        const auto loaded = compiler->load(object);
        if (!loaded) return broken("a region's object file does not load");
        loaded_.emplace_back(compiler.get(), loaded->handle);
        faults_.add(*loaded);
        jit::patch_entry(buffer(), entry.code,
                         jit::emit_region_stub(buffer(), {loaded->entry, entry.code.body, jit::kNoCounter}));
    }

    void describe(uint64_t pc, const std::string& raw, const ir::Block& block,
                  const jit::CompiledBlock& code) {
        explanation_ += fmt::format(
            "block at {:x}, mode {:#x}\nIR:\n{}IR without dead code:\n{}host:\n{}cold:\n{}", pc,
            state_.translation_flags, raw, ir::print(block), jit::disassemble({code.entry, code.hot_bytes}),
            jit::disassemble({code.cold, code.cold_bytes}));
    }

    const Block* block_of(const void* host_pc) const {
        for (const Block& b : blocks_)
            if (b.code.contains(host_pc)) return &b;
        return nullptr;
    }

    // ---- entry points of translated code
    // Integer helpers: what compiles may do arithmetic.
    static const void* lookup_direct(GuestState& s, uint64_t link_slot) {
        const jit::host_fp::HostArithmetic arithmetic;
        ArclightEngine& e = self(s);
        if (!e.case_->in_slot(s.pc)) return nullptr;
        const BlockExit from = e.link_slots_[link_slot];  // block_at may add slots
        const Block* target = e.block_at(s.pc);
        if (!target) return nullptr;
        jit::link(e.buffer(), e.blocks_[from.block].code.exits[from.exit], target->code.entry, kEpoch);
        return target->code.entry;
    }

    static const void* lookup_indirect(GuestState& s, uint64_t pc) {
        const jit::host_fp::HostArithmetic arithmetic;
        ArclightEngine& e = self(s);
        if (!e.case_->in_slot(pc) || pc % 4 != 0) return nullptr;
        const Block* target = e.block_at(pc);
        if (!target) return nullptr;
        s.tlb->jump_cache[mmu::jump_cache_index(pc)] = {pc, target->code.entry};
        return target->code.entry;
    }

    void leave(ExitReason reason, uint64_t pc) {
        state_.exit_reason = reason;
        state_.exit_request = 1;
        state_.pc = pc;
    }
    void raise(Stop stop, uint64_t pc) {
        outcome_->stop = stop;
        leave(ExitReason::Exception, pc);
    }
    uint64_t helper_pc() const { return state_.page_base + state_.insn_offset; }

    bool access(uint64_t va, void* data, unsigned bytes, bool write) {
        auto* p = static_cast<uint8_t*>(data);
        if (va - DIFF_ARENA_VA > DIFF_ARENA_BYTES - bytes || va < DIFF_ARENA_VA) return false;
        for (unsigned i = 0; i < bytes; ++i) {
            const uint64_t at = va + i - DIFF_ARENA_VA;
            uint8_t& host = host_page(static_cast<unsigned>(at / mmu::kPageSize))[at % mmu::kPageSize];
            if (write)
                host = p[i];
            else
                p[i] = host;
        }
        return true;
    }

    static void memory_slow(GuestState& s, uint64_t descriptor, const void* host_pc) {
        ArclightEngine& e = self(s);
        const auto perform = [&](uint64_t va, void* data, unsigned bytes, bool write) {
            return e.access(va, data, bytes, write);
        };
        const AccessResult result = perform_access(s, jit::MemoryAccess::unpack(descriptor), perform);
        if (result == AccessResult::Done) return;
        const Block* block = e.block_of(host_pc);
        const auto offset = block ? jit::recover_state(block->code, host_pc, s) : std::nullopt;
        if (!offset) {
            e.broken("no fault map entry for a memory access");
            e.leave(ExitReason::Exception, s.page_base);
            return;
        }
        e.raise(result == AccessResult::Unaligned ? Stop::Align : Stop::Fault, s.page_base + *offset);
    }

    void finish_system(const a64::SystemResult& result, uint32_t flags_before) {
        if (!result.ok()) {
            raise(result.kind == a64::SystemResult::Kind::Undefined ? Stop::Undefined : Stop::Fault,
                  helper_pc());
        } else if (state_.translation_flags != flags_before) {
            clear_jump_cache();  // it does not know of modes
            leave(ExitReason::Redirect, helper_pc() + 4);
        }
    }
    static uint64_t read_sysreg(GuestState& s, uint64_t encoding, uint64_t, uint64_t) {
        uint64_t value = 0;
        self(s).finish_system(a64::read_sysreg(self(s).cpu_, static_cast<uint32_t>(encoding), value),
                              s.translation_flags);
        return value;
    }
    static uint64_t write_sysreg(GuestState& s, uint64_t encoding, uint64_t value, uint64_t) {
        const uint32_t translation_flags = s.translation_flags;
        self(s).finish_system(a64::write_sysreg(self(s).cpu_, static_cast<uint32_t>(encoding), value),
                              translation_flags);
        return 0;
    }
    static uint64_t system_insn(GuestState& s, uint64_t encoding, uint64_t xt, uint64_t) {
        // Cache maintenance translates its address, and there is no translation here: an abort means nothing.
        const a64::SystemResult result =
            a64::execute_system_instruction(self(s).cpu_, static_cast<uint32_t>(encoding), xt);
        if (result.kind != a64::SystemResult::Kind::Abort) self(s).finish_system(result, s.translation_flags);
        return 0;
    }
    static uint64_t msr_immediate(GuestState& s, uint64_t field, uint64_t imm, uint64_t) {
        const uint32_t translation_flags = s.translation_flags;
        self(s).finish_system(
            a64::write_pstate_field(self(s).cpu_, static_cast<unsigned>(field), static_cast<unsigned>(imm)),
            translation_flags);
        return 0;
    }
    static uint64_t wait(GuestState& s, uint64_t, uint64_t, uint64_t) {
        self(s).leave(ExitReason::Halt, self(s).helper_pc() + 4);
        return 0;
    }
    static uint64_t nothing(GuestState&, uint64_t, uint64_t, uint64_t) { return 0; }
    static uint64_t unexpected(GuestState& s, uint64_t, uint64_t, uint64_t) {
        self(s).broken("a helper that EL0 has no use for");
        self(s).leave(ExitReason::Exception, self(s).helper_pc());
        return 0;
    }
    static uint64_t compare_and_swap_pair(GuestState& s, uint64_t address, uint64_t info, uint64_t) {
        ArclightEngine& e = self(s);
        const unsigned unit = 1u << (info & 15);
        if (address % (2 * unit) != 0) {
            e.raise(Stop::Align, e.helper_pc());
            return 0;
        }
        uint64_t old[2] = {0, 0}, *values = s.access_value;
        const uint64_t mask = unit == 8 ? ~uint64_t{0} : 0xffffffff;
        for (unsigned i = 0; i < 2; ++i) {
            if (e.access(address + i * unit, &old[i], unit, false)) continue;
            e.raise(Stop::Fault, e.helper_pc());
            return 0;
        }
        if (old[0] == (values[0] & mask) && old[1] == (values[1] & mask))
            for (unsigned i = 0; i < 2; ++i) e.access(address + i * unit, &values[2 + i], unit, true);
        values[0] = old[0], values[1] = old[1];
        return 0;
    }

    void fill_runtime_table() {
        auto set = [&](unsigned entry, auto* fn) {
            state_.runtime.entry[entry] = reinterpret_cast<const void*>(fn);
        };
        set(jit::kMemorySlow, &memory_slow);
        set(jit::kLookupDirect, &lookup_direct);
        set(jit::kLookupIndirect, &lookup_indirect);
        set(jit::kVectorCall, &backend::vector_call);
        const std::pair<Helper, jit::HelperFn> helpers[] = {
            {Helper::ReadSysreg, read_sysreg},
            {Helper::WriteSysreg, write_sysreg},
            {Helper::SystemInsn, system_insn},
            {Helper::MsrImmediate, msr_immediate},
            {Helper::Eret, unexpected},
            {Helper::WaitForInterrupt, wait},
            {Helper::WaitForEvent, wait},
            {Helper::WaitUntil, wait},
            {Helper::EretTo, unexpected},
            {Helper::ComputePac, unexpected},
            {Helper::BlockMemory, unexpected},
            {Helper::SendEvent, nothing},
            {Helper::Yield, nothing},
            {Helper::DataBarrier, nothing},
            {Helper::ReadCounter, unexpected},
            {Helper::ReadUserCounter, read_sysreg},
            {Helper::CompareAndSwapPair, compare_and_swap_pair},
            {Helper::AtomicPair, unexpected},
            {Helper::CleanLine, system_insn},
            {Helper::ForgetCodeLine, system_insn},
            {Helper::DataBarrierIfAsked, nothing},
            {Helper::RandomTag, unexpected},
            {Helper::AddTag, unexpected},
            {Helper::LoadTag, unexpected},
            {Helper::StoreTags, unexpected},
            {Helper::LoadTagBlock, unexpected},
            {Helper::StoreTagBlock, unexpected},
            {Helper::Scalable, unexpected},
            {Helper::ScalableMemory, unexpected},
        };
        static_assert(std::size(helpers) == static_cast<size_t>(Helper::Count));
        for (const auto& [id, fn] : helpers) set(jit::kFirstHelper + static_cast<unsigned>(id), fn);
    }

    alignas(4096) uint8_t host_pages_[2 * kArenaPages * mmu::kPageSize] = {};
    struct CodeCache {
        explicit CodeCache(bool vector_registers)
            : buffer(kBufferBytes, {.vector_registers = vector_registers}), accelerator(buffer) {}
        jit::CodeBuffer buffer;
        backend::ProcessAccelerator accelerator;
    };
    CodeCache& cache() { return code_[variant_.vector_registers ? 1 : 0]; }
    jit::CodeBuffer& buffer() { return cache().buffer; }

    std::array<CodeCache, 2> code_;  ///< without Variant::vector_registers, and with
    GuestState& state_;
    mmu::SoftTlb& tlb_;
    a64::QuietEnvironment environment_;
    mmu::GuestMemory memory_;
    a64::Cpu cpu_;
    Variant variant_{0};
    const Case* case_ = nullptr;
    Outcome* outcome_ = nullptr;
    std::vector<Block> blocks_;
    std::array<std::unique_ptr<jit::RegionCompiler>, 2> regions_;  ///< without AVX-512, and with
    std::vector<std::pair<jit::RegionCompiler*, uint64_t>> loaded_;
    FastmemPage fastmem_;
    jit::testing::FaultExits faults_;
    std::vector<BlockExit> link_slots_;
    bool explain_ = false;
    std::string explanation_;
};

}  // namespace

std::unique_ptr<Engine> make_arclight_engine() { return std::make_unique<ArclightEngine>(); }

}  // namespace arclight::differential
