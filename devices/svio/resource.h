// What a device thread owns, and what each virtual interface has of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "devices/vhost_user/back_end.h"
#include "devices/virtio/net_frame.h"
#include "mmu/result.h"

namespace arclight::devices::svio {

/// What is said of an interface when it is made.
struct PortOptions {
    /// Networks: the only address that it sends from and that nobody else gets; nothing: the first that uses an address has it.
    std::optional<virtio::MacAddress> mac;
    /// Disks: the part of the image that it is. `size` 0: all behind `offset`.
    uint64_t offset = 0, size = 0;
    bool readonly = false;
};

/// Messages of one interface since it was made: frames of a network, requests of a disk.
struct Counts {
    uint64_t sent = 0, sent_bytes = 0;          ///< by the guest
    uint64_t received = 0, received_bytes = 0;  ///< by it
    uint64_t lost = 0;                          ///< on their way to it: there was no room
    uint64_t refused = 0;  ///< of its own: no message, or from an address that is another's
};

/// The resource's side of one interface. All calls come on the device thread.
class Port {
  public:
    virtual ~Port() = default;
    Port() = default;
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    virtual vhost_user::BackEnd::Device device() const = 0;
    /// A guest has come, or what it has agreed to or which of its rings run has changed; null: it has gone.
    virtual void connect(vhost_user::BackEnd* front) = 0;

    /// Whether the guest has sent something.
    virtual bool waiting() = 0;
    struct Work {
        uint64_t messages = 0, bytes = 0;
    };
    /// Serves a few messages, so that others wait for no longer than that.
    virtual Work serve() = 0;
    /// Gives the guest what waits for it, as far as it has room. True: something was given.
    virtual bool deliver_waiting() { return false; }
    /// Interrupts the guest about what was handed back since the last call.
    virtual void signal() = 0;

    /// The guest is to notify; true: there is something already. And is not to.
    virtual bool arm() = 0;
    virtual void disarm() = 0;

    Counts counts;
};

/// All calls come on the device thread, but for those before it runs.
class Resource {
  public:
    virtual ~Resource() = default;
    Resource() = default;
    Resource(const Resource&) = delete;
    Resource& operator=(const Resource&) = delete;

    /// Outlived by the resource. An error is one line.
    virtual Result<std::unique_ptr<Port>> make_port(const PortOptions& options) = 0;

    /// Readable when there is something for take(); -1: that never happens.
    virtual int descriptor() const { return -1; }
    /// Takes a few messages of the resource's own. True: there was one.
    virtual bool take() { return false; }
};

}  // namespace arclight::devices::svio
