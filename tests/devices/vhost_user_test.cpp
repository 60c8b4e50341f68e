#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "devices/event_loop.h"
#include "devices/guest_clock.h"
#include "devices/vhost_user/device.h"
#include "devices/vhost_user/device_types.h"
#include "devices/vhost_user/kernel_requests.h"
#include "devices/vhost_user/kernel_vsock.h"
#include "tests/devices/fake_daemon.h"
#include "tests/devices/queues_driver.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices::vhost_user {
namespace {

using test::eventually;
using test::FakeDaemon;
using test::QueuesDriver;

constexpr std::chrono::milliseconds kSoon{20000};

struct Host final : MachineHost {
    void say(const std::string& line) override {
        const std::lock_guard guard(lock);
        said.push_back(line);
    }
    void pause(const std::string&) override {}
    size_t lines() {
        const std::lock_guard guard(lock);
        return said.size();
    }
    std::mutex lock;
    std::vector<std::string> said;
};

struct Machine {
    explicit Machine(std::shared_ptr<Connection> connection, const char* kind = "vhost-user-blk",
                     unsigned queues = 2, unsigned pairs = 1) {
        test::TestRam ram(QueuesDriver::kRamSize);
        auto device =
            Device::make(*find_kind(kind), std::move(connection), {ram.file(), layout::kRamBase, ram.size()},
                         {.label = "disk 'x'", .queues = queues, .net_pairs = pairs, .host = &host});
        if (!device) throw std::runtime_error(device.error());
        driver.emplace(std::move(*device), std::move(ram));
    }
    Host host;
    std::optional<QueuesDriver> driver;
};

std::shared_ptr<Connection> connect(FakeDaemon& daemon, const char* kind = "vhost-user-blk") {
    auto opened = DaemonConnection::open(daemon.start(), wanted_features(*find_kind(kind)),
                                         find_kind(kind)->config_bytes, kSoon);
    EXPECT_TRUE(opened) << opened.error();
    return opened ? *opened : nullptr;
}

TEST(VhostUserTest, FeaturesAreThoseThatAllKnow) {
    FakeDaemon daemon;
    // Flushes, which a disk may have; the write cache's switch, which needs this program; packed rings.
    daemon.features |= 1ull << 9 | 1ull << 11 | 1ull << 34 | virtio::kFeatureEventIndex;
    daemon.config[8] = 0x42;
    Machine machine(connect(daemon));
    machine.driver->set(0x14, 0);
    EXPECT_EQ(machine.driver->get(0x10), 1u << 9 | virtio::kFeatureEventIndex);
    EXPECT_EQ(machine.driver->get(0x108), 0x42u);
    // The number of queues is what the user has chosen, not what the daemon can.
    EXPECT_EQ(machine.driver->get(0x120) >> 16 & 0xffff, 2u);
    machine.driver->start_queues(1u << 9);
    ASSERT_TRUE(eventually([&] { return daemon.count(FakeDaemon::Request::SetVringEnable) == 2; }, kSoon));
    EXPECT_EQ(daemon.accepted, 1ull << 32 | 1ull << 9 | kFeatureProtocol);
}

TEST(VhostUserTest, TheDaemonServesTheRings) {
    FakeDaemon daemon;
    Machine machine(connect(daemon));
    QueuesDriver& driver = *machine.driver;
    driver.start_queues(0);
    driver.room(0);
    driver.room(1, 16);
    std::vector<std::string> first, second;
    ASSERT_TRUE(eventually(
        [&] {
            for (auto& one : driver.take(0)) first.push_back(one);
            for (auto& one : driver.take(1)) second.push_back(one);
            return !first.empty() && !second.empty();
        },
        kSoon));
    EXPECT_EQ(first, std::vector(1, std::string(256, 0x5a)));
    EXPECT_EQ(second, std::vector(1, std::string(16, 0x5a)));
    EXPECT_TRUE(eventually([&] { return driver.wire(); }, kSoon));
}

TEST(VhostUserTest, AResetStopsTheDaemonAndAPauseGoesOnWhereItWas) {
    FakeDaemon daemon;
    Machine machine(connect(daemon));
    QueuesDriver& driver = *machine.driver;
    driver.start_queues(0);
    driver.room(0);
    ASSERT_TRUE(eventually([&] { return daemon.served == 1; }, kSoon));

    driver.device.quiesce();
    EXPECT_EQ(daemon.count(FakeDaemon::Request::GetVringBase), 2u);
    driver.room(0);  // while nobody listens
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(daemon.served, 1u);
    driver.device.resume();
    ASSERT_TRUE(eventually([&] { return driver.used_count(0) == 2; }, kSoon));
    EXPECT_EQ(daemon.served, 2u);

    driver.set(0x70, 0);
    EXPECT_EQ(daemon.count(FakeDaemon::Request::GetVringBase), 4u);
    EXPECT_FALSE(driver.wire());
    driver.start_queues(0);
    driver.room(0);
    ASSERT_TRUE(eventually([&] { return daemon.served == 3; }, kSoon));
    EXPECT_TRUE(eventually([&] { return driver.used_count(0) == 1; }, kSoon));
}

TEST(VhostUserTest, TheConfigurationChanges) {
    FakeDaemon daemon;
    Machine machine(connect(daemon));
    QueuesDriver& driver = *machine.driver;
    driver.start_queues(0);
    ASSERT_TRUE(eventually([&] { return daemon.count(FakeDaemon::Request::SetVringEnable) == 2; }, kSoon));
    const uint32_t generation = driver.get(0xfc);
    daemon.change_config(7);
    ASSERT_TRUE(eventually([&] { return driver.wire(); }, kSoon));
    EXPECT_EQ(driver.get(0x60), 2u);
    EXPECT_EQ(driver.get(0x100), 7u);
    EXPECT_NE(driver.get(0xfc), generation);
}

TEST(VhostUserTest, ADaemonsEndIsOneLineAndADeviceThatNeedsAReset) {
    for (const bool error : {false, true}) {
        FakeDaemon daemon;
        Machine machine(connect(daemon));
        QueuesDriver& driver = *machine.driver;
        driver.start_queues(0);
        ASSERT_TRUE(
            eventually([&] { return daemon.count(FakeDaemon::Request::SetVringEnable) == 2; }, kSoon));
        if (error)
            daemon.report_error(1);
        else
            daemon.die();
        ASSERT_TRUE(eventually([&] { return driver.broken(); }, kSoon));
        ASSERT_EQ(machine.host.lines(), 1u);
        EXPECT_EQ(machine.host.said[0],
                  error ? "disk 'x': its daemon cannot use queue 1; the device works no more"
                        : "disk 'x': its daemon has ended; the device works no more");
        driver.room(0);
        driver.device.quiesce();
        driver.device.resume();
        driver.start_queues(0);
        EXPECT_TRUE(eventually([&] { return driver.broken(); }, kSoon));
        EXPECT_EQ(machine.host.lines(), 1u);
    }
}

// ---- pairs of queues

struct NetMachine : Machine {
    explicit NetMachine(std::shared_ptr<Connection> connection, unsigned pairs = 3)
        : Machine(std::move(connection), "vhost-user-net", 0, pairs) {}
    explicit NetMachine(FakeDaemon& daemon, unsigned pairs = 3)
        : NetMachine(connect(daemon, "vhost-user-net"), pairs) {}

