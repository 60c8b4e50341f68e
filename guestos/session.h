// What `arclight run` tells the default guest's /init about this one run: a second, tiny cpio archive behind
// the initrd, holding /.arclight/session, a shell script of assignments. Booting the same initramfs without
// it (under another emulator, say) gives the shell.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/file.h"

namespace arclight::guestos {

struct Session {
    // Empty: an interactive shell. Otherwise run this, report its status, power off.
    std::vector<std::string> command;
    // Whether the console is a person's terminal; if not, bytes pass through it unchanged both ways (see
    // guestos/console/input_frame.h).
    bool terminal = true;
    std::string term = "linux";
    unsigned rows = 24;
    unsigned columns = 80;
    // The command's whole input, where it is known beforehand (a file on stdin): the console is slow.
    // Otherwise the input comes over the console.
    std::optional<Bytes> input;
    // Of the first network; empty: there is none. What DHCP would give, without waiting for it.
    std::string address, netmask, gateway, nameserver;
    struct Mount {
        std::string tag, point;
        bool readonly = false;
        bool virtiofs = false;  // or 9p
    };
    // Shared directories.
    std::vector<Mount> mounts;
    // Kernel modules that this machine's devices need; loading is slow (each module's signature is checked).
    std::vector<std::string> modules;
};

// One word of POSIX shell that stands for exactly these bytes.
std::string shell_quote(std::string_view word);

std::string session_script(const Session& session);
Bytes session_archive(const Session& session);

}  // namespace arclight::guestos
