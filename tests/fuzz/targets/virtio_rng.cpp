// The entropy device, behind its transport.
#include "devices/virtio/rng.h"
#include "tests/fuzz/targets/virtio_guest.h"

namespace arclight::fuzz {
namespace {

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    VirtioGuest guest(std::make_unique<devices::virtio::Rng>());
    guest.run(in);
}

const Registered registered({.name = "virtio_rng", .run = run, .max_size = 1024, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
