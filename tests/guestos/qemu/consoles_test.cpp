// Where characters go: the defaults are those that QEMU 7.2 has (softmmu/vl.c).
#include <gtest/gtest.h>

#include "tests/guestos/qemu/qemu_line.h"

namespace arclight::guestos::qemu {
namespace {

/// "serial0=stdio(mux) monitor": chardevs by what has them.
std::string consoles_for(std::string_view line) {
    const auto request = request_for_whole("-M virt -cpu host -kernel k " + std::string(line));
    if (!request) return "error: " + request.error();
    const auto kind_of = [&](const std::string& id) -> std::string {
        for (const ChardevOptions& chardev : request->options.chardevs) {
            if (chardev.id != id) continue;
            using Kind = ChardevOptions::Kind;
            return std::string(chardev.kind == Kind::Stdio    ? "stdio"
                               : chardev.kind == Kind::File   ? "file"
                               : chardev.kind == Kind::Socket ? "socket"
                               : chardev.kind == Kind::Null   ? "null"
                                                              : "other") +
                   (chardev.mux ? "+mux" : "") + (chardev.signals ? "" : "-signals");
        }
        return "nothing";
    };
    std::string text;
    for (const std::string& serial : request->options.serials) text += "serial:" + kind_of(serial) + " ";
    for (const MonitorOptions& monitor : request->options.monitors)
        text += (monitor.mode == MonitorOptions::Mode::Control ? "qmp:" : "monitor:") +
                kind_of(monitor.chardev) + " ";
    return text + notes_of(*request);
}

TEST(QemuConsoles, Defaults) {
    EXPECT_EQ(consoles_for("-nographic"), "serial:stdio+mux-signals monitor:stdio+mux-signals ");
    EXPECT_EQ(consoles_for("-nographic -serial mon:stdio"),
              "serial:stdio+mux-signals monitor:stdio+mux-signals ");
    EXPECT_EQ(consoles_for("-nographic -monitor none"), "serial:stdio ");
    EXPECT_EQ(consoles_for("-nodefaults -nographic -serial stdio"), "serial:stdio ");
    EXPECT_EQ(consoles_for("-nodefaults -nographic"), "serial:nothing ");
    EXPECT_EQ(consoles_for("-display none"), "serial:nothing ");
    EXPECT_EQ(consoles_for("-display none -serial stdio"), "serial:stdio ");
    EXPECT_EQ(consoles_for("-display none -serial null -monitor stdio"), "serial:null monitor:stdio ");
    EXPECT_EQ(consoles_for("-nographic -serial file:f"), "serial:file monitor:stdio ");
    EXPECT_EQ(consoles_for("-nographic -serial stdio"),
              "error: -nographic: cannot use stdio by multiple character devices");
    EXPECT_TRUE(
        consoles_for("").starts_with("serial:stdio+mux-signals monitor:stdio+mux-signals no -nographic: "));
}

TEST(QemuConsoles, Named) {
    EXPECT_EQ(
        consoles_for("-display none -chardev stdio,id=c,mux=on,signal=off -serial chardev:c -mon chardev=c"),
        "serial:stdio+mux-signals monitor:stdio+mux-signals ");
    EXPECT_EQ(consoles_for("-nographic -nodefaults -chardev stdio,mux=on,id=c,signal=off -mon c"),
              "serial:nothing monitor:stdio+mux-signals ");
    EXPECT_EQ(
        consoles_for("-display none -serial stdio -chardev "
                     "socket,id=S,server=on,wait=off,host=localhost,port=5 -mon chardev=S,mode=control"),
        "serial:stdio qmp:socket ");
    EXPECT_EQ(consoles_for("-display none -serial null -serial file:f -qmp unix:s,server=on,wait=off -qmp "
                           "unix:t,server,nowait"),
              "serial:null serial:file qmp:socket qmp:socket ");
    EXPECT_EQ(consoles_for("-display none -daemonize"), "serial:nothing ");
}

TEST(QemuConsoles, Errors) {
    EXPECT_EQ(consoles_for("-serial foo"), "error: " + request_for("-serial foo").error());
    EXPECT_TRUE(consoles_for("-serial foo").starts_with("error: -serial foo: "));
    EXPECT_EQ(consoles_for("-serial chardev:q"), "error: -serial chardev:q: chardev \"q\" not found");
    EXPECT_EQ(consoles_for("-display none -mon chardev=q"), "error: -mon chardev=q: chardev \"q\" not found");
    EXPECT_EQ(consoles_for("-chardev null,id=a -chardev null,id=a"),
              "error: -chardev null,id=a: Duplicate ID 'a' for chardev");
    EXPECT_EQ(consoles_for("-daemonize -serial stdio"),
              "error: -serial stdio: cannot use stdio with -daemonize");
    // QEMU's board has no third one either.
    EXPECT_EQ(consoles_for("-display none -serial null -serial null -serial file:f"),
              "serial:null serial:null -serial file:f: the board has 2 serial ports\n");
}

}  // namespace
}  // namespace arclight::guestos::qemu
