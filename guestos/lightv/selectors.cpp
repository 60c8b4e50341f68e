#include "guestos/lightv/selectors.h"

#include <fmt/format.h>

#include <chrono>

#include "mmu/lightv/parameters.h"
#include "mmu/walk.h"

namespace arclight::guestos {

using mmu::lightv::Json;
using mmu::lightv::Parameters;

namespace {
constexpr uint64_t kPage = mmu::PageOverlay::kPage;
constexpr uint64_t kMaxBytes = uint64_t{1} << 40;
constexpr uint64_t kMaxWaitMs = 600'000;  // ms

/// What `va` to `va + bytes` is in these tables; `whose` for people.
Result<std::vector<uint64_t>> walk_pages(MachineAccess& machine, const mmu::TranslationRegs& regs,
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

Result<std::vector<uint64_t>> walk_as_cpu(MachineAccess& machine, unsigned cpu, uint64_t va, uint64_t bytes) {
    const mmu::TranslationRegs regs = machine.cpu_translation(cpu);
    if (!regs.enabled)
        return failure("CPU {} has not turned its MMU on: pick pages by physical address", cpu);
    return walk_pages(machine, regs, fmt::format("what CPU {} runs now", cpu), va, bytes);
}

Result<std::vector<uint64_t>> walk_as_process(MachineAccess& machine, uint32_t pid,
                                              std::chrono::milliseconds limit, uint64_t va, uint64_t bytes) {
    if ((va >> 55 & 1) != 0)
        return failure("pages: {:#x} is the kernel's, and no process's: leave 'pid' out", va);
    bool on = false;
    for (unsigned cpu = 0; cpu < machine.cpus(); ++cpu) on |= !machine.cpu_powered_off(cpu);
    if (!on) return failure("pages: the guest has not started: 'pid' is for the control socket");
    const MachineAccess::Process answer = machine.wait_for_process(pid, limit);
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
Result<uint64_t> slide(MachineAccess& machine, const Symbols& symbols) {
    const auto vectors = symbols.find("vectors");
    const uint64_t vbar = machine.cpu_vectors(0);
    if (!vectors)
        return failure("the symbols have no 'vectors', from which the kernel's place would be known");
    if (vbar == 0) return failure("the kernel is not up yet: it has set no vectors");
    if (((vbar - *vectors) & (kPage - 1)) != 0)
        return failure("the symbols are of another kernel: its vectors are at {:#x}, not {:#x} and a slide",
                       vbar, *vectors);
    return vbar - *vectors;
}
}  // namespace

Result<std::vector<uint64_t>> select_pages(MachineAccess& machine, const Symbols* symbols,
                                           const Json& selector) {
    Parameters p(selector, "pages");
    const uint64_t bytes = p.number("bytes", 1);
    if (bytes == 0 || bytes > kMaxBytes) p.wrong("'bytes' must be 1 to 1T");
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
            if (limit > kMaxWaitMs) p.wrong(fmt::format("'wait_ms' must be at most {}", kMaxWaitMs));
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
