// LightV of one run: the policy at its start, and the socket that takes commands while it runs.
//
// The socket is a Unix stream; each line is a JSON object, and is answered by one:
//   {"do": "list"}, {"do": "kinds"}, {"do": "stats", "name": ...}, {"do": "attach", ...as in a policy},
//   {"do": "detach", "controller": ..., "name": ...}, {"do": "command", "controller": ..., "name": ...,
//   "with": {...}}
//   {"ok": true, "result": ..., "began": N, "ended": N} or {"ok": false, "error": "one line"}
// `began` and `ended` are the guest's CNTVCT_EL0 when the command came and when it was carried out.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <thread>

#include "guestos/lightv/interception.h"
#include "guestos/lightv/machine_access.h"
#include "guestos/lightv/symbols.h"
#include "guestos/options.h"
#include "mmu/lightv/controller.h"

namespace arclight::guestos {

class LightvControl {
  public:
    /// Null if no option asks for it. The guest is loaded and has not started.
    static Result<std::unique_ptr<LightvControl>> create(MachineAccess& machine, const RunOptions& options);
    ~LightvControl();

    std::string answer(const std::string& line);
    /// Of all modules.
    mmu::lightv::Json stats() { return controller_.stats("").value(); }

  private:
    explicit LightvControl(MachineAccess& machine)
        : machine_(machine), interception_(machine), controller_(machine.page_overlay(), interception_) {}
    Result<void> listen(const std::string& path);
    Result<mmu::lightv::Json> carry_out(const mmu::lightv::Json& request);
    void serve();
    void take_client(int client);

    MachineAccess& machine_;
    Interception interception_;
    mmu::lightv::Controller controller_;
    std::unique_ptr<Symbols> symbols_;
    std::string path_;
    int listener_ = -1, quit_ = -1;
    std::map<int, std::string> clients_;  // what each has sent of a line
    std::thread thread_;
};

}  // namespace arclight::guestos
