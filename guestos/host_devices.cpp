#include "guestos/host_devices.h"

#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "devices/layout.h"
#include "devices/vfio/container.h"
#include "devices/vfio/device_type.h"
#include "devices/vfio/host_device.h"

namespace arclight::guestos {

namespace {

namespace vfio = devices::vfio;

/// The device reaches guest memory as it is at the start, whatever the guest or somebody else makes of a page later.
Result<void> check_beside(const RunOptions& options) {
    if (!options.lightv.empty() || !options.control.empty())
        return failure("it does not see what LightV puts behind pages");
    if (mmu::protects_tables(options.shadow.policy))
        return failure("--mmu {} cannot see what it writes",
                       options.shadow.policy == mmu::ShadowPolicy::Tsp ? "tsp" : "tsp-unsync");
    if (!options.restore.empty()) return failure("it cannot be given a state");
    const bool balloon = std::ranges::any_of(
        options.devices, [](const DeviceOptions& device) { return device.request.name == "virtio-balloon"; });
    if (balloon) return failure("it keeps all of guest memory: no balloon gives the host any back");
    return {};
}

/// What is pinned counts as locked, and the sandbox gives up the right to lock more.
void allow_locked_memory(uint64_t bytes) {
    constexpr uint64_t kOthers = 64 << 20;
    rlimit limit{};
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur >= bytes + kOthers) return;
    limit.rlim_cur = bytes + kOthers;
    limit.rlim_max = std::max(limit.rlim_max, limit.rlim_cur);
    if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0) return;
    // Without the right to raise the hard limit: as far as that goes. The host's kernel says whether it is enough.
    getrlimit(RLIMIT_MEMLOCK, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_MEMLOCK, &limit);
}

}  // namespace

Result<void> open_host_devices(RunOptions& options, const vfio::System& system) {
    std::shared_ptr<vfio::Container> container;
    for (const DeviceOptions& device : options.devices) {
        if (device.request.name != vfio::kVfioPci) continue;
        const auto address = vfio::address_of(device.request);
        if (!address) return failure("vfio-pci: {}", address.error());
        const auto wrong = [&](std::string_view why) { return failure("vfio-pci {}: {}", *address, why); };
        if (auto good = check_beside(options); !good) return wrong(good.error());
        if (options.host_devices.contains(*address)) return wrong("the guest has it already");
        if (auto group = vfio::group_of(*address, system); !group) return wrong(group.error());
        if (container == nullptr) {
            allow_locked_memory(options.memory);
            auto opened = vfio::Container::open(system);
            if (!opened) return wrong(opened.error());
            container = std::move(*opened);
        }
        auto opened = vfio::HostDevice::open(*address, container);
        if (!opened) return wrong(opened.error());
        if (auto reached = container->check(devices::layout::kRamBase, options.memory); !reached)
            return wrong(reached.error());
        options.host_devices[*address] = std::move(*opened);
    }
    return {};
}

}  // namespace arclight::guestos
