#include "guestos/sandbox/sandbox.h"

#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "devices/vhost_user/device_types.h"
#include "guestos/sandbox/grants.h"
#include "guestos/sandbox/landlock.h"
#include "guestos/sandbox/privileges.h"
#include "guestos/sandbox/seccomp.h"
#include "guestos/sandbox/system_calls.h"
#include "guestos/sandbox/violation.h"
#include "host/page_colours.h"
#include "host/thread_role.h"

namespace arclight::guestos::sandbox {

namespace {

Needs needs;

std::vector<sock_filter> filter_for(ThreadRole role) { return make_filter(rules_for(role, needs), role); }

}  // namespace

Result<void> enter(const RunOptions& options, const std::function<void()>& open_first) {
    if (!options.user.empty()) {
        const auto user = find_user(options.user);
        if (!user) return failure("--user: {}", user.error());
        if (auto became = become(*user); !became) return became;
    }
    open_first();
    if (options.sandbox == SandboxMode::Off) return {};

    const auto uses_ring = [](const DeviceOptions& device) {
        return std::ranges::any_of(device.request.options, [](const auto& option) {
            return option.first == "aio" && option.second != "threads";
        });
    };
    const auto has_device = [&](std::string_view name) {
        return std::ranges::any_of(options.devices,
                                   [&](const DeviceOptions& device) { return device.request.name == name; });
    };
    Result<void> missing;
    const auto build = [&](Result<void> wall) {
        if (!wall && missing) missing = failure("--sandbox require: {}", wall.error());
        return wall.has_value();
    };
    build(drop_capabilities());
    build(forbid_new_privileges());
    build(restrict_files(grants_for(options), tcp_for(options)));
    const auto has_network = [&](std::initializer_list<NetOptions::Kind> kinds) {
        return std::ranges::find_first_of(options.networks, kinds, {}, &NetOptions::kind) !=
               options.networks.end();
    };
    needs = {
        .kvm = options.accel != Accel::Process,
        .control_socket = !options.control.empty(),
        .lightv =
            !options.lightv.empty() || !options.control.empty() || options.lightv_stage == LightvStage::Host,
        .semihosting_files =
            options.semihosting != SemihostingAccess::Off && !options.semihosting_files.empty(),
        .flash_file = std::ranges::any_of(
            options.flash, [](const FlashOptions& bank) { return !bank.file.empty() && !bank.readonly; }),
        .user_network = has_network({NetOptions::Kind::User}),
        .forwarded_commands = !options.command_servers.empty(),
        .forwarded_chardevs = std::ranges::any_of(
            options.networks,
            [](const NetOptions& network) {
                return std::ranges::any_of(network.guest_forwards, [](const GuestForward& forward) {
                    return !forward.chardev.empty();
                });
            }),
        .net_clients = std::ranges::any_of(
            options.networks, [](const NetOptions& network) { return network.reconnect_ms != 0; }),
        .net_sockets =
            has_network({NetOptions::Kind::Stream, NetOptions::Kind::Datagram, NetOptions::Kind::Passt}),
        .tap = std::ranges::any_of(options.networks,
                                   [&](const NetOptions& network) {
                                       return network.kind == NetOptions::Kind::Tap &&
                                              !options.kernel_networks.contains(network.id);
                                   }),
        .debugger = !options.gdb.empty(),
        .shares = has_device("virtio-9p"),
        .daemons = !options.daemons.empty(),
        .daemon_clients =
            std::ranges::any_of(options.devices,
                                [](const DeviceOptions& device) {
                                    return devices::vhost_user::reconnection(device.request).count() != 0;
                                }),
        .vhost_vsock = has_device(devices::vhost_user::kKernelVsock),
        .vhost_net = !options.kernel_networks.empty(),
        .host_devices = !options.host_devices.empty(),
        .profile = !options.profile_host.empty(),
        .vsock = has_device("virtio-vsock"),
        .io_uring = std::ranges::any_of(options.devices, uses_ring),
        .placement = options.placed(),
        .hand_over = options.spin == SpinPolicy::HandOver,
        .colours = host::page_colourer() != nullptr,
        .snapshots = !options.snapshots.empty(),
        .char_servers =
            std::ranges::any_of(options.chardevs, [](const ChardevOptions& one) { return one.server; }),
        .char_clients = std::ranges::any_of(options.chardevs,
                                            [](const ChardevOptions& one) { return one.reconnect != 0; }),
        .kept_blocks = options.jit_cache_blocks,
        .compiles_on_vcpus = options.jit == JitTier::Tier2,
        .process = static_cast<uint32_t>(getpid())};
    report_violations();
    if (build(install_filter(filter_for(ThreadRole::Main), Threads::All)))
        set_thread_role_hook([](ThreadRole role) { narrow_thread(filter_for(role)); });
    return options.sandbox == SandboxMode::Require ? missing : Result<void>();
}

std::string describe_support() {
    const int abi = landlock_abi();
    return fmt::format("{}, {}",
                       seccomp_available() ? "system calls by seccomp" : "no seccomp: system calls are free",
                       abi != 0 ? fmt::format("files by Landlock (ABI {})", abi)
                                : std::string("no Landlock: files are free"));
}

}  // namespace arclight::guestos::sandbox
