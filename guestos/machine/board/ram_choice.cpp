#include "guestos/machine/board/ram_choice.h"

#include "guestos/daemons.h"
#include "host/page_colours.h"
#include "mmu/shadow.h"

namespace arclight::guestos {

namespace {
/// A snapshot's RAM stays lazy, chosen pages are no file's, and traditional shadow paging must hear of each change, unless somebody insists.
bool wants_host_stage(const RunOptions& options) {
    if (options.lightv_stage != LightvStage::Auto) return options.lightv_stage == LightvStage::Host;
    return (!options.lightv.empty() || !options.control.empty()) && options.restore.empty() &&
           host::page_colourer() == nullptr && !mmu::protects_tables(options.shadow.policy);
}

bool wants_direct_memory(const RunOptions& options) {
    return options.direct_memory != DirectMemoryUse::Off && options.accel != Accel::Kvm &&
           why_not_direct(options).empty();
}
}  // namespace

std::string why_not_direct(const RunOptions& options) {
    if (options.jit == JitTier::Interpreter) return "--jit interpreter does without";
    if (!options.lightv.empty() || !options.control.empty() || wants_host_stage(options))
        return "LightV moves pages";
    if (host::page_colourer() != nullptr) return "its pages are chosen";
    if (!options.restore.empty()) return "a snapshot's memory is read as the guest comes to it";
    if (mmu::protects_tables(options.shadow.policy))
        return "traditional shadow paging protects pages in the soft TLB alone";
    return {};
}

Result<std::unique_ptr<RamMapping>> make_ram(const RunOptions& options) {
    using Sharing = RamMapping::Sharing;
    const bool stage = wants_host_stage(options), asked = options.lightv_stage == LightvStage::Host;
    if (asked && mmu::protects_tables(options.shadow.policy))
        return failure("--lightv-stage host: traditional shadow paging must hear of each change: say fill");
    const bool shared = stage || wants_shared_ram(options) || wants_direct_memory(options);
    if (shared && host::page_colourer() != nullptr)
        return failure("--place colours: {}",
                       stage
                           ? "--lightv-stage host has a file's pages in their place"
                           : "a device of another process wants memory that is a file's, whose pages are not "
                             "chosen");
    auto ram = RamMapping::allocate(options.memory, shared ? Sharing::Shared : Sharing::Private);
    if (!ram && stage && !asked && !wants_shared_ram(options))
        return RamMapping::allocate(options.memory, Sharing::Private);
    if (!ram || !stage) return ram;
    if (auto made = (*ram)->make_host_stage(options.opened_fault_file); !made && asked)
        return failure("--lightv-stage host: {}", made.error());
    return ram;
}

}  // namespace arclight::guestos
