#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "guestos/cli/accelerators.h"
#include "guestos/cli/commands.h"
#include "guestos/cli/unknown_words.h"
#include "guestos/qemu/front_end.h"

namespace arclight::guestos::cli {

namespace {

constexpr const char* kImageHelp =
    R"text(One's own disk image of an arm64 system, raw or in one of QEMU's formats (qcow2, vmdk, ...):

  With an EFI system partition, as clouds' and distributions' images have it (Debian's package qemu-efi-aarch64):
    arclight run -m 2G --smp 2 --virtio pci --bios /usr/share/qemu-efi-aarch64/QEMU_EFI.fd --drive file=IMAGE.qcow2 \
        --cdrom seed.iso --net user,hostfwd=tcp:127.0.0.1:2222-:22
  Without one, by a kernel of the host's:
    arclight run -m 2G --drive file=IMAGE.raw --kernel VMLINUZ --initrd INITRD --append "root=/dev/vda1 console=ttyAMA0"

  A seed for cloud-init has the user's name and key on a file system named 'cidata':
    printf 'instance-id: one\nlocal-hostname: one\n' > meta-data
    printf '#cloud-config\nssh_authorized_keys:\n  - %s\n' "$(cat ~/.ssh/id_ed25519.pub)" > user-data
    genisoimage -output seed.iso -volid cidata -joliet -rock user-data meta-data

  Keep the image as it is, and write to another one over it:
    qemu-img create -f qcow2 -b IMAGE.qcow2 -F qcow2 mine.qcow2

Formats and what becomes of writes: docs/disks.md. A Debian disk from nothing: './run debian', docs/debian.md.
)text";

}  // namespace

int complain(std::string_view message, int code) {
    fmt::print(stderr, "arclight: {}\n", message);
    return code;
}

int finish_output(int code) {
    errno = 0;
    const bool written = std::cout.flush().good() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
    if (written || code != 0) return code;
    return complain(fmt::format("cannot write to stdout: {}", std::strerror(errno != 0 ? errno : EIO)));
}

CommandLine::CommandLine(const std::string& version, RunFunction run)
    : version_(version),
      app_("Arclight runs an unmodified AArch64 Linux on an x86-64 host by translating its code.",
           "arclight") {
    app_.require_subcommand(1);
    app_.footer("'arclight help COMMAND' tells more about a command.");
    app_.set_version_flag("--version", "arclight " + version, "print the version and leave");
    run_ = add_run(app_, guest_, std::move(run));
    app_.add_subcommand("qemu", "Run under QEMU's command line, as the link arclight-qemu does")
        ->footer(
            "'arclight qemu -help' lists QEMU's options and how they differ here; docs/from-qemu.md is about "
            "them.");
    initramfs_ = add_initramfs(app_, guest_);
    lightv_ = add_lightv(app_);
    prepare_ = add_prepare(app_);
    snapshot_ = add_snapshot(app_);
    serve_ = add_serve(app_);
    interface_ = add_interface(app_);
    app_.add_subcommand("image", "Print how one's own disk image is booted, with a seed for cloud-init");
    app_.add_subcommand("version", "Print the version and the accelerators found on this host");
    app_.add_subcommand("probe",
                        "Print what /dev/kvm offers on this host, and what --accel auto makes of it");
}

int CommandLine::run(std::vector<std::string> arguments) {
    if (const auto dashes = std::ranges::find(arguments, "--"); dashes != arguments.end()) {
        guest_ = {.given = true, .words = {dashes + 1, arguments.end()}};
        arguments.erase(dashes, arguments.end());
    }
    if (!arguments.empty() && arguments.front() == "help") {
        arguments.erase(arguments.begin());
        arguments.emplace_back("--help");
    }
    if (auto words = as_run_words(arguments)) arguments = std::move(*words);
    if (const auto unknown = explain_unknown_word(app_, arguments))
        return complain(*unknown + " (try --help)", kExitUsage);
    std::ranges::reverse(arguments);  // CLI11 takes a vector from its end
    try {
        app_.parse(arguments);
    } catch (const CLI::Success& help) {
        return app_.exit(help);
    } catch (const CLI::ParseError& error) {
        std::string text = error.what();
        std::ranges::replace(text, '\n', ' ');
        return complain(text + " (try --help)", kExitUsage);
    }

    if (app_.got_subcommand("run")) return run_();
    if (app_.got_subcommand("initramfs")) return initramfs_();
    if (app_.got_subcommand("lightv")) return lightv_();
    if (app_.got_subcommand("prepare")) return prepare_();
    if (app_.got_subcommand("snapshot")) return snapshot_();
    if (app_.got_subcommand("serve")) return serve_();
    if (app_.got_subcommand("interface")) return interface_();
    if (app_.got_subcommand("probe")) return print_probe();
    if (app_.got_subcommand("image")) {
        fmt::print("{}", kImageHelp);
        return 0;
    }
    return print_version();
}

int CommandLine::print_version() const {
    fmt::print("arclight {}\n", version_);
    for (const auto& accelerator : find_accelerators())
        fmt::print("  {:<8} {} ({})\n", accelerator.name, accelerator.usable ? "yes" : "no",
                   accelerator.detail);
    return 0;
}

int main_with(std::vector<std::string> arguments, const std::string& version, RunFunction run) {
    if (!arguments.empty() && arguments.front() == "qemu")
        return qemu::main_with("arclight qemu", {arguments.begin() + 1, arguments.end()}, version, run);
    return CommandLine(version, std::move(run)).run(std::move(arguments));
}

}  // namespace arclight::guestos::cli
