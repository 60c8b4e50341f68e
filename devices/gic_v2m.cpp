#include "devices/gic_v2m.h"

#include "devices/fdt_writer.h"
#include "devices/register_access.h"

namespace arclight::devices {

namespace {

constexpr uint64_t kRegTyper = 0x008;
constexpr uint64_t kRegSetSpi = 0x040;
constexpr uint64_t kRegIidr = 0xfcc;

// As QEMU's: product 0x51.
constexpr uint32_t kIidr = 0x51u << 20;
constexpr uint32_t kFirstIntid = layout::kSpiV2m + layout::kFirstSpiIntid;

}  // namespace

uint64_t GicV2m::read(uint64_t offset, unsigned size) {
    return read_by_words(offset, size, [](uint64_t word) -> uint32_t {
        switch (word) {
            case kRegTyper: return kFirstIntid << 16 | layout::kSpiV2mCount;
            case kRegIidr: return kIidr;
            default: return 0;
        }
    });
}

void GicV2m::write(uint64_t offset, uint64_t value, unsigned size) {
    // Halfwords and words, as the specification has it.
    if (offset == kRegSetSpi && size >= 2) raise(static_cast<uint32_t>(value & access_mask(size)));
}

bool GicV2m::message(uint32_t, uint64_t address, uint32_t data) {
    if (address - layout::kGicV2m.base >= layout::kGicV2m.size) return false;
    if (address == layout::kGicV2m.base + kRegSetSpi) raise(data);
    return true;
}

/// A message is an edge. Software configures these SPIs as edge-triggered.
void GicV2m::raise(uint32_t intid) {
    const uint32_t number = (intid & 0x3ff) - kFirstIntid;
    if (number >= layout::kSpiV2mCount) return;
    gic_.set_spi(layout::kSpiV2m + number, true);
    gic_.set_spi(layout::kSpiV2m + number, false);
}

void GicV2m::add_node(FdtWriter& fdt) {
    fdt.begin_node("v2m@8020000");
    fdt.property_string("compatible", "arm,gic-v2m-frame");
    fdt.property("msi-controller");
    fdt.property_u64s("reg", {layout::kGicV2m.base, layout::kGicV2m.size});
    fdt.property_u32("phandle", layout::kPhandleMsi);
    fdt.end_node();
}

}  // namespace arclight::devices
