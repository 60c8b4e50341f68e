#include "guestos/session.h"

#include "guestos/cpio.h"

namespace arclight::guestos {

std::string shell_quote(std::string_view word) {
    // Inside single quotes every byte but the quote itself is literal.
    std::string quoted = "'";
    for (const char c : word) {
        if (c == '\'')
            quoted += "'\\''";
        else
            quoted += c;
    }
    return quoted + "'";
}

std::string session_script(const Session& session) {
    std::string modules;
    for (const auto& module : session.modules) {
        if (!modules.empty()) modules += ' ';
        modules += module;
    }
    std::string script =
        fmt::format("console={}\nTERM={}\nrows={}\ncolumns={}\nmodules={}\nmode={}\n",
                    session.terminal ? "terminal" : "exact", shell_quote(session.term), session.rows,
                    session.columns, shell_quote(modules), session.command.empty() ? "shell" : "command");
    if (!session.address.empty())
        script += fmt::format("address={}\nnetmask={}\ngateway={}\nnameserver={}\n", session.address,
                              session.netmask, session.gateway, session.nameserver);
    if (!session.mounts.empty()) {
        script += "mount_shares() {\n";
        for (const Session::Mount& mount : session.mounts)
            script +=
                fmt::format("mount_{} {} {} {}\n", mount.virtiofs ? "virtiofs" : "share",
                            shell_quote(mount.tag), shell_quote(mount.point), mount.readonly ? "ro" : "rw");
        script += "}\n";
    }
    if (!session.command.empty()) {
        script += "set --";
        for (const auto& word : session.command) script += fmt::format(" {}", shell_quote(word));
        script += "\n";
    }
    return script;
}

Bytes session_archive(const Session& session) {
    const std::string script = session_script(session);
    CpioArchive archive;
    archive.add_file(".arclight/session", Bytes(script.begin(), script.end()));
    if (session.input) archive.add_file(".arclight/stdin", *session.input);
    return archive.encode();
}

}  // namespace arclight::guestos
