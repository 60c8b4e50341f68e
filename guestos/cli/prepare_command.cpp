#include <fmt/format.h>

#include <array>
#include <memory>

#include "guestos/cli/commands.h"
#include "guestos/kernel_file.h"
#include "guestos/prepare/section.h"
#include "guestos/prepare/sweep.h"

namespace arclight::guestos::cli {

namespace {

struct Words {
    std::string image, output, symbols, profile;
};

Result<prepare::Profile> read_profile(const std::string& file, std::span<const uint8_t> image) {
    constexpr uint64_t kMaxProfileBytes = uint64_t{64} << 20;
    const auto bytes = read_file("profile", file, kMaxProfileBytes);
    if (!bytes) return std::unexpected(bytes.error());
    auto profile =
        prepare::parse_profile({reinterpret_cast<const char*>(bytes->data()), bytes->size()}, image);
    if (!profile) return failure("profile '{}': {}", file, profile.error());
    return profile;
}

Result<std::vector<prepare::Site>> make_prepared(const Words& words) {
    auto kernel = read_kernel(words.image);
    if (!kernel) return std::unexpected(kernel.error());
    const auto of_kernel = [&](const std::string& error) {
        return failure("kernel '{}': {}", words.image, error);
    };
    if (kernel->kind != KernelKind::Linux) return of_kernel("it is no arm64 Image");
    if (const auto earlier = prepare::take_section(kernel->bytes); !earlier)
        return of_kernel(earlier.error());
    const auto text = prepare::kernel_text(kernel->bytes, words.symbols);
    if (!text) return of_kernel(text.error());
    std::vector<prepare::Site> sites = prepare::sweep(kernel->bytes, *text);
    if (!words.profile.empty()) {
        const auto profile = read_profile(words.profile, kernel->bytes);
        if (!profile) return std::unexpected(profile.error());
        prepare::add_profile(sites, kernel->bytes, *profile);
    }
    if (auto appended = prepare::append_section(kernel->bytes, sites); !appended)
        return of_kernel(appended.error());
    if (auto written = write_file("kernel", words.output, kernel->bytes); !written)
        return std::unexpected(written.error());
    return sites;
}

void print_summary(std::span<const prepare::Site> sites) {
    std::array<uint64_t, prepare::kSiteKinds> found{}, met{};
    for (const prepare::Site& site : sites) {
        ++found[static_cast<size_t>(site.kind)];
        met[static_cast<size_t>(site.kind)] += site.frequency != 0;
    }
    fmt::print("{} sites\n", sites.size());
    for (size_t i = 0; i < prepare::kSiteKinds; ++i)
        if (found[i] != 0)
            fmt::print("{:>8} {}, {} met in the profiled run\n", found[i],
                       prepare::plural_of(static_cast<prepare::SiteKind>(i)), met[i]);
}

}  // namespace

std::function<int()> add_prepare(CLI::App& app) {
    auto* command =
        app.add_subcommand("prepare", "Write a kernel with a table of its privileged instructions behind it");
    command->footer(
        "The kernel boots everywhere as before; 'arclight run --kernel OUTPUT' knows these instructions\n"
        "when it starts (docs/prepare.md). A profile of one run adds loads and stores that meet devices:\n\n"
        "    arclight run --kernel Image --profile-sites sites ...\n"
        "    arclight prepare Image Image.pv --profile sites");
    auto words = std::make_shared<Words>();
    command->add_option("IMAGE", words->image, "the kernel: an arm64 Image, or one packed")
        ->type_name("")
        ->required();
    command->add_option("OUTPUT", words->output, "the prepared kernel to write, unpacked")
        ->type_name("")
        ->required();
    command->add_option("--symbols", words->symbols, "the kernel's System.map, if it has no symbols inside")
        ->type_name("FILE")
        ->check(CLI::ExistingFile);
    command
        ->add_option("--profile", words->profile,
                     "what 'arclight run --profile-sites' has written of a run of this kernel")
        ->type_name("FILE")
        ->check(CLI::ExistingFile);
    return [words] {
        const auto sites = make_prepared(*words);
        if (!sites) return complain(sites.error());
        print_summary(*sites);
        return 0;
    };
}

}  // namespace arclight::guestos::cli
