// What the parts of one virtual CPU (Vcpu, FetchUnit, MemoryPath, ShadowPager) share.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/environment.h"
#include "frontend/a64/system/hardware_debug.h"
#include "guestos/machine/cpu/cpu_context.h"
#include "guestos/machine/cpu/cross_cpu_work.h"
#include "guestos/machine/cpu/guest_spin.h"
#include "guestos/machine/cpu/hand_over.h"
#include "guestos/machine/cpu/held_translations.h"
#include "guestos/machine/cpu/interrupt_lines.h"
#include "jit/guest_state.h"
#include "jit/translation_flags.h"
#include "mmu/soft_tlb_set.h"

namespace arclight::guestos {

/// Counted by the owning thread, read by anybody: slightly stale.
struct VcpuStats {
    uint64_t exits[16] = {};  ///< by jit::ExitReason
    uint64_t memory_slow = 0, device_calls = 0, tlb_fills = 0, tlb_recalls = 0, mmio = 0, data_aborts = 0,
             instruction_aborts = 0;
    uint64_t fastmem_faults = 0, fastmem_refills = 0, device_sites = 0, tagged_sites = 0, el_switches = 0;
    // Traditional shadow paging: stores to tables, those that undid translations, pages found to be tables
    // and no longer so, invalidations that had nothing to do.
    uint64_t table_writes = 0, table_synchronisations = 0, tables_protected = 0, tables_left = 0;
    uint64_t tlbi_ignored = 0;
    uint64_t shadow_exits[mmu::kShadowExits] = {};
    uint64_t last_level_faults = 0;  ///< ShadowPolicy::Asp: resolved inside
    uint64_t interrupts = 0, lookups_direct = 0, lookups_indirect = 0, lookups_unlocked = 0, tlbi = 0, ic = 0,
             halts = 0;
    uint64_t tlbi_kinds[4] = {};  ///< by mmu::TlbiRequest::Kind
    /// Turns of loops that wait for another CPU, by SpinCause, and how often and how long the core was left to others for it.
    uint64_t spins[static_cast<size_t>(SpinCause::Count)] = {};
    uint64_t naps = 0, nap_ns = 0;
    uint64_t memory_loop_runs = 0, memory_loop_bytes = 0;  ///< of MemoryPath::run_loop()
    uint64_t direct_spaces = 0, direct_spaces_left = 0;    ///< given direct memory, and taken from again
    uint64_t hand_overs[static_cast<size_t>(HandOverCause::Count)] = {};  ///< naps, by why and to whom
    uint64_t waiters_woken = 0, went_apart = 0;
};

/// For the owning thread, except `held`, `hand_over`, `last_core`, `work`, `lines` and `stats`, which say for themselves.
struct VcpuCore {
    using Request = CrossCpuWork::Request;

    VcpuCore(const CpuContext& context, const VcpuOptions& options, jit::GuestState& state,
             frontend::a64::Environment& environment, CrossCpuWork::Performer& performer)
        : context(context),
          options(options),
          state(state),
          cpu(state, environment, context.memory,
              {.index = options.index,
               .affinity = devices::layout::affinity_of(options.index),
               .features = context.features,
               .identity = context.identity,
               .count_instructions = options.count_instructions}),
          tlbs(context.accelerator.host_tables(options.index), options.shadow, &context.memory),
          work(state.interrupt, performer) {
        tlbs.set_tag_bias(context.tag_bias);
    }

    /// In a helper: the address of the instruction that called it.
    uint64_t helper_pc() const { return state.page_base + state.insn_offset; }
    /// Leaves translated code after the current helper or slow path, to go on at `pc`.
    void exit_translated_code(jit::ExitReason reason, uint64_t pc) {
        state.pc = pc;
        state.exit_reason = reason;
        state.exit_info = jit::kNoLinkSlot;
        state.exit_request = 1;
    }
    /// The same, to go on where an exception or its return has set the PC.
    void exit_redirected() { exit_translated_code(jit::ExitReason::Redirect, state.pc); }