    /// The device's answer; 0: it was carried out.
    unsigned command(const std::vector<uint8_t>& bytes, unsigned queue) {
        const uint16_t before = driver->used_count(queue);
        std::ranges::copy(bytes, driver->memory.host(driver->buffer(queue, 0), bytes.size()));
        driver->at<uint8_t>(driver->buffer(queue, 1)) = 0xee;
        driver->describe(driver->table(queue), 0, driver->buffer(queue, 0),
                         static_cast<uint32_t>(bytes.size()), driver->kNext, 1);
        driver->describe(driver->table(queue), 1, driver->buffer(queue, 1), 1, driver->kWrite);
        driver->offer_in(queue, 0);
        EXPECT_TRUE(eventually([&] { return driver->used_count(queue) != before; }, kSoon));
        return driver->at<uint8_t>(driver->buffer(queue, 1));
    }
};

constexpr uint64_t kPairsFeatures = virtio::kNetFeatureControl | virtio::kNetFeaturePairs;

TEST(VhostUserTest, TheDaemonServesThePairsThatTheDriverUses) {
    FakeDaemon daemon;
    daemon.features |= virtio::kNetFeaturePairs;
    daemon.queues = 6;
    NetMachine machine(daemon);
    machine.driver->set(0x14, 0);
    EXPECT_EQ(machine.driver->get(0x10) & kPairsFeatures, kPairsFeatures);
    machine.driver->start_queues(kPairsFeatures);
    using Set = std::set<unsigned>;
    EXPECT_TRUE(eventually([&] { return daemon.enabled() == Set({0, 1}); }, kSoon));
    EXPECT_EQ(daemon.accepted, 1ull << 32 | virtio::kNetFeaturePairs | kFeatureProtocol)
        << "the control queue is not the daemon's";
    const std::pair<unsigned, Set> numbers[] = {
        {3, {0, 1, 2, 3, 4, 5}}, {2, {0, 1, 2, 3}}, {3, {0, 1, 2, 3, 4, 5}}, {1, {0, 1}}};
    for (const auto& [pairs, rings] : numbers) {
        EXPECT_EQ(machine.command({4, 0, static_cast<uint8_t>(pairs), 0}, 6), 0u);
        EXPECT_EQ(daemon.enabled(), rings) << "before the driver is told";
    }
    for (const std::vector<uint8_t>& wrong :
         {std::vector<uint8_t>{4, 0, 0, 0}, {4, 0, 4, 0}, {4, 0, 1}, {4, 1, 1, 0}, {0, 0, 1}, {4}})
        EXPECT_EQ(machine.command(wrong, 6), 1u);
    EXPECT_EQ(machine.command({4, 0, 2, 0}, 6), 0u);
    machine.driver->room(2);
    EXPECT_TRUE(eventually([&] { return machine.driver->used_count(2) == 1; }, kSoon));
    // After a pause the daemon serves the same; after a reset, the first pair.
    machine.driver->device.quiesce();
    machine.driver->device.resume();
    EXPECT_TRUE(eventually([&] { return daemon.enabled() == Set({0, 1, 2, 3}); }, kSoon));
    machine.driver->start_queues(kPairsFeatures);
    EXPECT_TRUE(eventually([&] { return daemon.enabled() == Set({0, 1}); }, kSoon));
}

TEST(VhostUserTest, ADriverOfOnePairHasItsControlQueueBehindThat) {
    FakeDaemon daemon;
    daemon.features |= virtio::kNetFeaturePairs;
    daemon.queues = 6;
    NetMachine machine(daemon);
    machine.driver->start_queues(virtio::kNetFeatureControl);
    EXPECT_EQ(machine.command({4, 0, 1, 0}, 2), 1u);
    EXPECT_EQ(daemon.count(FakeDaemon::Request::SetVringKick), 2u) << "and the daemon has no third ring";
    EXPECT_EQ(daemon.enabled(), std::set<unsigned>({0, 1}));

    FakeDaemon single;
    single.features |= virtio::kNetFeaturePairs;
    NetMachine one(single, 1);
    one.driver->set(0x14, 0);
    EXPECT_EQ(one.driver->get(0x10) & kPairsFeatures, 0u);
}

// ---- daemons that end and come again

struct Reconnection : testing::Test {
    std::string path = testing::TempDir() + "/arclight-daemon-" + std::to_string(getpid());
    ~Reconnection() override { unlink(path.c_str()); }
    std::shared_ptr<Connection> reach(FakeDaemon& daemon, const char* name = "vhost-user-blk") {
        daemon.start_at(path);
        const Kind& kind = *find_kind(name);
        auto opened = DaemonConnection::connect(path, wanted_features(kind), kind.config_bytes,
                                                std::chrono::milliseconds(20), kSoon);
        EXPECT_TRUE(opened) << opened.error();
        return opened ? *opened : nullptr;
    }
};

TEST_F(Reconnection, AnotherDaemonDoesWhatWasNotFinished) {
    FakeDaemon first;
    Machine machine(reach(first));
    QueuesDriver& driver = *machine.driver;
    driver.start_queues(0);
    driver.room(0);
    ASSERT_TRUE(eventually([&] { return driver.used_count(0) == 1; }, kSoon));
    first.keeps = true;
    driver.room(0);
    ASSERT_TRUE(eventually([&] { return first.taken == 2; }, kSoon));
    first.die();
    ASSERT_TRUE(eventually([&] { return machine.host.lines() == 1; }, kSoon));
    EXPECT_EQ(machine.host.said[0], "disk 'x': its daemon has ended; waiting for another one");
    driver.room(0);
    driver.room(1);
    EXPECT_FALSE(driver.broken());

    FakeDaemon second;
    second.answer = 0x11;
    second.config[8] = 0x99;
    second.start_at(path);
    ASSERT_TRUE(eventually([&] { return driver.used_count(0) == 3 && driver.used_count(1) == 1; }, kSoon));
    EXPECT_EQ(second.taken, 3u);
    EXPECT_EQ(driver.take(0),
              std::vector({std::string(256, 0x5a), std::string(256, 0x11), std::string(256, 0x11)}));
    EXPECT_EQ(driver.get(0x108) & 0xff, 0x99u) << "its configuration is read again";
    ASSERT_EQ(machine.host.lines(), 2u);
    EXPECT_EQ(machine.host.said[1], "disk 'x': another daemon is there");
    // The next one, with an interrupt that the one before owes.
    second.die();
    FakeDaemon third;
    driver.set(0x64, 3);
    third.start_at(path);
    EXPECT_TRUE(eventually([&] { return driver.wire(); }, kSoon));
    driver.room(0);
    EXPECT_TRUE(eventually([&] { return driver.used_count(0) == 4; }, kSoon));
}

TEST_F(Reconnection, AResetAndAPauseDoNotWaitForOne) {
    FakeDaemon first;
    Machine machine(reach(first));
    QueuesDriver& driver = *machine.driver;
    driver.start_queues(0);
    first.die();
    ASSERT_TRUE(eventually([&] { return machine.host.lines() == 1; }, kSoon));
    driver.device.quiesce();
    driver.room(0);
    driver.device.resume();
    driver.set(0x70, 0);
    driver.start_queues(0);
    driver.room(0);
    FakeDaemon second;
    second.start_at(path);
    EXPECT_TRUE(eventually([&] { return driver.used_count(0) == 1; }, kSoon));
    EXPECT_FALSE(driver.broken());
}

TEST_F(Reconnection, OneThatCanLessIsNotTaken) {
    FakeDaemon first;
    first.features |= 1u << 9;
    Machine machine(reach(first));
    QueuesDriver& driver = *machine.driver;
    driver.start_queues(1u << 9);
    first.die();
    ASSERT_TRUE(eventually([&] { return machine.host.lines() == 1; }, kSoon));
    driver.room(0);
    {
        FakeDaemon less;
        less.start_at(path);
        ASSERT_TRUE(eventually([&] { return less.count(FakeDaemon::Request::GetConfig) != 0; }, kSoon));
        EXPECT_EQ(less.count(FakeDaemon::Request::SetVringKick), 0u);
    }
    EXPECT_EQ(driver.used_count(0), 0);
    FakeDaemon second;
    second.features |= 1u << 9;
    second.start_at(path);
    EXPECT_TRUE(eventually([&] { return driver.used_count(0) == 1; }, kSoon));
}

// A driver waits for the answer to a command and does nothing else.
TEST_F(Reconnection, CommandsAreAnsweredMeanwhile) {
    FakeDaemon first;
    first.features |= virtio::kNetFeaturePairs;
    first.queues = 6;
    first.start_at(path);
    const Kind& kind = *find_kind("vhost-user-net");
    auto opened =
        DaemonConnection::connect(path, wanted_features(kind), 0, std::chrono::milliseconds(20), kSoon);
    ASSERT_TRUE(opened) << opened.error();
    NetMachine machine(*opened);
    machine.driver->start_queues(kPairsFeatures);
    ASSERT_TRUE(eventually([&] { return first.enabled().size() == 2; }, kSoon));
    first.die();
    ASSERT_TRUE(eventually([&] { return machine.host.lines() == 1; }, kSoon));
    EXPECT_EQ(machine.command({4, 0, 3, 0}, 6), 0u);
    FakeDaemon second;
    second.features |= virtio::kNetFeaturePairs;
    second.queues = 6;
    second.start_at(path);
    EXPECT_TRUE(eventually([&] { return second.enabled().size() == 6; }, kSoon));
}

TEST(VhostUserTest, ItsStateIsNotSaved) {
    FakeDaemon daemon;
    Machine machine(connect(daemon));
    machine.driver->device.quiesce();
    StateWriter out;
    machine.driver->device.save(out);
    const auto saved = out.finish();
    ASSERT_FALSE(saved);
    EXPECT_EQ(saved.error(), "disk 'x': its daemon cannot be asked for its state");
    machine.driver->device.resume();
}

TEST(VhostUserTest, ADaemonThatAnswersWronglyIsGivenUp) {
    struct Case {
        FakeDaemon::Request at;
        std::function<bool(Header&, std::vector<uint8_t>&)> twist;
        const char* error;
    };
    constexpr const char* kNonsense = "its daemon does not speak vhost-user";
    const Case cases[] = {
        {Request::GetFeatures, [](Header& h, auto&) { return h.request = 99, true; }, kNonsense},
        {Request::GetFeatures, [](Header& h, auto&) { return h.flags = 2 | kReply, true; }, kNonsense},
        {Request::GetFeatures, [](Header& h, auto&) { return h.flags = kVersion, true; }, kNonsense},
        {Request::GetFeatures, [](Header& h, auto&) { return h.size = ~0u, true; }, kNonsense},
        {Request::GetProtocolFeatures, [](Header& h, auto& p) { return h.size = 4, p.resize(4), true; },
         kNonsense},
        {Request::GetConfig, [](Header& h, auto& p) { return h.size = 0, p.clear(), true; }, kNonsense},
        {Request::GetConfig, [](Header&, auto& p) { return p[4] = 1, true; },
         "its daemon has no such configuration"},
        {Request::SetOwner, [](Header&, auto& p) { return p[0] = 1, true; }, "its daemon refuses message 3"},
        {Request::GetQueueNum, [](Header&, auto&) { return false; }, "its daemon does not answer"},
    };
    for (const Case& wrong : cases) {
        FakeDaemon daemon;
        daemon.twist = [&](Request request, Header& header, std::vector<uint8_t>& payload) {
            return request != wrong.at || wrong.twist(header, payload);
        };
        const auto opened = DaemonConnection::open(daemon.start(), ~0ull, 60, std::chrono::milliseconds(300));
        ASSERT_FALSE(opened) << wrong.error;
        EXPECT_EQ(opened.error(), wrong.error);
    }
    FakeDaemon old;
    old.features = 0;
    const auto opened = DaemonConnection::open(old.start(), ~0ull, 60, kSoon);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error(), "its daemon knows virtio 0.9 only");
}

