// The host's kernel between a network adapter's rings and a tap device: what it is told, played by a table of its answers.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "devices/vhost_user/device.h"
#include "devices/vhost_user/device_types.h"
#include "devices/vhost_user/kernel_net.h"
#include "devices/vhost_user/kernel_requests.h"
#include "devices/virtio/net_features.h"
#include "tests/devices/fake_daemon.h"
#include "tests/devices/queues_driver.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices::vhost_user {
namespace {

using test::eventually;
using test::QueuesDriver;
using Lines = std::vector<std::string>;

constexpr std::chrono::milliseconds kSoon{20000};
constexpr uint64_t kOffloads = virtio::kNetFeatureChecksum | virtio::kNetFeatureGuestChecksum |
                               virtio::kNetFeatureGuestTcp4 | virtio::kNetFeatureGuestTcp6 |
                               virtio::kNetFeatureHostTcp4 | virtio::kNetFeatureHostTcp6;
constexpr uint64_t kPairsFeatures = virtio::kNetFeatureControl | virtio::kNetFeaturePairs;

struct Kernel {
    std::mutex lock;
    std::map<int, std::string> names;  ///< of files
    uint64_t offered = ~uint64_t{0};
    std::string refused;  ///< the beginning of a line
    Lines said;
    std::map<std::string, int> kicks, calls, errors;  ///< by file and ring
    std::map<std::string, uint64_t> used;

    Lines take() {
        const std::lock_guard guard(lock);
        return std::exchange(said, {});
    }
    size_t count(const std::string& line) {
        const std::lock_guard guard(lock);
        return static_cast<size_t>(std::ranges::count(said, line));
    }
    size_t place(const std::string& line) {
        const std::lock_guard guard(lock);
        return static_cast<size_t>(std::ranges::find(said, line) - said.begin());
    }
    uint64_t now(const std::map<std::string, uint64_t>& of, const std::string& name) {
        const std::lock_guard guard(lock);
        const auto found = of.find(name);
        return found != of.end() ? found->second : 0;
    }
};
Kernel* played = nullptr;

template <typename T>
T value_at(void* argument) {
    T value;
    std::memcpy(&value, argument, sizeof value);
    return value;
}

/// What a request says; nothing: it is of no interest here.
std::string line_of(Kernel& kernel, const std::string& file, unsigned long request, void* argument) {
    if (request == kernel::kSetOwner) return file + " owner";
    if (request == kernel::kSetFeatures)
        return fmt::format("{} features {:x}", file, value_at<uint64_t>(argument));
    if (request == TUNSETVNETHDRSZ) return fmt::format("{} header {}", file, value_at<int>(argument));
    if (request == TUNSETOFFLOAD)
        return fmt::format("{} offloads {:x}", file, reinterpret_cast<uintptr_t>(argument));
    if (request == TUNSETQUEUE)
        return file + (value_at<ifreq>(argument).ifr_flags == IFF_ATTACH_QUEUE ? " attached" : " detached");
    if (request == kernel::kNetSetBackend) {
        const auto backend = value_at<kernel::VringFile>(argument);
        return fmt::format("{}.{} {}", file, backend.index,
                           backend.file < 0 ? "none" : kernel.names[backend.file]);
    }
    if (request == kernel::kSetMemTable) {
        const auto table = value_at<MemoryTable>(argument);
        return fmt::format("{} memory {:x} {:x} at {:x}", file, table.guest_address, table.size,
                           table.user_address);
    }
    if (request == kernel::kSetVringBase) {
        const auto base = value_at<VringState>(argument);
        return fmt::format("{}.{} base {}", file, base.index, base.value);
    }
    if (request == kernel::kGetVringBase)
        return fmt::format("{}.{} stops", file, value_at<VringState>(argument).index);
    return "";
}

int play(int file, unsigned long request, void* argument) {
    const std::lock_guard guard(played->lock);
    const std::string name = played->names[file];
    const std::string line = line_of(*played, name, request, argument);
    if (!played->refused.empty() && line.starts_with(played->refused)) return errno = EFAULT, -1;
    if (!line.empty()) played->said.push_back(line);
    const auto ring = [&](uint32_t index) { return fmt::format("{}.{}", name, index); };
    if (request == kernel::kGetFeatures) std::memcpy(argument, &played->offered, sizeof played->offered);
    if (request == kernel::kGetVringBase) {
        const VringState answer{value_at<VringState>(argument).index, 3};
        std::memcpy(argument, &answer, sizeof answer);
    }
    if (request == kernel::kSetVringAddr) {
        const auto address = value_at<VringAddress>(argument);
        played->used[ring(address.index)] = address.used;
    }
    for (const auto& [signal, files] : {std::pair{kernel::kSetVringKick, &played->kicks},
                                        {kernel::kSetVringCall, &played->calls},
                                        {kernel::kSetVringErr, &played->errors}})
        if (request == signal) {
            const auto given = value_at<kernel::VringFile>(argument);
            (*files)[ring(given.index)] = given.file;
        }
    return 0;
}

struct Host final : MachineHost {
    void say(const std::string& line) override {
        const std::lock_guard guard(lock);
        said.push_back(line);
    }
    void pause(const std::string&) override {}
    Lines lines() {
        const std::lock_guard guard(lock);
        return said;
    }
    std::mutex lock;
    Lines said;
};

struct VhostNetTest : testing::Test {
    VhostNetTest() { played = &kernel; }

