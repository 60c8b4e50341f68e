#include <fmt/format.h>

#include <memory>
#include <utility>

#include "guestos/cli/commands.h"
#include "guestos/lightv/client.h"
#include "guestos/new_file.h"
#include "guestos/snapshot/machine_description.h"
#include "guestos/snapshot/snapshot_file.h"
#include "mmu/lightv/json.h"

namespace arclight::guestos::cli {

namespace {
using mmu::lightv::Json;

struct Words {
    std::string control, file;
    bool stop = false;
};

int save(const Words& words) {
    auto file = NewFile::create(words.file);
    if (!file) return complain(file.error());
    const Json request = {{"do", "save"}, {"then", words.stop ? "stop" : "go-on"}};
    const auto result = ask_for_result(words.control, request, "the run", file->descriptor());
    if (!result) return complain("no snapshot was made: " + result.error());
    if (const auto done = file->commit(); !done) return complain(done.error());
    return 0;
}

int print_info(const Words& words) {
    const auto snapshot = SnapshotFile::open(words.file);
    if (!snapshot) return complain(snapshot.error());
    const auto description = MachineDescription::parse(snapshot->description());
    if (!description) return complain(fmt::format("snapshot '{}': {}", words.file, description.error()));
    fmt::print("{}", description->text());
    return 0;
}
}  // namespace

std::optional<std::vector<std::string>> as_run_words(const std::vector<std::string>& arguments) {
    if (arguments.size() < 3 || arguments[0] != "snapshot" || arguments[1] != "restore" ||
        arguments[2].starts_with('-'))
        return std::nullopt;
    std::vector<std::string> words{"run", "--restore", arguments[2]};
    words.insert(words.end(), arguments.begin() + 3, arguments.end());
    return words;
}

std::function<int()> add_snapshot(CLI::App& app) {
    auto* snapshot = app.add_subcommand("snapshot", "Save a machine that runs, and let it go on later");
    snapshot->require_subcommand(1);
    snapshot->footer(
        "A snapshot has RAM, CPUs and devices; disks' images stay where they are (docs/snapshots.md).\n\n"
        "Example: arclight snapshot save --control run.sock booted.snap\n"
        "         arclight snapshot restore booted.snap --drive file=disk.img,snapshot=on");
    auto words = std::make_shared<Words>();
    const auto command = [&](const char* name, const char* help, const char* file) {
        auto* sub = snapshot->add_subcommand(name, help);
        sub->add_option("FILE", words->file, file)->type_name("")->required();
        return sub;
    };
    auto* saving = command("save", "Save the machine of a run that has --control", "the snapshot to write");
    saving->add_option("--control", words->control, "the socket given to 'arclight run --control'")
        ->type_name("PATH")
        ->required();
    saving->add_flag("--stop", words->stop, "the run ends there, without another instruction of the guest's");
    command("restore", "Run from a snapshot: as 'arclight run --restore FILE', whose options follow",
            "the snapshot to go on from")
        ->footer(
            "The machine must be made as it was: the same --drive and --net. -m, --smp, --gic and --virtio "
            "are the "
            "snapshot's unless they are given.");
    auto* info = command("info", "Print what a machine must have to go on from a snapshot", "the snapshot");
    return [=] { return saving->parsed() ? save(*words) : info->parsed() ? print_info(*words) : kExitUsage; };
}

}  // namespace arclight::guestos::cli
