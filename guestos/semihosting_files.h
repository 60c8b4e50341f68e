// The files of a semihosting guest: its handles, and the host's files and streams behind them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>

#include "guestos/semihosting_directories.h"

namespace arclight::guestos {

/// Where the special file ":tt" leads. Null functions: there is nothing.
struct SemihostingConsole {
    std::function<void(std::span<const uint8_t>)> output;  ///< as the serial console's
    /// The next byte of the serial console's input, if there is one now.
    std::function<std::optional<uint8_t>()> input;
    std::function<bool()> input_ended;  ///< there will be no more
};

/// Not locked.
class SemihostingFiles {
  public:
    /// A host's errno, or 0; the value that goes with it.
    struct Outcome {
        int64_t value = 0;
        int error = 0;
        bool ok() const { return error == 0; }
    };

    SemihostingFiles(SemihostingConsole& console, SemihostingDirectories directories)
        : console_(console), directories_(std::move(directories)) {}
    ~SemihostingFiles();
    SemihostingFiles(const SemihostingFiles&) = delete;
    SemihostingFiles& operator=(const SemihostingFiles&) = delete;

    /// SYS_OPEN. `mode`: 0 to 11, ISO C's "r", "rb", "r+", "r+b", "w" ... "a+b". Value: the handle, from 1 on.
    Outcome open(const std::string& name, uint64_t mode);
    Outcome close(uint64_t handle);
    Outcome remove(const std::string& name);
    Outcome rename(const std::string& from, const std::string& to);
    /// Value: the number of bytes, which may be less than asked for; 0 from a read is the end.
    Outcome read(uint64_t handle, std::span<uint8_t> to);
    Outcome write(uint64_t handle, std::span<const uint8_t> from);
    Outcome seek(uint64_t handle, uint64_t position);
    Outcome length(uint64_t handle) const;
    /// Value: 1 for the console.
    Outcome is_tty(uint64_t handle) const;

    /// Any thread: whoever waits for input, or for a slow reader of output, ends.
    void stop() { stopped_ = true; }
    bool stopped() const { return stopped_; }
    /// Waits for one byte of the console's input. Nothing: the input has ended, or stop().
    std::optional<uint8_t> read_console();
    /// To the host's stderr.
    void write_error(std::span<const uint8_t> bytes);

  private:
    enum class Stream : uint8_t { Input, Output, Error };
    struct Features {
        uint64_t position = 0;
    };
    struct HostFile {
        int fd;
    };
    using File = std::variant<Stream, Features, HostFile>;

    Outcome add(const File& file);
    Outcome open_host(const std::string& name, uint64_t mode);
    Outcome outcome_of(int result, const std::string& name);

    SemihostingConsole& console_;
    const SemihostingDirectories directories_;
    bool refusal_said_ = false;
    std::map<uint64_t, File> files_;
    std::atomic<bool> stopped_{false};
};

}  // namespace arclight::guestos
