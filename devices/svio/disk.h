#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "devices/machine_host.h"
#include "devices/svio/resource.h"
#include "devices/virtio/disk_image.h"

namespace arclight::devices::svio {

class DiskPort;

/// A disk image or block device of which each virtual interface is a part: a virtio-blk device of its own. Parts of which one is written
/// do not overlap. The device thread waits for the host's disk, and all interfaces with it.
class DiskResource final : public Resource {
  public:
    /// `host` (not null) is told of errors of the host's disk; the guest sees each as an I/O error. An error is one line.
    static Result<std::unique_ptr<DiskResource>> open(const std::string& path,
                                                      const virtio::DiskImage::Options& options,
                                                      MachineHost* host);

    Result<std::unique_ptr<Port>> make_port(const PortOptions& options) override;

  private:
    friend class DiskPort;
    DiskResource(virtio::DiskImage image, MachineHost* host) : image_(std::move(image)), host_(host) {}

    virtio::DiskImage image_;
    MachineHost* const host_;
    struct Part {
        const DiskPort* port;
        uint64_t begin, end;
        bool readonly;
    };
    std::vector<Part> parts_;
};

}  // namespace arclight::devices::svio
