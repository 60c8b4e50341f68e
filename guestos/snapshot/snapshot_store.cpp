#include "guestos/snapshot/snapshot_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "devices/device_factory.h"
#include "devices/virtio/image_lock.h"
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

Result<void> can_be_copied(const RunOptions& options) {
    for (const DiskFile& disk : written_files(options)) {
        struct stat about {};
        if (stat(disk.path.c_str(), &about) != 0) return failed("read", disk.path);
        const auto& words = options.devices[disk.device].request.options;
        const bool raw = std::ranges::count(words, std::pair<std::string, std::string>("format", "raw")) != 0;
        if (!S_ISREG(about.st_mode))
            return failure(
                "disk '{}' is no file, and is not copied into snapshots: make it snapshot=on or "
                "readonly=on",
                disk.path);
        // Whoever serves it keeps parts of its tables in memory, which the file lacks.
        if (options.images.contains(disk.path) && !raw)
            return failure(
                "disk '{}' has a format of QEMU's, whose file is not whole while it is used: make it "
                "snapshot=on, or convert it to raw",
                disk.path);
    }
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
        const File image(open(disk.path.c_str(), O_RDWR | O_CLOEXEC));
        if (image.fd < 0) return failed("write", disk.path);
        if (auto locked = devices::virtio::lock_image(image.fd, {.writes = true, .grows = true},
                                                      devices::virtio::ImageLocking::Auto);
            !locked)
            return failure("disk image '{}': {}", disk.path, locked.error());
        struct stat here {
        }, there{};
        if (fstat(image.fd, &here) != 0 || fstat(copy.fd, &there) != 0) return failed("read", disk.path);
        const bool same = here.st_size == there.st_size && here.st_mtim.tv_sec == there.st_mtim.tv_sec &&
                          here.st_mtim.tv_nsec == there.st_mtim.tv_nsec;
        if (same) continue;  // nobody has written to it since
        if (ftruncate(image.fd, 0) != 0) return failed("write", disk.path);
        if (auto copied = copy_file(copy.fd, image.fd); !copied)
            return failure("cannot restore disk '{}': {}", disk.path, copied.error());
    }
    return {};
}

}  // namespace arclight::guestos
