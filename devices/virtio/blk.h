#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "devices/virtio/disk.h"
#include "devices/virtio/transport.h"
#include "mmu/result.h"

namespace arclight::devices::virtio {

/// Block device (virtio 1.2 section 5.2) over a raw image. Requests are served on the transport's worker, one after
/// the other, so that CPUs do not wait for the host's disk. A write is in the file before it is acknowledged: killing
/// the process loses nothing the guest was told is written. A flush is acknowledged when all writes before it are
/// durable.
class Blk final : public Backend {
  public:
    static constexpr size_t kMaxSerial = 20;  ///< bytes of a serial number (5.2.6)

    using Options = DiskOptions;  ///< the serial number up to kMaxSerial bytes, for GET_ID
    /// The errors are one line for the user.
    static Result<std::unique_ptr<Blk>> open(const std::string& path, Options options);

    /// `queues`: 1 or more.
    explicit Blk(Disk disk, unsigned queues = 1);

    std::string_view name() const override { return "virtio-blk"; }
    uint32_t device_id() const override { return 2; }
    uint64_t features() const override;
    std::vector<QueueDescription> queues() const override {
        return std::vector<QueueDescription>(queues_, {Queue::kMaxSize, Service::Worker});
    }
    uint8_t read_config(uint64_t offset) override;
    void write_config(uint64_t offset, uint8_t value) override;
    void set_features(uint64_t features) override;
    void reset() override { write_back_ = !options().write_through; }
    Served process(unsigned queue, Chain& chain) override;
    unsigned batch() const override { return kBatch; }
    void process_all(unsigned queue, std::span<Chain> chains, std::span<Served> served) override;

    /// The cache mode, and what a snapshot's overlay holds. Other content of the disk is the image's.
    void save(StateWriter& out) const override;
    /// The image must have the size that the saved one had.
    StateResult load(StateReader& in) override;

  private:
    using Operation = Disk::Operation;
    /// The status byte, or what the host said.
    using Outcome = std::expected<uint8_t, DiskError>;

    /// Whether a read or write has whole sectors, inside of the image, and may be carried out.
    bool transferable(DiskBuffers buffers, uint64_t sector, bool to_guest) const;
    Outcome discard(const std::vector<std::span<uint8_t>>& ranges, bool write_zeroes);
    Outcome flush();
    Served serve(uint32_t type, const Chain& chain, uint8_t& status);
    Served finish(uint8_t& status, Operation operation, const Outcome& outcome, uint64_t written);
    DiskImage& image() { return disk_.image(); }
    const DiskImage& image() const { return disk_.image(); }
    const Options& options() const { return disk_.options(); }

    /// A read or a write with its data, that others may be carried out beside.
    struct Transfer {
        size_t chain;
        uint8_t* status;
        uint64_t bytes;
    };
    void finish_transfers(std::span<Served> served);

    static constexpr unsigned kBatch = 32;

    Disk disk_;
    const unsigned queues_;
    // Of process_all(): as it goes on, so that it allocates nothing.
    std::vector<DiskTransfer> transfers_;
    std::vector<Transfer> owners_;
    bool stopped_ = false;  // a request was postponed, and so are those behind it
    std::atomic<bool> write_back_;
};

}  // namespace arclight::devices::virtio
