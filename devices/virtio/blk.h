#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "devices/machine_host.h"
#include "devices/virtio/disk_image.h"
#include "devices/virtio/transport.h"
#include "mmu/result.h"

namespace arclight::devices::virtio {

/// What follows when the host fails a request: QEMU's words of `werror` and `rerror`.
enum class OnDiskError : uint8_t {
    Report,  ///< the guest sees an I/O error
    Ignore,  ///< the guest sees success
    Stop,    ///< the machine is paused, and the request is tried again when it goes on
    Enospc,  ///< Stop when there is no space left, Report otherwise
};

/// Block device (virtio 1.2 section 5.2) over a raw image. Requests are served on the transport's worker, one after
/// the other, so that CPUs do not wait for the host's disk. A write is in the file before it is acknowledged: killing
/// the process loses nothing the guest was told is written. A flush is acknowledged when all writes before it are
/// durable.
class Blk final : public Backend {
  public:
    static constexpr size_t kMaxSerial = 20;  ///< bytes of a serial number (5.2.6)

    struct Options {
        DiskImage::Options image;
        std::string serial;  ///< up to 20 bytes, for GET_ID
        bool write_through =
            false;  ///< until the driver says otherwise, a write is durable when it is acknowledged
        OnDiskError on_read_error = OnDiskError::Report;
        /// Of all but reads.
        OnDiskError on_write_error = OnDiskError::Enospc;
        MachineHost* host = nullptr;  ///< null: nobody reads messages, and nothing can be paused
    };
    /// The errors are one line for the user.
    static Result<std::unique_ptr<Blk>> open(const std::string& path, Options options);

    /// Over a storage with what is in the image, of `length` bytes.
    static Result<std::unique_ptr<Blk>> over(const std::string& path, std::unique_ptr<DiskStorage> storage,
                                             uint64_t length, Options options);

    Blk(DiskImage image, Options options);

    std::string_view name() const override { return "virtio-blk"; }
    uint32_t device_id() const override { return 2; }
    uint64_t features() const override;
    std::vector<QueueDescription> queues() const override { return {{Queue::kMaxSize, Service::Worker}}; }
    uint8_t read_config(uint64_t offset) override;
    void write_config(uint64_t offset, uint8_t value) override;
    void set_features(uint64_t features) override;
    void reset() override { write_back_ = !options_.write_through; }
    Served process(unsigned queue, Chain& chain) override;

    /// The cache mode, and what a snapshot's overlay holds. Other content of the disk is the image's.
    void save(StateWriter& out) const override;
    /// The image must have the size that the saved one had.
    StateResult load(StateReader& in) override;

  private:
    enum class Operation : uint8_t { Read, Write, Flush, Discard, WriteZeroes };
    enum class Action : uint8_t { Report, Ignore, Stop };
    /// The status byte, or what the host said.
    using Outcome = std::expected<uint8_t, DiskError>;

    Outcome transfer(const std::vector<std::span<uint8_t>>& buffers, uint64_t sector, bool to_guest);
    Outcome discard(const std::vector<std::span<uint8_t>>& ranges, bool write_zeroes);
    Outcome flush();
    Served serve(uint32_t type, uint64_t sector, const Chain& chain, uint8_t& status);
    Served finish(uint8_t& status, Operation operation, const Outcome& outcome, uint64_t written);
    Action action_on(Operation operation, const DiskError& error) const;
    void tell(Operation operation, const DiskError& error, Action action);

    DiskImage image_;
    const Options options_;
    std::atomic<bool> write_back_;
    std::set<std::pair<Operation, int>> told_;  // errors that the user knows of; the worker's
};

}  // namespace arclight::devices::virtio
