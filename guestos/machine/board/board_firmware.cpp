#include "guestos/machine/board/board_firmware.h"

#include <fmt/format.h>

namespace arclight::guestos {

namespace layout = devices::layout;

BoardFirmware::BoardFirmware(devices::EventLoop& loop, const mmu::GuestMemory& memory, FlashMemory* flash,
                             devices::IrqLine gpio_line, const std::function<void(const std::string&)>& say)
    : fw_cfg_(memory), gpio_(loop, gpio_line) {
    if (flash == nullptr) return;
    for (unsigned number = 0; number < layout::kFlashBanks; ++number)
        flash_[number] = std::make_unique<devices::CfiFlash>(number, flash->bank(number), say);
}

void BoardFirmware::map(devices::Bus& bus) {
    for (unsigned number = 0; number < layout::kFlashBanks; ++number)
        if (flash_[number] != nullptr)
            bus.map(layout::flash_base(number), layout::kFlashBank, *flash_[number],
                    fmt::format("flash{}", number));
    bus.map(layout::kFwCfg.base, layout::kFwCfg.size, fw_cfg_, "fw-cfg");
    bus.map(layout::kGpio.base, layout::kGpio.size, gpio_, "pl061");
}

void BoardFirmware::list(devices::StatefulParts& parts) {
    for (unsigned number = 0; number < layout::kFlashBanks; ++number)
        if (flash_[number] != nullptr) parts.add(fmt::format("flash{}", number), *flash_[number]);
    parts.add("fw-cfg", fw_cfg_);
    parts.add("pl061", gpio_);
}

}  // namespace arclight::guestos
