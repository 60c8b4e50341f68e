#include "guestos/chardev/parse.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include "devices/device_factory.h"

namespace arclight::guestos {

namespace {

using Kind = ChardevOptions::Kind;

constexpr std::pair<std::string_view, Kind> kKinds[] = {
    {"null", Kind::Null}, {"stdio", Kind::Stdio},   {"file", Kind::File},       {"pipe", Kind::Pipe},
    {"pty", Kind::Pty},   {"socket", Kind::Socket}, {"ringbuf", Kind::Ringbuf}, {"memory", Kind::Ringbuf}};

Result<bool> parse_switch(std::string_view name, std::string_view value) {
    if (value == "on" || value == "yes" || value == "true" || value == "y") return true;
    if (value == "off" || value == "no" || value == "false" || value == "n") return false;
    return failure("{} is '{}' and not on or off", name, value);
}

Result<uint64_t> parse_number(std::string_view name, std::string_view value) {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    std::string_view unit(end, static_cast<size_t>(value.data() + value.size() - end));
    if (value.empty() || error != std::errc() || unit.size() > 1)
        return failure("{} '{}' is no number", name, value);
    if (unit.empty()) return number;
    const unsigned shift = unit == "K" || unit == "k" ? 10 : unit == "M" || unit == "m" ? 20 : 0;
    if (shift == 0 || number > (uint64_t{1} << 40)) return failure("{} '{}' is no number", name, value);
    return number << shift;
}

// The keys of all kinds: each kind ignores what is not its own, but for what would be missed.
Result<void> set_key(ChardevOptions& options, std::string_view key, const std::string& value) {
    const auto set_switch = [&](bool& to, bool negated = false) -> Result<void> {
        const auto on = parse_switch(key, value);
        if (!on) return std::unexpected(on.error());
        to = *on != negated;
        return {};
    };
    if (key == "id") {
        options.id = value;
    } else if (key == "path") {
        options.path = value;
    } else if (key == "host") {
        options.host = value;
    } else if (key == "port") {
        options.port = value;
    } else if (key == "logfile") {
        options.logfile = value;
    } else if (key == "append") {
        return set_switch(options.append);
    } else if (key == "logappend") {
        return set_switch(options.logappend);
    } else if (key == "mux") {
        return set_switch(options.mux);
    } else if (key == "signal") {
        return set_switch(options.signals);
    } else if (key == "server") {
        return set_switch(options.server);
    } else if (key == "wait") {
        return set_switch(options.wait);
    } else if (key == "nowait") {
        return set_switch(options.wait, true);
    } else if (key == "nodelay") {
        return set_switch(options.nodelay);
    } else if (key == "delay") {
        return set_switch(options.nodelay, true);
    } else if (key == "ipv4") {
        return set_switch(options.ipv4);
    } else if (key == "ipv6") {
        return set_switch(options.ipv6);
    } else if (key == "reconnect") {
        const auto seconds = parse_number(key, value);
        if (!seconds || *seconds > 86400) return failure("reconnect '{}' is no number of seconds", value);
        options.reconnect = static_cast<unsigned>(*seconds);
    } else if (key == "fd") {
        const auto descriptor = parse_number(key, value);
        if (!descriptor || *descriptor > 1 << 20) return failure("fd '{}' is no descriptor's number", value);
        options.descriptor = static_cast<int>(*descriptor);
    } else if (key == "size") {
        const auto size = parse_number(key, value);
        if (!size) return std::unexpected(size.error());
        if (*size > 1 << 30) return failure("size '{}' is more than 1G", value);
        options.ring_bytes = static_cast<uint32_t>(*size);
    } else if (key == "telnet") {
        return set_switch(options.telnet);
    } else if (key == "tn3270" || key == "websocket") {
        bool on = false;
        if (auto good = set_switch(on); !good) return good;
        if (on) return failure("{} is not offered: a plain socket is", key);
    } else if (key == "tls-creds" || key == "tls-authz") {
        return failure("{}: TLS is not offered", key);
    } else if (key == "abstract" || key == "tight") {
        bool on = false;
        if (auto good = set_switch(on); !good) return good;
        if (key == "abstract" && on) return failure("abstract sockets are not offered");
    } else if (key == "to") {
        return failure("to: a range of ports is not offered");
    } else {
        return failure("unknown option '{}'", key);
    }
    return {};
}

Result<void> set_keys(ChardevOptions& options, const std::vector<std::pair<std::string, std::string>>& keys) {
    for (const auto& [key, value] : keys)
        if (auto good = set_key(options, key, value); !good) return good;
    return {};
}

// HOST:PORT; an IPv6 address is in brackets.
Result<void> set_endpoint(ChardevOptions& options, std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon + 1 == text.size())
        return failure("'{}' is not HOST:PORT", text);
    options.port = text.substr(colon + 1);
    std::string_view host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    options.host = host;
    return {};
}

}  // namespace

