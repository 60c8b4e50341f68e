#include <gtest/gtest.h>

#include "guestos/cli/commands.h"
#include "guestos/cli/parse.h"

namespace arclight::guestos::cli {
namespace {

constexpr uint64_t kMiB = 1 << 20;

struct Outcome {
    int code;
    std::optional<RunOptions> options;  // if the machine would have been started
    std::string error;
};

Outcome parse(std::vector<std::string> arguments) {
    Outcome outcome{};
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    outcome.code = main_with(std::move(arguments), "1.2.3", [&](const RunOptions& options) {
        outcome.options = options;
        return 42;
    });
    testing::internal::GetCapturedStdout();
    outcome.error = testing::internal::GetCapturedStderr();
    return outcome;
}

TEST(CommandLine, Defaults) {
    const Outcome outcome = parse({"run", "--kernel", "k"});
    EXPECT_EQ(outcome.code, 42);
    ASSERT_TRUE(outcome.options);
    const RunOptions& o = *outcome.options;
    EXPECT_EQ(o.kernel, "k");
    EXPECT_EQ(o.memory, 512 * kMiB);
    EXPECT_EQ(o.cpus, 1u);
    EXPECT_EQ(o.gic, 3u);
    EXPECT_EQ(o.accel, Accel::Auto);
    EXPECT_EQ(o.jit, JitTier::Auto);
    EXPECT_TRUE(o.kaslr_seed && o.rng_seed && o.rng);
    EXPECT_FALSE(o.session || o.stats || o.no_reboot || o.trace.any());
    EXPECT_TRUE(o.drives.empty() && o.networks.empty() && o.command.empty());
}

TEST(CommandLine, Networks) {
    const auto networks = [](std::vector<std::string> more) {
        std::vector<std::string> words{"run", "--kernel", "k"};
        words.insert(words.end(), more.begin(), more.end());
        return parse(words);
    };
    EXPECT_TRUE(networks({"--net", "none"}).options->networks.empty());
    EXPECT_EQ(networks({"--net", "user,mtu=100", "--net=user"}).options->networks.size(), 2u);
    EXPECT_EQ(networks({"--net", "user", "--net", "none"}).code, 2);
    const Outcome wrong = networks({"--net", "user,mtu=1"});
    EXPECT_EQ(wrong.code, 2);
    EXPECT_EQ(std::ranges::count(wrong.error, '\n'), 1) << wrong.error;
}

TEST(CommandLine, Everything) {
    const Outcome outcome = parse({"run",
                                   "--kernel",
                                   "k",
                                   "--initrd=i",
                                   "--append",
                                   "a b=\"c\"",
                                   "--dtb",
                                   "d",
                                   "--dump-dtb",
                                   "out",
                                   "-m",
                                   "4G",
                                   "--smp",
                                   "8",
                                   "--drive",
                                   "file=a,,b.img,format=raw,readonly=on,serial=S1",
                                   "--drive",
                                   "file=c,snapshot=on,if=virtio,werror=stop,rerror=ignore,file.locking=off",
                                   "--gic",
                                   "2",
                                   "--accel",
                                   "process",
                                   "--jit",
                                   "tier1",
                                   "--trace",
                                   "blocks,mmu",
                                   "--trace-file",
                                   "t",
                                   "--no-kaslr-seed",
                                   "--no-rng-seed",
                                   "--no-rng",
                                   "--no-reboot",
                                   "--stats",
                                   "--stats-json",
                                   "s.json",
                                   "--",
                                   "sh",
                                   "-c",
                                   "--",
                                   "--kernel"});
    ASSERT_TRUE(outcome.options) << outcome.error;
    const RunOptions& o = *outcome.options;
    EXPECT_EQ(o.append, "a b=\"c\"");
    EXPECT_EQ(o.memory, 4096 * kMiB);
    EXPECT_EQ(o.cpus, 8u);
    ASSERT_EQ(o.drives.size(), 2u);
    EXPECT_EQ(o.drives[0].file, "a,b.img");
    EXPECT_EQ(o.drives[0].serial, "S1");
    EXPECT_TRUE(o.drives[0].readonly && !o.drives[0].snapshot);
    EXPECT_TRUE(!o.drives[1].readonly && o.drives[1].snapshot);
    EXPECT_EQ(o.drives[0].format + o.drives[0].werror + o.drives[0].rerror + o.drives[0].locking,
              "rawenospcreportauto");
    EXPECT_EQ(o.drives[1].format + o.drives[1].werror + o.drives[1].rerror + o.drives[1].locking,
              "autostopignoreoff");
    EXPECT_EQ(o.gic, 2u);
    EXPECT_EQ(o.accel, Accel::Process);
    EXPECT_EQ(o.jit, JitTier::Tier1);
    EXPECT_TRUE(o.trace.blocks && o.trace.mmu && !o.trace.ir && !o.trace.host && !o.trace.exceptions);
    EXPECT_EQ(o.trace.file, "t");
    EXPECT_FALSE(o.kaslr_seed || o.rng_seed || o.rng);
    EXPECT_TRUE(o.no_reboot && o.stats && o.session);
    EXPECT_EQ(o.stats_file, "s.json");
    EXPECT_EQ(o.command, (std::vector<std::string>{"sh", "-c", "--", "--kernel"}));
}

TEST(CommandLine, FastmemKeepsItsFormerName) {
    for (const char* name : {"--fastmem", "--windows"}) {
        const Outcome outcome = parse({"run", "--kernel", "k", name, "off"});
        ASSERT_TRUE(outcome.options) << name << ": " << outcome.error;
        EXPECT_EQ(outcome.options->fastmem, Fastmem::Off) << name;
    }
    EXPECT_EQ(parse({"run", "--kernel", "k"}).options->fastmem, Fastmem::Auto);
}

TEST(CommandLine, MistakesAreOneLineAndTwo) {
    const std::vector<std::vector<std::string>> mistakes = {
        {},
        {"fly"},
        {"run"},
        {"run", "--kernel"},
        {"run", "--kernel", "k", "--unknown"},
        {"run", "--kernel", "k", "extra"},
        {"run", "--kernel", "k", "-m", "0"},
        {"run", "--kernel", "k", "-m", "lots"},
        {"run", "--kernel", "k", "-m", "1000T"},
        {"run", "--kernel", "k", "--memory=-1"},
        {"run", "--kernel", "k", "--smp", "0"},
        {"run", "--kernel", "k", "--smp", "9"},
        {"run", "--kernel", "k", "--smp", "two"},
        {"run", "--kernel", "k", "--gic", "4"},
        {"run", "--kernel", "k", "--accel", "tcg"},
        {"run", "--kernel", "k", "--jit", "tier9"},
        {"run", "--kernel", "k", "--trace", "everything"},
        {"run", "--kernel", "k", "--drive", "a.img"},
        {"run", "--kernel", "k", "--drive", "file=a,format=qcow2"},
        {"run", "--kernel", "k", "--drive", "file=a,readonly=maybe"},
        {"run", "--kernel", "k", "--drive", "format=raw"},
        {"run", "--kernel", "k", "--drive", "file=a,werror=panic"},
        {"run", "--kernel", "k", "--drive", "file=a,rerror=enospc"},
        {"run", "--kernel", "k", "--drive", "file=a,file.locking=maybe"},
        {"run", "--kernel", "k", "--", "ls"},  // no initrd to run it in
        {"run", "--kernel", "k", "--initrd", "i", "--"},
        {"initramfs"},
        {"initramfs", "--busybox", "b", "--output", "o", "--add", "x"},
        {"initramfs", "--busybox", "b", "--output", "o", "--modules", "m"},
    };
    for (const auto& arguments : mistakes) {
        const Outcome outcome = parse(arguments);
        std::string line;
        for (const auto& word : arguments) line += word + " ";
        EXPECT_EQ(outcome.code, 2) << line;
        EXPECT_FALSE(outcome.options) << line;
        EXPECT_TRUE(outcome.error.starts_with("arclight: ")) << line << outcome.error;
        EXPECT_EQ(std::ranges::count(outcome.error, '\n'), 1) << line << outcome.error;
    }
}

TEST(CommandLine, HelpAndVersionSucceed) {
    EXPECT_EQ(parse({"--help"}).code, 0);
    EXPECT_EQ(parse({"run", "--help"}).code, 0);
    EXPECT_EQ(parse({"initramfs", "--help"}).code, 0);
    EXPECT_EQ(parse({"version"}).code, 0);
}

TEST(CommandLine, MemorySizes) {
    EXPECT_EQ(parse_memory("256"), 256 * kMiB);
    EXPECT_EQ(parse_memory("256m"), 256 * kMiB);
    EXPECT_EQ(parse_memory("4G"), 4096 * kMiB);
    EXPECT_EQ(parse_memory("2048K"), 2 * kMiB);
    EXPECT_EQ(parse_memory("255G"), 255 * 1024 * kMiB);
    for (const char* bad : {"", "M", "-1", "1.5G", "4GB", "0", "1K", "1025K", "256G", "1T",
                            "99999999999999999999", "0x100", " 1", "1 "})
        EXPECT_FALSE(parse_memory(bad)) << bad;
}

TEST(CommandLine, Additions) {
    const auto good = parse_addition("a:b/c:/d");
    ASSERT_TRUE(good);
    EXPECT_EQ(good->host, "a:b/c");
    EXPECT_EQ(good->guest, "/d");
    for (const char* bad : {"", "a", ":/b", "a:b", "a:"}) EXPECT_FALSE(parse_addition(bad)) << bad;
}

}  // namespace
}  // namespace arclight::guestos::cli
