#include "guestos/prepare/module.h"

#include "guestos/kernel_file.h"
#include "guestos/prepare/translated.h"

namespace arclight::guestos::prepare {

BoundSites bind_sites(std::span<const Site> sites, std::span<const uint8_t> image, uint64_t start,
                      const jit::Frontend& frontend, Module& module) {
    BoundSites bound{.sites = sites.size()};
    Translated translated(frontend);
    for (const Site& site : sites) {
        const uint64_t pa = start + site.offset;
        Binding binding = Binding::None;
        if (site.kind == SiteKind::Block) {
            binding = module.block(pa, site.frequency);
        } else {
            const bool device = site.kind == SiteKind::Device;
            const Translated::Answer& insn = translated.of(read_at<uint32_t>(image, site.offset));
            if (device ? !insn.access : insn.kind != site.kind) {
                ++bound.wrong;
                continue;
            }
            if (device)
                binding = module.device(pa);
            else if (insn.defined)
                binding = module.sensitive(site.kind, insn.inlined);
        }
        ++bound.by[static_cast<size_t>(binding)];
    }
    return bound;
}

}  // namespace arclight::guestos::prepare