TEST(VhostUserTest, AStopThatIsNotAnsweredEndsTheDeviceAndNotTheGuest) {
    FakeDaemon daemon;
    daemon.twist = [](Request request, Header&, auto&) { return request != Request::GetVringBase; };
    auto connection = DaemonConnection::open(daemon.start(), wanted_features(*find_kind("vhost-user-fs")), 0,
                                             std::chrono::milliseconds(300));
    ASSERT_TRUE(connection);
    Machine machine(*connection, "vhost-user-fs");
    machine.driver->start_queues(0);
    ASSERT_TRUE(eventually([&] { return daemon.count(FakeDaemon::Request::SetVringEnable) == 3; }, kSoon));
    machine.driver->set(0x70, 0);
    EXPECT_EQ(machine.host.lines(), 1u);
}

TEST(VhostUserTest, MoreQueuesThanTheDaemonServesAreRefused) {
    FakeDaemon daemon;
    EXPECT_THROW(Machine(connect(daemon), "vhost-user-blk", 5), std::runtime_error);
}

TEST(VhostUserTest, TheGuestReadsTheTagAndTheAddress) {
    const auto factory = DeviceFactory::standard();
    test::FakeController controller;
    EventLoop loop;
    GuestClock clock;
    test::TestRam ram(4096);
    FakeDaemon fs, net;
    fs.queues = 3;
    DeviceContext context{.loop = loop, .clock = clock, .networks = {}};
    context.daemons = {{"/s", connect(fs, "vhost-user-fs")}, {"/n", connect(net, "vhost-user-net")}};
    context.ram = {ram.file(), layout::kRamBase, ram.size()};
    const auto made = [&](std::string_view words) {
        auto device = factory.make(*DeviceRequest::parse(words), context);
        EXPECT_TRUE(device) << device.error();
        return std::move(std::get<std::unique_ptr<virtio::Backend>>(*device));
    };
    const auto share = made("vhost-user-fs,socket=/s,tag=home,num-request-queues=2");
    EXPECT_EQ(share->read_config(0), 'h');
    EXPECT_EQ(share->read_config(3), 'e');
    EXPECT_EQ(share->read_config(4), 0);
    EXPECT_EQ(share->read_config(36), 2);
    EXPECT_EQ(share->queues().size(), 3u);
    const auto adapter = made("vhost-user-net,socket=/n,mac=02:00:00:00:00:07,mtu=9000");
    EXPECT_EQ(adapter->read_config(5), 7);
    EXPECT_EQ(adapter->read_config(10) | adapter->read_config(11) << 8, 9000);
    EXPECT_EQ(adapter->features() & 0x28, 0x28u);
    EXPECT_FALSE(factory.make(*DeviceRequest::parse("vhost-user-rng,socket=/nobody"), context));
}

