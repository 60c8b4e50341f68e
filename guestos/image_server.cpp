#include "guestos/image_server.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "devices/virtio/host_file.h"
#include "devices/virtio/image_format.h"
#include "devices/virtio/nbd.h"
#include "guestos/device_requests.h"

namespace arclight::guestos {

namespace {

namespace fs = std::filesystem;
using devices::virtio::NbdConnection;

constexpr const char* kServer = "qemu-nbd";
constexpr int kListenFd = 3;  // SD_LISTEN_FDS_START

struct Descriptor {
    int fd = -1;
    explicit Descriptor(int number) : fd(number) {}
    ~Descriptor() {
        if (fd >= 0) close(fd);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int release() { return std::exchange(fd, -1); }
};

std::string value_of(const devices::DeviceRequest& request, std::string_view option) {
    for (const auto& [name, value] : request.options)
        if (name == option) return value;
    return {};
}

// The format of an image whose content says that it has one, in QEMU's word. Empty: raw, or compressed, or not to be read,
// of which the disk itself says what is wrong.
std::string probed_format(const std::string& path) {
    std::array<uint8_t, devices::virtio::kImageProbeSize> first{}, last{};
    const Descriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    struct stat info {};
    if (file.fd < 0 || fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode)) return {};
    const auto size = static_cast<size_t>(std::min<off_t>(info.st_size, first.size()));
    if (pread(file.fd, first.data(), size, 0) < 0 ||
        pread(file.fd, last.data(), size, info.st_size - static_cast<off_t>(size)) < 0)
        return {};
    const auto* format =
        devices::virtio::probe_image_format(std::span(first).first(size), std::span(last).first(size));
    if (format == nullptr || format->compressed) return {};
    // By the first word: "qcow (version 1)".
    const std::string_view name = format->name.substr(0, format->name.find(' '));
    for (const std::string_view known : {"qcow2", "qcow", "qed", "vmdk", "vhdx", "vdi", "parallels"})
        if (name == known) return std::string(known);
    return name == "vhd" ? "vpc" : "";
}

/// What the server is told; nothing: the disk opens its image itself.
std::optional<std::vector<std::string>> server_words(const devices::DeviceRequest& request) {
    const std::string path = value_of(request, "file"), cache = value_of(request, "cache"),
                      aio = value_of(request, "aio");
    std::string format = value_of(request, "format");
    if (format.empty() || format == "auto") format = probed_format(path);
    const bool direct = cache == "none" || cache == "directsync";
    // Raw images are opened in this process, but where only whole blocks of more than a sector go past the host's cache.
    const bool raw = format.empty() || format == "raw";
    if (raw && (!direct || devices::virtio::direct_io_possible(path))) return {};
    if (raw) format = "raw";
    const bool written = value_of(request, "readonly") != "on" && value_of(request, "snapshot") != "on";
    std::vector<std::string> words = {
        kServer, "--format=" + format, "--cache=" + (cache.empty() ? std::string("writeback") : cache),
        "--aio=" + (aio.empty() ? std::string("threads") : aio),
        "--discard=" +
            (value_of(request, "discard") == "ignore" ? std::string("ignore") : std::string("unmap"))};
    if (const std::string zeroes = value_of(request, "detect-zeroes"); !zeroes.empty())
        words.push_back("--detect-zeroes=" + zeroes);
    if (!written) words.emplace_back("--read-only");
    // An absolute path is never taken for an option or for one of QEMU's protocols.
    std::error_code error;
    words.push_back(fs::absolute(path, error));
    return words;
}

// In the child: only calls that may follow fork(), though no thread runs yet.
[[noreturn]] void become_server(const std::vector<std::string>& words, int listener, int log) {
    // A Ctrl-C at the terminal is for the machine, which then closes its disks.
    setsid();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(126);
    // dup2() of a descriptor to itself would leave it to be closed.
    if (listener == kListenFd ? fcntl(listener, F_SETFD, 0) < 0 : dup2(listener, kListenFd) < 0) _exit(126);
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_PID", fmt::format("{}", getpid()).c_str(), 1);
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(errno == ENOENT ? 127 : 126);
}

/// A directory for a socket that nobody else can reach, and that is gone when both ends have it.
class PrivateSocket {
  public:
    Result<int> listen() {
        const fs::path base = fs::temp_directory_path(ignored_);
        std::string name = (base / "arclight-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr)
            return failure("cannot make a directory in '{}': {}", base.string(), std::strerror(errno));
        directory_ = name;
        address_.sun_family = AF_UNIX;
        const std::string path = directory_ + "/nbd";
        if (path.size() >= sizeof address_.sun_path) return failure("the name '{}' is too long", path);
        std::memcpy(address_.sun_path, path.c_str(), path.size() + 1);
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, address(), sizeof address_) != 0 || ::listen(fd, 1) != 0) {
            if (fd >= 0) close(fd);
            return failure("cannot make a socket: {}", std::strerror(errno));
        }
        return fd;
    }
    Result<int> connect() {
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && ::connect(fd, address(), sizeof address_) == 0) return fd;
        if (fd >= 0) close(fd);
        return failure("cannot connect a socket: {}", std::strerror(errno));
    }
    ~PrivateSocket() {
        if (!directory_.empty()) fs::remove_all(directory_, ignored_);
    }

