#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "devices/bus.h"
#include "devices/pci/function.h"
#include "devices/scsi/unit.h"
#include "devices/shared_ram.h"
#include "devices/virtio/transport.h"
#include "mmu/guest_memory.h"
#include "mmu/result.h"

namespace arclight::devices {

class CharBackends;
namespace virtio {
class NbdConnection;
class SharedDisk;
}  // namespace virtio
namespace vhost_user {
class Connection;
}
namespace vfio {
class HostDevice;
}
class EventLoop;
class GuestClock;
class MachineHost;
class NetBackend;

/// What a device type can be told.
struct DeviceOption {
    enum class Kind : uint8_t {
        Text,
        Switch,  ///< on or off; the name alone means on
        Number,  ///< decimal, or hexadecimal after 0x
    };
    std::string name;
    Kind kind = Kind::Text;
    std::string help;
    std::optional<std::string> preset;  ///< absent: the option must be given
    uint64_t max = ~uint64_t{0};        ///< of a number; of a text, its length in bytes
};

/// The options of one device, checked and complete.
class DeviceArguments {
  public:
    const std::string& text(std::string_view name) const { return values_.find(name)->second; }
    bool on(std::string_view name) const { return text(name) == "on"; }
    uint64_t number(std::string_view name) const;

  private:
    friend class DeviceFactory;
    std::map<std::string, std::string, std::less<>> values_;
};

/// What of the machine a new device may hold on to.
struct DeviceContext {
    EventLoop& loop;
    GuestClock& clock;
    MachineHost* host = nullptr;  ///< null: there is none
    /// By the names that devices' options give them.
    std::map<std::string, NetBackend*, std::less<>> networks;
    /// Of those, the ones whose frames the host's kernel moves; none of them is among the others.
    std::map<std::string, std::shared_ptr<vhost_user::Connection>, std::less<>> kernel_networks = {};
    CharBackends* chardevs = nullptr;  ///< null: there are none
    /// Of disks whose images another process serves, by the image's path.
    std::map<std::string, std::shared_ptr<virtio::NbdConnection>> images = {};
    /// To the daemons that carry out devices, by vhost_user::connection_name().
    std::map<std::string, std::shared_ptr<vhost_user::Connection>> daemons = {};
    /// Of the host's, by their full address (vfio::address_of()).
    std::map<std::string, std::shared_ptr<vfio::HostDevice>> host_devices = {};
    SharedRam ram = {};
    /// For devices that access it without a transport; null: there are none.
    const mmu::GuestMemory* memory = nullptr;
    unsigned queues = 1;  ///< of devices that have one for each CPU, where their bus has room for that
    uint64_t ram_bytes = 0;
    /// Takes disks over raw images, so that others can choose their images; null: nobody does.
    std::vector<virtio::SharedDisk*>* shared_disks = nullptr;
};

/// A virtio device wants a transport; a PCI function a place on that bus; a SCSI device a place on a host (devices/virtio/scsi.h); any
/// other one is its own registers. The machine connects it.
using NewDevice = std::variant<std::unique_ptr<virtio::Backend>, std::unique_ptr<pci::Function>,
                               std::unique_ptr<scsi::Unit>, std::unique_ptr<Device>>;

/// A file of the host's that a device opens, or a directory below which it does.
struct HostPath {
    std::string path;
    bool written = false;
    bool directory = false;
};

struct DeviceType {
    std::string name;
    std::string summary;  ///< for a list of devices
    std::vector<DeviceOption> options;
    /// Linux's driver, where it may be a module; empty: none is needed.
    std::string linux_module;
    /// A daemon carries it out: it wants DeviceContext::daemons and shared RAM.
    bool has_daemon = false;
    /// What a device with these arguments opens; null: nothing.
    std::function<std::vector<HostPath>(const DeviceArguments&)> paths;
    /// An error is one line for the user.
    std::function<Result<NewDevice>(const DeviceArguments&, const DeviceContext&)> make;
};

/// A device as it is asked for: a name and options in their order.
struct DeviceRequest {
    std::string name;
    std::vector<std::pair<std::string, std::string>> options;

    /// Of the form NAME[,OPTION=VALUE]...; two commas in a value stand for one. An option without a value is
    /// on.
    static Result<DeviceRequest> parse(std::string_view text);
};

/// Makes devices by name. Which bus and slot they get is not its business.
class DeviceFactory {
  public:
    /// Knows all device types of this folder.
    static DeviceFactory standard();

    /// Names are unique.
    void add(DeviceType type) { types_.push_back(std::move(type)); }
    std::span<const DeviceType> types() const { return types_; }
    const DeviceType* find(std::string_view name) const;

    /// An error is one line for the user.
    Result<NewDevice> make(const DeviceRequest& request, const DeviceContext& context) const;
    /// What the request would make, without making it. An error is one line for the user.
    Result<void> check(const DeviceRequest& request) const;
    /// What that device would open. Nothing for a request that is wrong.
    std::vector<HostPath> paths(const DeviceRequest& request) const;

    /// A line for each device type.
    std::string help() const;
    /// A line for each option of one.
    static std::string help(const DeviceType& type);

  private:
    struct Checked {
        const DeviceType* type;
        DeviceArguments arguments;
    };
    Result<Checked> complete(const DeviceRequest& request) const;

    std::vector<DeviceType> types_;
};

}  // namespace arclight::devices
