// One named back end for characters, and what it may ask for.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "devices/char_backend.h"
#include "devices/event_loop.h"
#include "guestos/chardev/options.h"

namespace arclight::guestos {

/// On the loop's thread; each may be empty.
struct ChardevActions {
    enum class Lost : uint8_t {
        Hangup,        ///< the terminal is gone
        OutputFailed,  ///< stdout's reader is gone, its disk is full
    };
    std::function<void()> quit;                     ///< the escape key, then X
    std::function<void()> resume;                   ///< the escape key, then R
    std::function<void(Lost why, int error)> lost;  ///< of stdin and stdout; `error`: an errno value
};

class Chardev : public devices::CharBackend {
  public:
    Chardev(const ChardevOptions& options) : options_(options) {}

    const std::string& label() const { return options_.id; }
    /// As QEMU's query-chardev names it.
    virtual std::string filename() const = 0;
    /// Whether input is typed by a person.
    virtual bool is_terminal() const { return false; }
    virtual bool has_frontend() const = 0;
    /// Whether several front ends can have it.
    bool is_shared() const { return options_.mux; }

    /// Waits until all output is written, or lost.
    virtual void flush() {}
    /// Output no longer waits for a reader.
    virtual void abandon_output() {}
    /// The errno value of the write after which all output is dropped; 0: none.
    virtual int output_error() const { return 0; }
    /// A terminal is as it was before connect(), until connect().
    virtual void leave_terminal() {}
    /// The terminal may have another size.
    virtual void terminal_resized() {}

  protected:
    const ChardevOptions options_;
};

}  // namespace arclight::guestos