Result<void> check_chardev(const ChardevOptions& options) {
    const auto named = [&](std::string_view why) { return failure("chardev '{}': {}", options.id, why); };
    if (options.id.empty()) return failure("a chardev wants id=NAME");
    switch (options.kind) {
        case Kind::File:
        case Kind::Pipe:
            if (options.path.empty()) return named("path= is missing");
            break;
        case Kind::Socket:
            if (options.is_unix() && options.path.empty() && options.descriptor < 0)
                return named("a socket wants path=, or host= and port=");
            if (!options.is_unix() && options.port.empty()) return named("port= is missing");
            if (!options.is_unix() && !options.path.empty()) return named("path= and host=");
            if (options.server && options.reconnect != 0) return named("reconnect= is for clients");
            if (options.telnet && (!options.server || options.is_unix()))
                return named("telnet=on is for servers at a port");
            break;
        case Kind::Ringbuf:
            if (!std::has_single_bit(options.ring_bytes)) return named("size= is no power of two");
            break;
        default: break;
    }
    return {};
}

Result<ChardevOptions> parse_chardev(std::string_view text) {
    const auto request = devices::DeviceRequest::parse(text);
    if (!request) return std::unexpected(request.error());
    ChardevOptions options;
    const auto* known = std::ranges::find(kKinds, request->name, &std::pair<std::string_view, Kind>::first);
    if (request->name == "udp" || request->name == "serial")
        return failure("a chardev of kind '{}' is not offered", request->name);
    if (known == std::end(kKinds))
        return failure("unknown kind of chardev '{}' (known: null, stdio, file, pipe, pty, socket, ringbuf)",
                       request->name);
    options.kind = known->second;
    if (auto good = set_keys(options, request->options); !good) return std::unexpected(good.error());
    if (auto good = check_chardev(options); !good) return std::unexpected(good.error());
    return options;
}

Result<ChardevOptions> parse_chardev_short(const std::string& id, std::string_view text) {
    ChardevOptions options{.id = id};
    if (text.starts_with("mon:")) {
        options.mux = true;
        text.remove_prefix(4);
    }
    const auto after = [&](std::string_view prefix) {
        const bool has = text.starts_with(prefix);
        if (has) text.remove_prefix(prefix.size());
        return has;
    };
    if (text == "null") {
        options.kind = Kind::Null;
    } else if (text == "stdio") {
        options.kind = Kind::Stdio;
        // As QEMU without a window: Ctrl-C goes to the guest.
        options.signals = false;
    } else if (text == "pty") {
        options.kind = Kind::Pty;
    } else if (after("pty:")) {
        options.kind = Kind::Pty;
        options.path = text;
    } else if (text == "ringbuf") {
        options.kind = Kind::Ringbuf;
    } else if (after("file:")) {
        options.kind = Kind::File;
        options.path = text;
    } else if (after("pipe:")) {
        options.kind = Kind::Pipe;
        options.path = text;
    } else if (const bool local = after("unix:"), telnet = after("telnet:");
               local || telnet || after("tcp:")) {
        options.kind = Kind::Socket;
        options.telnet = telnet;
        const auto request = devices::DeviceRequest::parse(text);
        if (!request) return std::unexpected(request.error());
        if (local)
            options.path = request->name;
        else if (auto good = set_endpoint(options, request->name); !good)
            return std::unexpected(good.error());
        if (auto good = set_keys(options, request->options); !good) return std::unexpected(good.error());
    } else if (text.starts_with("udp:") || text.starts_with("websocket:") || text.starts_with("vc") ||
               text.starts_with("/dev/")) {
        return failure(
            "'{}' is not offered (there are stdio, null, pty, file:, pipe:, tcp:, telnet:, unix:, ringbuf)",
            text);
    } else {
        return failure(
            "'{}' is none of stdio, null, pty, file:PATH, pipe:PATH, tcp:HOST:PORT, telnet:HOST:PORT, "
            "unix:PATH, ringbuf",
            text);
    }
    if (auto good = check_chardev(options); !good) return std::unexpected(good.error());
    return options;
}

}  // namespace arclight::guestos
