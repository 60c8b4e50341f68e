"""The lines whose loss would be worst, each with what breaks it and the test that must notice.

The text to be replaced is code, not a line number: where it is gone or is there twice, check.py says so and fails, and the
mutation is to be written anew.
"""
from dataclasses import dataclass


@dataclass
class Mutation:
    name: str
    why: str  # what is wrong without the line
    file: str
    code: str
    broken: str
    targets: tuple  # of the build
    test: str  # of ctest, a regular expression
    limit: int = 120  # seconds, on a busy host; a test that hangs has noticed


MUTATIONS = (
    Mutation(
        "mmio-retranslation", "an instruction that met a device faults at each access for ever",
        "jit/engine/engine.cpp",
        "if (!sites_.empty()) mark_sites(ir_);",
        "if (false) mark_sites(ir_);",
        ("engine_tests",), r"^DeviceSiteTest\."),
    Mutation(
        "mmio-remembered-page", "after TLBI a page of a device goes on being it",
        "guestos/machine/cpu/device_path.cpp",
        "page.tlb != state_.tlb || page.changes != translation_changes_ ||",
        "page.tlb != state_.tlb ||",
        ("arclight", "baremetal_guests"), r"^baremetal\.mmio\.gic3$"),
    Mutation(
        "vhost-after-an-error", "the host's kernel goes on in the memory of a guest that has been told otherwise",
        "devices/vhost_user/device.cpp",
        "(void)connection_->end();",
        "",
        ("devices_test",), r"^VhostNetTest\."),
    Mutation(
        "vhost-detached-queues", "frames that come on queues of no pair in use are lost",
        "devices/vhost_user/kernel_net.cpp",
        "return in_use || pair == 0 ? Result<void>() : attach(pair, false);",
        "(void)in_use;\n    return {};",
        ("devices_test",), r"^VhostNetTest\."),
    Mutation(
        "guest-code-read-once", "a block is filed under code that it was not translated from",
        "jit/engine/engine.cpp",
        "block->guest_code.assign(code_read_.begin(), code_read_.begin() + block->guest_bytes);",
        "block->guest_code.resize(block->guest_bytes);\n"
        "    std::memcpy(block->guest_code.data(), memory_.host(pa, block->guest_bytes), block->guest_bytes);",
        ("engine_tests",), r"^GuestCodeTest\."),
    Mutation(
        "tlbi-broadcast-wait", "DSB does not wait until other CPUs have forgotten a translation",
        "guestos/machine/cpu/runtime_helpers.cpp",
        "vcpu(s).core().wait_for_broadcasts();\n    return 0;",
        "(void)s;\n    return 0;",
        ("machine_test",), r"^CpuGroup\.ABarrierWaits"),
    Mutation(
        "soft-tlb-permission", "a page that may only be read is written to",
        "mmu/soft_tlb_set.cpp",
        ".write_tag = m.writable ? tag : TlbEntry::kInvalidTag,",
        ".write_tag = tag,",
        ("arclight", "baremetal_guests"), r"^baremetal\.mmu\.gic3$"),
    Mutation(
        "exclusive-monitor", "a store-exclusive succeeds without a load-exclusive of its address",
        "backend/x64/emit_atomic.cpp",
        "as_.cmp(qword[at(kMonitor)], addr);",
        "as_.cmp(addr, addr);",
        ("backend_tests",), r"^(MemoryTest|RandomBlock)"),
    Mutation(
        "smc-invalidation", "code that was replaced goes on being executed after IC IVAU",
        "guestos/machine/cpu/cpu_environment.h",
        "if (core_.context.engine.invalidate_line(pa, core_.state)) core_.clear_jumps_to_line(pa);",
        "if (pa == 0 && core_.context.engine.invalidate_line(pa, core_.state)) core_.clear_jumps_to_line(pa);",
        ("machine_test",), r"^Vcpu\.NewCodeRunsAfterCacheMaintenance"),
    Mutation(
        "interrupt-polling", "a loop of translated code is never interrupted",
        "backend/x64/emit_exits.cpp",
        "cold_.jump(kNe, cold_fn<&ExitEmitter::cold_interrupted>, args);",
        "cold_.jump(kB, cold_fn<&ExitEmitter::cold_interrupted>, args);",
        ("machine_test",), r"^Vcpu\.AnInterruptEndsALoop"),
    Mutation(
        "barrier-emission", "a full barrier orders nothing that x86 does not order anyway",
        "backend/x64/emit_state.cpp",
        "as_.lock();\n    as_.or_(dword[rsp], 0);",
        "",
        ("backend_tests",), r"^ListingTest\.OnlyAFullBarrier"),
    Mutation(
        "virtio-descriptor-bounds", "a guest's ring names a descriptor behind its table",
        "devices/virtio/queue.cpp",
        "if (index >= entries) return false;",
        "",
        ("devices_test",), r"Virtio"),
    Mutation(
        "daif-check", "an interrupt is taken while it is masked",
        "guestos/machine/cpu/interrupt_lines.h",
        "return irq_.load(std::memory_order_relaxed) && (daif & kMaskI) == 0;",
        "(void)daif;\n        return irq_.load(std::memory_order_relaxed);",
        ("machine_test",), r"^Vcpu\.AnInterruptEndsALoop"),
    Mutation(
        "lightv-asks-nobody", "a page that is put elsewhere on the host stage interrupts all CPUs and empties their soft TLBs",
        "mmu/lightv/controller.cpp",
        "controller_.machine_.forget_code(pages, true, false);",
        "controller_.machine_.forget(pages, true);",
        ("mmu_test",), r"^LightvOnHost\.RemapsAskNobody"),
    Mutation(
        "lightv-held-writes", "what is written while a page is copied is lost",
        "mmu/lightv/controller.cpp",
        "if (stage()->hold_writes(number(first), end - first)) continue;",
        "if (stage()->can_hold_writes() && first < end) continue;",
        ("mmu_test",), r"^LightvOnHost\.MovesLoseNoWrite"),
    Mutation(
        "lightv-forget-by-page", "the fill stage forgets all translations where it is to forget one page's",
        "mmu/soft_tlb_invalidation.cpp",
        "if (named(slot.tlb->entries[i].pa)) drop_entry(slot, i);",
        "drop_entry(slot, i);",
        ("mmu_test",), r"^Views\.PagesAreForgotten"),
    Mutation(
        "auto-chooses-kvm", "hardware virtualization is there, and nobody uses it",
        "guestos/machine/board/machine.cpp",
        "(options_.accel == Accel::Auto && probe.preferred())",
        "(options_.accel == Accel::Auto && !probe.usable)",
        ("arclight", "arclight_static", "baremetal_guests"), r"^kvm\.baremetal$", limit=900),
    Mutation(
        "auto-weighs-exits", "a host whose hypervisor carries out each exit runs guests in a virtual machine of its own",
        "backend/kvm/probe.h",
        "return usable && native_ring0 && cheap_exit();",
        "return usable && native_ring0;",
        ("kvm_tests",), r"^Probe\.AnExitThatCosts"),
    Mutation(
        "cpuid-unknown", "virtual processors have no features at all, and nobody says why the machine fails",
        "backend/kvm/kvm_device.cpp",
        "if (ioctl(device, _IOWR(KVMIO, 0x05, uint64_t), cpuid.get()) < 0)\n"
        "            return failure(\"KVM_GET_SUPPORTED_CPUID\");",
        "(void)ioctl(device, _IOWR(KVMIO, 0x05, uint64_t), cpuid.get());",
        ("kvm_tests",), r"^Exits\.AMachineWhoseFeatures"),
    Mutation(
        "ssp-rewrites-in-place", "after mprotect() each page that a TLBI named faults anew",
        "guestos/machine/cpu/memory_path.cpp",
        "if (known_mapping(leaf.va, leaf.el != 0, leaf.pan, mapping)) tlbs_.rewrite(leaf, mapping);",
        "(void)known_mapping(leaf.va, leaf.el != 0, leaf.pan, mapping);",
        ("machine_test",), r"^Vcpu\.TlbiOfAnAddressRewritesItsLeaf"),
    Mutation(
        "siblings-on-one-core", "a CPU that waits for another one of its machine shares a core with it while another core has none",
        "guestos/machine/cpu/vcpu_core.cpp",
        "if (to.preempted && go_apart()) return;",
        "",
        ("machine_test",), r"^CpuGroup\.ACpuThatWaitsGoesToACoreOfItsOwn"),
    Mutation(
        "interrupt-without-exit", "an interrupt for a CPU that runs leaves the virtual machine",
        "guestos/machine/cpu/cross_cpu_work.cpp",
        "if (napping_.load() == 0) return;",
        "",
        ("arclight", "arclight_static", "kvm_guests"), r"^kvm\.exit_budget$", limit=400),
    Mutation(
        "tag-compare", "an access with a wrong allocation tag is made, and no program learns of it",
        "backend/x64/emit_tag_check.cpp",
        "as_.cmp(byte[first + last], address.cvt8());",
        "as_.cmp(address.cvt8(), address.cvt8());",
        ("backend_tests",), r"^TagCheckTest\."),
)
