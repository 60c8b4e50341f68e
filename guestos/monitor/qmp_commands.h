// The commands of QMP.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/monitor/qmp.h"

namespace arclight::guestos {

struct QmpError {
    std::string kind = "GenericError";
    std::string text;
};
using QmpResult = std::expected<Json, QmpError>;

struct QmpParameter {
    enum class Kind : uint8_t { Text, Integer, Switch, Any };
    std::string_view name;
    Kind kind = Kind::Text;
    bool optional = false;
};

struct QmpContext {
    MonitorTarget& target;
    const QmpSession::HumanCommand& human;
};

struct QmpCommand {
    std::string_view name;
    QmpResult (*run)(const QmpContext&, const Json& arguments);
    std::vector<QmpParameter> parameters = {};
};

std::span<const QmpCommand> qmp_commands();
/// What is wrong with a command's arguments, in QEMU's words.
std::expected<void, QmpError> check_arguments(const QmpCommand& command, const Json& arguments);

}  // namespace arclight::guestos
