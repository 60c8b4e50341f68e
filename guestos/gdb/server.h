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
    /// Listens there (address.h); nobody is answered before begin(), so that a sandbox can be entered in between. An error is
    /// one line.
    static Result<std::unique_ptr<Server>> listen(const std::string& address);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Who answers `monitor`; before begin().
    void set_monitor(Monitor monitor) { monitor_ = std::move(monitor); }

    /// The machine is about to run for the first time.
    void begin(DebugTarget& target);
    /// It has ended, and no call of the target is under way or comes any more. `again`: begin() comes for the one that it
    /// becomes by its reset; a debugger stays connected.
    void end(bool again);

  private:
    explicit Server(Address address) : address_(std::move(address)) {}
    void serve();
    void wake() const;
    void take_client(int client);
    void read_client();
    void drop_client();
    void send(std::string_view bytes);

    const Address address_;
    Monitor monitor_;
    int listener_ = -1, wake_ = -1;
    int client_ = -1;      // the thread's alone, as the next
    bool broken_ = false;  // the client does not take what is sent
    std::mutex lock_;
    DebugTarget* target_ = nullptr;  // under lock_, as the rest
    std::unique_ptr<Session> session_;
    bool quit_ = false;
    std::thread thread_;
};

}  // namespace arclight::guestos::gdb
