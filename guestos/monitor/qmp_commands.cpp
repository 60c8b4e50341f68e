#include "guestos/monitor/qmp_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>

#include "devices/virtio/balloon.h"
#include "guestos/monitor/words.h"

namespace arclight::guestos {

namespace {

using Kind = QmpParameter::Kind;

QmpResult query_status(const QmpContext& context, const Json&) {
    const RunState state = context.target.run_state();
    return Json{
        {"status", run_state_word(state)}, {"singlestep", false}, {"running", state == RunState::Running}};
}

QmpResult stop(const QmpContext& context, const Json&) {
    context.target.stop();
    return Json::object();
}

QmpResult cont(const QmpContext& context, const Json&) {
    if (context.target.run_state() == RunState::Shutdown)
        return std::unexpected(QmpError{.text = kWantsReset});
    context.target.resume();
    return Json::object();
}

QmpResult quit(const QmpContext& context, const Json&) {
    context.target.quit();
    return Json::object();
}

QmpResult system_reset(const QmpContext& context, const Json&) {
    context.target.reset();
    return Json::object();
}

QmpResult system_powerdown(const QmpContext& context, const Json&) {
    context.target.power_down();
    return Json::object();
}

QmpResult query_version(const QmpContext& context, const Json&) {
    return Json{
        {"qemu",
         {{"major", QemuVersion::kMajor}, {"minor", QemuVersion::kMinor}, {"micro", QemuVersion::kMicro}}},
        {"package", "Arclight " + context.target.version()}};
}

QmpResult query_name(const QmpContext& context, const Json&) {
    const std::string name = context.target.name();
    return name.empty() ? Json::object() : Json{{"name", name}};
}

QmpResult query_uuid(const QmpContext& context, const Json&) {
    const std::string uuid = context.target.uuid();
    return Json{{"UUID", uuid.empty() ? "00000000-0000-0000-0000-000000000000" : uuid}};
}

// The guest's instructions are translated, whatever runs the translation.
QmpResult query_kvm(const QmpContext&, const Json&) { return Json{{"enabled", false}, {"present", false}}; }

QmpResult query_target(const QmpContext&, const Json&) { return Json{{"arch", "aarch64"}}; }

QmpResult query_cpus_fast(const QmpContext& context, const Json&) {
    Json all = Json::array();
    for (const MonitorTarget::Cpu& cpu : context.target.cpus())
        all.push_back(
            {{"cpu-index", cpu.index},
             {"thread-id", cpu.host_thread},
             {"qom-path", fmt::format("/machine/unattached/device[{}]", cpu.index)},
             {"target", "aarch64"},
             {"props", {{"core-id", cpu.index}, {"thread-id", 0}, {"socket-id", 0}, {"cluster-id", 0}}}});
    return all;
}

QmpResult query_block(const QmpContext& context, const Json&) {
    Json all = Json::array();
    for (const MonitorTarget::Disk& disk : context.target.disks())
        all.push_back({{"device", disk.name},
                       {"type", "unknown"},
                       {"removable", false},
                       {"locked", false},
                       {"io-status", "ok"},
                       {"inserted",
                        {{"file", disk.file},
                         {"drv", disk.format},
                         {"ro", disk.readonly},
                         {"encrypted", false},
                         {"backing_file_depth", 0},
                         {"detect_zeroes", "off"},
                         {"write_threshold", 0},
                         {"bps", 0},
                         {"bps_rd", 0},
                         {"bps_wr", 0},
                         {"iops", 0},
                         {"iops_rd", 0},
                         {"iops_wr", 0},
                         {"cache", {{"writeback", true}, {"direct", false}, {"no-flush", false}}},
                         {"image",
                          {{"filename", disk.file},
                           {"format", disk.format},
                           {"virtual-size", disk.virtual_bytes},
                           {"actual-size", disk.allocated_bytes},
                           {"dirty-flag", false}}}}}});
    return all;
}

QmpResult query_chardev(const QmpContext& context, const Json&) {
    Json all = Json::array();
    for (const MonitorTarget::Chardev& one : context.target.chardevs())
        all.push_back(
            {{"label", one.label}, {"filename", one.filename}, {"frontend-open", one.frontend_open}});
    return all;
}

QmpResult query_machines(const QmpContext&, const Json&) {
    return Json::array({{{"name", "virt-7.2"},
                         {"alias", "virt"},
                         {"cpu-max", 8},
                         {"hotpluggable-cpus", false},
                         {"numa-mem-supported", false},
                         {"deprecated", false}}});
}

QmpResult query_memory(const QmpContext& context, const Json&) {
    return Json{{"base-memory", context.target.memory_bytes()}, {"plugged-memory", 0}};
}

QmpResult no_balloon() {
    return std::unexpected(
        QmpError{.kind = "DeviceNotActive", .text = "No balloon device has been activated"});
}

QmpResult query_balloon(const QmpContext& context, const Json&) {
    const auto balloon = context.target.balloon();
    if (!balloon) return no_balloon();
    return Json{{"actual", balloon->guest_bytes}};
}

QmpResult balloon(const QmpContext& context, const Json& arguments) {
    if (!context.target.balloon()) return no_balloon();
    const auto bytes = arguments["value"].get<int64_t>();
    if (bytes <= 0) return std::unexpected(QmpError{.text = "Parameter 'target' expects a size"});
    context.target.set_balloon(static_cast<uint64_t>(bytes));
    return Json::object();
}

QmpResult watchdog_set_action(const QmpContext& context, const Json& arguments) {
    const auto word = arguments["action"].get<std::string>();
    const auto action = watchdog_action_named(word);
    if (!action)
        return std::unexpected(
            QmpError{.text = fmt::format("Parameter 'action' does not accept value '{}'", word)});
    context.target.set_watchdog_action(*action);
    return Json::object();
}

/// The balloon's statistics are properties of an object in QEMU, and so libvirt asks for them. Others there are none.
QmpResult balloon_property(const QmpContext& context, const Json& arguments,
                           const std::function<QmpResult(const MonitorTarget::Balloon&)>& of_balloon) {
    const auto path = arguments["path"].get<std::string>(),
               property = arguments["property"].get<std::string>();
    constexpr std::string_view kPeripheral = "/machine/peripheral/";
    const auto devices = context.target.devices();
    const auto named = std::ranges::find_if(devices, [&](const MonitorTarget::Device& device) {
        return !device.id.empty() && path == std::string(kPeripheral) + device.id;
    });
    if (named == devices.end())
        return std::unexpected(
            QmpError{.kind = "DeviceNotFound", .text = fmt::format("Device '{}' not found", path)});
    const auto balloon = context.target.balloon();
    if (named->type != "virtio-balloon" || !balloon ||
        (property != "guest-stats" && property != "guest-stats-polling-interval"))
        return std::unexpected(
            QmpError{.text = fmt::format("Property '{}.{}' not found", named->type, property)});
    return of_balloon(*balloon);
}

QmpResult qom_get(const QmpContext& context, const Json& arguments) {
    return balloon_property(context, arguments, [&](const MonitorTarget::Balloon& balloon) -> QmpResult {
        if (arguments["property"] == "guest-stats-polling-interval") return Json(balloon.poll_interval);
        Json statistics = Json::object();
        for (const auto& [name, value] : balloon.statistics) statistics[name] = value;
        return Json{{"stats", statistics}, {"last-update", balloon.updated}};
    });
}

QmpResult qom_set(const QmpContext& context, const Json& arguments) {
    return balloon_property(context, arguments, [&](const MonitorTarget::Balloon&) -> QmpResult {
        const Json& value = arguments["value"];
        if (arguments["property"] != "guest-stats-polling-interval")
            return std::unexpected(QmpError{.text = "Insufficient permission to perform this operation"});
        if (!value.is_number_integer())
            return std::unexpected(QmpError{.text = "Invalid parameter type for 'value', expected: integer"});
        const auto seconds = value.get<int64_t>();
        if (seconds < 0) return std::unexpected(QmpError{.text = "timer value must be greater than zero"});
        if (seconds > devices::virtio::Balloon::kMaxPollSeconds)
            return std::unexpected(QmpError{.text = "timer value is too big"});
        context.target.set_balloon_poll_interval(static_cast<unsigned>(seconds));
        return Json::object();
    });
}

/// `vmstate` and `devices` say where QEMU keeps what; here a snapshot has one place and all disks.
QmpResult snapshot_job(const QmpContext& context, const Json& arguments, const char* type,
                       Result<void> (MonitorTarget::*work)(const std::string&)) {
    const auto id = arguments["job-id"].get<std::string>(), tag = arguments["tag"].get<std::string>();
    if (!context.target.run_job(id, type, [&] { return (context.target.*work)(tag); }))
        return std::unexpected(QmpError{.text = fmt::format("Job ID '{}' already in use", id)});
    return Json::object();
}

QmpResult snapshot_save(const QmpContext& context, const Json& arguments) {
    return snapshot_job(context, arguments, "snapshot-save", &MonitorTarget::save_snapshot);
}

QmpResult snapshot_load(const QmpContext& context, const Json& arguments) {
    return snapshot_job(context, arguments, "snapshot-load", &MonitorTarget::load_snapshot);
}

QmpResult snapshot_delete(const QmpContext& context, const Json& arguments) {
    return snapshot_job(context, arguments, "snapshot-delete", &MonitorTarget::delete_snapshot);
}

QmpResult query_jobs(const QmpContext& context, const Json&) {
    Json all = Json::array();
    for (const MonitorTarget::Job& job : context.target.jobs()) {
        Json one{{"id", job.id},
                 {"type", job.type},
                 {"status", "concluded"},
                 {"current-progress", 1},
                 {"total-progress", 1}};
        if (job.error) one["error"] = *job.error;
        all.push_back(std::move(one));
    }
    return all;
}

QmpResult job_dismiss(const QmpContext& context, const Json& arguments) {
    if (!context.target.dismiss_job(arguments["id"].get<std::string>()))
        return std::unexpected(QmpError{.kind = "DeviceNotActive", .text = "Job not found"});
    return Json::object();
}

QmpResult query_commands(const QmpContext&, const Json&) {
    Json all = Json::array({{{"name", "qmp_capabilities"}}});
    for (const QmpCommand& command : qmp_commands()) all.push_back({{"name", command.name}});
    return all;
}

QmpResult query_nothing(const QmpContext&, const Json&) { return Json::array(); }

// As QEMU: each line begins at the CPU that it names, or the first one.
QmpResult human_monitor_command(const QmpContext& context, const Json& arguments) {
    int64_t cpu = 0;
    if (arguments.contains("cpu-index")) cpu = arguments["cpu-index"].get<int64_t>();
    if (cpu < 0 || static_cast<uint64_t>(cpu) >= context.target.cpus().size())
        return std::unexpected(QmpError{.text = "Parameter 'cpu-index' expects a CPU number"});
    context.human(fmt::format("cpu {}", cpu));
    return context.human(arguments["command-line"].get<std::string>());
}

QmpResult ringbuf_read(const QmpContext& context, const Json& arguments) {
    const auto size = arguments["size"].get<int64_t>();
    if (size <= 0) return std::unexpected(QmpError{.text = "size must be greater than zero"});
    const std::string format = arguments.value("format", "utf8");
    if (format != "utf8" && format != "base64")
        return std::unexpected(
            QmpError{.text = fmt::format("Parameter 'format' does not accept value '{}'", format)});
    const auto bytes =
        context.target.read_ring(arguments["device"].get<std::string>(), static_cast<size_t>(size));
    if (!bytes) return std::unexpected(QmpError{.text = bytes.error()});
    return format == "base64" ? base64(*bytes) : std::string(bytes->begin(), bytes->end());
}

const std::vector<QmpCommand>& table() {
    static const std::vector<QmpCommand> commands = {
        {"query-status", query_status},
        {"stop", stop},
        {"cont", cont},
        {"quit", quit},
        {"system_reset", system_reset},
        {"system_powerdown", system_powerdown},
        {"query-version", query_version},
        {"query-name", query_name},
        {"query-uuid", query_uuid},
        {"query-kvm", query_kvm},
        {"query-target", query_target},
        {"query-cpus-fast", query_cpus_fast},
        {"query-block", query_block},
        {"query-chardev", query_chardev},
        {"query-machines", query_machines},
        {"query-memory-size-summary", query_memory},
        {"query-balloon", query_balloon},
        {"balloon", balloon, {{"value", Kind::Integer}}},
        {"watchdog-set-action", watchdog_set_action, {{"action"}}},
        {"qom-get", qom_get, {{"path"}, {"property"}}},
        {"qom-set", qom_set, {{"path"}, {"property"}, {"value", Kind::Any}}},
        {"snapshot-save", snapshot_save, {{"job-id"}, {"tag"}, {"vmstate"}, {"devices", Kind::Any}}},
        {"snapshot-load", snapshot_load, {{"job-id"}, {"tag"}, {"vmstate"}, {"devices", Kind::Any}}},
        {"snapshot-delete", snapshot_delete, {{"job-id"}, {"tag"}, {"devices", Kind::Any}}},
        {"query-jobs", query_jobs},
        {"job-dismiss", job_dismiss, {{"id"}}},
        {"query-commands", query_commands},
        {"query-iothreads", query_nothing},
        {"query-block-jobs", query_nothing},
        {"human-monitor-command",
         human_monitor_command,
         {{"command-line"}, {"cpu-index", Kind::Integer, true}}},
        {"ringbuf-read", ringbuf_read, {{"device"}, {"size", Kind::Integer}, {"format", Kind::Text, true}}},
    };
    return commands;
}

}  // namespace

std::span<const QmpCommand> qmp_commands() { return table(); }

std::expected<void, QmpError> check_arguments(const QmpCommand& command, const Json& arguments) {
    const auto wrong = [](std::string text) { return std::unexpected(QmpError{.text = std::move(text)}); };
    for (const QmpParameter& parameter : command.parameters) {
        const auto found = arguments.find(parameter.name);
        if (found == arguments.end()) {
            if (parameter.optional) continue;
            return wrong(fmt::format("Parameter '{}' is missing", parameter.name));
        }
        if (parameter.kind == Kind::Any) continue;
        const auto [good, kind] = parameter.kind == Kind::Text ? std::pair(found->is_string(), "string")
                                  : parameter.kind == Kind::Integer
                                      ? std::pair(found->is_number_integer(), "integer")
                                      : std::pair(found->is_boolean(), "boolean");
        if (!good)
            return wrong(fmt::format("Invalid parameter type for '{}', expected: {}", parameter.name, kind));
    }
    for (const auto& [key, value] : arguments.items())
        if (std::ranges::find(command.parameters, key, &QmpParameter::name) == command.parameters.end())
            return wrong(fmt::format("Parameter '{}' is unexpected", key));
    return {};
}

}  // namespace arclight::guestos
