// -fsdev: directories of the host's that -device virtio-9p names. -virtfs is both at once (shorthands.cpp).
#include <fmt/format.h>

#include <algorithm>

#include "guestos/qemu/keys.h"
#include "guestos/qemu/translation.h"

namespace arclight::guestos::qemu {

namespace {

Result<Share> read_share(Translation& t, const Given& given) {
    Keys keys(given);
    Share share{.id = keys.text("id")};
    const std::string driver = keys.choice("fsdriver", "", {"local", "proxy", "synth"});
    if (driver == "proxy" || driver == "synth") keys.fail("'{}' is not there, 'local' is", driver);
    if (share.id.empty()) keys.fail("Parameter 'id' is missing");
    share.directory = keys.text("path");
    if (share.directory.empty()) keys.fail("path property not set");
    share.security_model =
        keys.choice("security_model", "", {"mapped", "mapped-xattr", "mapped-file", "passthrough", "none"});
    if (share.security_model.empty()) keys.fail("security_model property not set");
    share.readonly = keys.on("readonly", false);
    share.multidevs = keys.choice("multidevs", "remap", {"remap", "forbid", "warn"});
    // What is written is written through: there is no cache.
    keys.choice("writeout", "immediate", {"immediate"});
    const bool modes = keys.has("fmode") || keys.has("dmode");
    bool limited = false;
    for (const auto& [key, value] : keys.with_prefix("throttling.")) limited |= value != "0";
    keys.ignore({"fmode", "dmode"});
    if (const auto known = keys.finish(); !known) return std::unexpected(known.error());
    if (modes)
        if (const auto done = t.notes.missed(fmt::format("{}: files get modes 0600 and 0700", given.origin));
            !done)
            return std::unexpected(done.error());
    if (limited)
        if (const auto done = t.notes.missed(fmt::format("{}: the directory is not throttled", given.origin));
            !done)
            return std::unexpected(done.error());
    return share;
}

}  // namespace

Result<void> take_shares(Translation& t) {
    for (const Given* given : t.in.all("fsdev")) {
        auto share = read_share(t, *given);
        if (!share) return std::unexpected(share.error());
        if (std::ranges::count(t.shares, share->id, &Share::id) != 0)
            return failure("{}: Duplicate ID '{}' for fsdev", given->origin, share->id);
        t.shares.push_back(std::move(*share));
    }
    return {};
}

}  // namespace arclight::guestos::qemu