  private:
    const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }
    std::string directory_;
    sockaddr_un address_{};
    std::error_code ignored_;
};

// The last line of what the server has said.
std::string last_words(int log) {
    std::array<char, 4096> text;
    const off_t size = lseek(log, 0, SEEK_END);
    const off_t from = std::max<off_t>(0, size - static_cast<off_t>(text.size()));
    const ssize_t got = pread(log, text.data(), text.size(), from);
    std::string_view all(text.data(), got > 0 ? static_cast<size_t>(got) : 0);
    while (all.ends_with('\n')) all.remove_suffix(1);
    all = all.substr(all.rfind('\n') + 1);
    // "qemu-nbd: Failed to blk_new_open 'FILE': WHY"
    if (const size_t opening = all.find("Failed to blk_new_open '"); opening != all.npos)
        if (const size_t end = all.find("': ", opening); end != all.npos) all.remove_prefix(end + 3);
    return std::string(all);
}

Result<std::shared_ptr<NbdConnection>> start(const std::vector<std::string>& words) {
    PrivateSocket server;
    const auto listening = server.listen();
    if (!listening) return std::unexpected(listening.error());
    Descriptor listener(*listening);
    const Descriptor log(memfd_create(kServer, MFD_CLOEXEC));
    if (log.fd < 0) return failure("no memory for a server's messages: {}", std::strerror(errno));
    // Before the server is there, which serves the first that comes and no other.
    const auto connected = server.connect();
    if (!connected) return std::unexpected(connected.error());
    Descriptor connection(*connected);
    const pid_t child = fork();
    if (child < 0) return failure("cannot start {}: {}", kServer, std::strerror(errno));
    if (child == 0) become_server(words, listener.fd, log.fd);
    close(listener.release());
    auto opened = NbdConnection::open(connection.release());
    if (opened) return opened;
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return failure("needs {} for what it is, which is not installed (package qemu-utils)", kServer);
    const std::string said = last_words(log.fd);
    return failure("{}", said.empty() ? opened.error() : said);
}

}  // namespace

Result<void> open_images(RunOptions& options) {
    for (const DeviceOptions& device : options.devices) {
        if (!is_disk(device.request.name)) continue;
        const auto words = server_words(device.request);
        if (!words) continue;
        const std::string path = value_of(device.request, "file");
        auto started = start(*words);
        if (!started) return failure("disk image '{}': {}", path, started.error());
        options.images[path] = std::move(*started);
        constexpr std::string_view kFormat = "--format=";
        for (const std::string& word : *words)
            if (word.starts_with(kFormat)) options.image_formats[path] = word.substr(kFormat.size());
    }
    return {};
}

}  // namespace arclight::guestos
