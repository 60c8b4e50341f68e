#include <memory>

#include "guestos/cli/commands.h"
#include "guestos/cli/parse.h"
#include "guestos/initramfs.h"
#include "guestos/session.h"

namespace arclight::guestos::cli {

std::function<int()> add_initramfs(CLI::App& app, const GuestCommand& guest) {
    struct Words {
        InitramfsOptions options;
        std::string output;
        std::string busybox;
        std::string modules;
        std::vector<std::string> additions;
    };
    auto* command = app.add_subcommand("initramfs", "Build the default guest's initramfs");
    command->footer(
        "With -- COMMAND the guest runs that instead of a shell, on any machine; on one that is not "
        "Arclight's the\n"
        "last line printed is 'guest-exit-status: N'.");
    auto words = std::make_shared<Words>();
    command->add_option("--output", words->output, "cpio archive to write")->type_name("FILE")->required();
    command->add_option("--busybox", words->busybox, "static AArch64 busybox")->type_name("FILE")->required();
    command
        ->add_option("--modules", words->modules,
                     "the kernel's module tree, which becomes /lib/modules/VERSION")
        ->type_name("DIR");
    command->add_option("--kernel-version", words->options.kernel_version, "VERSION, the kernel's uname -r")
        ->type_name("VERSION");
    command->add_option("--module", words->options.extra_modules, "a further module to include; repeatable")
        ->type_name("NAME")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command->add_option("--add", words->additions, "a file or directory to include; repeatable")
        ->type_name("HOST:/GUEST")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check(CLI::Validator(
            [](std::string& text) {
                const auto result = parse_addition(text);
                return result ? std::string() : result.error();
            },
            ""));
    return [words, &guest] {
        InitramfsOptions options = words->options;
        options.busybox = words->busybox;
        options.modules = words->modules;
        for (const auto& text : words->additions) options.additions.push_back(*parse_addition(text));
        if (!options.modules.empty() && options.kernel_version.empty())
            return complain("--modules needs --kernel-version", kExitUsage);
        auto image = build_initramfs(options);
        if (!image) return complain(image.error());
        if (guest.given) {
            const Bytes session = session_archive({.command = guest.words, .terminal = false});
            image->insert(image->end(), session.begin(), session.end());
        }
        const auto written = write_file("initramfs", words->output, *image);
        return written ? 0 : complain(written.error());
    };
}

}  // namespace arclight::guestos::cli
