// `arclight serve`: a device thread (devices/svio), and the control socket by which its interfaces are made, changed and removed.
//
// Each line of the socket is a JSON object, and is answered by one, as those of a run's control socket (guestos/lightv/control.h):
//   {"do": "list"}, {"do": "add", "name": ..., "socket": ..., ...}, {"do": "change", "name": ..., ...}, {"do": "remove", "name": ...}
//   {"ok": true, "result": ...} or {"ok": false, "error": "one line"}
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "devices/machine_host.h"
#include "devices/svio/device_thread.h"
#include "guestos/serve/interface_words.h"
#include "mmu/lightv/module.h"
#include "mmu/result.h"

namespace arclight::guestos::serve {

/// One thread, but for the device thread that it owns.
class Service {
  public:
    /// Its sockets end with it.
    explicit Service(std::unique_ptr<devices::svio::DeviceThread> device) : device_(std::move(device)) {}
    ~Service();
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    /// Errors are one line.
    Result<void> add(const Words& words);
    /// Makes the control socket.
    Result<void> listen(const std::string& path);
    /// Answers the control socket until `quit` is readable.
    void run(int quit);

    /// The answer to a line of the control socket.
    std::string answer(const std::string& line);

  private:
    using Json = mmu::lightv::Json;
    Result<Json> carry_out(const Json& request);
    Result<void> change(const Words& words);
    Result<void> remove(const Words& words);
    Json list();
    /// False: the client has gone, or has said too much.
    bool serve_client(int client, std::string& text);

    const std::unique_ptr<devices::svio::DeviceThread> device_;
    std::map<std::string, std::string> sockets_;  ///< paths, by interface
    std::string control_path_;
    int control_ = -1;
    std::map<int, std::string> clients_;  ///< with what they have said of a line
};

}  // namespace arclight::guestos::serve
