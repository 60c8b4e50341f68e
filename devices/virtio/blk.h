#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "devices/virtio/disk_image.h"
#include "devices/virtio/mmio.h"

namespace arclight::devices::virtio {

/// Block device (virtio 1.2 section 5.2) over a raw image. Requests are served on a thread of its own, so
/// that CPUs do not wait for the host's disk. A write is in the file before it is acknowledged: killing the
/// process loses nothing the guest was told is written.
class Blk final : public Backend {
  public:
    struct Options {
        bool readonly = false;
        bool snapshot = false;  ///< writes stay in memory
        std::string serial;     ///< up to 20 bytes, for GET_ID
    };
    /// The error is one line for the user.
    static std::expected<std::unique_ptr<Blk>, std::string> open(const std::string& path, Options options);

    Blk(DiskImage image, Options options);
    ~Blk() override;

    uint32_t device_id() const override { return 2; }
    uint64_t features() const override;
    std::vector<uint16_t> queue_limits() const override { return {Queue::kMaxSize}; }
    uint8_t read_config(uint64_t offset) override;
    void write_config(uint64_t offset, uint8_t value) override;
    void set_features(uint64_t features) override;
    void notify(Mmio& transport, unsigned queue) override;
    void stop() override;

  private:
    void work();
    void drain(Mmio& transport);
    std::optional<uint32_t> serve(Chain& chain);
    uint8_t transfer(const std::vector<std::span<uint8_t>>& buffers, uint64_t sector, bool to_guest);
    uint8_t discard(const std::vector<std::span<uint8_t>>& ranges, bool write_zeroes);

    DiskImage image_;
    const Options options_;
    std::atomic<bool> write_back_{true};

    std::mutex lock_;
    std::condition_variable wake_;
    std::condition_variable idle_;
    Mmio* requested_ = nullptr;
    bool busy_ = false;
    bool quit_ = false;
    std::thread worker_;
};

}  // namespace arclight::devices::virtio
