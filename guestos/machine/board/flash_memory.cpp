#include "guestos/machine/board/flash_memory.h"

#include <span>

namespace arclight::guestos {

namespace layout = devices::layout;

namespace {

std::span<uint8_t> bank_of(const mmu::GuardedMapping& memory, unsigned number) {
    return {memory.data() + number * layout::kFlashBank, layout::kFlashBank};
}

devices::virtio::ImageLocking locking_named(const std::string& word) {
    using devices::virtio::ImageLocking;
    return word == "on" ? ImageLocking::On : word == "off" ? ImageLocking::Off : ImageLocking::Auto;
}

}  // namespace

FlashMemory::FlashMemory(mmu::GuardedMapping memory)
    : memory_(std::move(memory)),
      banks_{devices::FlashBank(bank_of(memory_, 0)), devices::FlashBank(bank_of(memory_, 1))} {}

Result<std::unique_ptr<FlashMemory>> FlashMemory::open(const RunOptions& options) {
    if (!options.has_flash()) return nullptr;
    auto memory = mmu::GuardedMapping::map(layout::kFlashBanks * layout::kFlashBank);
    if (!memory) return failure("cannot get memory for the flash: {}", memory.error());
    std::unique_ptr<FlashMemory> flash(new FlashMemory(std::move(*memory)));
    if (auto filled = flash->fill(options); !filled) return std::unexpected(filled.error());
    return flash;
}

Result<void> FlashMemory::fill(const RunOptions& options) {
    using devices::virtio::ImageLocking;
    if (options.flash.size() > layout::kFlashBanks)
        return failure("more than {} banks of flash", layout::kFlashBanks);
    for (unsigned number = 0; number < options.flash.size(); ++number) {
        const FlashOptions& image = options.flash[number];
        if (image.file.empty()) continue;
        if (auto opened = banks_[number].open(image.file, !image.readonly, locking_named(image.locking));
            !opened)
            return opened;
    }
    if (options.bios.empty()) return {};
    if (!options.flash.empty() && !options.flash.front().file.empty())
        return failure("both --bios and --flash have an image for the first bank of flash");
    // Writes to it are lost at the end.
    if (auto opened = banks_[0].open(options.bios, false, ImageLocking::Off); !opened) return opened;
    banks_[0].set_volatile();
    return {};
}

mmu::ReadOnlyMemory FlashMemory::memory_of(const FlashMemory* flash) {
    if (flash == nullptr) return {};
    return {.host = flash->memory_.data(),
            .base = layout::flash_base(0),
            .size = layout::kFlashBanks * layout::kFlashBank};
}

}  // namespace arclight::guestos
