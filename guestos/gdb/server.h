// Listens for a debugger and carries one session (session.h) at a time, on a thread of its own.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "guestos/gdb/address.h"
#include "guestos/gdb/debug_target.h"
#include "guestos/gdb/session.h"
#include "mmu/result.h"

namespace arclight::guestos::gdb {

class Server {
  public:
    struct Options {
        Address address;
        bool start_paused = false;  ///< the first machine stands until a debugger lets it go on
        Monitor monitor;
    };
    /// Listens; nobody is answered before begin(), so that a sandbox can be entered in between. An error is one line.
    static Result<std::unique_ptr<Server>> listen(Options options);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// The machine is about to run for the first time.
    void begin(DebugTarget& target);
    /// It has ended, and no call of the target is under way or comes any more. `again`: begin() comes for the one that it
    /// becomes by its reset; a debugger stays connected.
    void end(bool again);

  private:
    explicit Server(Options options) : options_(std::move(options)) {}
    void serve();
    void wake() const;
    void take_client(int client);
    void read_client();
    void drop_client();
    void send(std::string_view bytes);

    const Options options_;
    int listener_ = -1, wake_ = -1;
    int client_ = -1;      // the thread's alone, as the next
    bool broken_ = false;  // the client does not take what is sent
    std::mutex lock_;
    DebugTarget* target_ = nullptr;  // under lock_, as the rest
    std::unique_ptr<Session> session_;
    bool first_ = true, quit_ = false;
    std::thread thread_;
};

}  // namespace arclight::guestos::gdb
