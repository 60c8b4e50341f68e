// The parts of a translation from QEMU's words to RunOptions, a function for each kind of option. Each is in the file of its name;
// translate.cpp calls them in order. An error is one line.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "guestos/options.h"
#include "guestos/qemu/invocation.h"

namespace arclight::guestos::qemu {

/// What is taken although the guest could miss something of it.
class Notes {
  public:
    explicit Notes(bool strict) : strict_(strict) {}
    /// `text` is one line that begins with the option. Under -strict it is an error.
    Result<void> missed(std::string text);
    /// Of what happens anyway, such as a network that no device uses.
    void warn(std::string text) { lines_.push_back("warning: " + std::move(text)); }
    const std::vector<std::string>& lines() const { return lines_; }

  private:
    bool strict_;
    std::vector<std::string> lines_;
};

/// An image, by -drive or -blockdev.
struct Drive {
    std::string origin;
    std::string id;
    std::string interface = "virtio";  ///< virtio, none or pflash
    bool cdrom = false;
    unsigned unit = 0;
    DriveOptions options;
    bool used = false;  ///< by a -device
    bool node = false;  ///< by -blockdev
};

/// A directory, by -fsdev.
struct Share {
    std::string id, directory, security_model, multidevs;
    bool readonly = false;
};

/// A network that a daemon carries out, by -netdev vhost-user.
struct DaemonNetwork {
    std::string chardev;
    unsigned queue_pairs = 1;
};

struct Translation {
    Translation(const Invocation& given, RunOptions base, bool strict)
        : in(given), out(std::move(base)), notes(strict) {}

    const Invocation& in;
    RunOptions out;
    Notes notes;

    bool el2 = false;           ///< -M virtualization=on
    bool mte = false;           ///< -M mte=on
    bool gic_given = false;     ///< -M gic-version
    std::vector<Drive> drives;  ///< by -drive, in their order
    std::vector<Drive> nodes;   ///< by -blockdev
    std::vector<Share> shares;
    std::map<std::string, DaemonNetwork> daemon_networks;  ///< by -netdev vhost-user
    std::map<std::string, KeyValues> defaults;             ///< -global: properties by driver
    unsigned default_macs = 0;                             ///< adapters that have no address of their own
    bool daemonize = false;
};

Result<void> take_machine(Translation& t);
Result<void> take_accelerator(Translation& t);
Result<void> take_cpu_model(Translation& t);
Result<void> take_cpu_count(Translation& t);
Result<void> take_memory(Translation& t);
Result<void> take_globals(Translation& t);
Result<void> take_objects(Translation& t);
Result<void> take_drives(Translation& t);
Result<void> take_block_nodes(Translation& t);
Result<void> take_networks(Translation& t);
Result<void> take_shares(Translation& t);
Result<void> take_firmware(Translation& t);
Result<void> take_devices(Translation& t);
Result<void> take_displays(Translation& t);
Result<void> take_consoles(Translation& t);
Result<void> take_log(Translation& t);
Result<void> take_process(Translation& t);
/// After the devices.
Result<void> take_snapshots(Translation& t);

}  // namespace arclight::guestos::qemu
