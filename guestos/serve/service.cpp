#include "guestos/serve/service.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "devices/virtio/net_frame.h"
#include "guestos/unix_listener.h"
#include "mmu/lightv/json.h"

namespace arclight::guestos::serve {

namespace {

using mmu::lightv::Json;

constexpr size_t kMaxClients = 64;
constexpr size_t kMaxLine = size_t{64} << 10;
constexpr int kBacklog = 16;

std::string line_of(const Json& json) {
    // Texts come from outside: what is no UTF-8 must not throw.
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Numbers are taken for their texts.
Result<Words> words_of(const Json& request) {
    Words words;
    for (const auto& [key, value] : request.items()) {
        if (key == "do") continue;
        if (value.is_string())
            words[key] = value.get<std::string>();
        else if (value.is_number_unsigned())
            words[key] = fmt::format("{}", value.get<uint64_t>());
        else if (value.is_boolean())
            words[key] = value.get<bool>() ? "on" : "off";
        else
            return failure("{}: neither a text nor a number", key);
    }
    return words;
}

bool permitted(int client) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

}  // namespace

Service::~Service() {
    for (const auto& [client, text] : clients_) close(client);
    if (control_ >= 0) {
        close(control_);
        unlink(control_path_.c_str());
    }
    for (const auto& [name, path] : sockets_) unlink(path.c_str());
}

Result<void> Service::add(const Words& words) {
    const auto parsed = parse_interface(words);
    if (!parsed) return std::unexpected(parsed.error());
    const std::string& name = parsed->options.name;
    const auto listener = listen_at_path(fmt::format("interface '{}'", name), parsed->socket, kBacklog);
    if (!listener) return std::unexpected(listener.error());
    if (auto added = device_->add(parsed->options, *listener); !added) {
        close(*listener);
        unlink(parsed->socket.c_str());
        return failure("interface '{}': {}", name, added.error());
    }
    sockets_[name] = parsed->socket;
    return {};
}

Result<void> Service::remove(const Words& words) {
    if (words.size() != 1 || !words.contains("name")) return failure("'remove' takes a name");
    const std::string& name = words.at("name");
    if (auto removed = device_->remove(name); !removed) return removed;
    unlink(sockets_[name].c_str());
    sockets_.erase(name);
    return {};
}

Result<void> Service::change(const Words& words) {
    if (!words.contains("name")) return failure("'change' takes a name");
    for (const auto& interface : device_->report().interfaces) {
        if (interface.options.name != words.at("name")) continue;
        const auto options = parse_change(words, interface.options);
        if (!options) return std::unexpected(options.error());
        return device_->change(*options);
    }
    return failure("there is no interface '{}'", words.at("name"));
}

Json Service::list() {
    const auto report = device_->report();
    Json all = {{"cpu_ns", report.cpu_ns},
                {"messages", report.messages},
                {"sleeps", report.sleeps},
                {"interfaces", Json::array()}};
    for (const auto& one : report.interfaces) {
        const auto& [name, weight, rate, burst, port] = one.options;
        Json interface = {{"name", name},
                          {"socket", sockets_[name]},
                          {"weight", weight},
                          {"rate", rate},
                          {"burst", burst},
                          {"connected", one.connected},
                          {"failed", one.failed},
                          {"sent", one.counts.sent},
                          {"sent_bytes", one.counts.sent_bytes},
                          {"received", one.counts.received},
                          {"received_bytes", one.counts.received_bytes},
                          {"lost", one.counts.lost},
                          {"refused", one.counts.refused}};
        if (port.mac) interface["mac"] = devices::virtio::format_mac(*port.mac);
        all["interfaces"].push_back(std::move(interface));
    }
    return all;
}

Result<Json> Service::carry_out(const Json& request) {
    if (!request.is_object()) return failure("not a JSON object");
    const auto found = request.find("do");
    const std::string what = found != request.end() && found->is_string() ? found->get<std::string>() : "";
    const auto words = words_of(request);
    if (!words) return std::unexpected(words.error());
    Result<void> done;
    if (what == "list" && words->empty()) return list();
    if (what == "add")
        done = add(*words);
    else if (what == "change")
        done = change(*words);
    else if (what == "remove")
        done = remove(*words);
    else
        done = failure("'{}' is nothing to do; there are list, add, change, remove", what);
    if (!done) return std::unexpected(done.error());
    return Json::object();
}

std::string Service::answer(const std::string& line) {
    const auto request = mmu::lightv::parse_json(line, kMaxLine);
    const auto result = request ? carry_out(*request) : Result<Json>(std::unexpected(request.error()));
    if (!result) return line_of({{"ok", false}, {"error", result.error()}});
    return line_of({{"ok", true}, {"result", *result}});
}

Result<void> Service::listen(const std::string& path) {
    const auto listener = listen_at_path("--control", path, kBacklog);
    if (!listener) return std::unexpected(listener.error());
    control_ = *listener;
    control_path_ = path;
    return {};
}

// Answers are short, and to somebody who waits for them: one that does not read loses the connection.
bool Service::serve_client(int client, std::string& text) {
    std::array<char, 4096> buffer{};
    const ssize_t got = recv(client, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    text.append(buffer.data(), static_cast<size_t>(got));
    for (size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
        const std::string said = answer(text.substr(0, end)) + "\n";
        if (send(client, said.data(), said.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(said.size()))
            return false;
    }
    return text.size() <= kMaxLine;
}

void Service::run(int quit) {
    for (;;) {
        std::vector<pollfd> ready = {{quit, POLLIN, 0}, {control_, POLLIN, 0}};
        for (const auto& [client, text] : clients_) ready.push_back({client, POLLIN, 0});
        if (poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) return;
        if (ready[0].revents != 0) return;
        for (size_t i = 2; i < ready.size(); ++i) {
            const int client = ready[i].fd;
            if (ready[i].revents == 0 || serve_client(client, clients_[client])) continue;
            close(client);
            clients_.erase(client);
        }
        if (ready[1].revents == 0) continue;
        const int client = accept4(control_, nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0) continue;
        const timeval limit{.tv_sec = 5, .tv_usec = 0};
        setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        if (clients_.size() < kMaxClients && permitted(client))
            clients_[client];
        else
            close(client);
    }
}

}  // namespace arclight::guestos::serve
