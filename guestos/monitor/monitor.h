// A monitor on a chardev, and all monitors of a run.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "devices/char_backend.h"
#include "guestos/monitor/hmp.h"
#include "guestos/monitor/line_editor.h"
#include "guestos/monitor/options.h"
#include "guestos/monitor/qmp.h"

namespace arclight::guestos {

/// On a thread of its own, since commands wait for the machine and clients may be slow.
class Monitor final : private devices::CharFrontend {
  public:
    /// `commands` is held while a command is carried out. `shared`: with other front ends, so that a prompt waits for the
    /// focus. All outlive the monitor.
    Monitor(const MonitorOptions& options, devices::CharBackend& backend, MonitorTarget& target,
            std::mutex& commands, bool shared);
    ~Monitor() override;
    Monitor(const Monitor&) = delete;
    Monitor& operator=(const Monitor&) = delete;

    /// Any thread, with any lock held: the client is told of it, in order.
    void tell(const MonitorEvent& event);
    /// Returns when all that came before has been answered, or after the time. False: it has not.
    bool finish(std::chrono::milliseconds limit);

  private:
    struct Item {
        enum class What : uint8_t { Opened, Focus, Input } what;
        unsigned client = 0;  ///< client_ when it came
        std::vector<uint8_t> bytes = {};
    };
    void add(Item::What what, std::span<const uint8_t> bytes = {});
    size_t receive(std::span<const uint8_t> bytes) override;
    void event(devices::CharEvent event) override;

    void work();
    void carry_out(const Item& item);
    void control(std::span<const uint8_t> bytes);
    void readline(std::span<const uint8_t> bytes);
    void open_readline();
    void write_events();
    void write_json(const Json& json);
    void write(std::string_view text);

    const MonitorOptions options_;
    const bool shared_;
    devices::CharBackend& backend_;
    std::mutex& commands_;
    Hmp hmp_;
    QmpSession qmp_;
    LineEditor editor_;
    bool greeted_ = false;
    unsigned serving_ = 0;  ///< of the thread: the client that it answers

    std::mutex lock_;
    std::condition_variable changed_;
    std::deque<Item> items_;
    size_t input_bytes_ = 0;  ///< in items_
    bool refused_ = false;
    std::deque<MonitorEvent> events_;
    std::atomic<unsigned> client_{0};  ///< grows with each that comes or goes
    bool open_ = false;                ///< one is there
    bool wants_events_ = false;        ///< it has negotiated
    bool idle_ = true, quit_ = false;
    std::thread thread_;
};

class Monitors {
  public:
    explicit Monitors(MonitorTarget& target) : target_(target) {}
    void add(const MonitorOptions& options, devices::CharBackend& backend, bool shared);
    /// See Monitor::tell().
    void tell(const MonitorEvent& event);
    /// See Monitor::finish().
    bool finish(std::chrono::milliseconds limit);

  private:
    MonitorTarget& target_;
    std::mutex commands_;
    std::vector<std::unique_ptr<Monitor>> monitors_;
};

}  // namespace arclight::guestos
