#include "guestos/initramfs.h"

#include <elf.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "guestos/cpio.h"
#include "guestos/kernel_modules.h"

namespace arclight::guestos {

namespace {

constexpr uint64_t kMaxFile = uint64_t(2) << 30;

// Disks, entropy, network, sockets and shared directories, balloon and watchdog on virtio-mmio or PCI, and what an ext4 disk needs where the kernel has it as
// modules (ext4 asks for its checksum by the algorithm's name, which no dependency shows).
const std::string kModules[] = {"virtio_mmio",    "virtio_pci",
                                "virtio_blk",     "virtio_scsi",
                                "sd_mod",         "sr_mod",
                                "nvme",           "virtio_rng",
                                "virtio_net",     "virtio_console",
                                "9pnet_virtio",   "9p",
                                "virtiofs",       "vmw_vsock_virtio_transport",
                                "virtio_balloon", "i6300esb",
                                "crc32c_generic", "ext4",
                                "isofs"};

Bytes text(std::string_view content) { return Bytes(content.begin(), content.end()); }

Result<void> add_modules(CpioArchive& archive, const InitramfsOptions& options) {
    const auto modules = KernelModules::scan(options.modules);
    if (!modules) return std::unexpected(modules.error());
    std::vector<std::string> wanted(std::begin(kModules), std::end(kModules));
    for (const auto& name : options.extra_modules) {
        if (!modules->find(name) && !modules->is_builtin(name))
            return failure("this kernel has no module '{}'", name);
        wanted.push_back(name);
    }
    wanted = modules->closure(wanted);
    const std::string root = "lib/modules/" + options.kernel_version;
    for (const auto& name : wanted) {
        const std::string& path = modules->find(name)->path;
        auto file = read_file("kernel module", options.modules / path, kMaxFile);
        if (!file) return std::unexpected(file.error());
        archive.add_file(root + "/" + path, std::move(*file));
    }
    archive.add_file(root + "/modules.dep", text(modules->dep_text(wanted)));
    archive.add_file(root + "/modules.alias", text(modules->alias_text(wanted)));
    return {};
}

Result<void> add_tree(CpioArchive& archive, const std::filesystem::path& host, const std::string& guest) {
    struct stat info {};
    if (lstat(host.c_str(), &info) != 0)
        return failure("cannot add '{}': {}", host.native(), std::strerror(errno));
    const uint32_t permissions = info.st_mode & 07777;
    if (S_ISREG(info.st_mode)) {
        auto file = read_file("file", host, kMaxFile);
        if (!file) return std::unexpected(file.error());
        archive.add_file(guest, std::move(*file), permissions);
    } else if (S_ISLNK(info.st_mode)) {
        std::error_code error;
        archive.add_link(guest, std::filesystem::read_symlink(host, error).native());
    } else if (S_ISDIR(info.st_mode)) {
        // Permissions of a directory the guest has already stay as they are.
        if (!archive.contains(guest)) archive.add_directory(guest, permissions);
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(host, error)) {
            auto added = add_tree(archive, entry.path(), guest + "/" + entry.path().filename().native());
            if (!added) return added;
        }
        if (error) return failure("cannot read '{}': {}", host.native(), error.message());
    } else {
        return failure("cannot add '{}': neither a file, a directory nor a link", host.native());
    }
    return {};
}

}  // namespace

std::vector<std::string> busybox_applets(const Bytes& busybox) {
    // The applets' names are one sorted run of strings that starts with "[" and "[[" and ends at an empty
    // one.
    constexpr std::string_view start("\0[\0[[\0", 6);
    const std::string_view all(reinterpret_cast<const char*>(busybox.data()), busybox.size());
    size_t at = all.find(start);
    if (at == std::string_view::npos) return {};
    std::vector<std::string> names;
    for (++at; at < all.size() && all[at] != 0;) {
        const size_t end = all.find('\0', at);
        if (end == std::string_view::npos) return {};
        const std::string_view name = all.substr(at, end - at);
        if (name.size() > 32 || name.find('/') != name.npos || (!names.empty() && name <= names.back()))
            return {};
        names.emplace_back(name);
        at = end + 1;
    }
    return names;
}

Result<Bytes> build_initramfs(const InitramfsOptions& options) {
    auto busybox = read_file("busybox", options.busybox, kMaxFile);
    if (!busybox) return std::unexpected(busybox.error());
    if (busybox->size() < sizeof(Elf64_Ehdr) || std::memcmp(busybox->data(), ELFMAG, SELFMAG) != 0 ||
        (*busybox)[offsetof(Elf64_Ehdr, e_machine)] != EM_AARCH64)
        return failure("busybox '{}' is not an AArch64 program", options.busybox.native());

    CpioArchive archive;
    for (const char* directory :
         {"bin", "dev", "etc", "lib", "mnt", "proc", "root", "run", "sbin", "sys", "usr/bin", "var"})
        archive.add_directory(directory);
    archive.add_directory("tmp", 01777);
    // The kernel opens this for /init before anything is mounted.
    archive.add_character_device("dev/console", 5, 1, 0600);
    archive.add_character_device("dev/null", 1, 3, 0666);
    for (const auto& applet : busybox_applets(*busybox))
        if (applet != "busybox") archive.add_link("bin/" + applet, "busybox");
    // Where scripts and the kernel look for these by absolute name.
    archive.add_link("bin/sh", "busybox");
    archive.add_link("usr/bin/env", "/bin/busybox");
    archive.add_link("sbin/modprobe", "/bin/busybox");
    archive.add_file("bin/busybox", std::move(*busybox), 0755);
    archive.add_file("init", text(kInitScript), 0755);
    archive.add_file("etc/profile", text(kProfileScript));
    archive.add_file("etc/passwd",
                     text("root::0:0:root:/root:/bin/sh\nnobody:*:65534:65534:nobody:/:/bin/false\n"));
    archive.add_file("etc/group", text("root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"));
    archive.add_file("etc/hosts", text("127.0.0.1 localhost arclight\n::1 localhost\n"));
    archive.add_file("etc/hostname", text("arclight\n"));
    if (!options.modules.empty())
        if (auto added = add_modules(archive, options); !added) return std::unexpected(added.error());
    for (const auto& addition : options.additions)
        if (auto added = add_tree(archive, addition.host, addition.guest); !added)
            return std::unexpected(added.error());
    return archive.encode();
}

}  // namespace arclight::guestos
