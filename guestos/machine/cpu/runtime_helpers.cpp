// The C++ side of translated code's calls: RuntimeTable, by jit/runtime_entries.h and frontend Helper
// ids.
#include <cstring>

#include "backend/process_accelerator.h"
#include "frontend/a64/system/exceptions.h"
#include "frontend/a64/system/hardware_debug.h"
#include "frontend/a64/translate/translator.h"
#include "guestos/machine/board/machine.h"
#include "guestos/machine/cpu/vcpu.h"
#include "jit/runtime_entries.h"

namespace arclight::guestos {

namespace a64 = frontend::a64;
using a64::Helper;
using jit::ExitReason;
using jit::GuestState;

bool compare_and_swap_16(uint8_t* host, uint64_t expected[2], const uint64_t desired[2]);

struct RuntimeHelpers {
    static Vcpu& vcpu(GuestState& s) { return *static_cast<Vcpu*>(s.cpu); }

    static void memory_slow(GuestState& s, uint64_t descriptor, const void* host_pc) {
        vcpu(s).memory_slow(descriptor, host_pc);
    }
    static const void* lookup_direct(GuestState& s, uint64_t site) {
        Vcpu& v = vcpu(s);
        ++v.stats_.lookups_direct;
        return v.linked_code_at(s.pc, static_cast<uint32_t>(site));
    }
    static const void* lookup_indirect(GuestState& s, uint64_t pc) {
        Vcpu& v = vcpu(s);
        ++v.stats_.lookups_indirect;
        uint64_t pa;
        if (v.steps_through(pc) || !v.find_fetch(pc, pa)) return nullptr;
        const void* code = v.machine_.engine().entry(pa, s.translation_flags, &s);
        if (code != nullptr) v.tlbs_.fill_jump(s.tlb, pc, code);
        return code;
    }

    static const void* promote(GuestState& s, uint64_t counter) {
        return vcpu(s).machine_.engine().promote(static_cast<uint32_t>(counter), &s);
    }
    static const void* region_guard(GuestState& s, uint64_t guard) {
        Vcpu& v = vcpu(s);
        // Carrying out requests in a walk may change it, and then the pages before must be looked at again.
        const uint32_t epoch = s.tlb->epoch;
        const jit::Tier2::Guarded region = v.machine_.engine().guarded(static_cast<uint32_t>(guard));
        for (const jit::RegionPage& page : region.pages) {
            const uint64_t pc = s.page_base + static_cast<uint64_t>(page.offset);
            uint64_t pa;
            if (v.steps_through(pc) || !v.find_fetch(pc, pa) || pa != page.pa) return region.outside;
        }
        v.region_epochs_[guard] = epoch;
        return region.inside;
    }

    /// After an operation that may have changed how code is translated: what is linked to this block is for
    /// the old mode, so go through the run loop. Likewise when an interrupt became deliverable.
    static void settle(Vcpu& v, GuestState& s, uint32_t flags_before) {
        if (s.exit_request != 0) return;
        if (s.translation_flags != flags_before) {
            v.tlbs_.use_for_flags(s.tlb, s.translation_flags);
            v.leave(ExitReason::Redirect, v.helper_pc() + 4);
        } else if (s.interrupt.load(std::memory_order_relaxed) != 0 && v.interrupt_deliverable()) {
            v.leave(ExitReason::Interrupt, v.helper_pc() + 4);
        }
    }
    static void fault(Vcpu& v, const a64::SystemResult& result) {
        a64::take_system_result(v.cpu_, result, v.helper_pc());
        v.leave_redirected();
    }

    static uint64_t read_sysreg(GuestState& s, uint64_t encoding, uint64_t, uint64_t) {
        Vcpu& v = vcpu(s);
        uint64_t value = 0;
        const a64::SystemResult r = a64::read_sysreg(v.cpu_, static_cast<uint32_t>(encoding), value);
        if (!r.ok()) fault(v, r);
        return value;
    }
    static uint64_t write_sysreg(GuestState& s, uint64_t encoding, uint64_t value, uint64_t) {
        Vcpu& v = vcpu(s);
        const uint32_t translation_flags = s.translation_flags;
        const a64::SystemResult r = a64::write_sysreg(v.cpu_, static_cast<uint32_t>(encoding), value);
        if (!r.ok()) {
            fault(v, r);
            return 0;
        }
        settle(v, s, translation_flags);
        return 0;
    }
    static uint64_t system_insn(GuestState& s, uint64_t encoding, uint64_t xt, uint64_t) {
        Vcpu& v = vcpu(s);
        // AT, DC and IC walk the tables.
        std::optional<HeldTranslations::Walking> walking;
        if ((encoding >> 7 & 15) == 7) walking.emplace(v.held_);
        const a64::SystemResult r = a64::execute_sys(v.cpu_, static_cast<uint32_t>(encoding), xt);
        if (!r.ok()) fault(v, r);
        return 0;
    }
    static uint64_t msr_immediate(GuestState& s, uint64_t field, uint64_t imm, uint64_t) {
        Vcpu& v = vcpu(s);
        const uint32_t translation_flags = s.translation_flags;
        const a64::SystemResult r =
            a64::write_pstate_field(v.cpu_, static_cast<unsigned>(field), static_cast<unsigned>(imm));
        if (!r.ok()) {
            fault(v, r);
            return 0;
        }
        settle(v, s, translation_flags);
        return 0;
    }
    static uint64_t eret(GuestState& s, uint64_t, uint64_t, uint64_t) {
        Vcpu& v = vcpu(s);
        if (v.cpu_.el == 0)
            a64::take_undefined(v.cpu_, v.helper_pc());
        else
            a64::eret(v.cpu_);
        v.leave_redirected();
        return 0;
    }
    static uint64_t wait(GuestState& s, bool wfe) {
        Vcpu& v = vcpu(s);
        const a64::SystemResult r = a64::check_wait(v.cpu_, wfe);
        if (!r.ok()) {
            fault(v, r);
            return 0;
        }
        const uint64_t next = v.helper_pc() + 4;
        if (!wfe) {
            v.leave(ExitReason::Halt, next);
        } else {
            // Most events that end a WFE (a monitor lost to another CPU's store) are not seen here, so it
            // only lets others run; the architecture allows WFE to end early at any time.
            if (!v.cpu_.event_register.exchange(false)) v.spin_once(true);
            v.leave(ExitReason::Redirect, next);
        }
        return 0;
    }
    static uint64_t wfi(GuestState& s, uint64_t, uint64_t, uint64_t) { return wait(s, false); }
    static uint64_t wfe(GuestState& s, uint64_t, uint64_t, uint64_t) { return wait(s, true); }
    static uint64_t send_event(GuestState& s, uint64_t local, uint64_t, uint64_t) {
        Vcpu& v = vcpu(s);
        v.cpu_.event_register = true;
        if (local == 0) v.machine_.for_each_other(v, [](Vcpu& other) { other.signal_event(); });
        return 0;
    }
    static uint64_t yield(GuestState& s, uint64_t, uint64_t, uint64_t) {
        vcpu(s).spin_once(false);
        return 0;
    }
    static uint64_t data_barrier(GuestState& s, uint64_t, uint64_t, uint64_t) {
        vcpu(s).wait_for_broadcasts();
        return 0;
    }
    static uint64_t read_counter(GuestState& s, uint64_t, uint64_t, uint64_t) {
        return vcpu(s).machine_.clock().ticks();
    }

