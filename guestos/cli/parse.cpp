#include "guestos/cli/parse.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "guestos/device_requests.h"

namespace arclight::guestos::cli {

namespace {

constexpr uint64_t kMiB = 1 << 20;
// Below 1 MiB nothing boots; above 255 GiB QEMU's board has no room either.
constexpr uint64_t kMinMemory = kMiB;
constexpr uint64_t kMaxMemory = 255 * 1024 * kMiB;
// Jumps within it reach 2 GiB.
constexpr uint64_t kMaxCodeCache = 1024 * kMiB;
// A few regions.
constexpr uint64_t kMinJitRoom = kMiB / 16;
// Digits behind the point: their number, times 1 TiB, fits into 64 bits.
constexpr size_t kMaxFraction = 7;

Result<bool> parse_switch(std::string_view key, std::string_view value) {
    if (value == "on") return true;
    if (value == "off") return false;
    return failure("{} is on or off, not '{}'", key, value);
}

/// Into `to`, if it is one of the words.
Result<void> take_word(std::string_view key, std::string_view value, std::span<const std::string_view> words,
                       std::string& to) {
    if (std::ranges::find(words, value) == words.end())
        return failure("{} '{}' is not known (known: {})", key, value, fmt::join(words, ", "));
    to = value;
    return {};
}

constexpr std::string_view kFormats[] = {"auto", "raw", "qcow2", "qcow",      "qed",   "vmdk", "vdi",
                                         "vhdx", "vpc", "dmg",   "parallels", "cloop", "bochs"};
constexpr std::string_view kCaches[] = {"writeback", "writethrough", "unsafe", "none", "directsync"};
constexpr std::string_view kAios[] = {"threads", "native", "io_uring"};
constexpr std::string_view kDiscards[] = {"unmap", "ignore", "on", "off"};
constexpr std::string_view kDetectZeroes[] = {"off", "on", "unmap"};

/// DIGITS, or DIGITS.DIGITS, and a suffix.
Result<uint64_t> parse_size(std::string_view text) {
    const auto not_a_size = [&] { return failure("'{}' is not a memory size (examples: 256M, 4G)", text); };
    const auto digits = [](std::string_view from) {
        return from.substr(0, std::min(from.find_first_not_of("0123456789"), from.size()));
    };
    const std::string_view whole = digits(text);
    std::string_view suffix = text.substr(whole.size()), fraction;
    if (suffix.starts_with('.')) {
        fraction = digits(suffix.substr(1));
        suffix.remove_prefix(1 + fraction.size());
        if (fraction.empty() || fraction.size() > kMaxFraction) return not_a_size();
    }
    if (whole.empty() || suffix.size() > 1) return not_a_size();
    unsigned shift = 20;
    if (!suffix.empty()) {
        switch (suffix[0] | 0x20) {
            case 'k': shift = 10; break;
            case 'm': shift = 20; break;
            case 'g': shift = 30; break;
            case 't': shift = 40; break;
            default: return not_a_size();
        }
    }
    const auto number_of = [](std::string_view from) -> std::optional<uint64_t> {
        uint64_t number = 0;
        const auto [end, error] = std::from_chars(from.data(), from.data() + from.size(), number);
        return error == std::errc() ? std::optional(number) : std::nullopt;
    };
    const auto number = number_of(whole);
    if (!number || *number > kMaxMemory >> shift) return failure("'{}' is more than 255 GiB", text);
    uint64_t parts = 0, scale = 1;
    for (const char digit : fraction) parts = parts * 10 + uint64_t(digit - '0'), scale *= 10;
    const uint64_t bytes = (*number << shift) + (parts << shift) / scale;
    if (bytes > kMaxMemory) return failure("'{}' is more than 255 GiB", text);
    return bytes;
}

}  // namespace

std::vector<std::string> split_commas(std::string_view text) {
    std::vector<std::string> parts(1);
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != ',') {
            parts.back() += text[i];
        } else if (i + 1 < text.size() && text[i + 1] == ',') {
            parts.back() += ',';
            ++i;
        } else {
            parts.emplace_back();
        }
    }
    return parts;
}

Result<uint64_t> parse_memory(std::string_view text) {
    const auto bytes = parse_size(text);
    if (!bytes) return bytes;
    if (*bytes < kMinMemory) return failure("'{}' is less than 1 MiB", text);
    // Whole pages on any host, and large pages throughout.
    if (*bytes % kMiB != 0) return failure("'{}' is not a whole number of MiB", text);
    return bytes;
}

Result<uint64_t> parse_jit_room(std::string_view text) {
    const auto bytes = parse_size(text);
    if (bytes && *bytes < kMinJitRoom) return failure("'{}' is less than 64 KiB", text);
    return bytes;
}

Result<uint64_t> parse_code_cache(std::string_view text) {
    const auto bytes = parse_memory(text);
    if (bytes && *bytes > kMaxCodeCache) return failure("'{}' is more than 1 GiB", text);
    return bytes;
}

Result<DeviceOptions> parse_device(std::string_view text) {
    auto request = devices::DeviceRequest::parse(text);
    if (!request) return std::unexpected(request.error());
    auto device = placed_device(std::move(*request));
    if (!device) return device;
    const auto factory = devices::DeviceFactory::standard();
    if (auto known = factory.check(device->request); !known) return std::unexpected(known.error());
    return device;
}

