// A disk whose requests are answered by one of several images in turn.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "devices/virtio/disk_image.h"

namespace arclight::devices::virtio {

/// What the driver knows stays: queues and their positions, the size, the cache mode. The guest is not told of a switch, and keeps
/// what it has read.
class SharedDisk final : public DiskStorage {
  public:
    /// `own` is instance 0. `options` are those it was opened with.
    SharedDisk(DiskImage own, DiskImage::Options options);

    // ---- Any thread
    /// Opens an image of the same size; its number. The error is one line for the user.
    Result<unsigned> add(const std::string& path);
    /// From the next request on that instance answers: requests that were begun are finished before, and what was acknowledged is
    /// flushed. The error is one line for the user; then nothing has changed.
    Result<void> select(unsigned instance);
    /// While true, every request fails.
    void refuse(bool refuse);

    // ---- DiskStorage
    DiskResult read(uint64_t offset, DiskBuffers buffers) override;
    DiskResult write(uint64_t offset, DiskBuffers buffers) override;
    void run(std::span<DiskTransfer> transfers) override;
    DiskResult flush() override;
    DiskResult discard(uint64_t offset, uint64_t length) override;
    DiskResult zero(uint64_t offset, uint64_t length, bool may_unmap) override;

  private:
    template <typename Act>
    DiskResult by_selected(Act&& act);

    std::mutex lock_;
    const DiskImage::Options options_;
    std::vector<std::unique_ptr<DiskImage>> images_;
    unsigned selected_ = 0;
    bool refused_ = false;
};

}  // namespace arclight::devices::virtio
