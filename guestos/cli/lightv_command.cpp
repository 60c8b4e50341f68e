#include <fmt/format.h>

#include <memory>
#include <utility>

#include "guestos/cli/commands.h"
#include "guestos/lightv/client.h"
#include "mmu/lightv/json.h"

namespace arclight::guestos::cli {

namespace {
using mmu::lightv::Json;

struct Words {
    std::string control, controller = "default", name, module, with, json, device, symbol, physical,
                         virtual_address, bytes;
    unsigned cpu = 0, pid = 0;
};

int ask(const Words& words, const Json& request) {
    const auto result = ask_for_result(words.control, request, "the run");
    if (!result) return complain(result.error());
    fmt::print("{}\n", result->dump(2, ' ', false, Json::error_handler_t::replace));
    return 0;
}

/// False: it is not JSON, and the user was told.
bool parse(const std::string& text, const char* option, Json& out) {
    auto parsed = mmu::lightv::parse_json(text, mmu::lightv::kMaxRequestBytes);
    if (parsed) {
        out = std::move(*parsed);
        return true;
    }
    complain(fmt::format("{}: {}", option, parsed.error()), kExitUsage);
    return false;
}

int attach(const Words& words) {
    Json request = {{"do", "attach"}};
    if (!words.json.empty()) {
        Json given;
        if (!parse(words.json, "--json", given)) return kExitUsage;
        if (!given.is_object()) return complain("--json: not an object", kExitUsage);
        given["do"] = "attach";
        return ask(words, given);
    }
    if (words.name.empty() || words.module.empty())
        return complain("attach needs --name and --module, or --json", kExitUsage);
    request.update({{"name", words.name}, {"controller", words.controller}, {"module", words.module}});
    if (!words.with.empty() && !parse(words.with, "--with", request["with"])) return kExitUsage;
    if (!words.device.empty()) request["device"] = words.device;
    Json pages = Json::object();
    if (!words.physical.empty()) pages["physical"] = words.physical;
    if (!words.virtual_address.empty()) {
        pages["virtual"] = words.virtual_address;
        if (words.pid != 0)
            pages["pid"] = words.pid;
        else
            pages["cpu"] = words.cpu;
    }
    if (!words.symbol.empty()) pages["symbol"] = words.symbol;
    if (!words.bytes.empty()) pages["bytes"] = words.bytes;
    if (!pages.empty()) request["pages"] = pages;
    return ask(words, request);
}
}  // namespace

std::function<int()> add_lightv(CLI::App& app) {
    auto* lightv = app.add_subcommand("lightv", "Steer pages of a guest that runs with --control");
    lightv->require_subcommand(1);
    lightv->footer(
        "Modules and their parameters: 'arclight lightv kinds', and mmu/lightv/README.md.\n\n"
        "Example: arclight lightv attach --control run.sock --name hot --module observe "
        "--physical 0x40210000 --bytes 64K");
    auto words = std::make_shared<Words>();
    const auto command = [&](const char* name, const char* help) {
        auto* sub = lightv->add_subcommand(name, help);
        sub->add_option("--control", words->control, "the socket given to 'arclight run --control'")
            ->type_name("PATH")
            ->required();
        return sub;
    };
    const auto who = [&](CLI::App* sub, bool needed) {
        sub->add_option("--controller", words->controller, "in whose name [default]")->type_name("NAME");
        auto* name = sub->add_option("--name", words->name, "of the attachment")->type_name("NAME");
        if (needed) name->required();
    };
    const auto* list = command("list", "Who has which pages");
    const auto* kinds = command("kinds", "The modules there are");
    const auto* stage = command("stage", "Where changes are made, and how many were");
    auto* stats = command("stats", "What the modules have counted");
    stats->add_option("--name", words->name, "of one attachment [all]")->type_name("NAME");
    auto* attaching = command("attach", "Give pages or a device to a module");
    who(attaching, false);
    attaching->add_option("--module", words->module, "see 'kinds'")->type_name("NAME");
    attaching->add_option("--with", words->with, "the module's parameters")->type_name("JSON");
    attaching->add_option("--physical", words->physical, "pages by guest physical address")
        ->type_name("ADDRESS");
    attaching
        ->add_option("--virtual", words->virtual_address,
                     "pages by guest virtual address: of process --pid, or in what --cpu runs now")
        ->type_name("ADDRESS");
    auto* cpu = attaching->add_option("--cpu", words->cpu, "for --virtual [0]")->type_name("N");
    attaching->add_option("--pid", words->pid, "for --virtual: a process or thread, when next it runs")
        ->type_name("N")
        ->excludes(cpu);
    attaching->add_option("--symbol", words->symbol, "pages of a kernel symbol (run --symbols)")
        ->type_name("NAME");
    attaching->add_option("--bytes", words->bytes, "how much from there, 4096, 64K, 1G [1]")
        ->type_name("SIZE");
    attaching->add_option("--device", words->device, "a device instead of pages, such as pl011")
        ->type_name("NAME");
    attaching->add_option("--json", words->json, "all of it as in a policy file")->type_name("JSON");
    auto* detaching = command("detach", "Make the pages ordinary ones again");
    who(detaching, true);
    auto* commanding = command("command", "Tell a module something, such as {\"select\": 1}");
    who(commanding, true);
    commanding->add_option("--with", words->with, "what to tell it")->type_name("JSON")->required();

    return [=] {
        if (list->parsed()) return ask(*words, {{"do", "list"}});
        if (kinds->parsed()) return ask(*words, {{"do", "kinds"}});
        if (stage->parsed()) return ask(*words, {{"do", "stage"}});
        if (attaching->parsed()) return attach(*words);
        if (stats->parsed())
            return ask(*words, words->name.empty() ? Json{{"do", "stats"}}
                                                   : Json{{"do", "stats"}, {"name", words->name}});
        Json request = {{"do", detaching->parsed() ? "detach" : "command"},
                        {"controller", words->controller},
                        {"name", words->name}};
        if (commanding->parsed() && !parse(words->with, "--with", request["with"])) return kExitUsage;
        return ask(*words, request);
    };
}

}  // namespace arclight::guestos::cli
