#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "devices/scsi/unit.h"
#include "devices/virtio/disk.h"

namespace arclight::devices::scsi {

/// A logical unit: a disk (SBC-3) or a CD-ROM drive (MMC-6) over a disk image. What a guest reads of its identity is QEMU's.
/// One thread at a time.
class LogicalUnit final : public Unit {
  public:
    enum class Kind : uint8_t { Disk, Cdrom };
    static constexpr size_t kMaxSerial = 36;  ///< bytes of a serial number

    struct Options {
        Kind kind = Kind::Disk;
        std::string serial;
        std::string device_id;  ///< of VPD page 83; empty: the serial number
    };
    /// `disk`: nothing, a CD-ROM drive without a medium.
    LogicalUnit(std::optional<virtio::Disk> disk, Options options);

    Reply execute(const Command& command) override;
    void reset() override;

    Kind kind() const { return options_.kind; }

    void save(StateWriter& out) const override;
    /// The medium must have the size of the saved one.
    StateResult load(StateReader& in) override;

  private:
    enum class Flow : uint8_t { FromDisk, ToDisk, Compare };

    Reply dispatch(const Command& command);
    Reply dispatch_medium(const Command& command);
    static Reply check(const Sense& sense);
    /// At most as many bytes as the initiator has allocated.
    static Reply data(std::vector<uint8_t> bytes, uint64_t allocated);

    // ---- Commands of all devices (logical_unit.cpp)
    Reply inquiry(const Command& command) const;
    Reply vital_product_data(const Command& command) const;
    Reply mode_sense(const Command& command) const;
    Reply mode_select(const Command& command);
    /// Nothing: there is no such page.
    std::optional<std::vector<uint8_t>> mode_page(uint8_t page, bool changeable) const;

    // ---- Commands on blocks (logical_unit_blocks.cpp)
    Reply read_capacity10(const Command& command) const;
    Reply read_capacity16(const Command& command) const;
    Reply transfer(const Command& command, Flow flow);
    Reply unmap(const Command& command);
    Reply write_same(const Command& command);
    Reply flush();
    Reply compare(const Command& command, uint64_t offset, uint64_t length);
    Reply finish(virtio::Disk::Operation operation, const virtio::DiskResult& result, uint64_t transferred);
    bool inside(uint64_t block, uint64_t count) const;
    uint64_t blocks() const;

    // ---- Commands of removable media (logical_unit_cdrom.cpp)
    Reply start_stop(const Command& command);
    Reply event_status(const Command& command);
    Reply read_toc(const Command& command) const;
    Reply configuration(const Command& command) const;
    Reply disc_information(const Command& command) const;

    bool cdrom() const { return options_.kind == Kind::Cdrom; }
    bool readonly() const { return cdrom() || disk().image().readonly(); }
    bool has_medium() const { return disk_.has_value() && !tray_open_; }
    // Only with a medium, which a command that needs one has looked for, and which a hard disk has always.
    // NOLINTBEGIN(bugprone-unchecked-optional-access)
    virtio::Disk& disk() { return *disk_; }
    const virtio::Disk& disk() const { return *disk_; }
    // NOLINTEND(bugprone-unchecked-optional-access)
    unsigned block_size() const { return cdrom() ? kCdromBlock : virtio::DiskImage::kSectorSize; }

    static constexpr unsigned kCdromBlock = 2048;

    std::optional<virtio::Disk> disk_;
    const Options options_;
    Sense attention_ = kPowerOnOrReset;  ///< a unit attention that nobody has been told of yet
    bool write_back_ = true;
    bool tray_open_ = false;
    bool removal_prevented_ = false;
    bool medium_event_ = false;  ///< the medium has been put in or taken out, for GET EVENT STATUS
};

}  // namespace arclight::devices::scsi
