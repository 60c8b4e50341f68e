// One debugger's connection: the remote protocol (GDB manual, appendix E) as QEMU's gdbstub speaks it. A thread is a CPU,
// counted from 1; all stop together.
//
// Bytes come in by feed() and go out by Send; there are no sockets here, and no machine but a DebugTarget.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/gdb/debug_target.h"
#include "guestos/gdb/packet.h"

namespace arclight::guestos::gdb {

/// Answers `monitor COMMAND` with lines of text. `cpu`: that the debugger looks at.
using Monitor = std::function<std::string(unsigned cpu, std::string_view command)>;

class Session {
  public:
    using Send = std::function<void(std::string_view bytes)>;
    /// The machine is stopped when the first packet comes, not when somebody connects.
    Session(DebugTarget* target, Send send, const Monitor& monitor);

    void feed(std::span<const uint8_t> bytes);
    /// The target has events, perhaps.
    void look_at_events();
    /// The connection is gone. A machine that runs goes on without points; one that stands waits for the next debugger.
    void disconnect();
    /// The machine is another one from now on, which has not run: its predecessor has been reset. Null: there is none for
    /// a while, or (ended()) none will come.
    void set_target(DebugTarget* target);
    /// The machine has ended, which a debugger that waits for it is told.
    void ended();
    /// Nothing more is to be said: the debugger has asked for the machine's end.
    bool closed() const { return closed_; }
    /// A debugger is there and has the machine stand.
    bool holds_machine() const { return attached_ && !running_; }

  private:
    using Action = DebugTarget::Action;
    using Text = std::string_view;

    void reply(Text data);
    void fail(unsigned error);
    void handle(Text packet);
    bool stop_machine();
    void report_stop(Text reason);
    void run(const std::vector<Action>& actions);
    void detach();

    void read_registers();
    void write_registers(Text hex);
    void read_register(Text rest);
    void write_register(Text rest);
    void read_memory(Text rest);
    void write_memory(Text rest, bool binary);
    void change_point(Text rest, bool insert);
    void select_thread(Text rest);
    void resume_one(Text rest, Action action, bool has_signal);
    void resume_each(Text rest);
    void query(Text rest);
    void set(Text rest);
    void transfer(Text rest);
    void monitor(Text hex);
    bool take_thread(Text& text, int64_t& cpu) const;

    DebugTarget* target_;
    const Send send_;
    const Monitor& monitor_;
    PacketParser parser_;
    std::string last_;  ///< sent, with frame
    std::vector<DebugTarget::Point> points_;
    bool attached_ = false, running_ = false, closed_ = false;
    bool acknowledges_ = true;
    bool physical_ = false;
    uint8_t step_bits_;
    unsigned cpu_ = 0;       ///< for registers and memory: Hg, or the one that stopped
    int64_t step_cpu_ = -1;  ///< Hc; -1: cpu_
};

}  // namespace arclight::guestos::gdb
