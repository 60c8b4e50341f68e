// The monitor for people: commands in words, as QEMU's.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/monitor/memory_dump.h"
#include "guestos/monitor/target.h"

namespace arclight::guestos {

class Hmp {
  public:
    explicit Hmp(MonitorTarget& target) : target_(target) {}

    /// Carries out a line; what is to be printed, with "\r\n" at the end of each of its lines.
    std::string execute(std::string_view line);
    /// The first line of a monitor that a person opens.
    std::string banner() const;

  private:
    struct Command {
        std::string_view name;
        std::string_view arguments;
        std::string_view help;
        std::string (Hmp::*run)(std::string_view rest);
    };
    static std::span<const Command> commands();
    static std::span<const Command> infos();
    static std::string list(std::span<const Command> commands, std::string_view prefix);

    std::string help(std::string_view rest);
    std::string info(std::string_view rest);
    std::string stop(std::string_view);
    std::string cont(std::string_view);
    std::string quit(std::string_view);
    std::string reset(std::string_view);
    std::string power_down(std::string_view);
    std::string select_cpu(std::string_view rest);
    std::string examine_virtual(std::string_view rest);
    std::string examine_physical(std::string_view rest);
    std::string ringbuf_read(std::string_view rest);

    std::string info_status(std::string_view);
    std::string info_cpus(std::string_view);
    std::string info_registers(std::string_view rest);
    std::string info_mtree(std::string_view);
    std::string info_qtree(std::string_view);
    std::string balloon(std::string_view rest);
    std::string savevm(std::string_view rest);
    std::string loadvm(std::string_view rest);
    std::string delvm(std::string_view rest);
    std::string info_snapshots(std::string_view rest);
    std::string place(std::string_view rest);
    std::string watchdog_action(std::string_view rest);
    std::string info_balloon(std::string_view rest);
    std::string info_block(std::string_view);
    std::string info_network(std::string_view);
    std::string info_chardev(std::string_view);
    std::string info_jit(std::string_view);
    std::string info_version(std::string_view);
    std::string info_name(std::string_view);
    std::string info_uuid(std::string_view);
    std::string info_memory(std::string_view);

    std::string examine(std::string_view rest, bool physical);

    MonitorTarget& target_;
    unsigned cpu_ = 0;
    DumpFormat last_format_;
};

}  // namespace arclight::guestos
