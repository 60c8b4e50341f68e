#include <fmt/format.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "devices/svio/disk.h"
#include "devices/svio/network.h"
#include "guestos/cli/choice.h"
#include "guestos/cli/commands.h"
#include "guestos/cli/parse.h"
#include "guestos/cli/sandbox_word.h"
#include "guestos/lightv/client.h"
#include "guestos/net/tap_network.h"
#include "guestos/sandbox/server_sandbox.h"
#include "guestos/serve/service.h"
#include "host/cores.h"
#include "mmu/lightv/json.h"

namespace arclight::guestos::cli {

namespace {

using devices::svio::DeviceThread;
using mmu::lightv::Json;

/// What the host says about a disk's errors goes to the user. Nothing can be paused here.
struct Teller final : devices::MachineHost {
    void say(const std::string& line) override { complain(line); }
    void pause(const std::string& why) override { complain(why); }
};

// On a core that others want, looking for what takes long to come delays it.
constexpr uint32_t kSharedPollUs = 10, kOwnPollUs = 50;

struct Words {
    std::string resource, control, core, sandbox;
    std::vector<std::string> interfaces, socket_directories;
    std::optional<uint32_t> poll_us;
};

/// What a device thread owns, with the descriptor that it needs as long.
struct Owned {
    std::unique_ptr<devices::svio::Resource> resource;
    SocketFd uplink;
};

Result<Owned> open_resource(const std::string& text, Teller& teller) {
    using devices::svio::Network;
    if (text == "switch") return Owned{std::make_unique<Network>(Network::Mode::Switch), {}};
    if (text == "echo") return Owned{std::make_unique<Network>(Network::Mode::Echo), {}};
    if (text == "tap" || text.starts_with("tap,")) {
        const auto net = parse_net(text);
        if (!net) return std::unexpected(net.error());
        auto device = open_tap_device(**net);
        if (!device) return std::unexpected(device.error());
        const int file = device->get();
        return Owned{std::make_unique<Network>(Network::Mode::Switch, file), std::move(*device)};
    }
    if (text.starts_with("disk,")) {
        const auto drive = parse_drive(std::string_view(text).substr(text.find(',') + 1));
        if (!drive) return std::unexpected(drive.error());
        auto disk = devices::svio::DiskResource::open(
            drive->file, {.readonly = drive->readonly, .raw = drive->format == "raw"}, &teller);
        if (!disk) return std::unexpected(disk.error());
        return Owned{std::move(*disk), {}};
    }
    return failure("'{}' is none of switch, echo, tap[,...], disk,file=PATH", text);
}

/// Readable once the user wants the end. Before there are other threads.
Result<int> watch_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
    const int quit = sigprocmask(SIG_BLOCK, &set, nullptr) == 0 ? signalfd(-1, &set, SFD_CLOEXEC) : -1;
    if (quit < 0) return failure("signals cannot be waited for: {}", std::strerror(errno));
    return quit;
}

Result<void> place(const std::string& core) {
    if (core.empty()) return {};
    const auto cores = host::CoreSet::parse(core);
    if (!cores || cores->count() == 0) return failure("--core: '{}' is no list of cores such as 0-1,3", core);
    host::Placement placement;
    placement[static_cast<size_t>(host::ThreadGroup::Devices)] = *cores;
    if (!host::place_threads(placement)) return failure("--core {}: {}", core, std::strerror(errno));
    return {};
}

/// Sockets are made there while the server runs: beside those that it has from the start, and where the user says.
std::vector<std::string> socket_directories(const Words& words, const std::vector<serve::Words>& interfaces) {
    std::vector<std::string> all = words.socket_directories;
    const auto add = [&](const std::string& path) {
        const std::string parent = std::filesystem::path(path).parent_path();
        all.push_back(parent.empty() ? "." : parent);
    };
    if (!words.control.empty()) add(words.control);
    for (const serve::Words& interface : interfaces)
        if (const auto path = interface.find("socket"); path != interface.end()) add(path->second);
    return all;
}

int serve(const Words& words) {
    std::vector<serve::Words> interfaces;
    for (const std::string& text : words.interfaces) {
        auto split = serve::split_words(text);
        if (!split) return complain(fmt::format("--interface: {}", split.error()), kExitUsage);
        interfaces.push_back(std::move(*split));
    }
    Teller teller;
    auto owned = open_resource(words.resource, teller);
    if (!owned) return complain(owned.error());
    const auto quit = watch_signals();
    if (!quit) return complain(quit.error());
    for (const auto& done : {place(words.core), sandbox::enter_server(sandbox_mode(words.sandbox),
                                                                      socket_directories(words, interfaces))})
        if (!done) return complain(done.error());
    auto device = DeviceThread::start(std::move(owned->resource),
                                      {.poll = std::chrono::microseconds(words.poll_us.value_or(
                                           words.core.empty() ? kSharedPollUs : kOwnPollUs)),
                                       .say = [](const std::string& line) { complain(line); }});
    if (!device) return complain(device.error());
    serve::Service service(std::move(*device));
    for (const serve::Words& interface : interfaces)
        if (auto added = service.add(interface); !added)
            return complain(fmt::format("--interface: {}", added.error()));
    if (!words.control.empty())
        if (auto listening = service.listen(words.control); !listening) return complain(listening.error());
    service.run(*quit);
    close(*quit);
    return 0;
}

int ask(const std::string& control, const Json& request) {
    const auto result = ask_for_result(control, request, "the server");
    if (!result) return complain(result.error());
    if (!result->empty()) fmt::print("{}\n", result->dump(2, ' ', false, Json::error_handler_t::replace));
    return 0;
}

int ask_with_words(const std::string& control, const char* what, const std::string& text) {
    const auto words = serve::split_words(text);
    if (!words) return complain(words.error(), kExitUsage);
    Json request = {{"do", what}};
    for (const auto& [key, value] : *words) {
        if (key == "do") return complain("'do' is not known", kExitUsage);
        request[key] = value;
    }
    return ask(control, request);
}

}  // namespace

