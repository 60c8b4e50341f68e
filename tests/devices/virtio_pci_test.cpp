// virtio over PCI: identity, both interfaces, interrupts, reset, state.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <thread>

#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "tests/devices/blk_driver.h"
#include "tests/devices/net_driver.h"
#include "tests/devices/state_damage.h"
#include "tests/devices/virtio_pci_driver.h"

namespace arclight::devices {
namespace {

using test::eventually;
using test::VirtioPciDriver;
using namespace virtio;
using Messages = std::vector<test::MessageLog::Message>;

/// Asks for 16 random bytes and waits for them.
void ask(VirtioPciDriver& driver) {
    driver.describe(0, VirtioPciDriver::kData, 16, VirtioPciDriver::kWrite);
    const uint16_t before = driver.used_index();
    driver.offer(0);
    driver.notify();
    ASSERT_TRUE(eventually([&] { return driver.used_index() != before; }));
}

TEST(VirtioPci, IdentitiesAreQemus) {
    test::FakeNetwork network;
    const test::TemporaryImage image(512);
    struct {
        std::unique_ptr<Backend> backend;
        uint32_t transitional, modern, class_code, subsystem;
    } devices[] = {
        {std::make_unique<Net>(network, Net::Options{}), 0x1000, 0x1041, 0x0200, 1},
        {test::open_blk(image.path, {}), 0x1001, 0x1042, 0x0100, 2},
        {std::make_unique<Rng>(), 0x1005, 0x1044, 0x00ff, 4},
    };
    for (auto& [backend, transitional, modern, class_code, subsystem] : devices) {
        const uint32_t queues = static_cast<uint32_t>(backend->queues().size());
        VirtioPciDriver driver(std::move(backend));
        EXPECT_EQ(driver.config(0, 8, 0), transitional << 16 | 0x1af4);
        EXPECT_EQ(driver.config(0, 8, pci::kRegRevision), class_code << 16);
        EXPECT_EQ(driver.config(0, 8, pci::kRegSubsystemVendor), subsystem << 16 | 0x1af4);
        EXPECT_EQ(driver.config(0, 8, VirtioPciDriver::kMsix + 2, 2), queues) << "one more, less one";
    }
    VirtioPciDriver modern(std::make_unique<Rng>(), {.legacy = false, .express = true});
    EXPECT_EQ(modern.config(0, 8, 0), 0x1044'1af4u);
    EXPECT_EQ(modern.config(0, 8, pci::kRegRevision, 1), 1u);
    EXPECT_EQ(modern.config(0, 8, pci::kRegSubsystem, 2), 0x1100u);
    EXPECT_EQ(modern.config(0, 8, 0x10), 0u) << "no ports";
    VirtioPciDriver legacy(std::make_unique<Rng>(), {.modern = false, .vectors = 7});
    EXPECT_EQ(legacy.config(0, 8, 0), 0x1005'1af4u);
    EXPECT_EQ(legacy.config(0, 8, 0x20), 0u) << "no modern BAR";
    EXPECT_EQ(legacy.config(0, 8, VirtioPciDriver::kMsix + 1, 1), 0u) << "nor its capabilities";
    EXPECT_EQ(legacy.config(0, 8, VirtioPciDriver::kMsix + 2, 2), 6u);
}

// 4.1.4: what Linux looks for.
TEST(VirtioPci, CapabilitiesDescribeTheModernBar) {
    VirtioPciDriver driver(std::make_unique<Rng>());
    std::map<unsigned, std::vector<uint64_t>> found;
    unsigned seen = 0;
    for (auto at = static_cast<unsigned>(driver.config(0, 8, pci::kRegCapabilities, 1)); at != 0 && seen < 32;
         at = static_cast<unsigned>(driver.config(0, 8, at + 1, 1)), seen++) {
        if (driver.config(0, 8, at, 1) != 9) continue;
        const auto type = static_cast<unsigned>(driver.config(0, 8, at + 3, 1));
        found[type] = {driver.config(0, 8, at + 2, 1), driver.config(0, 8, at + 4, 1),
                       driver.config(0, 8, at + 8), driver.config(0, 8, at + 12)};
        if (type == 2) {
            EXPECT_EQ(driver.config(0, 8, at + 16), 4u) << "a notification address each";
        }
    }
    using Values = std::vector<uint64_t>;
    EXPECT_EQ(found[1], (Values{16, 4, 0, 0x1000}));
    EXPECT_EQ(found[2], (Values{20, 4, 0x3000, 0x1000}));
    EXPECT_EQ(found[3], (Values{16, 4, 0x1000, 0x1000}));
    EXPECT_EQ(found[4], (Values{16, 4, 0x2000, 0x1000}));
    EXPECT_EQ(found[5], (Values{20, 0, 0, 0}));
    EXPECT_EQ(found.size(), 5u);
}

TEST(VirtioPci, CommonConfiguration) {
    VirtioPciDriver driver(std::make_unique<Rng>());
    constexpr uint64_t kModern = VirtioPciDriver::kModern;
    EXPECT_EQ(driver.read(kModern + 0x12, 2), 1u) << "one queue";
    driver.write(kModern, 1);
    EXPECT_EQ(driver.read(kModern + 4), 1u) << "VERSION_1";
    driver.write(kModern, 2);
    EXPECT_EQ(driver.read(kModern + 4), 0u);
    EXPECT_EQ(driver.read(kModern + 0x18, 2), 8u) << "the largest size";
    EXPECT_EQ(driver.read(kModern + 0x1a, 2), 0xffffu);
    driver.write(kModern + 0x1a, 1, 2);
    EXPECT_EQ(driver.read(kModern + 0x1a, 2), 1u);
    driver.write(kModern + 0x1a, 2, 2);
    EXPECT_EQ(driver.read(kModern + 0x1a, 2), 0xffffu) << "there are two vectors";
    driver.write(kModern + 0x10, 1, 2);
    EXPECT_EQ(driver.read(kModern + 0x10, 2), 1u);
    driver.write(kModern + 0x20, 0x1122'3344'5566'7788, 8);
    EXPECT_EQ(driver.read(kModern + 0x24), 0x1122'3344u);
    EXPECT_EQ(driver.read(kModern + 0x20, 8), 0x1122'3344'5566'7788u);
    driver.write(kModern + 0x16, 5, 2);
    EXPECT_EQ(driver.read(kModern + 0x18, 2), 0u) << "no such queue";
    EXPECT_EQ(driver.read(kModern + 0x1a, 2), 0xffffu);
    driver.write(kModern + 0x18, 4, 2);
    driver.write(kModern + 0x1c, 1, 2);
    EXPECT_EQ(driver.read(kModern + 0x15, 1), 0u);
    driver.write(kModern + 0x2000, 1, 1);
    EXPECT_EQ(driver.read(kModern + 0x15, 1), 1u) << "the configuration has another generation";
}

TEST(VirtioPci, TooLargeAQueueFailsTheDevice) {
    VirtioPciDriver driver(std::make_unique<Rng>());
    driver.start();
    EXPECT_EQ(driver.read(VirtioPciDriver::kModern + 0x14, 1) & 64, 64u) << "256 entries, and the limit is 8";
    EXPECT_EQ(driver.read(VirtioPciDriver::kModern + 0x1c, 2), 0u);
}

/// A queue of 256 entries that gives each request as many bytes as it has room for.
class Filler final : public Backend {
  public:
    explicit Filler(Service service = Service::Inline) : service_(service) {}
    std::string_view name() const override { return "toy-filler"; }
    uint32_t device_id() const override { return 4; }
    uint64_t features() const override { return 1; }
    std::vector<QueueDescription> queues() const override { return {{256, service_}}; }
    uint8_t read_config(uint64_t offset) override { return static_cast<uint8_t>(0x40 + offset); }
    void activate(Transport& transport) override { transport_ = &transport; }
    void reset() override {
        transport_ = nullptr;
        resets++;
    }
    Served process(unsigned, Chain& chain) override {
        for (const auto& buffer : chain.writable) std::memset(buffer.data(), 0x77, buffer.size());
        return Served::done(static_cast<uint32_t>(chain.writable_size()));
    }
    Transport* transport() { return transport_; }
    unsigned resets = 0;

  private:
    const Service service_;
    std::atomic<Transport*> transport_ = nullptr;
};

TEST(VirtioPci, UsedBuffersAndConfigurationHaveTheirVectors) {
    auto owned = std::make_unique<Filler>();
    Filler& filler = *owned;
    VirtioPciDriver driver(std::move(owned));
    driver.open_vector(0);
    driver.open_vector(1);
    driver.enable_msix();
    driver.start(kFeatureVersion1, 1);
    driver.write(VirtioPciDriver::kModern + 0x10, 0, 2);
    ask(driver);
    EXPECT_EQ(driver.at<uint8_t>(VirtioPciDriver::kData + 15), 0x77);
    EXPECT_EQ(driver.messages.take(), (Messages{{8, 0x1004, 1}}));
    filler.transport()->config_changed();
    EXPECT_EQ(driver.messages.take(), (Messages{{8, 0x1000, 0}}));
    EXPECT_FALSE(driver.wire(1)) << "no pin with MSI-X";
    driver.open_vector(1, true);
    ask(driver);
    EXPECT_TRUE(driver.messages.take().empty());
    driver.open_vector(1);
    EXPECT_EQ(driver.messages.take(), (Messages{{8, 0x1004, 1}})) << "when it is unmasked";
    driver.write(VirtioPciDriver::kModern + 0x1a, 0xffff, 2);
    ask(driver);
    EXPECT_TRUE(driver.messages.take().empty()) << "no vector";
}

TEST(VirtioPci, PinIsHighUntilTheStatusIsRead) {
    VirtioPciDriver driver(std::make_unique<Filler>());
    driver.start();
    ask(driver);
    EXPECT_TRUE(driver.wire(1));
    EXPECT_EQ(driver.read(VirtioPciDriver::kIsr, 1), 1u);
    EXPECT_FALSE(driver.wire(1));
    EXPECT_EQ(driver.read(VirtioPciDriver::kIsr, 1), 0u);
    ask(driver);
    EXPECT_TRUE(driver.wire(1));
    driver.enable_msix();
    EXPECT_FALSE(driver.wire(1)) << "MSI-X takes the pin's place";
    driver.enable_msix(false);
    EXPECT_TRUE(driver.wire(1));
    driver.write(VirtioPciDriver::kModern + 0x14, 0, 1);
    EXPECT_FALSE(driver.wire(1)) << "a reset device has no interrupt";
}

TEST(VirtioPci, LegacyInterface) {
    auto owned = std::make_unique<Filler>();
    Filler& filler = *owned;
    VirtioPciDriver driver(std::move(owned));
    constexpr uint64_t kPorts = VirtioPciDriver::kPorts;
    EXPECT_EQ(driver.read(kPorts), 1u | kFeatureAnyLayout | kFeatureIndirect | kFeatureEventIndex);
    EXPECT_EQ(driver.read(kPorts + 0x0c, 2), 256u);
    driver.start_legacy();
    EXPECT_EQ(driver.read(kPorts + 8), VirtioPciDriver::kDescriptors >> 12);
    EXPECT_EQ(driver.read(kPorts + 0x14, 2), 0x4140u) << "the device's configuration";
    driver.describe(0, VirtioPciDriver::kData, 16, VirtioPciDriver::kWrite);
    driver.offer(0);
    driver.write(kPorts + 0x10, 0, 2);
    EXPECT_EQ(driver.used_index(), 1u);
    EXPECT_TRUE(driver.wire(1));
    EXPECT_EQ(driver.read(kPorts + 0x13, 1), 1u);
    EXPECT_FALSE(driver.wire(1));
    // With MSI-X the configuration makes room for the vectors.
    driver.open_vector(1);
    driver.enable_msix();
    EXPECT_EQ(driver.read(kPorts + 0x18, 2), 0x4140u);
    driver.write(kPorts + 0x16, 1, 2);
    EXPECT_EQ(driver.read(kPorts + 0x16, 2), 1u);
    driver.offer(0);
    driver.write(kPorts + 0x10, 0, 2);
    EXPECT_EQ(driver.messages.take(), (Messages{{8, 0x1004, 1}}));
    // A driver that resets it by this interface and begins by the other one.
    driver.write(kPorts + 0x12, 0, 1);
    EXPECT_EQ(filler.resets, 2u) << "before it began, and now";
    driver.start(kFeatureVersion1);
    EXPECT_EQ(driver.read(VirtioPciDriver::kModern + 0x14, 1), 0xfu);
    EXPECT_EQ(driver.read(kPorts), (1u | kFeatureIndirect | kFeatureEventIndex))
        << "it is modern while it is in use";
}

TEST(VirtioPci, WithoutBusMasteringQueuesRest) {
    VirtioPciDriver driver(std::make_unique<Filler>(Service::Worker));
    driver.start();
    driver.set_config(0, 8, pci::kRegCommand, 3, 2);
    driver.describe(0, VirtioPciDriver::kData, 16, VirtioPciDriver::kWrite);
    driver.offer(0);
    driver.notify();
    driver.device.quiesce();
    driver.device.resume();
    EXPECT_EQ(driver.used_index(), 0u);
    driver.set_config(0, 8, pci::kRegCommand, 7, 2);
    EXPECT_TRUE(eventually([&] { return driver.used_index() == 1; })) << "the notification is not forgotten";
}

TEST(VirtioPci, RegistersThroughConfigurationSpace) {
    VirtioPciDriver driver(std::make_unique<Filler>());
    unsigned at = static_cast<unsigned>(driver.config(0, 8, pci::kRegCapabilities, 1));
    while (driver.config(0, 8, at, 1) != 9 || driver.config(0, 8, at + 3, 1) != 5)
        at = static_cast<unsigned>(driver.config(0, 8, at + 1, 1));
    const auto point = [&](unsigned bar, uint32_t offset, uint32_t size) {
        driver.set_config(0, 8, at + 4, bar, 1);
        driver.set_config(0, 8, at + 8, offset);
        driver.set_config(0, 8, at + 12, size);
    };
    point(4, 0x12, 2);
    EXPECT_EQ(driver.config(0, 8, at + 16), 1u) << "one queue";
    point(4, 0x14, 1);
    driver.set_config(0, 8, at + 16, 3);
    EXPECT_EQ(driver.read(VirtioPciDriver::kModern + 0x14, 1), 3u);
    for (const auto& [bar, offset, size] :
         {std::tuple(4u, 0x14u, 3u), {4u, 0x13u, 2u}, {4u, 0xffff'fffcu, 4u}, {1u, 0u, 4u}, {9u, 0u, 4u}}) {
        point(bar, offset, size);
        driver.set_config(0, 8, at + 16, 0);
        EXPECT_EQ(driver.config(0, 8, at + 16), 0u);
    }
    EXPECT_EQ(driver.read(VirtioPciDriver::kModern + 0x14, 1), 3u) << "nothing has been written";
}

// One thread resets the device in every way there is, while another has requests served.
TEST(VirtioPci, ResetInFlight) {
    VirtioPciDriver driver(std::make_unique<Filler>(Service::Worker));
    driver.open_vector(1);
    std::atomic<bool> done{false};
    std::thread guest([&] {
        for (unsigned i = 0; !done; i++) {
            driver.notify();
            driver.read(VirtioPciDriver::kIsr, 1);
            driver.write(VirtioPciDriver::kTable + 0x1c, i & 1);
        }
    });
    for (unsigned round = 0; round < 300; round++) {
        driver.start(kFeatureVersion1, 1);
        driver.enable_msix(round % 2 != 0);
        for (uint16_t i = 0; i < 4; i++) {
            driver.describe(i, VirtioPciDriver::kData + i * 64, 64, VirtioPciDriver::kWrite);
            driver.offer(i);
        }
        driver.notify();
        switch (round % 3) {
            case 0: driver.write(VirtioPciDriver::kModern + 0x14, 0, 1); break;
            case 1: driver.set_config(0, 8, pci::kRegCommand, 3, 2); break;
            default: driver.device.quiesce(); driver.device.resume();
        }
        driver.set_config(0, 8, pci::kRegCommand, 7, 2);
    }
    done = true;
    guest.join();
    driver.messages.take();
    driver.write(VirtioPciDriver::kModern + 0x14, 0, 1);
    driver.enable_msix(false);
    driver.start();
    ask(driver);
    EXPECT_TRUE(driver.wire(1)) << "it works as ever";
}

TEST(VirtioPci, StateMovesToAnotherMachine) {
    for (const bool legacy : {false, true}) {
        VirtioPciDriver driver(std::make_unique<Filler>());
        driver.open_vector(1);
        driver.enable_msix();
        if (legacy)
            driver.start_legacy();
        else
            driver.start(kFeatureVersion1, 1);
        driver.write(legacy ? VirtioPciDriver::kPorts + 0x16 : VirtioPciDriver::kModern + 0x1a, 1, 2);
        driver.describe(0, VirtioPciDriver::kData, 16, VirtioPciDriver::kWrite);
        driver.device.quiesce();
        driver.offer(0);
        driver.write(legacy ? VirtioPciDriver::kPorts + 0x10 : VirtioPciDriver::kNotify, 0, 2);
        EXPECT_EQ(driver.used_index(), 0u);
        const auto stream = test::save(driver.device);

        VirtioPciDriver other(std::make_unique<Filler>());
        other.ram = driver.ram;
        other.device.quiesce();
        ASSERT_EQ(test::load(other.device, stream), "");
        EXPECT_EQ(test::save(other.device), stream);
        other.device.resume();
        EXPECT_EQ(other.used_index(), 1u) << "what was offered meanwhile is served";
        EXPECT_EQ(other.messages.take(), (Messages{{8, 0x1004, 1}}));
        VirtioPciDriver modern_only(std::make_unique<Filler>(), {.legacy = false});
        EXPECT_NE(test::load(modern_only.device, stream), "");
    }
}

TEST(VirtioPci, DamagedStateIsRefused) {
    VirtioPciDriver driver(std::make_unique<Filler>());
    driver.open_vector(1);
    driver.enable_msix();
    driver.start(kFeatureVersion1, 1);
    ask(driver);
    driver.device.quiesce();
    std::mt19937_64 random(5);
    test::survives_damage(test::save(driver.device), random, [&](const std::vector<uint8_t>& stream) {
        VirtioPciDriver other(std::make_unique<Filler>());
        other.device.quiesce();
        const bool loaded = test::load(other.device, stream).empty();
        other.device.resume();
        other.notify();
        return loaded;
    });
}

// A disk and a network behind the same transport as on MMIO.
TEST(VirtioPci, DiskReadsAndWrites) {
    const test::TemporaryImage image(64 * 512);
    VirtioPciDriver driver(test::open_blk(image.path, {}));
    driver.start();
    constexpr uint64_t kData = VirtioPciDriver::kData;
    const auto request = [&](uint32_t type, uint64_t sector) {
        driver.at<uint32_t>(kData) = type;
        driver.at<uint64_t>(kData + 8) = sector;
        driver.describe(0, kData, 16, VirtioPciDriver::kNext, 1);
        driver.describe(
            1, kData + 0x1000, 512,
            static_cast<uint16_t>(VirtioPciDriver::kNext | (type == 0 ? VirtioPciDriver::kWrite : 0)), 2);
        driver.describe(2, kData + 0x800, 1, VirtioPciDriver::kWrite);
        driver.at<uint8_t>(kData + 0x800) = 0xee;
        const uint16_t before = driver.used_index();
        driver.offer(0);
        driver.notify();
        EXPECT_TRUE(eventually([&] { return driver.used_index() != before; }));
        return driver.at<uint8_t>(kData + 0x800);
    };
    EXPECT_EQ(driver.read(VirtioPciDriver::kDevice, 8), 64u) << "sectors";
    EXPECT_EQ(request(test::kIn, 3), 0);
    EXPECT_EQ(driver.at<uint8_t>(kData + 0x1000 + 5), image.byte(3 * 512 + 5));
    std::memset(&driver.at<uint8_t>(kData + 0x1000), 0xa5, 512);
    EXPECT_EQ(request(test::kOut, 7), 0);
    EXPECT_EQ(image.byte(7 * 512 + 511), 0xa5);
}

}  // namespace
}  // namespace arclight::devices
