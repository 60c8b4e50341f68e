#include "guestos/snapshot/snapshot_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include "devices/device_factory.h"
#include "devices/virtio/image_lock.h"
#include "devices/virtio/nbd.h"
#include "guestos/image_keeper.h"
#include "guestos/snapshot/file_copy.h"
#include "guestos/snapshot/snapshot_file.h"
#include "guestos/snapshot/snapshots.h"

namespace arclight::guestos {

namespace fs = std::filesystem;

namespace {

constexpr const char* kMachine = "machine";
constexpr size_t kMaxName = 200;

struct File {
    explicit File(int descriptor) : fd(descriptor) {}
    ~File() {
        if (fd >= 0) close(fd);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    int fd;
};

std::unexpected<std::string> failed(std::string_view what, const std::string& path) {
    return failure("cannot {} '{}': {}", what, path, std::strerror(errno));
}

void remove_tree(const std::string& path) {
    std::error_code ignored;
    fs::remove_all(path, ignored);
}

struct DiskFile {
    size_t device;     ///< its number among the options' devices
    std::string path;  ///< of the image
};

/// The files that the guest's writes go to.
std::vector<DiskFile> written_files(const RunOptions& options) {
    std::vector<DiskFile> files;
    const auto factory = devices::DeviceFactory::standard();
    for (size_t i = 0; i < options.devices.size(); ++i)
        for (const devices::HostPath& used : factory.paths(options.devices[i].request))
            if (used.written && !used.directory) files.push_back({i, used.path});
    return files;
}

std::string copy_name(size_t device) { return fmt::format("disk{}", device); }

/// Where the snapshot that is restored has its copies; empty: it is a file on its own.
std::string directory_with_copies(const RunOptions& options) {
    const fs::path file(options.restore);
    const bool named = !options.snapshots.empty() && file.filename() == kMachine &&
                       file.parent_path().parent_path() == fs::path(options.snapshots);
    return named ? file.parent_path().native() : std::string();
}

/// After a flush qcow2's file has all that was written, and tables that hold. Others say in their file that they are open.
Result<void> is_whole(const RunOptions& options, const std::string& path) {
    const auto format = options.image_formats.find(path);
    if (format == options.image_formats.end() || format->second == "raw") return {};
    if (format->second != "qcow2")
        return failure(
            "disk '{}' is in format {}, whose file is not whole while it is used: make it snapshot=on, or "
            "convert it ('qemu-img convert -O qcow2')",
            path, format->second);
    // QEMU's docs/interop/qcow2.txt: incompatible features, big-endian; bit 2 says that data is in another file.
    constexpr off_t kLastFeatureByte = 79;
    constexpr uint8_t kExternalData = 1 << 2;
    const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    uint8_t features = 0, version = 0;
    if (file.fd < 0 || pread(file.fd, &version, 1, 7) != 1 ||
        pread(file.fd, &features, 1, kLastFeatureByte) != 1)
        return failed("read", path);
    if (version >= 3 && (features & kExternalData) != 0)
        return failure("disk '{}' has its data in another file, which is not copied into snapshots", path);
    return {};
}

Result<void> can_be_copied(const RunOptions& options) {
    for (const DiskFile& disk : written_files(options)) {
        struct stat about {};
        if (stat(disk.path.c_str(), &about) != 0) return failed("read", disk.path);
        if (!S_ISREG(about.st_mode))
            return failure(
                "disk '{}' is no file, and is not copied into snapshots: make it snapshot=on or "
                "readonly=on",
                disk.path);
        if (auto whole = is_whole(options, disk.path); !whole) return whole;
    }
    return {};
}

bool is_same(const std::string& path, int copy) {
    struct stat here {
    }, there{};
    return stat(path.c_str(), &here) == 0 && fstat(copy, &there) == 0 && here.st_size == there.st_size &&
           here.st_mtim.tv_sec == there.st_mtim.tv_sec && here.st_mtim.tv_nsec == there.st_mtim.tv_nsec;
}

/// `patience`: for the image's locks. A server that has just been told to end may hold them a moment longer.
Result<void> put_back(int copy, const std::string& path, std::chrono::seconds patience) {
    const File image(open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (image.fd < 0) return failed("write", path);
    const auto end = std::chrono::steady_clock::now() + patience;
    for (;;) {
        const auto locked = devices::virtio::lock_image(image.fd, {.writes = true, .grows = true},
                                                        devices::virtio::ImageLocking::Auto);
        if (locked) break;
        if (std::chrono::steady_clock::now() > end)
            return failure("disk image '{}': {}", path, locked.error());
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    if (ftruncate(image.fd, 0) != 0) return failed("write", path);
    if (auto copied = copy_file(copy, image.fd); !copied)
        return failure("cannot restore disk '{}': {}", path, copied.error());
    return {};
}

Result<void> sync_directory(const std::string& path) {
    const File directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory.fd < 0 || fsync(directory.fd) != 0) return failed("write", path);
    return {};
}

Result<void> copy_disks(const RunOptions& options, const std::string& to) {
    for (const DiskFile& disk : written_files(options)) {
        const std::string path = fmt::format("{}/{}", to, copy_name(disk.device));
        const File from(open(disk.path.c_str(), O_RDONLY | O_CLOEXEC));
        if (from.fd < 0) return failed("read", disk.path);
        const File copy(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (copy.fd < 0) return failed("write", path);
        if (auto copied = copy_file(from.fd, copy.fd); !copied)
            return failure("cannot copy disk '{}': {}", disk.path, copied.error());
    }
    return {};
}

}  // namespace

Result<void> SnapshotStore::check(const std::string& name) const {
    if (directory_.empty())
        return failure("there is no directory for snapshots: --snapshots DIR names one (docs/snapshots.md)");
    if (name.empty() || name.size() > kMaxName || name.front() == '.' || name.find('/') != std::string::npos)
        return failure("'{}' is no name for a snapshot", name);
    return {};
}

Result<std::string> SnapshotStore::find(const std::string& name) const {
    if (auto good = check(name); !good) return std::unexpected(good.error());
    std::string file = fmt::format("{}/{}/{}", directory_, name, kMachine);
    if (access(file.c_str(), F_OK) != 0)
        return failure("Snapshot '{}' does not exist in '{}'", name, directory_);
    return file;
}

Result<std::vector<SnapshotStore::Entry>> SnapshotStore::list() const {
    std::vector<Entry> all;
    if (directory_.empty()) return all;
    std::error_code error;
    for (const auto& one : fs::directory_iterator(directory_, error)) {
        Entry entry{.name = one.path().filename()};
        struct stat about {};
        if (entry.name.starts_with('.') || stat((one.path() / kMachine).c_str(), &about) != 0) continue;
        entry.saved = about.st_mtim.tv_sec;
        std::error_code ignored;
        for (const auto& file : fs::directory_iterator(one.path(), ignored))
            if (stat(file.path().c_str(), &about) == 0)
                entry.bytes += static_cast<uint64_t>(about.st_blocks) * 512;
        all.push_back(std::move(entry));
    }
    if (error) return failure("cannot read '{}': {}", directory_, error.message());
    std::ranges::sort(all, {}, [](const Entry& entry) { return std::pair(entry.saved, entry.name); });
    return all;
}

Result<void> SnapshotStore::save(Machine& machine, const std::string& name) const {
    const RunOptions& options = machine.options();
    if (auto good = check(name); !good) return good;
    if (auto good = can_be_copied(options); !good) return good;
    const std::string place = fmt::format("{}/{}", directory_, name),
                      part = fmt::format("{}/.{}.{}.part", directory_, name, getpid());
    remove_tree(part);
    if (mkdir(part.c_str(), 0700) != 0) return failed("make", part);
    const auto write = [&]() -> Result<void> {
        const std::string path = fmt::format("{}/{}", part, kMachine);
        const File file(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (file.fd < 0) return failed("write", path);
        auto saved = save_snapshot(machine, options, file.fd, Machine::AfterSave::GoOn,
                                   [&] { return copy_disks(options, part); });
        if (!saved) return saved;
        if (fsync(file.fd) != 0) return failed("write", path);
        if (auto synced = sync_directory(part); !synced) return synced;
        // In the place of an older one, which then has the other name.
        if (renameat2(AT_FDCWD, part.c_str(), AT_FDCWD, place.c_str(), RENAME_EXCHANGE) != 0 &&
            (errno != ENOENT || rename(part.c_str(), place.c_str()) != 0))
            return failed("write", place);
        return sync_directory(directory_);
    };
    auto written = write();
    remove_tree(part);
    return written;
}

Result<void> SnapshotStore::remove(const std::string& name) const {
    if (auto found = find(name); !found) return std::unexpected(found.error());
    const std::string place = fmt::format("{}/{}", directory_, name),
                      gone = fmt::format("{}/.{}.{}.part", directory_, name, getpid());
    remove_tree(gone);
    if (rename(place.c_str(), gone.c_str()) != 0) return failed("remove", place);
    remove_tree(gone);
    return {};
}

RunOptions SnapshotStore::resolve(RunOptions options) {
    if (options.restore.empty()) return options;
    if (const auto file = SnapshotStore(options.snapshots).find(options.restore)) options.restore = *file;
    const std::string directory = directory_with_copies(options);
    if (directory.empty()) return options;
    for (size_t i = 0; i < options.devices.size(); ++i) {
        auto& words = options.devices[i].request.options;
        const std::string copy = fmt::format("{}/{}", directory, copy_name(i));
        if (std::ranges::count(words, std::pair<std::string, std::string>("snapshot", "on")) == 0 ||
            access(copy.c_str(), F_OK) != 0)
            continue;
        for (auto& [word, value] : words)
            if (word == "file") value = copy;
    }
    return options;
}

Result<void> SnapshotStore::restore_disks(const RunOptions& options) {
    const std::string directory = directory_with_copies(options);
    if (directory.empty()) return {};
    for (const DiskFile& disk : written_files(options)) {
        const std::string path = fmt::format("{}/{}", directory, copy_name(disk.device));
        const File copy(open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (copy.fd < 0 && errno == ENOENT) continue;  // it was not written to in that machine
        if (copy.fd < 0) return failed("read", path);
        const auto served = options.images.find(disk.path);
        const auto keeper = options.image_keepers.find(disk.path);
        const bool by_server = served != options.images.end() && keeper != options.image_keepers.end();
        if (by_server && !served->second->flush()) return failed("write", disk.path);
        if (is_same(disk.path, copy.fd)) continue;  // nobody has written to it since
        if (by_server) served->second->hang_up();
        if (auto put = put_back(copy.fd, disk.path, std::chrono::seconds(by_server ? 20 : 0)); !put)
            return put;
        if (!by_server) continue;
        const auto socket = keeper->second->start_server();
        if (!socket) return failure("disk image '{}': {}", disk.path, socket.error());
        if (auto renewed = served->second->renew(*socket); !renewed)
            return failure("disk image '{}': {}", disk.path, renewed.error());
    }
    return {};
}

}  // namespace arclight::guestos