std::function<int()> add_serve(CLI::App& app) {
    auto* command =
        app.add_subcommand("serve", "Own a device that several machines share, on a thread for it");
    command->footer(
        "Machines, also QEMU's, are other processes: each connects to an interface's socket\n"
        "(docs/self-virtualized-io.md).\n\n"
        "    arclight serve switch --interface name=a,socket=a.sock --interface "
        "name=b,socket=b.sock,weight=2\n"
        "    arclight run ... --device vhost-user-net,socket=a.sock,mac=52:54:00:00:00:01");
    auto words = std::make_shared<Words>();
    command
        ->add_option("RESOURCE", words->resource,
                     "switch: frames between machines; echo: frames return; tap[,ifname=NAME]...: with the "
                     "host's network; "
                     "disk,file=PATH[,format=raw][,readonly=on]: parts of an image")
        ->type_name("")
        ->required();
    command
        ->add_option("--interface", words->interfaces,
                     "one that there is from the start: name=NAME,socket=PATH, and after these, with commas "
                     "between them, "
                     "weight=N, rate=BYTES, burst=BYTES, mac=ADDRESS, offset=BYTES, size=BYTES, readonly=on")
        ->type_name("WORDS")
        ->expected(1)
        ->take_all();
    command->add_option("--control", words->control, "make this Unix socket, for 'arclight interface'")
        ->type_name("PATH");
    command->add_option("--core", words->core, "the cores of the device thread, such as 3 [all]")
        ->type_name("LIST");
    command
        ->add_option("--poll", words->poll_us,
                     "microseconds that the thread looks for more before it sleeps, at most, up to 1000000 "
                     "[10; 50 with --core]")
        ->type_name("N")
        ->check(CLI::Range(0, 1'000'000).description("").name(""));
    command
        ->add_option("--sandbox", words->sandbox,
                     "what this process may do on the host: on (as little as the kernel can hold it to), "
                     "require (the same, or an error where the kernel cannot) or off [on]")
        ->type_name("MODE")
        ->check(one_of({"on", "off", "require"}));
    command
        ->add_option(
            "--sockets", words->socket_directories,
            "a directory where 'arclight interface' may have sockets made, beside those of --control "
            "and --interface; repeatable")
        ->type_name("DIR")
        ->expected(1)
        ->take_all()
        ->check(CLI::ExistingDirectory);
    return [words] { return serve(*words); };
}

std::function<int()> add_interface(CLI::App& app) {
    auto* command = app.add_subcommand("interface", "Make and remove interfaces of an 'arclight serve'");
    command->require_subcommand(1);
    command->footer(
        "The server was started with --control. Its words for interfaces are those of 'arclight serve "
        "--interface'.\n\n"
        "Example: arclight interface add --control serve.sock name=c,socket=c.sock,weight=3,rate=10M");
    auto control = std::make_shared<std::string>(), text = std::make_shared<std::string>();
    const auto add = [&](const char* name, const char* help, const char* what, const char* meaning) {
        auto* sub = command->add_subcommand(name, help);
        sub->add_option("--control", *control, "the socket given to 'arclight serve --control'")
            ->type_name("PATH")
            ->required();
        if (what != nullptr) sub->add_option(what, *text, meaning)->type_name("")->required();
        return sub;
    };
    const auto* list = add("list", "What there is, and what it has counted: JSON", nullptr, nullptr);
    const auto* adding = add("add", "Make an interface", "WORDS", "name=NAME,socket=PATH and more");
    const auto* changing = add("change", "Change weight, rate or burst", "WORDS",
                               "name=NAME[,weight=N][,rate=BYTES][,burst=BYTES]");
    const auto* removing = add("remove", "Take an interface from its machine", "NAME", "which one");
    return [=] {
        if (list->parsed()) return ask(*control, {{"do", "list"}});
        if (adding->parsed()) return ask_with_words(*control, "add", *text);
        if (changing->parsed()) return ask_with_words(*control, "change", *text);
        return removing->parsed() ? ask(*control, {{"do", "remove"}, {"name", *text}}) : kExitUsage;
    };
}

}  // namespace arclight::guestos::cli
