// Between what has a line of characters (a serial port, a console's port, a monitor) and what carries it: a terminal, a
// file, a socket. Neither side knows more of the other than this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "mmu/result.h"

namespace arclight::devices {

enum class CharEvent : uint8_t {
    Opened,    ///< somebody is at the other end: a client has connected
    Closed,    ///< nobody is: output is lost
    End,       ///< all input has been received, and there will be no more
    Break,     ///< a break condition on the line
    FocusIn,   ///< one of several front ends: input goes to this one now
    FocusOut,  ///< and to another one
    Resized,   ///< CharBackend::window_size() has changed
};

/// In character cells.
struct WindowSize {
    uint16_t columns = 0;
    uint16_t rows = 0;
    bool operator==(const WindowSize&) const = default;
};

/// The guest's end. All calls come on the back end's thread, one at a time, with none of its locks held.
class CharFrontend {
  public:
    virtual ~CharFrontend() = default;

    /// Takes input from the front of `bytes`; returns how much. If less than all, CharBackend::accept_input() is called
    /// when there is room again.
    virtual size_t receive(std::span<const uint8_t> bytes) = 0;
    virtual void event(CharEvent) {}
    /// CharBackend::offer() took less than all, and takes more now.
    virtual void writable() {}
};

class CharBackend {
  public:
    virtual ~CharBackend() = default;

    /// Output, all of it; waits for a slow reader. Any thread but the back end's own.
    virtual void write(std::span<const uint8_t> bytes) = 0;
    /// Output, as much as goes without waiting; returns how much. Any thread, with any lock held that CharFrontend's
    /// functions do not take under a lock of the back end's.
    virtual size_t offer(std::span<const uint8_t> bytes) {
        write(bytes);
        return bytes.size();
    }
    /// Null: nobody is there any more; returns when no call of the former one is under way. Not on the back end's thread.
    virtual void connect(CharFrontend*) {}
    /// The front end has room again: CharFrontend::receive() is called soon, if there is input. Any thread, with any lock held.
    virtual void accept_input() {}
    /// Whether somebody is at the other end.
    virtual bool is_open() const { return true; }
    /// Of the terminal at the other end, if it is one.
    virtual std::optional<WindowSize> window_size() const { return {}; }
};

/// Connects a front end for as long as it lives.
class CharConnection {
  public:
    CharConnection(CharBackend& backend, CharFrontend& frontend) : backend_(backend) {
        backend_.connect(&frontend);
    }
    ~CharConnection() { backend_.connect(nullptr); }
    CharConnection(const CharConnection&) = delete;
    CharConnection& operator=(const CharConnection&) = delete;

  private:
    CharBackend& backend_;
};

/// Back ends by name.
class CharBackends {
  public:
    virtual ~CharBackends() = default;
    /// For one front end. An error is one line: there is none of that name, or it has its front end.
    virtual Result<CharBackend*> claim(std::string_view name) = 0;
};

}  // namespace arclight::devices
