// Which system calls a thread may make, by its role.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "host/thread_role.h"

namespace arclight::guestos::sandbox {

/// On the lower half of one argument.
struct Condition {
    enum class Kind : uint8_t {
        None,
        Equals,   ///< argument == value
        Differs,  ///< argument != value
        Has,      ///< (argument & value) == value
        HasNot,   ///< (argument & value) != value
        Lacks,    ///< (argument & value) == 0
    };
    Kind kind = Kind::None;
    uint8_t argument = 0;
    uint32_t value = 0;
};

enum class Outcome : uint8_t {
    Allow,
    Unsupported,  ///< ENOSYS, so that the C library goes another way
};

/// `outcome` where all conditions hold. What no rule allows ends the process.
struct Rule {
    unsigned number;
    std::array<Condition, 2> conditions{};
    Outcome outcome = Outcome::Allow;
};

/// What the run is going to need, as far as lists depend on it.
struct Needs {
    bool kvm = false;                 ///< /dev/kvm may be used
    bool control_socket = false;      ///< a Unix socket is made
    bool lightv = false;              ///< modules change what lies behind guest pages
    bool semihosting_files = false;   ///< virtual CPUs open files
    bool flash_file = false;          ///< virtual CPUs write the image of a flash bank
    bool user_network = false;        ///< a guest's connections are sockets
    bool forwarded_commands = false;  ///< some of them are Unix sockets
    bool forwarded_chardevs = false;  ///< or chardevs
    bool net_clients = false;         ///< a network connects again
    bool net_sockets = false;         ///< frames go through one
    bool tap = false;                 ///< or through a tap device
    bool debugger = false;            ///< one connects to a socket
    bool shares = false;              ///< directories are served to the guest
    bool daemons = false;             ///< other processes carry out devices
    bool daemon_clients = false;      ///< and are connected to again
    bool vhost_vsock = false;         ///< the host's kernel serves a guest's sockets
    bool vhost_net = false;           ///< or moves frames between guest memory and a tap device
    bool host_devices = false;        ///< PCI devices of the host's are the guest's (VFIO)
    bool profile = false;             ///< a CPU reads counters where the guest says (ProfileMarks)
    bool vsock = false;               ///< Unix sockets are made for the guest's connections
    bool io_uring = false;            ///< disks make rings (devices/virtio/io_ring.h)
    bool placement = false;           ///< threads are moved between the host's cores
    bool hand_over = false;           ///< virtual CPUs go to other cores by themselves
    bool colours = false;             ///< guest memory has pages that were chosen
    bool snapshots = false;           ///< a directory has them by name
    bool char_servers = false;        ///< chardevs take clients
    bool char_clients = false;        ///< chardevs connect again
    bool kept_blocks = false;         ///< `--jit-cache-blocks`: the CPU that wants a block reads it
    bool compiles_on_vcpus = false;   ///< `--jit tier2`: regions are compiled by the CPU that wants them
    uint32_t process = 0;             ///< getpid()
};

/// The list of one role; Main's holds all others. A call may have several rules, of which one is to hold. What is made
/// often and what is looked at comes first.
std::vector<Rule> rules_for(ThreadRole role, const Needs& needs);

/// For messages; null: there is no such call.
const char* system_call_name(unsigned number);
const char* role_name(ThreadRole role);

}  // namespace arclight::guestos::sandbox