    Result<std::shared_ptr<Connection>> open(unsigned queues, bool header = true) {
        KernelNet::Files files{.header = header};
        for (unsigned i = 0; i < queues; ++i) {
            files.vhost.push_back(file(fmt::format("v{}", i)));
            files.tap.push_back(file(fmt::format("t{}", i)));
        }
        return KernelNet::open(std::move(files), wanted_features(*find_kind(kKernelNet)), play);
    }
    int file(const std::string& name) {
        const int made = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        kernel.names[made] = name;
        return made;
    }
    void make(unsigned queues = 1, unsigned pairs = 1, bool header = true) {
        auto opened = open(queues, header);
        ASSERT_TRUE(opened) << opened.error();
        test::TestRam ram(QueuesDriver::kRamSize);
        auto device = Device::make(*find_kind(kKernelNet), *opened, {},
                                   {.label = "network 'n'",
                                    .config = std::vector<uint8_t>(12, 0x42),
                                    .features = virtio::kNetFeatureMac,
                                    .queues = 0,
                                    .net_pairs = pairs,
                                    .host = &host});
        ASSERT_TRUE(device) << device.error();
        driver.emplace(std::move(*device), std::move(ram));
    }
    uint64_t offered() {
        driver->set(0x14, 0);
        return driver->get(0x10);
    }
    bool comes(const std::string& line, size_t times = 1) {
        return eventually([&] { return kernel.count(line) >= times; }, kSoon);
    }
    unsigned use_pairs(unsigned pairs, unsigned queue) {
        const uint16_t before = driver->used_count(queue);
        const uint8_t bytes[] = {4, 0, static_cast<uint8_t>(pairs), 0};
        std::ranges::copy(bytes, driver->memory.host(driver->buffer(queue, 0), sizeof bytes));
        driver->at<uint8_t>(driver->buffer(queue, 1)) = 0xee;
        driver->describe(driver->table(queue), 0, driver->buffer(queue, 0), sizeof bytes, driver->kNext, 1);
        driver->describe(driver->table(queue), 1, driver->buffer(queue, 1), 1, driver->kWrite);
        driver->offer_in(queue, 0);
        EXPECT_TRUE(eventually([&] { return driver->used_count(queue) != before; }, kSoon));
        return driver->at<uint8_t>(driver->buffer(queue, 1));
    }

    Kernel kernel;
    Host host;
    std::optional<QueuesDriver> driver;
};

TEST_F(VhostNetTest, FeaturesAreTheKernelsAndTheInterfaces) {
    make();
    EXPECT_EQ(offered(), kOffloads | virtio::kNetFeatureMergeable | virtio::kNetFeatureMac |
                             virtio::kFeatureIndirect | virtio::kFeatureEventIndex);
    EXPECT_EQ(driver->get(0x100), 0x42424242u);
    kernel.offered &= ~(virtio::kNetFeatureMergeable | virtio::kFeatureEventIndex);
    make();
    EXPECT_EQ(offered(), kOffloads | virtio::kNetFeatureMac | virtio::kFeatureIndirect);
}

TEST_F(VhostNetTest, WithoutHeadersTheKernelMakesThem) {
    make(1, 1, false);
    EXPECT_EQ(offered() & (kOffloads | kernel::kNetHeader), 0u);
    driver->start_queues(virtio::kNetFeatureMac);
    ASSERT_TRUE(comes("v0.1 t0"));
    const Lines said = kernel.take();
    EXPECT_EQ(std::ranges::count(said, "v0 features 108000000"), 1);
    EXPECT_TRUE(std::ranges::none_of(said, [](const auto& line) { return line.starts_with("t0 "); }));
    kernel.offered &= ~kernel::kNetHeader;
    const auto opened = open(1, false);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error(), "the host's kernel makes no headers");
}