// ---- the host's kernel, played

struct Kernel {
    std::mutex lock;
    std::vector<std::pair<unsigned long, std::vector<uint8_t>>> said;
    unsigned long refused = 0;
    size_t count(unsigned long request) {
        const std::lock_guard guard(lock);
        return static_cast<size_t>(std::ranges::count(said, request, &decltype(said)::value_type::first));
    }
    template <typename T>
    T last(unsigned long request) {
        const std::lock_guard guard(lock);
        T value{};
        for (const auto& [one, bytes] : said)
            if (one == request) std::memcpy(&value, bytes.data(), std::min(sizeof value, bytes.size()));
        return value;
    }
};
Kernel* played = nullptr;

int play(int, unsigned long request, void* argument) {
    const std::lock_guard guard(played->lock);
    if (request == played->refused) return errno = EADDRINUSE, -1;
    const size_t size = request == kernel::kSetMemTable ? sizeof(MemoryTable) : _IOC_SIZE(request);
    const auto* bytes = static_cast<const uint8_t*>(argument);
    played->said.emplace_back(request, std::vector<uint8_t>(bytes, bytes + size));
    if (request == kernel::kGetFeatures) *static_cast<uint64_t*>(argument) = ~uint64_t{0};
    if (request == kernel::kGetVringBase) static_cast<VringState*>(argument)->value = 3;
    return 0;
}

