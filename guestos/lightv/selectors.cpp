#include "guestos/lightv/selectors.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>

#include "guestos/machine/board/machine.h"
#include "guestos/machine/cpu/contextidr_tracker.h"
#include "guestos/machine/cpu/vcpu.h"
#include "mmu/lightv/parameters.h"
#include "mmu/walk.h"

namespace arclight::guestos {

using mmu::lightv::Json;
using mmu::lightv::Parameters;

namespace {
constexpr uint64_t kPage = mmu::PageOverlay::kPage;
constexpr uint64_t kMostBytes = uint64_t{1} << 40;
constexpr uint64_t kLongestWait = 600'000;  // ms

/// What a CPU runs with at some moment between the call and its return. It goes on meanwhile: a copy is good
/// when two in a row are the same.
mmu::TranslationRegs translation_of(const Vcpu& vcpu) {
    mmu::TranslationRegs regs[2];
    const auto copy = [&](mmu::TranslationRegs& to) {
        std::atomic_signal_fence(std::memory_order_seq_cst);
        std::memcpy(static_cast<void*>(&to), static_cast<const void*>(&vcpu.cpu().translation), sizeof to);
    };
    do {
        copy(regs[0]);
        copy(regs[1]);
    } while (std::memcmp(static_cast<void*>(&regs[0]), static_cast<void*>(&regs[1]), sizeof regs[0]) != 0);
    return regs[0];
}

/// What `va` to `va + bytes` is in these tables; `whose` for people.
Result<std::vector<uint64_t>> walk_pages(Machine& machine, const mmu::TranslationRegs& regs,
                                         const std::string& whose, uint64_t va, uint64_t bytes) {
    std::vector<uint64_t> pages;
    for (uint64_t at = va & ~(kPage - 1);; at += kPage) {
        const mmu::WalkResult walk =
            mmu::walk(regs, machine.memory(), at, {.kind = mmu::AccessKind::Read, .update = false});
        if (!walk.ok()) return failure("nothing is mapped at {:#x} in {}", at, whose);
        pages.push_back(walk.pa & ~(kPage - 1));
        if (at + (kPage - 1) >= va + (bytes - 1)) return pages;
    }
}

Result<std::vector<uint64_t>> walk_as_cpu(Machine& machine, unsigned cpu, uint64_t va, uint64_t bytes) {
    const mmu::TranslationRegs regs = translation_of(machine.vcpu(cpu));
    if (!regs.enabled)
        return failure("CPU {} has not turned its MMU on: pick pages by physical address", cpu);
    return walk_pages(machine, regs, fmt::format("what CPU {} runs now", cpu), va, bytes);
}

Result<std::vector<uint64_t>> walk_as_process(Machine& machine, uint32_t pid, std::chrono::milliseconds limit,
                                              uint64_t va, uint64_t bytes) {
    if ((va >> 55 & 1) != 0)
        return failure("pages: {:#x} is the kernel's, and no process's: leave 'pid' out", va);
    bool on = false;
    for (unsigned cpu = 0; cpu < machine.cpus(); ++cpu) on |= !machine.vcpu(cpu).powered_off();
    if (!on) return failure("pages: the guest has not started: 'pid' is for the control socket");
    const ContextidrTracker::Answer answer = machine.contextidr_tracker().wait_for(pid, limit);
    if (answer.translation && answer.translation->enabled)
        return walk_pages(machine, *answer.translation, fmt::format("process {}", pid), va, bytes);
    if (!answer.kernel_tells)
        return failure(
            "pages: in {} ms the guest's kernel did not say which process runs: 'pid' needs a guest "
            "that is up, and Linux with CONFIG_PID_IN_CONTEXTIDR",
            limit.count());
    return failure("pages: no process {} has run in {} ms", pid, limit.count());
}

/// KASLR moves all symbols alike; the vectors say by how much.
Result<uint64_t> slide(Machine& machine, const Symbols& symbols) {
    const auto vectors = symbols.find("vectors");
    const uint64_t vbar = machine.vcpu(0).cpu().registers.vbar;
    if (!vectors)
        return failure("the symbols have no 'vectors', from which the kernel's place would be known");
    if (vbar == 0) return failure("the kernel is not up yet: it has set no vectors");
    if (((vbar - *vectors) & (kPage - 1)) != 0)
        return failure("the symbols are of another kernel: its vectors are at {:#x}, not {:#x} and a slide",
                       vbar, *vectors);
    return vbar - *vectors;
}
}  // namespace

Result<std::vector<uint64_t>> select_pages(Machine& machine, const Symbols* symbols, const Json& selector) {
    Parameters p(selector, "pages");
    const uint64_t bytes = p.number("bytes", 1);
    if (bytes == 0 || bytes > kMostBytes) p.wrong("'bytes' must be 1 to 1T");
    const int ways = p.has("physical") + p.has("virtual") + p.has("symbol");
    if (ways != 1) p.wrong("one of 'physical', 'virtual' and 'symbol'");
    if (p.has("physical")) {
        const uint64_t pa = p.number("physical");
        if (auto good = p.finish(); !good) return std::unexpected(good.error());
        if (!machine.memory().contains(pa, bytes))
            return failure("pages: there is no memory at {:#x}, {} bytes; RAM is {:#x} to {:#x}", pa, bytes,
                           machine.memory().base(), machine.memory().base() + machine.memory().size() - 1);
        std::vector<uint64_t> pages;
        for (uint64_t at = pa & ~(kPage - 1); at < pa + bytes; at += kPage) pages.push_back(at);
        return pages;
    }
    if (p.has("virtual")) {
        const uint64_t va = p.number("virtual");
        if (va + bytes < va) p.wrong("the range wraps");
        if (p.has("pid")) {
            const uint64_t pid = p.number("pid"), limit = p.number("wait_ms", 10'000);
            if (pid == 0 || pid > UINT32_MAX) p.wrong("'pid' must be a number of a process");
            if (limit > kLongestWait) p.wrong(fmt::format("'wait_ms' must be at most {}", kLongestWait));
            if (auto good = p.finish(); !good) return std::unexpected(good.error());
            return walk_as_process(machine, static_cast<uint32_t>(pid), std::chrono::milliseconds(limit), va,
                                   bytes);
        }
        const uint64_t cpu = p.number("cpu", 0);
        if (cpu >= machine.cpus()) p.wrong(fmt::format("there are {} CPUs", machine.cpus()));
        if (auto good = p.finish(); !good) return std::unexpected(good.error());
        return walk_as_cpu(machine, static_cast<unsigned>(cpu), va, bytes);
    }
    const std::string name = p.text("symbol");
    if (auto good = p.finish(); !good) return std::unexpected(good.error());
    if (symbols == nullptr) return failure("pages: symbols need 'arclight run --symbols FILE'");
    const auto address = symbols->find(name);
    if (!address) return failure("pages: the kernel has no symbol '{}'", name);
    const auto moved = slide(machine, *symbols);
    if (!moved) return std::unexpected(moved.error());
    return walk_as_cpu(machine, 0, *address + *moved, bytes);
}

}  // namespace arclight::guestos
