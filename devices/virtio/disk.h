#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "devices/machine_host.h"
#include "devices/virtio/disk_image.h"
#include "mmu/result.h"

namespace arclight::devices::virtio {

/// What follows when the host fails a request: QEMU's words of `werror` and `rerror`.
enum class OnDiskError : uint8_t {
    Report,  ///< the guest sees an I/O error
    Ignore,  ///< the guest sees success
    Stop,    ///< the machine is paused, and the request is tried again when it goes on
    Enospc,  ///< Stop when there is no space left, Report otherwise
};

class SharedDisk;

struct DiskOptions {
    DiskImage::Options image;
    std::string serial;
    bool write_through =
        false;  ///< until the driver says otherwise, a write is durable when it is acknowledged
    OnDiskError on_read_error = OnDiskError::Report;
    /// Of all but reads.
    OnDiskError on_write_error = OnDiskError::Enospc;
    MachineHost* host = nullptr;  ///< null: nobody reads messages, and nothing can be paused
};

/// What disks have in common, whatever the guest sees of them: the image, and what follows when the host fails a request on it.
/// One thread at a time.
class Disk {
  public:
    enum class Operation : uint8_t { Read, Write, Flush, Discard, WriteZeroes };
    enum class Action : uint8_t { Report, Ignore, Stop };

    /// The errors are one line for the user.
    static Result<Disk> open(const std::string& path, DiskOptions options);
    /// The same, with `shared` for others to add images and choose one. Not with DiskImage::Options::snapshot.
    static Result<Disk> open_shared(const std::string& path, DiskOptions options, SharedDisk*& shared);
    /// Over a storage with what is in the image, of `length` bytes.
    static Result<Disk> over(const std::string& path, std::unique_ptr<DiskStorage> storage, uint64_t length,
                             DiskOptions options);
    Disk(DiskImage image, DiskOptions options) : image_(std::move(image)), options_(std::move(options)) {}

    DiskImage& image() { return image_; }
    const DiskImage& image() const { return image_; }
    const DiskOptions& options() const { return options_; }

    /// The host has failed a request: tells the user, and pauses the machine if that is what follows (Stop).
    Action failed(Operation operation, const DiskError& error);

  private:
    Action action_on(Operation operation, const DiskError& error) const;
    void tell(Operation operation, const DiskError& error, Action action);

    DiskImage image_;
    DiskOptions options_;
    std::set<std::pair<Operation, int>> told_;  // errors that the user knows of
};

}  // namespace arclight::devices::virtio