TEST(KernelVsockTest, TheKernelServesTheRings) {
    Kernel kernel;
    played = &kernel;
    const auto opened = KernelVsock::open(open("/dev/null", O_RDWR | O_CLOEXEC), 9,
                                          wanted_features(*find_kind("vhost-vsock")), play);
    ASSERT_TRUE(opened) << opened.error();
    EXPECT_EQ(kernel.last<uint64_t>(kernel::kSetGuestCid), 9u);
    Machine machine(*opened, "vhost-vsock", 0);
    QueuesDriver& driver = *machine.driver;
    EXPECT_EQ(driver.get(0x100), 9u);
    driver.start_queues(2);
    ASSERT_TRUE(eventually([&] { return kernel.last<int>(kernel::kSetRunning) == 1; }, kSoon));
    EXPECT_EQ(kernel.last<uint64_t>(kernel::kSetFeatures), 1ull << 32 | 2);
    const auto table = kernel.last<MemoryTable>(kernel::kSetMemTable);
    EXPECT_EQ(table.guest_address, layout::kRamBase);
    EXPECT_EQ(table.user_address, reinterpret_cast<uintptr_t>(driver.ram.data()));
    const auto address = kernel.last<VringAddress>(kernel::kSetVringAddr);
    EXPECT_EQ(address.index, 1u);
    EXPECT_EQ(address.used, reinterpret_cast<uintptr_t>(driver.memory.host(QueuesDriver::used(1), 1)));
    EXPECT_EQ(kernel.count(kernel::kSetVringKick), 2u);  // the third is for events, which there are none of

    driver.device.quiesce();
    EXPECT_EQ(kernel.last<int>(kernel::kSetRunning), 0);
    EXPECT_EQ(kernel.count(kernel::kGetVringBase), 2u);
    driver.device.resume();
    ASSERT_TRUE(eventually([&] { return kernel.last<int>(kernel::kSetRunning) == 1; }, kSoon));
    EXPECT_EQ(kernel.last<VringState>(kernel::kSetVringBase).value, 3u);
    driver.set(0x70, 0);
}

