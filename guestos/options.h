// The options of `arclight run`, checked.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "devices/device_factory.h"
#include "devices/host_time.h"
#include "guestos/chardev/options.h"
#include "guestos/cpu_choice.h"
#include "guestos/cpu_topology.h"
#include "guestos/machine/cpu/spin_policy.h"
#include "guestos/monitor/options.h"
#include "host/cache_part.h"
#include "host/cores.h"
#include "mmu/shadow.h"

namespace arclight::devices {
class NetBackend;
namespace virtio {
class NbdConnection;
}
}  // namespace arclight::devices
namespace arclight::devices::vfio {
class HostDevice;
}
namespace arclight::devices::vhost_user {
class Connection;
}
namespace arclight::mmu {
class FaultFile;
}
namespace arclight::jit {
class CacheKey;
}

namespace arclight::guestos {

class ImageKeeper;

class CommandServer;

/// `--accel`: where translated code runs.
enum class Accel : uint8_t { Auto, Kvm, Process };
/// `--fastmem`: guest memory by the virtual machine's page tables.
enum class Fastmem : uint8_t { Auto, On, Off };
/// `--direct-memory`: EL0's memory by this process's own page tables.
enum class DirectMemoryUse : uint8_t {
    Off,
    On,      ///< of address spaces that run for long
    Always,  ///< of all, for tests
};
/// Where LightV changes what lies behind a page: in the host's mapping of RAM, or where soft TLBs and fastmem are filled.
enum class LightvStage : uint8_t { Auto, Host, Fill };
/// `--jit`.
enum class JitTier : uint8_t { Auto, Interpreter, Tier1, Tier2, Tiered, Superblocks };
/// Where tier 1 has guest integer registers between its blocks: GuestState, or vector registers of the host.
enum class RegisterHome : uint8_t { Memory, Simd };

/// `--virtio`: the registers of the virtio-mmio slots (virtio 1.2 section 4.2).
enum class VirtioMmio : uint8_t { Modern, Legacy };
/// `--semihosting`: who may call the host by HLT #0xf000.
enum class SemihostingAccess : uint8_t { Off, Kernel, Userspace };
inline constexpr unsigned kDefaultGic = 3;
/// `--watchdog`: what is done when the guest has not attended to its watchdog. Shutdown is the power key, Debug a line.
enum class WatchdogAction : uint8_t { Reset, Shutdown, PowerOff, Pause, Debug, None };
/// `--sandbox`.
enum class SandboxMode : uint8_t { Off, On, Require };
// Sanitizers watch a process from within, by means that no sandbox allows.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr SandboxMode kDefaultSandbox = SandboxMode::Off;
#else
constexpr SandboxMode kDefaultSandbox = SandboxMode::On;
#endif

/// What a device is behind.
enum class DeviceBus : uint8_t { Mmio, Pci, Scsi };

/// What a device on PCI is told besides its number.
struct PciPlace {
    std::string port;            ///< the id of the root port that it is behind; empty: the root bus
    unsigned function = 0;       ///< 0 to 7
    std::optional<bool> legacy;  ///< virtio's legacy interface; nothing: on the root bus, as QEMU
    bool modern = true;          ///< virtio's modern interface
    unsigned vectors = 0;        ///< of MSI-X; 0: as many as the device has use for
};

/// Where a SCSI device is.
struct ScsiPlace {
    std::string host;  ///< as scsi_host_of() (guestos/scsi_host.h) takes it; empty: the first host
    std::optional<unsigned> target;  ///< nothing: the lowest one that is free
    unsigned lun = 0;
};

/// One device of the machine, as the command line or a part of it (a disk, a network) asks for it.
struct DeviceOptions {
    devices::DeviceRequest request;
    DeviceBus bus = DeviceBus::Mmio;
    /// The virtio-mmio slot, 0 to 31; nothing: the highest one that is free, as QEMU gives them. On PCI the device's number, 1 to
    /// 31; nothing: the lowest one that is free.
    std::optional<unsigned> address;
    std::string id;  ///< the user's name for it; empty: none
    PciPlace pci;
    ScsiPlace scsi;
    std::optional<unsigned>
        boot_index;  ///< firmware tries the lowest first; nothing: not one of those that are tried first
};

struct DriveOptions {
    std::string file;
    bool readonly = false;
    bool snapshot = false;  ///< writes are discarded at the end
    std::string serial;
    // Words of the block device's options (devices/standard_devices.cpp).
    std::string format = "auto";
    std::string werror = "enospc";
    std::string rerror = "report";
    std::string locking = "auto";
    std::string cache = "writeback";
    std::string aio = "threads";
    std::string discard = "unmap";
    std::string detect_zeroes = "off";
    std::string record;  ///< for tests: a file for what is written; empty: none
};

/// A port of the host's that leads to one of the guest's.
struct HostForward {
    bool udp = false;
    bool ipv6 = false;
    std::string host_address;  ///< empty: all of the host's
    uint16_t host_port = 0;
    std::string guest_address;  ///< empty: the first one that DHCP gives
    uint16_t guest_port = 0;
};

/// An address of a user network that leads to a program of the host's instead of to its port.
struct GuestForward {
    uint32_t address = 0;
    uint16_t port = 0;
    /// One program for all connections, one at a time: this chardev. Empty: `command`.
    std::string chardev;
    /// A shell's words, run anew for each connection, which is its stdin, stdout and stderr.
    std::string command;
    std::string socket;  ///< of the process that runs them (guestos/net/command_server.h), once that is there
};

/// Where a socket is, or leads to.
struct NetAddress {
    enum class Kind : uint8_t { None, Inet, Unix, Descriptor };
    Kind kind = Kind::None;
    std::string host, port;  ///< an empty host of a server's: all of this one's
    bool ipv4 = true, ipv6 = true;
    std::string path;
    bool abstract = false;  ///< `path` is no file's
    int descriptor = -1;    ///< a socket that this process has from its parent
};

/// `--net`. IPv4 addresses are numbers; the words are QEMU's.
struct NetOptions {
    enum class Kind : uint8_t {
        User,      ///< libslirp
        Tap,       ///< an interface of the host's kernel
        Stream,    ///< frames through a connection
        Datagram,  ///< frames as datagrams
        Passt,     ///< a stream to a `passt` that is started for it
    };
    std::string id;  ///< by which its device names it; not empty in RunOptions
    Kind kind = Kind::User;
    std::string mac;           ///< empty: 52:54:00:12:34:56 and, for further ones, those after it
    unsigned mtu = 0;          ///< 0: the guest's own
    unsigned queue_pairs = 1;  ///< of its adapter, and of a tap device