Result<DriveOptions> parse_drive(std::string_view text) {
    DriveOptions drive;
    for (const std::string& part : split_commas(text)) {
        const size_t equals = part.find('=');
        if (equals == std::string::npos) return failure("'{}' is not of the form key=value", part);
        const std::string_view key = std::string_view(part).substr(0, equals);
        const std::string_view value = std::string_view(part).substr(equals + 1);
        Result<void> taken;
        if (key == "file") {
            drive.file = value;
        } else if (key == "format") {
            taken = take_word(key, value, kFormats, drive.format);
        } else if (key == "if") {
            if (value != "virtio" && value != "none")
                return failure("if '{}' is not supported, only virtio", value);
        } else if (key == "id") {
            // QEMU's name for -device to refer to; every drive is attached here.
        } else if (key == "readonly" || key == "read-only" || key == "snapshot") {
            const auto on = parse_switch(key, value);
            if (!on) return std::unexpected(on.error());
            (key == "snapshot" ? drive.snapshot : drive.readonly) = *on;
        } else if (key == "werror" || key == "rerror") {
            const bool write = key == "werror";
            if (value != "report" && value != "ignore" && value != "stop" && !(write && value == "enospc"))
                return failure("{} is report, ignore{} stop{}, not '{}'", key, write ? "," : " or",
                               write ? " or enospc" : "", value);
            (write ? drive.werror : drive.rerror) = value;
        } else if (key == "file.locking" || key == "locking") {
            if (value != "auto" && value != "on" && value != "off")
                return failure("{} is auto, on or off, not '{}'", key, value);
            drive.locking = value;
        } else if (key == "cache") {
            taken = take_word(key, value, kCaches, drive.cache);
        } else if (key == "aio") {
            taken = take_word(key, value, kAios, drive.aio);
        } else if (key == "discard") {
            taken = take_word(key, value, kDiscards, drive.discard);
        } else if (key == "detect-zeroes") {
            taken = take_word(key, value, kDetectZeroes, drive.detect_zeroes);
        } else if (key == "record") {
            drive.record = value;
        } else if (key == "serial") {
            if (value.size() > 20) return failure("serial '{}' is longer than 20 characters", value);
            drive.serial = value;
        } else {
            return failure(
                "unknown key '{}' (known: file, format, if, id, readonly, snapshot, serial, werror, rerror, "
                "file.locking, cache, aio, discard, detect-zeroes)",
                key);
        }
        if (!taken) return std::unexpected(taken.error());
    }
    if (drive.file.empty()) return failure("file=PATH is missing");
    return drive;
}

Result<ShareOptions> parse_share(std::string_view text) {
    ShareOptions share;
    const std::vector<std::string> parts = split_commas(text);
    const std::string& first = parts.front();
    const size_t colon = first.rfind(":/");
    share.directory = first.substr(0, colon);
    if (colon != std::string::npos) share.mount_point = first.substr(colon + 1);
    std::string of_9p;  // a key that virtiofsd does not know
    if (share.directory.empty()) return failure("'{}' is not of the form DIR[:/MOUNT][,KEY=VALUE]", text);
    for (const std::string& part : std::span(parts).subspan(1)) {
        const size_t equals = part.find('=');
        if (equals == std::string::npos) return failure("'{}' is not of the form key=value", part);
        const std::string key = part.substr(0, equals), value = part.substr(equals + 1);
        if (key == "readonly") {
            const auto on = parse_switch(key, value);
            if (!on) return std::unexpected(on.error());
            share.readonly = *on;
        } else if (key == "protocol") {
            if (value != "9p" && value != "virtiofs")
                return failure("protocol is 9p or virtiofs, not '{}'", value);
            share.virtiofs = value == "virtiofs";
        } else if (key == "security_model" || key == "multidevs") {
            of_9p = key;
            (key == "multidevs" ? share.multidevs : share.security_model) = value;
        } else if (key == "tag") {
            share.tag = value;
        } else {
            return failure("unknown key '{}' (known: readonly, protocol, security_model, multidevs, tag)",
                           key);
        }
    }
    if (share.virtiofs && !of_9p.empty()) return failure("{} is for protocol=9p", of_9p);
    if (share.virtiofs && share.readonly)
        return failure("readonly=on is for protocol=9p: virtiofsd would let the guest write");
    return share;
}

Result<TraceOptions> parse_trace(std::string_view text) {
    TraceOptions trace;
    for (const std::string& word : split_commas(text)) {
        if (word == "blocks")
            trace.blocks = true;
        else if (word == "ir")
            trace.ir = true;
        else if (word == "host")
            trace.host = true;
        else if (word == "exceptions")
            trace.exceptions = true;
        else if (word == "mmu")
            trace.mmu = true;
        else
            return failure("unknown kind '{}' (known: blocks, ir, host, exceptions, mmu)", word);
    }
    return trace;
}

Result<InitramfsOptions::Addition> parse_addition(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0 || !text.substr(colon + 1).starts_with('/'))
        return failure("'{}' is not of the form HOST:/GUEST", text);
    return InitramfsOptions::Addition{.host = std::string(text.substr(0, colon)),
                                      .guest = std::string(text.substr(colon + 1))};
}

}  // namespace arclight::guestos::cli
