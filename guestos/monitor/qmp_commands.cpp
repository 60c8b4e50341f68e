#include "guestos/monitor/qmp_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

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
