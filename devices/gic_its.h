#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>

#include "devices/bus.h"
#include "devices/msi.h"
#include "devices/state.h"
#include "mmu/guest_memory.h"

namespace arclight::devices {

class GicV3;

/// The interrupt translation service of a GICv3 (ARM IHI 0069 chapter 5): translates a device's message (DeviceID, EventID) into
/// an LPI of one CPU, by tables in guest memory that its commands write. Nothing of the tables is cached, so a command is
/// complete when GITS_CREADR has passed it. Commands that cannot be are skipped; a queue that is not in memory stalls
/// (GITS_CREADR.Stalled).
///
/// Table entries are of 8 bytes. Device table: valid in bit 0, bits of an EventID less one in 5:1, address of the interrupt
/// translation table in 51:8. Collection table: valid in bit 0, number of the CPU in 16:1. Translation table: valid in
/// bit 0, INTID in 24:1, collection in 40:25.
class GicIts final : public Device, public MsiTarget, public Stateful {
  public:
    GicIts(GicV3& gic, const mmu::GuestMemory& memory);

    void map(Bus& bus) { bus.map(layout::kGicIts.base, layout::kGicIts.size, *this, "gicv3-its"); }

    // Of both frames; the second has GITS_TRANSLATER, which a CPU's write does not reach: it has no DeviceID.
    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, uint64_t value, unsigned size) override;
    void reset() override;
    bool message(uint32_t requester, uint64_t address, uint32_t data) override;

    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

    /// Inside the controller's node.
    static void add_node(FdtWriter& fdt);

  private:
    using Command = std::array<uint64_t, 4>;

    struct DeviceEntry {
        uint64_t table = 0;  ///< address of its interrupt translation table
        unsigned event_bits = 0;
    };
    struct Event {
        uint64_t address = 0;  ///< of its entry
        uint32_t intid = 0;
        uint16_t collection = 0;
    };
    struct State {
        bool enabled = false;
        uint64_t queue_base = 0;          ///< GITS_CBASER
        uint64_t queue_write = 0;         ///< GITS_CWRITER
        uint64_t queue_read = 0;          ///< GITS_CREADR
        std::array<uint64_t, 2> bases{};  ///< GITS_BASER0: devices, GITS_BASER1: collections

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.enabled, self.queue_base, self.queue_write, self.queue_read, self.bases);
        }
    };

    uint32_t read_word(uint64_t offset) const;
    void write_word(uint64_t offset, uint32_t value, uint32_t mask);

    // ---- Tables. Nothing: the entry is not valid, or not there.
    std::optional<uint64_t> entry_address(uint64_t base, uint64_t index) const;
    std::optional<DeviceEntry> device(uint32_t id) const;
    std::optional<unsigned> cpu_of(uint16_t collection) const;
    /// Where the event's entry is, valid or not.
    std::optional<uint64_t> event_address(uint32_t device, uint32_t event) const;
    std::optional<Event> event(uint32_t device, uint32_t event) const;

    // ---- Commands, with the lock held.
    void run_queue();
    void run(const Command& command);
    void map_device(uint32_t device, const Command& command);
    void map_collection(const Command& command);
    void map_event(uint32_t device, uint32_t event, uint32_t intid, uint16_t collection);
    void move_event(uint32_t device, uint32_t event, uint16_t collection);
    void discard(uint32_t device, uint32_t event);
    void set_pending(uint32_t device, uint32_t event, bool pending, bool at_once);

    GicV3& gic_;
    const mmu::GuestMemory& memory_;
    mutable std::mutex lock_;  ///< before the controller's
    State state_;
};

}  // namespace arclight::devices
