#include "guestos/daemons.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "devices/vhost_user/connection.h"
#include "devices/vhost_user/device.h"
#include "devices/vhost_user/device_types.h"
#include "devices/vhost_user/kernel_vsock.h"
#include "devices/vsock/device.h"
#include "guestos/device_requests.h"
#include "guestos/server_process.h"
#include "guestos/unix_listener.h"

namespace arclight::guestos {

namespace {

namespace fs = std::filesystem;
using devices::vhost_user::Connection;
using devices::vhost_user::DaemonConnection;

bool has_daemon(const DeviceOptions& device) {
    static const auto factory = devices::DeviceFactory::standard();
    const auto* type = factory.find(device.request.name);
    return type != nullptr && type->has_daemon;
}

// ---- a virtiofsd for a directory

struct Virtiofsd {
    std::string program;
    bool of_qemu;  ///< its words are those of QEMU's former own (tools/virtiofsd), in C
};

Virtiofsd find_virtiofsd() {
    constexpr std::pair<const char*, bool> kPlaces[] = {
        {"/usr/libexec/virtiofsd", false}, {"/usr/lib/qemu/virtiofsd", true}, {"/usr/lib/virtiofsd", false}};
    for (const auto& [path, of_qemu] : kPlaces)
        if (access(path, X_OK) == 0) return {path, of_qemu};
    return {"virtiofsd", false};
}

Result<std::shared_ptr<Connection>> serve_directory(const std::string& directory, uint64_t wanted) {
    std::error_code error;
    const std::string path = fs::canonical(directory, error);
    if (error) return failure("{}", error.message());
    const auto [program, of_qemu] = find_virtiofsd();
    std::vector<std::string> words{program, fmt::format("--fd={}", ServerProcess::kListener)};
    if (of_qemu) {
        std::string escaped;
        for (const char c : path) {
            if (c == ',' || c == '\\') escaped += '\\';
            escaped += c;
        }
        words.insert(words.end(), {"-o", "source=" + escaped});
    } else {
        words.insert(words.end(), {"--shared-dir", path});
    }
    auto server = ServerProcess::start(words);
    if (!server) return std::unexpected(server.error());
    auto opened = DaemonConnection::open(server->take_connection(), wanted, 0);
    if (opened) return opened;
    const auto said = server->last_words();
    if (!said)
        return failure("needs virtiofsd, which is not installed (Debian 12: package qemu-system-common)");
    return failure("{}", said->empty() ? opened.error() : "virtiofsd: " + *said);
}

// ---- a daemon at a path

/// Waits for the daemon.
Result<int> wait_at(const std::string& path) {
    auto listening = listen_at_path("vhost-user", path, 1);
    if (!listening) return std::unexpected(listening.error());
    const Descriptor listener(*listening);
    pollfd wait{listener.fd, POLLIN, 0};
    while (poll(&wait, 1, -1) < 0 && errno == EINTR) continue;
    const int fd = accept4(listener.fd, nullptr, nullptr, SOCK_CLOEXEC);
    const int error = errno;
    unlink(path.c_str());
    if (fd < 0) return failure("cannot accept a connection: {}", std::strerror(error));
    return fd;
}

/// The host's kernel instead of a daemon.
Result<std::shared_ptr<Connection>> open_kernel(const std::string& cid, uint64_t wanted) {
    using devices::vhost_user::kVhostVsock;
    const uint64_t number = std::stoull(cid, nullptr, cid.starts_with("0x") ? 16 : 10);
    if (number < devices::vsock::Device::kMinCid)
        return failure("guest-cid is less than {}", devices::vsock::Device::kMinCid);
    const int file = open(kVhostVsock, O_RDWR | O_CLOEXEC);
    if (file < 0) return failure("{}: {} (virtio-vsock does without)", kVhostVsock, std::strerror(errno));
    return devices::vhost_user::KernelVsock::open(file, number, wanted);
}

Result<std::shared_ptr<Connection>> open_daemon(const devices::DeviceRequest& request) {
    const auto& kind = *devices::vhost_user::find_kind(request.name);
    const uint64_t wanted = devices::vhost_user::wanted_features(kind);
    if (request.name == devices::vhost_user::kKernelVsock)
        return open_kernel(value_of(request, "guest-cid"), wanted);
    const std::string path = value_of(request, "socket"), directory = value_of(request, "directory");
    if (path.empty() && directory.empty()) return failure("socket=... is missing");
    if (path.empty()) return serve_directory(directory, wanted);
    const auto renewal = devices::vhost_user::reconnection(request);
    if (value_of(request, "server") != "on")
        return DaemonConnection::connect(path, wanted, kind.config_bytes, renewal);
    if (renewal.count() != 0)
        return failure("reconnect= is for sockets that the daemon listens at, not with server=on");
    auto socket = wait_at(path);
    if (!socket) return std::unexpected(socket.error());
    return DaemonConnection::open(*socket, wanted, kind.config_bytes);
}

}  // namespace

bool wants_shared_ram(const RunOptions& options) {
    return std::ranges::any_of(options.devices, [](const DeviceOptions& device) {
        return has_daemon(device) && device.request.name != devices::vhost_user::kKernelVsock;
    });
}

Result<void> open_daemons(RunOptions& options) {
    for (const DeviceOptions& device : options.devices) {
        if (!has_daemon(device)) continue;
        const std::string name = devices::vhost_user::connection_name(device.request);
        const auto wrong = [&](std::string_view why) {
            return failure("{} '{}': {}", device.request.name, name, why);
        };
        // A daemon sees memory as it is.
        if (!options.lightv.empty() || !options.control.empty())
            return wrong("its daemon does not see what LightV puts behind pages");
        if (mmu::protects_tables(options.shadow.policy))
            return wrong(fmt::format("--mmu {} cannot see what its daemon writes",
                                     options.shadow.policy == mmu::ShadowPolicy::Tsp ? "tsp" : "tsp-unsync"));
        if (!options.restore.empty()) return wrong("its daemon cannot be given a state");
        if (options.daemons.contains(name)) return wrong("two devices want one daemon");
        auto opened = open_daemon(device.request);
        if (!opened) return wrong(opened.error());
        options.daemons[name] = std::move(*opened);
    }
    return {};
}

}  // namespace arclight::guestos
