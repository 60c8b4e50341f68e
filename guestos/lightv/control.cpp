#include "guestos/lightv/control.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "guestos/lightv/policy.h"
#include "guestos/unix_listener.h"
#include "host/thread.h"
#include "mmu/lightv/json.h"
#include "mmu/lightv/parameters.h"

namespace arclight::guestos {

using mmu::lightv::Json;
using mmu::lightv::Parameters;

namespace {
constexpr size_t kMaxClients = 64;
constexpr int kBacklog = 16;

std::string line_of(const Json& json) {
    // Texts come from outside: what is no UTF-8 must not throw.
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string refusal(const std::string& why) { return line_of({{"ok", false}, {"error", why}}); }

/// Short, and to somebody who waits for it: one that does not read loses the connection. False: lost.
bool send_line(int client, const std::string& line) {
    const timeval limit{.tv_sec = 5};
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const std::string reply = line + "\n";
    return send(client, reply.data(), reply.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(reply.size());
}

/// The name that a controller of another user than this process's has.
std::string owner_of(const std::string& name, uid_t user) {
    return user == geteuid() ? name : fmt::format("{} of user {}", name, user);
}
}  // namespace

Result<std::unique_ptr<LightvControl>> LightvControl::create(MachineAccess& machine,
                                                             const RunOptions& options, SaveSnapshot save) {
    std::unique_ptr<LightvControl> control;
    if (options.lightv.empty() && options.control.empty()) return control;
    control.reset(new LightvControl(machine));
    control->save_ = std::move(save);
    machine.ask_before_saves([&controller = control->controller_] { return controller.unsaved(); });
    if (!options.symbols.empty()) {
        auto symbols = Symbols::read(options.symbols);
        if (!symbols) return std::unexpected(symbols.error());
        control->symbols_ = std::move(*symbols);
    }
    if (!options.lightv.empty()) {
        auto requests = read_policy(machine, control->symbols_.get(), options.lightv);
        if (!requests) return std::unexpected(requests.error());
        if (auto done = control->controller_.attach_all(std::move(*requests)); !done)
            return failure("policy '{}': {}", options.lightv, done.error());
    }
    if (!options.control.empty())
        if (auto listening = control->listen(options.control); !listening)
            return std::unexpected(listening.error());
    return control;
}

LightvControl::~LightvControl() {
    machine_.ask_before_saves(nullptr);
    if (thread_.joinable()) {
        const uint64_t one = 1;
        (void)!write(quit_, &one, sizeof one);
        thread_.join();
        unlink(path_.c_str());
    }
    while (!clients_.empty()) drop(clients_.begin()->first);
    if (listener_ >= 0) close(listener_);
    if (quit_ >= 0) close(quit_);
}

Result<void> LightvControl::listen(const std::string& path) {
    const auto listener = listen_at_path("--control", path, kBacklog);
    if (!listener) return std::unexpected(listener.error());
    listener_ = *listener;
    quit_ = eventfd(0, EFD_CLOEXEC);
    if (quit_ < 0) return failure("--control: cannot listen at '{}': {}", path, strerror(errno));
    path_ = path;
    thread_ = host::start_thread("lightv", ThreadRole::Control, [this] { serve(); });
    return {};
}

LightvControl::Peer LightvControl::self() { return {geteuid(), getpid()}; }

std::optional<LightvControl::Peer> LightvControl::peer_of(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || size != sizeof peer) return {};
    return Peer{peer.uid, peer.pid};
}

/// The user who runs this process, and root. The socket's mode says so too, but a directory may let others replace it.
void LightvControl::take_client(int client) {
    const auto peer = peer_of(client);
    const bool permitted = peer && (peer->user == 0 || peer->user == geteuid());
    if (permitted && clients_.size() < kMaxClients) {
        clients_[client].peer = *peer;
        return;
    }
    send_line(client, refusal(permitted ? fmt::format("{} others are connected", kMaxClients)
                                        : "this run takes commands of its own user and of root only"));
    close(client);
}

void LightvControl::serve() {
    for (;;) {
        std::vector<pollfd> fds = {{quit_, POLLIN, 0}, {listener_, POLLIN, 0}};
        for (const auto& [fd, client] : clients_) fds.push_back({fd, POLLIN, 0});
        if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
        if (fds[0].revents != 0) return;
        if (fds[1].revents != 0) {
            const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (client >= 0) take_client(client);
        }
        for (const pollfd& f : std::span(fds).subspan(2)) {
            if (f.revents == 0) continue;
            Client& client = clients_[f.fd];
            std::string& text = client.text;
            char buffer[4096];
            const ssize_t got = receive(f.fd, buffer, client);
            bool open = got > 0;
            if (open) text.append(buffer, static_cast<size_t>(got));
            for (size_t end; open && (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
                open = send_line(f.fd, answer(text.substr(0, end), client.file, client.peer));
                if (client.file >= 0) close(std::exchange(client.file, -1));
            }
            if (open && text.size() > mmu::lightv::kMaxRequestBytes) {
                send_line(f.fd, refusal(fmt::format("a line of more than {} KiB",
                                                    mmu::lightv::kMaxRequestBytes >> 10)));
                open = false;
            }
            if (!open) drop(f.fd);
        }
    }
}

/// Of descriptors only one is of use, and more than a few do not get through.
ssize_t LightvControl::receive(int socket, std::span<char> buffer, Client& client) {
    constexpr size_t kMaxDescriptors = 4;
    iovec piece{buffer.data(), buffer.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
    msghdr header{
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    const ssize_t got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
    if (got < 0) return got;
    for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
        if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
        for (size_t at = 0; at + sizeof(int) <= item->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
            int descriptor;
            std::memcpy(&descriptor, CMSG_DATA(item) + at, sizeof descriptor);
            if (client.file >= 0) close(client.file);
            client.file = descriptor;
        }
    }
    return got;
}

void LightvControl::drop(int socket) {
    if (const int file = clients_[socket].file; file >= 0) close(file);
    close(socket);
    clients_.erase(socket);
}

Result<Json> LightvControl::save(Parameters& words, int file) {
    const bool stop = words.word("then", {"go-on", "stop"}, "go-on") == "stop";
    if (auto good = words.finish(); !good) return std::unexpected(good.error());
    if (file < 0) return failure("'save' comes with the descriptor of a file");
    if (save_ == nullptr) return failure("this machine cannot be saved");
    struct stat about {};
    const int access = fcntl(file, F_GETFL);
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size != 0 || access < 0 ||
        (access & O_ACCMODE) != O_RDWR || (access & O_APPEND) != 0)
        return failure("the descriptor is not one of an empty file to read and write");
    if (auto saved = save_(file, stop); !saved) return std::unexpected(saved.error());
    return Json::object();
}

/// detach, command
Result<Json> LightvControl::change(const std::string& what, Parameters& words, const Peer& peer) {
    const std::string owner = owner_of(words.text("controller", "default"), peer.user),
                      name = words.text("name");
    const Json with = what == "command" ? words.object("with", true) : Json();
    if (auto good = words.finish(); !good) return std::unexpected(good.error());
    const auto by = attached_by_.find(name);
    if (by != attached_by_.end() && by->second != peer.process &&
        std::ranges::any_of(clients_, [&](const auto& c) { return c.second.peer.process == by->second; }))
        return failure("'{}' belongs to process {}, which is connected", name, by->second);
    if (what == "command") return controller_.command(owner, name, with);
    if (auto done = controller_.detach(owner, name); !done) return std::unexpected(done.error());
    attached_by_.erase(name);
    return Json::object();
}

Json LightvControl::stage() const {
    const mmu::HostStage* stage = machine_.page_overlay().host_stage();
    if (stage == nullptr) return {{"stage", "fill"}};
    const auto counts = stage->counts();
    return {{"stage", "host"},         {"writes_sleep", stage->can_hold_writes()},
            {"maps", counts.maps},     {"pages_mapped", counts.pages},
            {"faults", counts.faults}, {"pages_withheld", stage->withheld_pages()}};
}

Result<Json> LightvControl::carry_out(const Json& json, int file, const Peer& peer) {
    if (!json.is_object()) return failure("not a JSON object");
    Json request = json;
    const std::string what =
        request.contains("do") && request["do"].is_string() ? request["do"].get<std::string>() : "";
    request.erase("do");
    if (what == "attach") {
        auto parsed = parse_request(machine_, symbols_.get(), request);
        if (!parsed) return std::unexpected(parsed.error());
        parsed->owner = owner_of(parsed->owner, peer.user);
        const size_t pages = parsed->pages.size();
        const std::string name = parsed->name;
        if (auto done = controller_.attach(std::move(*parsed)); !done) return std::unexpected(done.error());
        attached_by_[name] = peer.process;
        return Json{{"pages", pages}};
    }
    Parameters p(request, what);
    if (what == "list") {
        if (auto good = p.finish(); !good) return std::unexpected(good.error());
        return controller_.list();
    }
    if (what == "kinds") {
        if (auto good = p.finish(); !good) return std::unexpected(good.error());
        Json all = Json::object();
        for (const auto& kind : mmu::lightv::kinds()) all[kind.name] = kind.help;
        return all;
    }
    if (what == "stage") {
        if (auto good = p.finish(); !good) return std::unexpected(good.error());
        return stage();
    }
    if (what == "stats") {
        const std::string name = p.text("name", "");
        if (auto good = p.finish(); !good) return std::unexpected(good.error());
        return controller_.stats(name);
    }
    if (what == "detach" || what == "command") return change(what, p, peer);
    if (what == "save") return save(p, file);
    return failure(
        "'{}' is nothing to do; there are list, kinds, stage, stats, attach, detach, command, save", what);
}

std::string LightvControl::answer(const std::string& line, int file, const Peer& peer) {
    const uint64_t began = machine_.clock().ticks();
    const Result<Json> request = mmu::lightv::parse_json(line, mmu::lightv::kMaxRequestBytes);
    if (!request) return refusal(request.error());
    const Result<Json> result = carry_out(*request, file, peer);
    if (!result) return refusal(result.error());
    return line_of(
        {{"ok", true}, {"result", *result}, {"began", began}, {"ended", machine_.clock().ticks()}});
}

}  // namespace arclight::guestos
