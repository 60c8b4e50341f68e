// What firmware finds on the board: flash banks, QEMU's firmware configuration device; and the GPIO with the power key.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "devices/bus.h"
#include "devices/event_loop.h"
#include "devices/firmware/cfi_flash.h"
#include "devices/firmware/fw_cfg.h"
#include "devices/irq.h"
#include "devices/pl061.h"
#include "devices/state.h"
#include "guestos/machine/board/flash_memory.h"
#include "mmu/guest_memory.h"

namespace arclight::guestos {

class BoardFirmware {
  public:
    /// `flash`: null, the board has none. `say`: one line for the user, from any thread.
    BoardFirmware(devices::EventLoop& loop, const mmu::GuestMemory& memory, FlashMemory* flash,
                  devices::IrqLine gpio_line, const std::function<void(const std::string&)>& say);

    void map(devices::Bus& bus);
    void list(devices::StatefulParts& parts);

    devices::FwCfg& fw_cfg() { return fw_cfg_; }
    devices::Pl061& gpio() { return gpio_; }

  private:
    std::array<std::unique_ptr<devices::CfiFlash>, devices::layout::kFlashBanks> flash_;  ///< null: none
    devices::FwCfg fw_cfg_;
    devices::Pl061 gpio_;
};

}  // namespace arclight::guestos
