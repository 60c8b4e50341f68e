#include "guestos/image_server.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "devices/virtio/host_file.h"
#include "devices/virtio/image_format.h"
#include "devices/virtio/nbd.h"
#include "guestos/device_requests.h"
#include "guestos/image_keeper.h"
#include "guestos/server_process.h"

namespace arclight::guestos {

namespace {

namespace fs = std::filesystem;
using devices::virtio::NbdConnection;

constexpr const char* kServer = "qemu-nbd";

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

/// QEMU's name for a directory as a FAT disk, fat:[floppy:][12:|16:|32:][rw:]DIRECTORY, with an absolute directory. Nothing: it is a file's name.
std::optional<std::string> directory_disk(const std::string& name) {
    std::error_code error;
    if (!name.starts_with("fat:") || fs::exists(name, error)) return {};
    const size_t colon = name.rfind(':');
    return name.substr(0, colon + 1) + fs::absolute(name.substr(colon + 1), error).string();
}

/// What the server is told; nothing: the disk opens its image itself.
std::optional<std::vector<std::string>> server_words(const devices::DeviceRequest& request) {
    const std::string path = value_of(request, "file"), cache = value_of(request, "cache"),
                      aio = value_of(request, "aio");
    std::string format = value_of(request, "format");
    const auto directory = directory_disk(path);
    if (directory) format = "vvfat";
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
    const bool writable = !directory || directory->find(":rw:") != std::string::npos;
    if (!written || !writable) words.emplace_back("--read-only");
    if (directory) {
        words.push_back(*directory);
        return words;
    }
    // An absolute path is never taken for an option or for one of QEMU's protocols.
    std::error_code error;
    words.push_back(fs::absolute(path, error));
    return words;
}

// "qemu-nbd: Failed to blk_new_open 'FILE': WHY"
std::string reason_in(std::string_view said) {
    if (const size_t opening = said.find("Failed to blk_new_open '"); opening != said.npos)
        if (const size_t end = said.find("': ", opening); end != said.npos) said.remove_prefix(end + 3);
    return std::string(said);
}

Result<std::shared_ptr<NbdConnection>> start(const std::vector<std::string>& words) {
    auto server = ServerProcess::start(words);
    if (!server) return std::unexpected(server.error());
    auto opened = NbdConnection::open(server->take_connection());
    if (opened) return opened;
    const auto said = server->last_words();
    if (!said)
        return failure("needs {} for what it is, which is not installed (package qemu-utils)", kServer);
    return failure("{}", said->empty() ? opened.error() : reason_in(*said));
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
        if (!options.snapshots.empty() && std::ranges::count(*words, "--read-only") == 0) {
            auto keeper = ImageKeeper::start(*words);
            if (!keeper) return failure("disk image '{}': {}", path, keeper.error());
            options.image_keepers[path] = std::move(*keeper);
        }
        constexpr std::string_view kFormat = "--format=";
        for (const std::string& word : *words)
            if (word.starts_with(kFormat)) options.image_formats[path] = word.substr(kFormat.size());
    }
    return {};
}

}  // namespace arclight::guestos