TEST_F(VhostNetTest, TheKernelServesTheRings) {
    make();
    driver->start_queues(virtio::kNetFeatureMac | virtio::kNetFeatureMergeable |
                         virtio::kNetFeatureGuestChecksum | virtio::kNetFeatureGuestTcp4);
    ASSERT_TRUE(comes("v0.1 t0"));
    const auto address = reinterpret_cast<uintptr_t>(driver->ram.data());
    EXPECT_EQ(kernel.take(),
              Lines({"v0 owner", "t0 header 12", fmt::format("t0 offloads {:x}", TUN_F_CSUM | TUN_F_TSO4),
                     "v0 features 100008000",
                     fmt::format("v0 memory {:x} {:x} at {:x}", layout::kRamBase, 1 << 20, address),
                     "v0.0 base 0", "v0.1 base 0", "v0.0 t0", "v0.1 t0"}));
    EXPECT_EQ(kernel.now(kernel.used, "v0.1"), address + (QueuesDriver::used(1) - layout::kRamBase));

    driver->set(0x50, 1);
    uint64_t kicks = 0;
    EXPECT_EQ(read(kernel.kicks["v0.1"], &kicks, sizeof kicks), 8) << "a notification";
    EXPECT_FALSE(driver->wire());
    const uint64_t one = 1;
    ASSERT_EQ(write(kernel.calls["v0.0"], &one, sizeof one), 8);
    EXPECT_TRUE(eventually([&] { return driver->wire(); }, kSoon));
}

TEST_F(VhostNetTest, AnOldDriverHasShortHeaders) {
    make();
    driver->start_queues(0);
    ASSERT_TRUE(comes("v0.1 t0"));
    EXPECT_EQ(kernel.count("t0 header 12") + kernel.count("t0 offloads 0"), 2u)
        << "what was agreed to before is over";
    auto opened = open(1);
    ASSERT_TRUE(opened);
    kernel.take();
    ASSERT_TRUE((*opened)->set_up(0, {}, driver->memory));
    EXPECT_EQ(kernel.count("t0 header 10"), 1u);
}

// Nothing moves when the kernel is asked how far a ring is, and nothing when a reset or a pause is over.
TEST_F(VhostNetTest, AResetAndAPauseStopTheKernel) {
    make();
    driver->start_queues(0);
    ASSERT_TRUE(comes("v0.1 t0"));
    kernel.take();
    driver->device.quiesce();
    EXPECT_EQ(kernel.take(), Lines({"v0.0 none", "v0.1 none", "v0.0 stops", "v0.1 stops"}));
    driver->device.resume();
    ASSERT_TRUE(comes("v0.1 t0"));
    EXPECT_EQ(kernel.count("v0.0 base 3") + kernel.count("v0.1 base 3"), 2u);
    kernel.take();
    driver->set(0x70, 0);
    EXPECT_EQ(kernel.take(), Lines({"v0.0 none", "v0.1 none", "v0.0 stops", "v0.1 stops"}));
    driver->start_queues(0);
    ASSERT_TRUE(comes("v0.1 t0"));
    EXPECT_EQ(kernel.count("v0.0 base 0"), 1u);
    kernel.take();
    driver.reset();
    EXPECT_EQ(kernel.count("v0.0 none") + kernel.count("v0.1 none"), 2u) << "a machine's end";
}

