// NOR flash as QEMU's virt board has it: two 16-bit chips beside each other, Intel command set (CFI 01).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "devices/bus.h"
#include "devices/firmware/flash_bank.h"
#include "devices/state.h"

namespace arclight::devices {

/// One bank of 64 MiB in blocks of 256 KiB. Commands and status: JEDEC JEP137, the Intel StrataFlash J3 data sheet and
/// QEMU's pflash_cfi01, whose answers these are. As there, programming replaces bytes, where a chip could only clear bits.
class CfiFlash final : public Device, public Stateful {
  public:
    static constexpr uint64_t kBlock = uint64_t{256} << 10;
    static constexpr uint32_t kBufferBytes = 4096;  ///< of a buffered program, both chips together

    /// `number` counts the board's banks from 0. `say` is called once, when the file can no longer be written.
    CfiFlash(unsigned number, FlashBank& bank, std::function<void(const std::string&)> say);

    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, uint64_t value, unsigned size) override;
    void reset() override;
    void add_to_device_tree(FdtWriter& fdt) const override;

    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

  private:
    struct State {
        uint8_t command = 0;  ///< what reads show; 0: the array
        uint8_t cycle = 0;    ///< writes that a command has had
        uint8_t status = 0;
        uint32_t words_left = 0;    ///< of a buffered program
        uint64_t buffer_start = 0;  ///< its block of kBufferBytes

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.command, self.cycle, self.status, self.words_left, self.buffer_start);
        }
    };

    uint64_t read_array(uint64_t offset, unsigned size) const;
    uint8_t read_byte(uint64_t offset) const;
    void write_word(uint64_t offset, uint32_t value, unsigned size);
    void first_cycle(uint64_t offset, uint8_t command);
    void second_cycle(uint64_t offset, uint32_t value, unsigned size);
    void fill_buffer(uint64_t offset, uint32_t value, unsigned size);
    void confirm_buffer(uint8_t command);
    void read_array_again();
    void bad_sequence();
    bool program(uint64_t offset, std::span<const uint8_t> bytes);

    const unsigned number_;
    FlashBank& bank_;
    std::function<void(const std::string&)> say_;
    std::array<uint8_t, 0x52> query_{};
    std::mutex lock_;
    std::atomic<bool> array_mode_{true};  ///< state_.command is 0: reads need no lock
    State state_;
    std::vector<uint8_t> buffer_;
    bool said_ = false;
};

}  // namespace arclight::devices