    // ---- User
    bool ipv4 = true;
    bool ipv6 = true;
    bool restrict_guest = false;  ///< the guest reaches nothing but what is forwarded
    uint32_t network = 0x0a00'0200, netmask = 0xffff'ff00;
    uint32_t host = 0x0a00'0202, dns = 0x0a00'0203, dhcp_start = 0x0a00'020f;
    std::string hostname, domain;
    std::vector<std::string> dns_search;
    std::string tftp;  ///< a directory that the guest can read by TFTP; empty: none
    std::string bootfile;
    std::vector<HostForward> forwards;
    std::vector<GuestForward> guest_forwards;
    std::vector<ChardevOptions> chardevs;  ///< that guest_forwards bring with them

    // ---- Tap
    std::string interface;  ///< its name; empty: the kernel's choice
    std::vector<int>
        tap_descriptors;      ///< queues of an open tap device from this process's parent; empty: none
    std::string script;       ///< is run with the interface's name before the machine is made; empty: none
    bool vnet_header = true;  ///< checksums and segmentation are left to the host's kernel, if it can
    /// Whether the host's kernel moves frames between the device and guest memory (/dev/vhost-net): On without it is a line, Force an error.
    enum class Vhost : uint8_t { Off, On, Force };
    Vhost vhost = Vhost::Off;
    std::vector<int> vhost_descriptors;  ///< from this process's parent, one a queue; empty: they are opened

    // ---- Stream and Datagram
    bool server = false;        ///< of a stream
    unsigned reconnect_ms = 0;  ///< of a stream's client, between attempts; 0: a lost connection stays lost
    NetAddress remote;          ///< of a stream's server: where it listens
    NetAddress local;           ///< of datagrams; of a multicast group: the interface

    // ---- Passt
    std::string program;                 ///< empty: passt, on the search path
    std::vector<std::string> arguments;  ///< its own
};

/// `--flash`: a bank of NOR flash.
struct FlashOptions {
    std::string file;
    bool readonly = false;
    std::string locking = "auto";  ///< a word of devices::virtio::ImageLocking
};

/// `--fw-cfg`: a file that firmware and the guest find in QEMU's firmware configuration device.
struct FwCfgOptions {
    std::string name;
    std::string file;  ///< its content; empty: `text`
    std::string text;
};

/// A shared directory (its device is among `devices`) that the default guest's session mounts.
struct ShareMount {
    std::string tag;
    std::string mount_point;
    bool readonly = false;
    bool virtiofs = false;  ///< by virtiofs, not by 9p
};

/// A file or a value that is put into RAM beside the kernel.
struct LoadOptions {
    std::string file;      ///< empty: `value`, or nothing but a start
    bool raw = false;      ///< an ELF is a file like others
    uint64_t address = 0;  ///< physical; an ELF has its own
    uint64_t value = 0;
    unsigned value_bytes = 0;  ///< 0 to 8
    bool big_endian = false;
    bool starts_cpu = false;  ///< the first CPU starts there, or at the ELF's entry
};

struct TraceOptions {
    bool blocks = false;
    bool ir = false;
    bool host = false;
    bool exceptions = false;
    bool mmu = false;
    std::string file;  ///< empty: stderr