TEST_F(VhostNetTest, QueuesOfPairsThatAreNotInUseAreDetached) {
    make(3, 3);
    EXPECT_EQ(offered() & kPairsFeatures, kPairsFeatures);
    driver->start_queues(kPairsFeatures);
    ASSERT_TRUE(comes("t2 detached"));
    EXPECT_EQ(kernel.count("v0 features 100000000") + kernel.count("v2 features 100000000"), 2u)
        << "the control queue and the pairs are not the kernel's";
    Lines all = kernel.take();
    EXPECT_EQ(Lines(all.end() - 4, all.end()), Lines({"v0.0 t0", "v0.1 t0", "t1 detached", "t2 detached"}));
    EXPECT_EQ(use_pairs(2, 6), 0u);
    EXPECT_EQ(kernel.take(), Lines({"t1 attached", "v1.0 t1", "v1.1 t1"}));
    EXPECT_EQ(use_pairs(3, 6), 0u);
    EXPECT_EQ(kernel.take(), Lines({"t2 attached", "v2.0 t2", "v2.1 t2"}));
    EXPECT_EQ(use_pairs(1, 6), 0u);
    EXPECT_EQ(kernel.take(),
              Lines({"v1.0 none", "v1.1 none", "t1 detached", "v2.0 none", "v2.1 none", "t2 detached"}));
    EXPECT_EQ(use_pairs(4, 6), 1u);
    EXPECT_EQ(use_pairs(2, 6), 0u);
    kernel.take();
    driver->device.quiesce();
    driver->device.resume();
    ASSERT_TRUE(comes("v1.1 t1"));
    EXPECT_EQ(kernel.count("t1 attached") + kernel.count("t1 detached"), 0u);
    driver->start_queues(kPairsFeatures);
    ASSERT_TRUE(comes("t1 detached"));
}

TEST_F(VhostNetTest, AnAdapterWithOnePairLeavesTheOtherQueuesDetached) {
    make(2, 1);
    EXPECT_EQ(offered() & kPairsFeatures, 0u);
    driver->start_queues(0);
    ASSERT_TRUE(comes("t1 detached"));
    EXPECT_EQ(kernel.count("v1.0 t1"), 0u);
}

TEST_F(VhostNetTest, AfterAnErrorTheKernelGoesOnNowhere) {
    make();
    kernel.refused = "v0.1 t0";
    driver->start_queues(0);
    ASSERT_TRUE(eventually([&] { return host.lines().size() == 1 && driver->broken(); }, kSoon));
    EXPECT_EQ(host.lines()[0],
              "network 'n': the host's kernel does not serve a queue: Bad address; the device works no more");
    EXPECT_LT(kernel.place("v0.0 t0"), kernel.place("v0.0 none"));
    EXPECT_EQ(kernel.count("v0.0 none"), 1u);

    kernel.refused.clear();
    make();
    driver->start_queues(0);
    ASSERT_TRUE(comes("v0.1 t0"));
    kernel.take();
    const uint64_t one = 1;
    ASSERT_EQ(write(kernel.errors["v0.0"], &one, sizeof one), 8) << "it cannot use a ring";
    ASSERT_TRUE(eventually([&] { return host.lines().size() == 2; }, kSoon));
    EXPECT_EQ(kernel.take(), Lines({"v0.0 none", "v0.1 none"}));
}

TEST_F(VhostNetTest, ItsStateIsWhatTheDriverHasAgreedTo) {
    make(2, 2);
    driver->start_queues(kPairsFeatures);
    EXPECT_EQ(use_pairs(2, 4), 0u);
    driver->device.quiesce();
    const auto stream = test::save(driver->device);
    uint8_t* const before = driver->ram.data();
    std::vector<uint8_t> content(before, before + QueuesDriver::kRamSize);
    make(2, 2);
    kernel.take();
    std::ranges::copy(content, driver->ram.data());
    ASSERT_EQ(test::load(driver->device, stream), "");
    driver->device.resume();
    ASSERT_TRUE(comes("v1.1 t1"));
    EXPECT_EQ(kernel.count("v0.0 base 3") + kernel.count("v1.1 base 3"), 2u);
    make(3, 3);
    EXPECT_NE(test::load(driver->device, stream), "");
}

TEST_F(VhostNetTest, WhatCannotBeIsRefused) {
    const auto error = [&](Result<std::shared_ptr<Connection>> opened) {
        return opened ? "" : opened.error();
    };
    kernel.refused = "v1 owner";
    EXPECT_EQ(error(open(2)), "the host's kernel does not take this process: Bad address");
    kernel.refused.clear();
    kernel.offered = 0xffffffff;
    EXPECT_EQ(error(open(1)), "the host's kernel knows virtio 0.9 only");
    EXPECT_EQ(error(KernelNet::open({.vhost = {file("v0")}, .tap = {file("t0"), file("t1")}, .header = true},
                                    0, play)),
              "2 queues of the interface, and 1 files of /dev/vhost-net");
}

}  // namespace
}  // namespace arclight::devices::vhost_user
