// The C++ side of translated code's calls: RuntimeTable, by jit/runtime_entries.h and frontend Helper
// ids.
#include <optional>
#include <utility>

#include "backend/process_accelerator.h"
#include "frontend/a64/scalable/execute.h"
#include "frontend/a64/system/exceptions.h"
#include "frontend/a64/system/maintenance.h"
#include "frontend/a64/system/pointer_auth.h"
#include "frontend/a64/system/system_instructions.h"
#include "frontend/a64/system/tags.h"
#include "frontend/a64/translate/translator.h"
#include "guestos/machine/cpu/vcpu.h"
#include "jit/host_fp.h"
#include "jit/ir/interpreter.h"
#include "jit/runtime_entries.h"

namespace arclight::guestos {

namespace a64 = frontend::a64;
using a64::Helper;
using jit::ExitReason;
using jit::GuestState;

namespace {

Vcpu& vcpu(GuestState& s) { return *static_cast<Vcpu*>(s.cpu); }

void memory_slow(GuestState& s, uint64_t descriptor, const void* host_pc) {
    vcpu(s).memory().slow_path(descriptor, host_pc);
}
const void* lookup_direct(GuestState& s, uint64_t link_slot) {
    Vcpu& v = vcpu(s);
    ++v.core().stats.lookups_direct;
    return v.fetch().linked_code_at(s.pc, static_cast<uint32_t>(link_slot));
}
const void* lookup_indirect(GuestState& s, uint64_t pc) {
    Vcpu& v = vcpu(s);
    ++v.core().stats.lookups_indirect;
    return v.fetch().jump_target_at(pc);
}
const void* promote(GuestState& s, uint64_t counter) {
    return vcpu(s).core().context.engine.promote(static_cast<uint32_t>(counter), &s);
}
const void* region_guard(GuestState& s, uint64_t guard) {
    return vcpu(s).fetch().check_region_entry(static_cast<uint32_t>(guard));
}

/// After an operation that may have changed how code is translated: what is linked to this block is for
/// the old mode, so go through the run loop. Likewise when an interrupt became deliverable.
void exit_if_changed(Vcpu& v, GuestState& s, uint32_t flags_before) {
    if (s.exit_request != 0) return;
    if (s.translation_flags != flags_before) {
        v.core().tlbs.use_for_flags(s.tlb, s.translation_flags);
        v.core().exit_translated_code(ExitReason::Redirect, v.core().helper_pc() + 4);
    } else if (s.interrupt.load(std::memory_order_relaxed) != 0 && v.core().interrupt_deliverable()) {
        v.core().exit_translated_code(ExitReason::Interrupt, v.core().helper_pc() + 4);
    }
}

/// After a read: an interrupt that it has made due, or has shown, comes before the next instruction. An exit
/// skips what stores the value, so that is done here.
void exit_if_interrupted(Vcpu& v, GuestState& s, uint64_t value) {
    if (s.interrupt.load(std::memory_order_relaxed) == 0 || !v.core().interrupt_deliverable()) return;
    const uint32_t mrs = v.fetch().current_instruction();
    if (mrs == 0) return;  // its page is gone: the interrupt comes at the block's end
    constexpr unsigned kZeroRegister = 31;
    const unsigned rt = mrs & 31;
    if (rt != kZeroRegister) s.x[rt] = value;
    v.core().exit_translated_code(ExitReason::Interrupt, v.core().helper_pc() + 4);
}

void fault(Vcpu& v, const a64::SystemResult& result) {
    a64::take_system_result(v.cpu(), result, v.core().helper_pc());
    v.core().exit_redirected();
}

uint64_t read_sysreg(GuestState& s, uint64_t encoding, uint64_t, uint64_t) {
    Vcpu& v = vcpu(s);
    uint64_t value = 0;
    const a64::SystemResult r = a64::read_sysreg(v.cpu(), static_cast<uint32_t>(encoding), value);
    if (r.ok())
        exit_if_interrupted(v, s, value);
    else
        fault(v, r);
    return value;
}

uint64_t write_sysreg(GuestState& s, uint64_t encoding, uint64_t value, uint64_t) {
    Vcpu& v = vcpu(s);
    const uint32_t translation_flags = s.translation_flags;
    const a64::SystemResult r = a64::write_sysreg(v.cpu(), static_cast<uint32_t>(encoding), value);
    if (!r.ok()) {
        fault(v, r);
        return 0;
    }
    exit_if_changed(v, s, translation_flags);
    return 0;
}

uint64_t system_insn(GuestState& s, uint64_t encoding, uint64_t xt, uint64_t) {
    Vcpu& v = vcpu(s);
    const a64::SystemInstruction* row = a64::find_system_instruction(static_cast<uint32_t>(encoding));
    std::optional<HeldTranslations::Walking> walking;
    if (row != nullptr && row->walks_tables()) walking.emplace(v.core().held);
    const a64::SystemResult r = a64::execute_system_instruction(v.cpu(), static_cast<uint32_t>(encoding), xt);
    if (!r.ok()) fault(v, r);
    return 0;
}

uint64_t clean_line(GuestState& s, uint64_t encoding, uint64_t xt, uint64_t) {
    // Memory is coherent: there is nothing to clean, at an address that can be read.
    if (a64::known_maintenance_address(vcpu(s).cpu(), xt)) return 0;
    return system_insn(s, encoding, xt, 0);
}

uint64_t forget_code_line(GuestState& s, uint64_t encoding, uint64_t xt, uint64_t) {
    Vcpu& v = vcpu(s);
    const std::optional<uint64_t> pa = a64::known_maintenance_address(v.cpu(), xt);
    if (!pa) return system_insn(s, encoding, xt, 0);
    v.environment().ic_ivau(xt, *pa);
    return 0;
}

uint64_t msr_immediate(GuestState& s, uint64_t field, uint64_t imm, uint64_t) {
    Vcpu& v = vcpu(s);
    const uint32_t translation_flags = s.translation_flags;
    const a64::SystemResult r =
        a64::write_pstate_field(v.cpu(), static_cast<unsigned>(field), static_cast<unsigned>(imm));
    if (!r.ok()) {
        fault(v, r);
        return 0;
    }
    exit_if_changed(v, s, translation_flags);
    return 0;
}

uint64_t eret(GuestState& s, uint64_t, uint64_t, uint64_t) {
    Vcpu& v = vcpu(s);
    if (v.cpu().el == 0)
        a64::take_undefined(v.cpu(), v.core().helper_pc());
    else
        a64::eret(v.cpu());
    v.core().exit_redirected();
    return 0;
}

uint64_t eret_to(GuestState& s, uint64_t address, uint64_t, uint64_t) {
    const uint64_t elr = std::exchange(s.elr_el1, address);
    eret(s, 0, 0, 0);
    s.elr_el1 = elr;
    return 0;
}

uint64_t compute_pac(GuestState& s, uint64_t pointer, uint64_t modifier, uint64_t key) {
    const bool qarma3 = vcpu(s).cpu().config.features.has(a64::Feature::PacQarma3);
    return a64::qarma(pointer, modifier, s.pac_keys[key][0], s.pac_keys[key][1], qarma3);
}

uint64_t wait(GuestState& s, bool wfe) {
    Vcpu& v = vcpu(s);
    const a64::SystemResult r = a64::check_wait(v.cpu(), wfe);
    if (!r.ok()) {
        fault(v, r);
        return 0;
    }
    const uint64_t next = v.core().helper_pc() + 4;
    if (!wfe) {
        v.core().exit_translated_code(ExitReason::Halt, next);
    } else {
        // Most events that end a WFE (a monitor lost to another CPU's store) are not seen here, so it
        // only lets others run; the architecture allows WFE to end early at any time.
        if (!v.cpu().event_register.exchange(false)) v.core().spin(SpinCause::Event);
        v.core().exit_translated_code(ExitReason::Redirect, next);
    }
    return 0;
}

uint64_t wfi(GuestState& s, uint64_t, uint64_t, uint64_t) { return wait(s, false); }

uint64_t wfe(GuestState& s, uint64_t, uint64_t, uint64_t) { return wait(s, true); }

/// Either may end early (ARM ARM D1.6), and whoever waits for a time looks at the clock again.
uint64_t wait_until(GuestState& s, uint64_t end, uint64_t wfe, uint64_t) {
    Vcpu& v = vcpu(s);
    if (v.environment().counter() < end) {
        const unsigned rt = v.cpu().el == 0 ? v.fetch().current_instruction() & 31 : 0;
        const a64::SystemResult r = a64::check_wait(v.cpu(), wfe != 0, rt);
        if (!r.ok()) {
            fault(v, r);
            return 0;
        }
        if (wfe == 0 || !v.cpu().event_register.exchange(false)) v.core().spin(SpinCause::Event);
    }
    v.core().exit_translated_code(ExitReason::Redirect, v.core().helper_pc() + 4);
    return 0;
}

uint64_t send_event(GuestState& s, uint64_t local, uint64_t, uint64_t) {
    Vcpu& v = vcpu(s);
    v.cpu().event_register = true;
    if (local == 0) v.core().context.peers.for_each_other(v, [](Vcpu& other) { other.signal_event(); });
    return 0;
}

uint64_t yield(GuestState& s, uint64_t, uint64_t, uint64_t) {
    vcpu(s).core().spin(SpinCause::Yield);
    return 0;
}

uint64_t data_barrier(GuestState& s, uint64_t, uint64_t, uint64_t) {
    vcpu(s).core().wait_for_broadcasts();
    return 0;
}

uint64_t read_counter(GuestState& s, uint64_t, uint64_t, uint64_t) { return vcpu(s).environment().counter(); }

uint64_t compare_and_swap_pair(GuestState& s, uint64_t address, uint64_t info, uint64_t) {
    vcpu(s).memory().compare_and_swap_pair(address, static_cast<uint32_t>(info));
    return 0;
}

uint64_t atomic_pair(GuestState& s, uint64_t address, uint64_t kind, uint64_t aux) {
    vcpu(s).memory().atomic_pair(address, static_cast<jit::ir::AtomicKind>(kind), static_cast<uint32_t>(aux));
    return 0;
}

uint64_t random_tag(GuestState& s, uint64_t address, uint64_t exclude, uint64_t) {
    return a64::insert_random_tag(vcpu(s).cpu(), address, exclude);
}

uint64_t add_tag(GuestState& s, uint64_t address, uint64_t base, uint64_t offset) {
    return a64::add_tag(vcpu(s).cpu(), address, base, static_cast<unsigned>(offset));
}

uint64_t load_tag(GuestState& s, uint64_t address, uint64_t, uint64_t) {
    return vcpu(s).memory().load_tag(address);
}

uint64_t store_tags(GuestState& s, uint64_t address, uint64_t tag, uint64_t what) {
    vcpu(s).memory().store_tags(address, tag, a64::TagStore::unpack(what));
    return 0;
}

uint64_t load_tag_block(GuestState& s, uint64_t address, uint64_t, uint64_t) {
    return vcpu(s).memory().load_tag_block(address);
}

uint64_t store_tag_block(GuestState& s, uint64_t address, uint64_t tags, uint64_t) {
    vcpu(s).memory().store_tag_block(address, tags);
    return 0;
}

uint64_t block_memory(GuestState& s, uint64_t packed, uint64_t, uint64_t) {
    constexpr uint64_t kSctlrMscen = uint64_t{1} << 33;
    Vcpu& v = vcpu(s);
    if (v.cpu().el == 0 && (v.cpu().translation.sctlr & kSctlrMscen) == 0)
        fault(v, a64::SystemResult::undefined());
    else
        v.memory().block_operation(a64::BlockOperation::unpack(packed));
    return 0;
}

uint64_t memory_loop(GuestState& s, uint64_t loop, uint64_t, uint64_t) {
    vcpu(s).memory().run_loop(*reinterpret_cast<const jit::ir::MemoryLoop*>(loop));
    return 0;
}

uint64_t scalable(GuestState& s, uint64_t first, uint64_t second, uint64_t) {
    a64::scalable::execute(s, nullptr, a64::scalable::Operation::unpack(first, second));
    return 0;
}

uint64_t scalable_memory(GuestState& s, uint64_t first, uint64_t second, uint64_t) {
    a64::scalable::execute(s, &vcpu(s).memory(), a64::scalable::Operation::unpack(first, second));
    return 0;
}

template <auto function, class... Args>
auto checked(GuestState& s, Args... args) {
    const jit::host_fp::IntegerOnlyCheck check(s);
    return function(s, args...);
}

}  // namespace

void Vcpu::fill_runtime_table() {
    const auto set = [&](unsigned entry, auto* fn) {
        state_.runtime.entry[entry] = reinterpret_cast<const void*>(fn);
    };
    const auto set_integer = [&]<auto function>(unsigned entry) {
        const auto check = []<class R, class... Args>(R (*)(GuestState&, Args...)) {
            return &checked<function, Args...>;
        };
        set(entry, core_.options.check_helpers ? check(function) : function);
    };
    set(jit::kMemorySlow, &memory_slow);
    set_integer.operator()<&lookup_direct>(jit::kLookupDirect);
    set_integer.operator()<&lookup_indirect>(jit::kLookupIndirect);
    set(jit::kVectorCall, &backend::vector_call);
    set(jit::kPromote, &promote);
    set_integer.operator()<&region_guard>(jit::kRegionGuard);
    set_integer.operator()<&memory_loop>(jit::kMemoryLoop);
    set(jit::kInterpret, &jit::ir::interpret_block);
    const auto helper = [&]<Helper id, jit::HelperFn function> {
        constexpr unsigned kEntry = jit::kFirstHelper + static_cast<unsigned>(id);
        if constexpr ((a64::helper_aux(id) & jit::ir::kCallInteger) != 0)
            set_integer.operator()<function>(kEntry);
        else
            set(kEntry, function);
    };
    helper.operator()<Helper::ReadSysreg, &read_sysreg>();
    helper.operator()<Helper::WriteSysreg, &write_sysreg>();
    helper.operator()<Helper::SystemInsn, &system_insn>();
    helper.operator()<Helper::CleanLine, &clean_line>();
    helper.operator()<Helper::ForgetCodeLine, &forget_code_line>();
    helper.operator()<Helper::MsrImmediate, &msr_immediate>();
    helper.operator()<Helper::Eret, &eret>();
    helper.operator()<Helper::EretTo, &eret_to>();
    helper.operator()<Helper::ComputePac, &compute_pac>();
    helper.operator()<Helper::WaitForInterrupt, &wfi>();
    helper.operator()<Helper::WaitForEvent, &wfe>();
    helper.operator()<Helper::WaitUntil, &wait_until>();
    helper.operator()<Helper::SendEvent, &send_event>();
    helper.operator()<Helper::Yield, &yield>();
    helper.operator()<Helper::DataBarrier, &data_barrier>();
    helper.operator()<Helper::DataBarrierIfAsked, &data_barrier>();
    helper.operator()<Helper::ReadCounter, &read_counter>();
    helper.operator()<Helper::ReadUserCounter, &read_sysreg>();
    helper.operator()<Helper::RandomTag, &random_tag>();
    helper.operator()<Helper::AddTag, &add_tag>();
    helper.operator()<Helper::LoadTag, &load_tag>();
    helper.operator()<Helper::StoreTags, &store_tags>();
    helper.operator()<Helper::LoadTagBlock, &load_tag_block>();
    helper.operator()<Helper::StoreTagBlock, &store_tag_block>();
    helper.operator()<Helper::BlockMemory, &block_memory>();
    helper.operator()<Helper::CompareAndSwapPair, &compare_and_swap_pair>();
    helper.operator()<Helper::AtomicPair, &atomic_pair>();
    helper.operator()<Helper::Scalable, &scalable>();
    helper.operator()<Helper::ScalableMemory, &scalable_memory>();
}

}  // namespace arclight::guestos
