#include "guestos/monitor/qmp.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "guestos/monitor/qmp_commands.h"

namespace arclight::guestos {

namespace {

Json error_json(const QmpError& error) { return {{"error", {{"class", error.kind}, {"desc", error.text}}}}; }

std::unexpected<QmpError> wrong(std::string text) {
    return std::unexpected(QmpError{.text = std::move(text)});
}

std::expected<void, QmpError> check_request(const Json& request) {
    if (!request.is_object()) return wrong("QMP input must be a JSON object");
    for (const auto& [key, value] : request.items()) {
        if (key == "execute" && !value.is_string())
            return wrong("QMP input member 'execute' must be a string");
        if (key == "arguments" && !value.is_object())
            return wrong("QMP input member 'arguments' must be an object");
        if (key != "execute" && key != "arguments" && key != "id")
            return wrong(fmt::format("QMP input member '{}' is unexpected", key));
    }
    if (!request.contains("execute")) return wrong("QMP input lacks member 'execute'");
    return {};
}

/// There is no capability to enable.
std::expected<void, QmpError> check_capabilities(const Json& arguments) {
    for (const auto& [key, value] : arguments.items()) {
        if (key != "enable") return wrong(fmt::format("Parameter '{}' is unexpected", key));
        if (!value.is_array()) return wrong("Invalid parameter type for 'enable', expected: array");
        for (const Json& one : value) {
            if (!one.is_string()) return wrong("Invalid parameter type for 'enable[0]', expected: string");
            if (one != "oob")
                return wrong(
                    fmt::format("Parameter 'enable[0]' does not accept value '{}'", one.get<std::string>()));
            return wrong("Capability 'oob' not available");
        }
    }
    return {};
}

}  // namespace

MonitorEvent MonitorEvent::now(std::string name, Json data) {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return {.name = std::move(name),
            .data = std::move(data),
            .microseconds = std::chrono::duration_cast<std::chrono::microseconds>(since).count()};
}

Json MonitorEvent::json() const {
    Json event{
        {"event", name},
        {"timestamp", {{"seconds", microseconds / 1'000'000}, {"microseconds", microseconds % 1'000'000}}}};
    if (!data.is_null()) event["data"] = data;
    return event;
}

Json QmpSession::greeting() const {
    return {{"QMP",
             {{"version",
               {{"qemu",
                 {{"major", QemuVersion::kMajor},
                  {"minor", QemuVersion::kMinor},
                  {"micro", QemuVersion::kMicro}}},
                {"package", "Arclight " + target_.version()}}},
              {"capabilities", Json::array()}}}};
}

void QmpSession::reset() {
    stream_.reset();
    negotiated_ = false;
}

void QmpSession::feed(std::span<const uint8_t> bytes, const Reply& reply, std::mutex& commands) {
    stream_.feed(bytes, [&](std::expected<Json, std::string> value) {
        Json answered;
        {
            const std::lock_guard guard(commands);
            answered = value ? answer(*value) : error_json({.text = value.error()});
        }
        reply(answered);
    });
}

Json QmpSession::answer(const Json& request) {
    const auto run = [&]() -> QmpResult {
        if (auto good = check_request(request); !good) return std::unexpected(good.error());
        const auto name = request["execute"].get<std::string>();
        const Json arguments = request.contains("arguments") ? request["arguments"] : Json::object();
        const auto missing = [](std::string text) {
            return std::unexpected(QmpError{.kind = "CommandNotFound", .text = std::move(text)});
        };
        if (name == "qmp_capabilities") {
            if (negotiated_) return missing("Capabilities negotiation is already complete, command ignored");
            if (auto good = check_capabilities(arguments); !good) return std::unexpected(good.error());
            negotiated_ = true;
            return Json::object();
        }
        if (!negotiated_) return missing("Expecting capabilities negotiation with 'qmp_capabilities'");
        const auto commands = qmp_commands();
        const auto found = std::ranges::find(commands, name, &QmpCommand::name);
        if (found == commands.end()) return missing(fmt::format("The command {} has not been found", name));
        if (auto good = check_arguments(*found, arguments); !good) return std::unexpected(good.error());
        return found->run({target_, human_}, arguments);
    };
    const QmpResult result = run();
    Json reply = result ? Json{{"return", *result}} : error_json(result.error());
    if (request.is_object() && request.contains("id")) reply["id"] = request["id"];
    return reply;
}

}  // namespace arclight::guestos