TEST(KernelVsockTest, ACidThatIsTakenIsRefused) {
    Kernel kernel{.refused = kernel::kSetGuestCid};
    played = &kernel;
    const auto opened = KernelVsock::open(open("/dev/null", O_RDWR | O_CLOEXEC), 9, 0, play);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error(), "the host's kernel does not give the guest this CID: Address already in use");
}

// ---- QEMU's storage daemon

class StorageDaemonTest : public testing::Test {
  protected:
    void SetUp() override {
        directory_ = std::filesystem::temp_directory_path() / ("arclight-vhost-" + std::to_string(getpid()));
        std::filesystem::create_directories(directory_);
        std::ofstream(image()) << std::string(1 << 20, 'a');
        child_ = fork();
        if (child_ == 0) {
            execlp("qemu-storage-daemon", "qemu-storage-daemon", "--blockdev",
                   ("driver=file,node-name=disk,filename=" + image()).c_str(), "--export",
                   ("type=vhost-user-blk,id=e,node-name=disk,writable=on,addr.type=unix,addr.path=" + path())
                       .c_str(),
                   nullptr);
            _exit(127);
        }
        eventually([&] { return (socket_ = connect_to()) >= 0 || waitpid(child_, &status_, WNOHANG) != 0; },
                   kSoon);
        if (WIFEXITED(status_) && WEXITSTATUS(status_) == 127) GTEST_SKIP() << "no qemu-storage-daemon";
        ASSERT_GE(socket_, 0);
    }
    void TearDown() override {
        if (status_ == 0) {
            kill(child_, SIGKILL);
            waitpid(child_, nullptr, 0);
        }
        std::filesystem::remove_all(directory_);
    }
    std::string image() const { return directory_ / "image"; }
    std::string path() const { return directory_ / "socket"; }
    int connect_to() const {
        sockaddr_un address{.sun_family = AF_UNIX};
        std::strcpy(address.sun_path, path().c_str());
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
        close(fd);
        return -1;
    }
    std::filesystem::path directory_;
    pid_t child_ = -1;
    int socket_ = -1, status_ = 0;
};

