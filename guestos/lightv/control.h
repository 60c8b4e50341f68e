// LightV of one run: the policy at its start, and the socket that takes commands while it runs.
//
// The socket is a Unix stream; each line is a JSON object, and is answered by one:
//   {"do": "list"}, {"do": "kinds"}, {"do": "stats", "name": ...}, {"do": "attach", ...as in a policy},
//   {"do": "detach", "controller": ..., "name": ...}, {"do": "command", "controller": ..., "name": ...,
//   "with": {...}},
//   {"do": "save", "then": "go-on" or "stop"}, sent with the descriptor of an empty file (SCM_RIGHTS), which becomes a snapshot
//   {"do": "stage"}: how changes are made, and how many were
//   {"ok": true, "result": ..., "began": N, "ended": N} or {"ok": false, "error": "one line"}
//
// Controllers are told apart by name and by who is at the other end of the socket (SO_PEERCRED): nobody changes what another user
// has attached, nor, under the same name, another process as long as that is connected.
// `began` and `ended` are the guest's CNTVCT_EL0 when the command came and when it was carried out.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "guestos/lightv/interception.h"
#include "guestos/lightv/machine_access.h"
#include "guestos/lightv/symbols.h"
#include "guestos/options.h"
#include "mmu/lightv/controller.h"
#include "mmu/lightv/parameters.h"

namespace arclight::guestos {

class LightvControl {
  public:
    /// Makes a snapshot of the file, after which the guest stops if `stop` says so. Null: nobody can.
    using SaveSnapshot = std::function<Result<void>(int file, bool stop)>;

    /// Null if no option asks for it. The guest is loaded and has not started.
    static Result<std::unique_ptr<LightvControl>> create(MachineAccess& machine, const RunOptions& options,
                                                         SaveSnapshot save = nullptr);
    ~LightvControl();

    /// `file`: the descriptor that came with the line, or -1.
    std::string answer(const std::string& line, int file = -1) { return answer(line, file, self()); }
    /// Of all modules.
    mmu::lightv::Json stats() { return controller_.stats("").value(); }

  private:
    explicit LightvControl(MachineAccess& machine)
        : machine_(machine), interception_(machine), controller_(machine.page_overlay(), interception_) {}
    Result<void> listen(const std::string& path);
    /// Who is at the other end of the socket.
    struct Peer {
        uid_t user;
        pid_t process;
    };
    static Peer self();
    /// What others have sent of a line, and a file.
    struct Client {
        Peer peer;
        std::string text;
        int file = -1;
    };
    std::string answer(const std::string& line, int file, const Peer& peer);
    Result<mmu::lightv::Json> carry_out(const mmu::lightv::Json& request, int file, const Peer& peer);
    Result<mmu::lightv::Json> change(const std::string& what, mmu::lightv::Parameters& words,
                                     const Peer& peer);
    mmu::lightv::Json stage() const;
    static std::optional<Peer> peer_of(int socket);
    Result<mmu::lightv::Json> save(mmu::lightv::Parameters& words, int file);
    static ssize_t receive(int socket, std::span<char> buffer, Client& client);
    void drop(int socket);
    void serve();
    void take_client(int client);

    MachineAccess& machine_;
    Interception interception_;
    mmu::lightv::Controller controller_;
    std::unique_ptr<Symbols> symbols_;
    std::string path_;
    int listener_ = -1, quit_ = -1;
    SaveSnapshot save_;
    std::map<int, Client> clients_;
    std::map<std::string, pid_t> attached_by_;  // attachments of the socket: the process
    std::thread thread_;
};

}  // namespace arclight::guestos