    bool any() const { return blocks || ir || host || exceptions || mmu; }
};

struct RunOptions {
    std::string kernel;     ///< a file; empty: firmware only, or `restore`
    std::string restore;    ///< a snapshot to go on from, a file or a name in `snapshots`; empty: boot
    std::string snapshots;  ///< a directory for snapshots by name (snapshot/snapshot_store.h); empty: none
    bool restore_memory = false;  ///< `memory` is to be the snapshot's
    bool restore_cpus = false;    ///< `cpus` are to be the snapshot's
    std::string bios;             ///< firmware for the first bank of flash, lost at the end; empty: none
    std::vector<FlashOptions>
        flash;  ///< two at most; one without a file is a bank that is empty at the start
    std::vector<FwCfgOptions> fw_cfg;
    std::vector<std::string> smbios;  ///< QEMU's words: type=1,manufacturer=...
    bool acpi = true;                 ///< tables for firmware
    std::string initrd;               ///< a file; empty: none
    std::string append;
    std::string dtb;  ///< a file; empty: generated from the machine
    std::vector<LoadOptions> loads;
    std::string dump_dtb;                   ///< write the device tree to this file and exit; empty: run
    uint64_t memory = uint64_t(512) << 20;  ///< bytes
    std::optional<CpuChoice> cpu;           ///< nothing: the snapshot's, or CpuChoice{}
    unsigned cpus = 1;
    SpinPolicy spin = SpinPolicy::HandOver;
    std::optional<CpuTopology> topology;  ///< nothing: flat; else with a place for each of `cpus`
    std::vector<DeviceOptions> devices;   ///< in the order in which they are given their places
    std::vector<NetOptions> networks;     ///< for those of the devices that name them
    std::vector<ShareMount> shares;
    /// Of disks whose images another process serves, by the image's path (guestos/image_server.h).
    std::map<std::string, std::shared_ptr<devices::virtio::NbdConnection>> images;
    /// To the daemons that carry out devices, by vhost_user::connection_name() (guestos/daemons.h).
    std::map<std::string, std::shared_ptr<devices::vhost_user::Connection>> daemons;
    /// PCI devices of the host's, by their full address (guestos/host_devices.h).
    std::map<std::string, std::shared_ptr<devices::vfio::HostDevice>> host_devices;
    std::map<std::string, std::shared_ptr<ImageKeeper>>
        image_keepers;  ///< of those that a snapshot may be put in the place of
    std::map<std::string, std::string> image_formats;  ///< QEMU's words for what those images are in
    /// Networks whose end at the host is opened before the sandbox is entered, and outlives machines; by id
    /// (guestos/net/open_networks.h).
    std::map<std::string, std::shared_ptr<devices::NetBackend>> opened_networks;
    /// Of those, the ones whose frames the host's kernel moves (NetOptions::vhost); none of them is among the others.
    std::map<std::string, std::shared_ptr<devices::vhost_user::Connection>, std::less<>> kernel_networks;
    std::vector<std::shared_ptr<CommandServer>> command_servers;
    std::optional<unsigned> gic;       ///< version, 2 or 3; nothing: by the kernel (complete_options())
    std::optional<VirtioMmio> virtio;  ///< nothing: by the kernel
    std::vector<ChardevOptions> chardevs;
    /// By their chardevs' names, two at most. Empty: the first one is stdin and stdout; an empty name: nothing.
    std::vector<std::string> serials;
    std::vector<MonitorOptions> monitors;
    uint8_t escape_key = 1;  ///< of chardevs that several share: Ctrl-A; 0: none
    bool start_paused =
        false;  ///< the guest waits for a monitor's cont, or a debugger's, before its first instruction
    std::string name;  ///< of the machine; empty: none
    std::string uuid;  ///< of the machine; empty: all zeros
    SemihostingAccess semihosting = SemihostingAccess::Off;
    /// What a program is told of its command line; empty: the kernel's file and `append`.
    std::vector<std::string> semihosting_arguments;
    std::vector<std::string> semihosting_files;  ///< directories whose files its calls may use
    WatchdogAction watchdog = WatchdogAction::Reset;
    devices::HostSuspend host_suspend = devices::HostSuspend::Pause;
    Accel accel = Accel::Auto;
    Fastmem fastmem = Fastmem::Auto;
    DirectMemoryUse direct_memory = DirectMemoryUse::Off;
    mmu::ShadowOptions shadow;
    JitTier jit = JitTier::Auto;  ///< Auto: Tiered, or Tier1 in a program without LLVM
    RegisterHome registers = RegisterHome::Memory;
    std::optional<uint32_t> jit_threshold;                  ///< executions of a block before it is hot
    std::string jit_dump;                                   ///< a directory; empty: none
    std::string jit_cache;                                  ///< a directory for compiled regions; empty: none
    std::string jit_cache_key;                              ///< a file with the key that authenticates them
    std::shared_ptr<const jit::CacheKey> opened_cache_key;  ///< its key; null: not opened yet
    bool jit_cache_blocks = false;                          ///< tier 1's blocks are kept there too
    uint64_t jit_cache_bytes = uint64_t(512) << 20;
    uint64_t jit_code_bytes = uint64_t(64) << 20;  ///< code memory of tier 2
    unsigned jit_sample = 1;                       ///< for tests: one block in n may become a region
    unsigned jit_sample_seed = 0;                  ///< for tests: selects which of them
    unsigned jit_region = 200;                     ///< guest instructions per region at most
    unsigned jit_faults = 0;                       ///< for tests: every nth compilation fails; 0: none
    bool perf_map = false;
    host::CoreSet host_cores;   ///< those that the process may run on, if `placement` says something
    host::Placement placement;  ///< of the threads; by default none is placed
    uint64_t cache_ways = 0;    ///< of the host's third level of cache, a bit for each; 0: not divided
    std::shared_ptr<host::CachePart> opened_cache_part;  ///< before the sandbox is entered
    uint64_t code_cache = uint64_t(256) << 20;           ///< bytes
    TraceOptions trace;
    bool kaslr_seed = true;
    bool rng_seed = true;
    std::optional<uint64_t> random_seed;  ///< RNDR's numbers follow from it; none: the host's
    bool no_reboot = false;
    bool pause_at_shutdown =
        false;  ///< instead of the run's end: a monitor looks at the machine, resets it, or ends the run
    bool count_instructions = false;
    bool stats = false;
    std::string stats_file;    ///< for JSON; empty: a table on stderr
    std::string profile_host;  ///< for host instructions by class, as JSON; empty: not counted
    /// For what the kernel's instructions meet (prepare/profile.h); empty: not noted.
    std::string profile_sites;
    std::string lightv;  ///< policy file; empty: none
    LightvStage lightv_stage = LightvStage::Auto;
    std::shared_ptr<const mmu::FaultFile>
        opened_fault_file;                  ///< for it; null: not opened yet, or not permitted
    std::string control;                    ///< path of the control socket; empty: none
    std::string symbols;                    ///< file with the kernel's symbols; empty: none
    std::string gdb;                        ///< where a debugger connects (gdb/address.h); empty: nowhere
    std::vector<std::string> lightv_files;  ///< directories of files that `control` may name
    SandboxMode sandbox = kDefaultSandbox;
    bool memory_loops = true;  ///< jit/ir/memory_loop.h
    bool spectre =
        false;         ///< guest code must not learn of this process by what the host executes speculatively
    std::string user;  ///< NAME, UID or either with :GID; empty: the one that started it

    std::string pid_file;            ///< of the process, who removes it at the end; empty: none
    bool signal_is_failure = true;   ///< false: a signal that ends the run gives exit status 0
    std::function<void()> on_start;  ///< the machine is made and about to run; may be empty

    /// Whether to add a session of the default guest (guestos/session.h); false for a foreign initrd.
    bool session = false;
    std::vector<std::string> command;  ///< with session, empty: an interactive shell

    /// Whether `place` may be used.
    bool placed() const {
        return std::ranges::any_of(placement, [](const auto& cores) { return cores.has_value(); });
    }
    /// Whether the machine starts in its flash.
    bool has_firmware() const { return !bios.empty() || (!flash.empty() && !flash.front().file.empty()); }
    /// There is something to start, or nothing has to be.
    bool needs_no_kernel() const {
        return has_firmware() || !dump_dtb.empty() ||
               std::ranges::any_of(loads, [](const LoadOptions& load) { return load.starts_cpu; });
    }
    bool has_flash() const { return !bios.empty() || !flash.empty(); }
};

}  // namespace arclight::guestos
