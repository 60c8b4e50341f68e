// QEMU's firmware configuration device, by memory-mapped registers with DMA (QEMU docs/specs/fw_cfg.rst).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devices/bus.h"
#include "devices/state.h"
#include "mmu/guest_memory.h"
#include "mmu/result.h"

namespace arclight::devices {

/// Items that firmware reads by number, files of which a directory tells. The guest writes none but those that are said to be
/// writable.
class FwCfg final : public Device, public Stateful {
  public:
    using Bytes = std::vector<uint8_t>;

    /// Numbers of items that are no files.
    enum Key : uint16_t {
        kSignature = 0x00,
        kId = 0x01,
        kUuid = 0x02,
        kRamSize = 0x03,
        kNoGraphic = 0x04,
        kCpus = 0x05,
        kKernelSize = 0x08,
        kInitrdSize = 0x0b,
        kBootMenu = 0x0e,
        kMaxCpus = 0x0f,
        kKernelData = 0x11,
        kInitrdData = 0x12,
        kCommandLineSize = 0x14,
        kCommandLineData = 0x15,
        kFileDirectory = 0x19,
        kFirstFile = 0x20,
    };
    static constexpr size_t kNameBytes = 56;  ///< with the zero behind it
    static constexpr size_t kFiles = 1024;

    explicit FwCfg(const mmu::GuestMemory& memory);

    // ---- Before the guest runs
    void set(Key key, Bytes bytes);
    void set_u16(Key key, uint16_t value);
    void set_u32(Key key, uint32_t value);
    void set_u64(Key key, uint64_t value);
    /// An error: the name is too long, or taken, or there are too many.
    Result<void> add_file(std::string_view name, Bytes bytes);
    /// Numbers the files in the order of their names, as QEMU does, and writes the directory.
    void finish();

    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, uint64_t value, unsigned size) override;
    void reset() override;
    void add_to_device_tree(FdtWriter& fdt) const override;

    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

  private:
    struct State {
        uint16_t selected = 0;
        uint64_t offset = 0;       ///< of what is read next of it
        uint64_t dma_address = 0;  ///< its upper half, until the lower one is written

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.selected, self.offset, self.dma_address);
        }
    };

    const Bytes* item() const;
    uint8_t next_byte();
    void select(uint16_t key);
    void write_dma(uint64_t offset, uint64_t value, unsigned size);
    void run_dma(uint64_t address);
    uint32_t transfer(uint32_t control, uint64_t address, uint32_t length);

    const mmu::GuestMemory& memory_;
    std::map<uint16_t, Bytes> items_;
    std::map<std::string, Bytes, std::less<>> files_;  ///< until finish()
    std::mutex lock_;
    State state_;
};

}  // namespace arclight::devices
