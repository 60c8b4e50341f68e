#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>

#include "devices/virtio/disk_image.h"
#include "devices/virtio/transport.h"
#include "host/failure.h"

namespace arclight::devices::virtio {

/// Block device (virtio 1.2 section 5.2) over a raw image. Requests are served on the transport's worker, so
/// that CPUs do not wait for the host's disk. A write is in the file before it is acknowledged: killing the
/// process loses nothing the guest was told is written.
class Blk final : public Backend {
  public:
    static constexpr size_t kMaxSerial = 20;  ///< bytes of a serial number (5.2.6)

    struct Options {
        bool readonly = false;
        bool snapshot = false;  ///< writes stay in memory
        std::string serial;     ///< up to 20 bytes, for GET_ID
    };
    /// The error is one line for the user.
    static std::expected<std::unique_ptr<Blk>, std::string> open(const std::string& path, Options options);

    Blk(DiskImage image, Options options);

    std::string_view name() const override { return "virtio-blk"; }
    uint32_t device_id() const override { return 2; }
    uint64_t features() const override;
    std::vector<QueueDescription> queues() const override { return {{Queue::kMaxSize, Service::Worker}}; }
    uint8_t read_config(uint64_t offset) override;
    void write_config(uint64_t offset, uint8_t value) override;
    void set_features(uint64_t features) override;
    void reset() override { write_back_ = true; }
    Served process(unsigned queue, Chain& chain) override;

    /// The cache mode, and what a snapshot's overlay holds. Other content of the disk is the image's.
    void save(StateWriter& out) const override;
    /// The image must have the size that the saved one had.
    StateResult load(StateReader& in) override;

  private:
    uint8_t transfer(const std::vector<std::span<uint8_t>>& buffers, uint64_t sector, bool to_guest);
    uint8_t discard(const std::vector<std::span<uint8_t>>& ranges, bool write_zeroes);

    DiskImage image_;
    const Options options_;
    std::atomic<bool> write_back_{true};
    const host::LastAct flush_at_failure_;
};

}  // namespace arclight::devices::virtio