    /// What the policy would enter a hypervisor for; with ShadowOptions::real_exits the machine is left for it.
    void shadow_exit(mmu::ShadowExit cause) {
        ++stats.shadow_exits[static_cast<unsigned>(cause)];
        if (options.shadow.real_exits) [[unlikely]]
            context.accelerator.leave_once(options.index);
    }
    /// Guest code waits in a loop for another CPU: once round.
    void spin(SpinCause cause);
    /// This CPU has got on: those that have left their cores to it look again whether they still have to wait.
    void wake_waiters() {
        if (hand_over.awaited()) [[unlikely]]
            end_naps(hand_over.take_waiters());
    }

    mmu::Root root() const {
        const mmu::TranslationRegs& t = cpu.translation;
        return {t.asid, t.half[0].table, t.half[1].table};
    }
    bool interrupt_deliverable() const { return lines.deliverable(state.daif); }
    bool has_fastmem() const { return (state.translation_flags & jit::translation_flag::kFastmem) != 0; }

    /// The page, of 2^page_bits bytes, is to stay out of the soft TLBs: the guest or a debugger watches some of it.
    bool watches_page(uint64_t va, unsigned page_bits = mmu::kPageBits) const {
        return frontend::a64::watches_page(cpu, va, page_bits) ||
               (context.debug != nullptr && context.debug->watches_page(va, page_bits));
    }

    /// To all other CPUs; wait_for_broadcasts() waits for their answers.
    void broadcast(const Request& request) {
        for (CrossCpuWork* other : context.peers.works())
            if (other != &work) ask(*other, request);
    }
    /// Another CPU, as broadcast().
    void ask(CrossCpuWork& other, const Request& request) {
        state.unfinished_broadcasts = 1;
        other.post(request, &work.batch());
    }
    /// Returns once the other CPUs have carried out what this one has broadcast (DSB).
    void wait_for_broadcasts() {
        tlbs.finish_invalidation();
        work.wait_outside(context.peers.works());
        state.unfinished_broadcasts = 0;
    }

    /// After blocks were forgotten: this CPU's jump caches, and those of all others.
    void clear_all_jumps() {
        tlbs.clear_jump_caches();
        clear_jumps_of_others();
    }
    /// After blocks with code in one line were forgotten. A guest that compiles patches its code often, and would look up all that it jumps to
    /// each time.
    void clear_jumps_to_line(uint64_t pa) {
        constexpr uint64_t kLine = jit::Engine::kLineBytes;
        const auto line = static_cast<uint32_t>(pa & (mmu::kPageSize - 1) & ~(kLine - 1));
        tlbs.clear_jumps_within_pages(line - std::min(line, context.engine.max_block_bytes()),
                                      line + kLine - 1);
        clear_jumps_of_others();
    }
    void clear_jumps_of_others() {
        // Not waited for. No look-up and no linked jump leads to the blocks any more; another CPU can be in
        // one, or have it in its jump cache, until it looks at its interrupt flag. It does so at the latest
        // when it synchronises its context (ISB, exceptions and their returns), and only from there on the
        // architecture promises it the new instructions (ARM ARM B2.2.5). The flag is set before any later
        // store of this CPU can be seen.
        for (CrossCpuWork* other : context.peers.works())
            if (other != &work) other->post({Request::Kind::ClearJumps}, nullptr);
    }

    const CpuContext context;
    const VcpuOptions options;
    jit::GuestState& state;
    frontend::a64::Cpu cpu;
    mmu::SoftTlbSet tlbs;
    VcpuStats stats;
    InterruptLines lines;
    CrossCpuWork work;
    HeldTranslations held;
    HandOver hand_over;
    LastCore last_core;

  private:
    struct Target {
        Vcpu* cpu = nullptr;
        HandOverCause cause = HandOverCause::Anybody;
        bool preempted = false;  ///< by this thread
    };
    Target hand_over_target() const;
    bool go_apart();
    void end_naps(uint64_t cpus);

    GuestSpin spin_;
    std::chrono::steady_clock::time_point went_apart_;
};

}  // namespace arclight::guestos