    static uint64_t compare_and_swap_pair(GuestState& s, uint64_t address, uint64_t info, uint64_t) {
        Vcpu& v = vcpu(s);
        const unsigned unit = 1u << (info & 15), bytes = 2 * unit;
        uint64_t* values = s.access_value;
        const auto abort = [&](uint8_t fsc, bool write = true) {
            a64::take_data_abort(v.cpu_, address, fsc, write, v.helper_pc());
            v.leave_redirected();
            return uint64_t{0};
        };
        if ((address & (bytes - 1)) != 0) return abort(mmu::kFscAlignment, false);
        Vcpu::Target target;
        uint8_t fsc = 0;
        bool device = false;
        if (!v.translate(address, true, false, target, fsc, device))
            return abort(fsc, !v.read_faults(address, fsc));
        if (const auto hit = a64::watchpoint_hit(v.cpu_, {address, bytes, true, true, false})) {
            a64::take_watchpoint(v.cpu_, hit->far, hit->write, v.helper_pc());
            v.leave_redirected();
            return 0;
        }
        if (target.host == nullptr) return abort(0b110101);  // unsupported atomic
        bool refused = false;
        v.store_to_ram(target.pa, bytes, 0, 0, [&] {
            std::optional<mmu::PageOverlay::Access> guard;
            if (target.flags != 0 && !v.settle_intercepted(guard, target, address, bytes, fsc)) [[unlikely]] {
                refused = true;
                return;
            }
            if (unit == 8) {
                uint64_t expected[2] = {values[0], values[1]};
                compare_and_swap_16(target.host, expected, values + 2);
                values[0] = expected[0], values[1] = expected[1];
            } else {
                const auto join = [](uint64_t lo, uint64_t hi) { return (lo & 0xffff'ffff) | hi << 32; };
                uint64_t expected = join(values[0], values[1]);
                std::atomic_ref(*reinterpret_cast<uint64_t*>(target.host))
                    .compare_exchange_strong(expected, join(values[2], values[3]));
                values[0] = expected & 0xffff'ffff, values[1] = expected >> 32;
            }
        });
        return refused ? abort(fsc) : 0;
    }
};

void Vcpu::fill_runtime_table() {
    const auto set = [&](unsigned entry, auto* fn) {
        state_.runtime.entry[entry] = reinterpret_cast<const void*>(fn);
    };
    set(jit::kMemorySlow, &RuntimeHelpers::memory_slow);
    set(jit::kLookupDirect, &RuntimeHelpers::lookup_direct);
    set(jit::kLookupIndirect, &RuntimeHelpers::lookup_indirect);
    set(jit::kVectorCall, &backend::vector_call);
    set(jit::kPromote, &RuntimeHelpers::promote);
    set(jit::kRegionGuard, &RuntimeHelpers::region_guard);
    const auto helper = [&](Helper id, jit::HelperFn fn) {
        set(jit::kFirstHelper + static_cast<unsigned>(id), fn);
    };
    helper(Helper::ReadSysreg, &RuntimeHelpers::read_sysreg);
    helper(Helper::WriteSysreg, &RuntimeHelpers::write_sysreg);
    helper(Helper::SystemInsn, &RuntimeHelpers::system_insn);
    helper(Helper::MsrImmediate, &RuntimeHelpers::msr_immediate);
    helper(Helper::Eret, &RuntimeHelpers::eret);
    helper(Helper::WaitForInterrupt, &RuntimeHelpers::wfi);
    helper(Helper::WaitForEvent, &RuntimeHelpers::wfe);
    helper(Helper::SendEvent, &RuntimeHelpers::send_event);
    helper(Helper::Yield, &RuntimeHelpers::yield);
    helper(Helper::DataBarrier, &RuntimeHelpers::data_barrier);
    helper(Helper::ReadCounter, &RuntimeHelpers::read_counter);
    helper(Helper::CompareAndSwapPair, &RuntimeHelpers::compare_and_swap_pair);
}

}  // namespace arclight::guestos
