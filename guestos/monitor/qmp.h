// QMP, QEMU's protocol for programs (docs/interop/qmp-spec of QEMU): JSON both ways.
#pragma once

#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "guestos/monitor/json_stream.h"
#include "guestos/monitor/target.h"

namespace arclight::guestos {

/// The QEMU whose protocol this is.
struct QemuVersion {
    static constexpr unsigned kMajor = 7, kMinor = 2, kMicro = 0;
};

/// Something that QMP's clients are told of.
struct MonitorEvent {
    std::string name;          ///< STOP, RESUME, SHUTDOWN, ...
    Json data;                 ///< null: none
    int64_t microseconds = 0;  ///< since 1970

    static MonitorEvent now(std::string name, Json data = nullptr);
    Json json() const;
};

/// One client's connection, without what carries it.
class QmpSession {
  public:
    /// Carries out a line of the human monitor.
    using HumanCommand = std::function<std::string(const std::string& line)>;
    using Reply = std::function<void(const Json&)>;

    QmpSession(MonitorTarget& target, HumanCommand human) : target_(target), human_(std::move(human)) {}

    Json greeting() const;
    /// Takes input and answers what is complete of it.
    /// `commands` is held while one is carried out.
    void feed(std::span<const uint8_t> bytes, const Reply& reply, std::mutex& commands);
    /// Whether events are for it.
    bool negotiated() const { return negotiated_; }
    /// Another client.
    void reset();

  private:
    Json answer(const Json& request);

    MonitorTarget& target_;
    const HumanCommand human_;
    JsonStream stream_;
    bool negotiated_ = false;
};

}  // namespace arclight::guestos