TEST_F(StorageDaemonTest, ADiskIsReadAndWritten) {
    auto connection =
        DaemonConnection::open(socket_, wanted_features(*find_kind("vhost-user-blk")), 60, kSoon);
    ASSERT_TRUE(connection) << connection.error();
    Machine machine(*connection, "vhost-user-blk", 1);
    QueuesDriver& driver = *machine.driver;
    EXPECT_EQ(driver.get(0x100), 2048u);  // sectors
    for (const bool again : {false, true}) {
        driver.start_queues(0);
        const auto request = [&](uint32_t type, char fill) {
            constexpr uint64_t kHeader = QueuesDriver::kData, kSector = kHeader + 0x1000,
                               kStatus = kHeader + 0x2000;
            driver.at<uint32_t>(kHeader) = type;
            driver.at<uint64_t>(kHeader + 8) = 1;
            std::memset(&driver.at<uint8_t>(kSector), fill, 512);
            driver.at<uint8_t>(kStatus) = 0xff;
            const uint64_t table = QueuesDriver::table(0);
            driver.describe(table, 0, kHeader, 16, QueuesDriver::kNext, 1);
            driver.describe(
                table, 1, kSector, 512,
                static_cast<uint16_t>(QueuesDriver::kNext | (type == 0 ? QueuesDriver::kWrite : 0)), 2);
            driver.describe(table, 2, kStatus, 1, QueuesDriver::kWrite);
            driver.offer_in(0, 0);
            EXPECT_TRUE(eventually([&] { return driver.at<uint8_t>(kStatus) == 0; }, kSoon));
            return std::string(&driver.at<char>(kSector), 512);
        };
        EXPECT_EQ(request(0, 0), std::string(512, again ? 'b' : 'a'));
        request(1, 'b');
        EXPECT_TRUE(eventually([&] { return driver.wire(); }, kSoon));
        driver.device.quiesce();
        driver.device.resume();
        EXPECT_EQ(request(0, 0), std::string(512, 'b'));
        driver.set(0x70, 0);
    }
    kill(child_, SIGKILL);
    EXPECT_TRUE(eventually([&] { return machine.host.lines() == 1; }, kSoon));
}

}  // namespace
}  // namespace arclight::devices::vhost_user
