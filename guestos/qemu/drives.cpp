// -drive and -blockdev: images, and what the guest is to have of them.
#include <fmt/format.h>

#include <algorithm>

#include "guestos/qemu/keys.h"
#include "guestos/qemu/translation.h"

namespace arclight::guestos::qemu {

namespace {

/// The file's name without QEMU's prefix for a plain file, or a directory's that is to be a FAT disk; an error for other protocols, as QEMU tells them: a colon before any
/// slash.
Result<std::string> plain_file(std::string_view name) {
    const size_t colon = name.find(':');
    if (colon == std::string_view::npos || name.find('/') < colon) return std::string(name);
    const std::string_view protocol = name.substr(0, colon);
    if (protocol == "file") return std::string(name.substr(colon + 1));
    if (protocol == "fat") return std::string(name);
    return failure(
        "'{}' is no file of the host's: protocol '{}' is not there (a file of that name is './{}')", name,
        protocol, name);
}

/// Words that tell how the host reads and writes; the guest sees the same disk.
void take_host_words(Keys& keys, DriveOptions& options) {
    const std::string aio = keys.choice("aio", "threads", {"threads", "native", "io_uring"}),
                      file_aio = keys.choice("file.aio", "threads", {"threads", "native", "io_uring"});
    options.aio = aio != "threads" ? aio : file_aio;
    const bool direct = keys.on("cache.direct", false), file_direct = keys.on("file.cache.direct", false);
    if (direct || file_direct) options.cache = "none";
    keys.choice("discard", "ignore", {"ignore", "off", "unmap", "on"});
    keys.choice("detect-zeroes", "off", {"off", "on", "unmap"});
    for (const std::string_view key : {"copy-on-read", "cache.no-flush", "auto-read-only", "force-share",
                                       "file.drop-cache", "file.x-check-cache-dropped"})
        keys.on(key, false);
    keys.ignore({"node-name", "file.node-name", "stats-account-invalid", "stats-account-failed"});
}

bool is_limit(std::string_view key) {
    return key.starts_with("bps") || key.starts_with("iops") || key.starts_with("throttling.") ||
           key == "group";
}

Result<void> take_limits(Translation& t, const Given& given, Keys& keys) {
    bool limited = false;
    for (const auto& [key, value] : given.values) {
        if (!is_limit(key)) continue;
        limited |= key != "group" && value != "0";
        keys.ignore({key});
    }
    if (!limited) return {};
    return t.notes.missed(fmt::format("{}: the disk is not throttled", given.origin));
}

/// In both forms, with these keys' prefix in front ("" or "file.").
std::string locking(Keys& keys, std::string_view key) {
    return keys.choice(key, "auto", {"auto", "on", "off"});
}

void check_unit(const Translation& t, Keys& keys, Drive& drive) {
    const auto index = keys.number("index");
    const auto unit = keys.number("unit");
    if (index && unit) keys.fail("index cannot be used with bus and unit");
    const auto taken = [&](uint64_t number) {
        return std::ranges::any_of(t.drives, [&](const Drive& other) {
            return other.interface == drive.interface && other.interface != "none" && other.unit == number;
        });
    };
    uint64_t number = index ? *index : unit.value_or(0);
    if (!index && !unit)
        while (taken(number)) ++number;
    constexpr uint64_t kMaxUnit = 1 << 16;
    if (number > kMaxUnit)
        keys.fail("index {} is more than {}", number, kMaxUnit);
    else if (taken(number))
        keys.fail("drive with bus=0, unit={} (index={}) exists", number, number);
    drive.unit = static_cast<unsigned>(number);
}

Result<Drive> read_drive(Translation& t, const Given& given) {
    Keys keys(given);
    Drive drive{.origin = given.origin, .id = keys.text("id"), .interface = {}, .options = {}};
    drive.interface =
        keys.choice("if", "virtio", {"virtio", "none", "pflash", "ide", "scsi", "sd", "mtd", "floppy"});
    if (drive.interface != "virtio" && drive.interface != "none" && drive.interface != "pflash")
        keys.fail("machine type does not support if={},bus=0,unit=0", drive.interface);
    drive.cdrom = keys.choice("media", "disk", {"disk", "cdrom"}) == "cdrom";
    check_unit(t, keys, drive);
    DriveOptions& options = drive.options;
    const std::string name = keys.text("file", keys.text("file.filename"));
    if (name.empty()) keys.fail("file= is missing: a drive without an image is not there");
    const auto file = plain_file(name);
    if (!file)
        keys.fail("{}", file.error());
    else
        options.file = *file;
    const std::string file_driver = keys.choice("file.driver", "file", {"file", "host_device"});
    options.format = keys.text("format", keys.text("driver", "auto"));
    options.readonly = keys.on("readonly", keys.on("read-only", drive.cdrom));
    options.snapshot = keys.on("snapshot", t.in.has("snapshot"));
    options.werror = keys.choice("werror", options.werror, {"report", "ignore", "stop", "enospc"});
    options.rerror = keys.choice("rerror", options.rerror, {"report", "ignore", "stop"});
    options.locking = keys.has("locking") ? locking(keys, "locking") : locking(keys, "file.locking");
    options.cache =
        keys.choice("cache", "writeback", {"writeback", "none", "unsafe", "writethrough", "directsync"});
    keys.ignore({"bus"});
    take_host_words(keys, options);
    if (const auto limits = take_limits(t, given, keys); !limits) return std::unexpected(limits.error());
    if (const auto known = keys.finish(); !known) return std::unexpected(known.error());
    return drive;
}

/// What of a node stands under "file." or by itself.
Result<Drive> read_node(Translation& t, const Given& given) {
    Keys keys(given);
    Drive drive{.origin = given.origin,
                .id = keys.text("node-name"),
                .interface = "none",
                .options = {},
                .node = true};
    DriveOptions& options = drive.options;
    const std::string driver = keys.text("driver");
    const bool is_file = driver == "file" || driver == "host_device";
    if (driver.empty()) keys.fail("Parameter 'driver' is missing");
    options.format = is_file ? "raw" : driver;
    options.readonly = keys.on("read-only", false);
    const auto take_file = [&](const std::string& prefix) {
        const auto file = plain_file(keys.text(prefix + "filename"));
        if (!file)
            keys.fail("{}", file.error());
        else if (file->empty())
            keys.fail("Parameter '{}filename' is missing", prefix);
        else
            options.file = *file;
        options.locking = locking(keys, prefix + "locking");
    };
    if (is_file) {
        take_file("");
    } else if (const auto reference = keys.optional_text("file")) {
        const auto node = std::ranges::find(t.nodes, *reference, &Drive::id);
        if (node == t.nodes.end()) {
            keys.fail("Cannot find device='' nor node-name='{}'", *reference);
        } else {
            options.file = node->options.file;
            options.locking = node->options.locking;
            options.readonly |= node->options.readonly;
            node->used = true;
        }
    } else {
        keys.choice("file.driver", "file", {"file", "host_device"});
        options.readonly |= keys.on("file.read-only", false);
        take_file("file.");
    }
    // Null: the last one of a chain.
    if (!keys.text("backing").empty()) keys.fail("a backing file is the one that the image names");
    keys.on("file.cache.no-flush", false);
    keys.on("file.auto-read-only", false);
    keys.choice("file.discard", "ignore", {"ignore", "unmap"});
    take_host_words(keys, options);
    if (const auto known = keys.finish(); !known) return std::unexpected(known.error());
    return drive;
}

}  // namespace

Result<void> take_drives(Translation& t) {
    for (const Given* given : t.in.all("drive")) {
        auto drive = read_drive(t, *given);
        if (!drive) return std::unexpected(drive.error());
        if (!drive->id.empty() && std::ranges::count(t.drives, drive->id, &Drive::id) != 0)
            return failure("{}: Duplicate ID '{}' for drive", given->origin, drive->id);
        t.drives.push_back(std::move(*drive));
    }
    return {};
}

Result<void> take_block_nodes(Translation& t) {
    for (const Given* given : t.in.all("blockdev")) {
        auto node = read_node(t, *given);
        if (!node) return std::unexpected(node.error());
        if (node->id.empty())
            return failure("{}: 'node-name' must be specified for the root node", given->origin);
        if (std::ranges::count(t.nodes, node->id, &Drive::id) != 0)
            return failure("{}: Duplicate nodes with node-name='{}'", given->origin, node->id);
        t.nodes.push_back(std::move(*node));
    }
    return {};
}

}  // namespace arclight::guestos::qemu
