// The entropy device, behind its transport.
#include "devices/virtio/rng.h"
#include "tests/fuzz/targets/virtio_guest.h"

namespace arclight::fuzz {
namespace {

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    // A limit lets so much pass at once that most requests have their answer.
    devices::EventLoop loop;
    const bool limited = in.u8() % 4 == 0;
    VirtioGuest guest(limited ? std::make_unique<devices::virtio::Rng>(
                                    loop, devices::virtio::Rng::Limit{.bytes = 1000, .period_ms = 1000})
                              : std::make_unique<devices::virtio::Rng>());
    guest.run(in);
}

const Registered registered({.name = "virtio_rng", .run = run, .max_size = 1024, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
