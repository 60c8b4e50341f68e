// Devices as a user asks for them, and numbers with units.
#include "devices/device_factory.h"
#include "devices/event_loop.h"
#include "devices/guest_clock.h"
#include "mmu/lightv/parameters.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices;

void run(std::span<const uint8_t> bytes) {
    const std::string text(bytes.begin(), bytes.end());
    mmu::lightv::parse_number(text);
    const auto request = DeviceRequest::parse(text);
    if (!request) {
        // The text is quoted in the message, as it was given.
        require(!request.error().empty(), "an error says something");
        return;
    }
    static const DeviceFactory factory = DeviceFactory::standard();
    const DeviceType* type = factory.find(request->name);
    if (type == nullptr) return;
    DeviceFactory::help(*type);
    // Files are not for a fuzzer to open.
    for (const auto& [name, value] : request->options) {
        if (name == "file") return;
    }
    static EventLoop loop;
    static GuestClock clock;
    if (const auto made = factory.make(*request, {.loop = loop, .clock = clock}); !made) {
        require(!made.error().empty(), "an error says something");
    }
}

const Registered registered({.name = "device_options",
                             .run = run,
                             .max_size = 256,
                             .words = {"virtio-blk", "virtio-rng", ",", ",,", "=", "readonly",
                                       "serial=", "on", "off", "0x", "K", "G"}});

}  // namespace
}  // namespace arclight::fuzz
