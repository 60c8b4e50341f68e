#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>

#include "devices/scsi/unit.h"
#include "devices/virtio/transport.h"
#include "mmu/result.h"

namespace arclight::devices::virtio {

/// SCSI host (virtio 1.2 section 5.6) with logical units on one channel. Commands are carried out on the transport's worker, one
/// after the other; task management waits for those that were sent before it, so that what it aborts is finished.
class Scsi final : public Backend {
  public:
    static constexpr unsigned kMaxTarget = 255, kMaxLun = 255;

    /// `request_queues`: 1 or more.
    explicit Scsi(unsigned request_queues);

    /// Returns where it is. Before the driver comes. Nothing as the target: the lowest that is free. An error is one line for the user.
    Result<scsi::Address> attach(std::optional<unsigned> target, unsigned lun,
                                 std::unique_ptr<scsi::Unit> unit);

    std::string_view name() const override { return "virtio-scsi"; }
    uint32_t device_id() const override { return 8; }
    uint64_t features() const override;
    std::vector<QueueDescription> queues() const override;
    uint8_t read_config(uint64_t offset) override;
    void write_config(uint64_t offset, uint8_t value) override;
    void reset() override;
    Served process(unsigned queue, Chain& chain) override;

    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

  private:
    Served control(const Chain& chain);
    uint8_t manage_task(std::span<const uint8_t> request);
    Served command(Chain& chain);
    scsi::Reply execute(const scsi::Address& address, const scsi::Command& command);
    scsi::Reply execute_absent(uint8_t target, const scsi::Command& command) const;
    scsi::Reply report_luns(uint8_t target, const scsi::Command& command) const;
    bool has_target(uint8_t target) const;

    const unsigned request_queues_;
    std::map<scsi::Address, std::unique_ptr<scsi::Unit>> units_;
    // What the driver may set in the configuration.
    std::atomic<uint32_t> sense_size_;
    std::atomic<uint32_t> cdb_size_;
};

}  // namespace arclight::devices::virtio
