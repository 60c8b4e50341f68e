#include "devices/device_factory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "devices/event_loop.h"
#include "devices/guest_clock.h"
#include "tests/devices/virtio_driver.h"

namespace arclight::devices {
namespace {

// A device that is registers, not virtio: what it was told reads back.
struct Plate final : Device {
    uint64_t read(uint64_t offset, unsigned) override { return offset == 0 ? number : lit ? 1 : 0; }
    void write(uint64_t, uint64_t, unsigned) override {}
    uint64_t number = 0;
    bool lit = false;
};

struct DeviceFactoryTest : testing::Test {
    DeviceFactoryTest() {
        factory.add({.name = "plate",
                     .summary = "shows a number",
                     .options = {{.name = "number",
                                  .kind = DeviceOption::Kind::Number,
                                  .help = "what it shows",
                                  .max = 1000},
                                 {.name = "lit",
                                  .kind = DeviceOption::Kind::Switch,
                                  .help = "whether it shines",
                                  .preset = "off"},
                                 {.name = "owner", .help = "whose it is", .preset = "", .max = 5}},
                     .make = [this](const DeviceArguments& arguments,
                                    const DeviceContext& context) -> Result<NewDevice> {
                         EXPECT_EQ(&context.loop, &loop);
                         owner = arguments.text("owner");
                         if (arguments.number("number") == 13) return std::unexpected("no plate has 13");
                         auto plate = std::make_unique<Plate>();
                         plate->number = arguments.number("number");
                         plate->lit = arguments.on("lit");
                         return plate;
                     }});
    }
    Result<NewDevice> make(std::string_view text) {
        const auto request = DeviceRequest::parse(text);
        if (!request) return std::unexpected(request.error());
        return factory.make(*request, {loop, clock});
    }
    std::string error(std::string_view text) {
        const auto made = make(text);
        return made ? "" : made.error();
    }
    EventLoop loop;
    GuestClock clock;
    std::string owner;
    DeviceFactory factory = DeviceFactory::standard();
};

TEST_F(DeviceFactoryTest, MakesWhatIsRegistered) {
    auto made = make("plate,number=0x2a,lit,owner=a,,b");
    ASSERT_TRUE(made.has_value()) << made.error();
    auto& device = std::get<std::unique_ptr<Device>>(*made);
    EXPECT_EQ(device->read(0, 4), 42u);
    EXPECT_EQ(device->read(4, 4), 1u);
    EXPECT_EQ(owner, "a,b");
    Bus bus;
    EXPECT_TRUE(bus.map(0x1000, 8, *device, "plate"));
    made = make("plate,number=7,number=8,lit=on,lit=off");
    ASSERT_TRUE(made.has_value());
    EXPECT_EQ(std::get<std::unique_ptr<Device>>(*made)->read(0, 4), 8u) << "the last one counts";
    EXPECT_EQ(std::get<std::unique_ptr<Device>>(*made)->read(4, 4), 0u);
    EXPECT_EQ(owner, "");
}

TEST_F(DeviceFactoryTest, ErrorsAreOneLine) {
    EXPECT_EQ(error(""), "'' names no device");
    EXPECT_EQ(error("plate,=3"), "'plate,=3' has an option without a name");
    const std::string unknown = error("lamp");
    EXPECT_TRUE(unknown.starts_with("there is no device 'lamp' (known: virtio-blk, ")) << unknown;
    EXPECT_TRUE(unknown.ends_with(", plate)")) << unknown;
    EXPECT_EQ(error("plate"), "device plate: number=... is missing");
    EXPECT_EQ(error("plate,number=x1"), "device plate: number 'x1' is no number");
    EXPECT_EQ(error("plate,number=12 "), "device plate: number '12 ' is no number");
    EXPECT_EQ(error("plate,number=99999999999999999999"),
              "device plate: number '99999999999999999999' is no number");
    EXPECT_EQ(error("plate,number=1001"), "device plate: number 1001 is more than 1000");
    EXPECT_EQ(error("plate,number=1,lit=maybe"), "device plate: lit is 'maybe' and not on or off");
    EXPECT_EQ(error("plate,number=1,owner=nobody"), "device plate: owner 'nobody' is longer than 5 bytes");
    EXPECT_EQ(error("plate,number=1,color=red"),
              "device plate: unknown option 'color' (known: number, lit, owner)");
    EXPECT_EQ(error("plate,number=13"), "no plate has 13");
    EXPECT_EQ(error("virtio-net,network=net0"), "there is no network 'net0'");
    EXPECT_EQ(error("virtio-blk"), "device virtio-blk: file=... is missing");
    EXPECT_EQ(error("virtio-blk,file=/nonexistent/disk"),
              "disk image '/nonexistent/disk': cannot open: No such file or directory");
}

TEST_F(DeviceFactoryTest, ListsDevicesAndOptions) {
    const std::string list = factory.help();
    for (const DeviceType& type : factory.types()) {
        EXPECT_NE(list.find(type.name), std::string::npos);
        EXPECT_NE(list.find(type.summary), std::string::npos);
        for (const DeviceOption& option : type.options)
            EXPECT_NE(DeviceFactory::help(type).find(option.name + "="), std::string::npos) << option.name;
    }
    EXPECT_EQ(DeviceFactory::help(*factory.find("plate")),
              "number=NUMBER            what it shows (required)\n"
              "lit=on|off               whether it shines (default: off)\n"
              "owner=TEXT               whose it is\n");
    EXPECT_EQ(factory.find("lamp"), nullptr);
}

TEST_F(DeviceFactoryTest, MakesDevicesThatWork) {
    auto rng = make("virtio-rng");
    ASSERT_TRUE(rng.has_value());
    test::VirtioDriver driver(std::move(std::get<std::unique_ptr<virtio::Backend>>(*rng)));
    driver.start();
    driver.describe(driver.kDescriptors, 0, driver.kData, 64, driver.kWrite);
    driver.offer(0);
    EXPECT_EQ(driver.used_length(0), 64u);

    char name[] = "/tmp/arclight-factory-XXXXXX";
    const int fd = mkstemp(name);
    ASSERT_EQ(ftruncate(fd, 8 * 512), 0);
    auto blk = make(std::string("virtio-blk,readonly=on,serial=abc,file=") + name);
    ASSERT_TRUE(blk.has_value()) << blk.error();
    test::VirtioDriver disk(std::move(std::get<std::unique_ptr<virtio::Backend>>(*blk)));
    EXPECT_EQ(disk.get(8), 2u);
    EXPECT_EQ(disk.get(0x10) & 1u << 5, 1u << 5) << "read-only";
    EXPECT_EQ(disk.device.read(0x100, 8), 8u);
    close(fd);
    unlink(name);
}

}  // namespace
}  // namespace arclight::devices
