#include "devices/virtio/rng.h"

#include <sys/random.h>

#include <algorithm>

namespace arclight::devices::virtio {

namespace {

// More than this per request would only hold up the CPU that asks; the driver is told how much it got.
constexpr size_t kMaxRequest = 64 * 1024;

uint32_t fill(const Chain& chain) {
    size_t done = 0;
    for (const auto& buffer : chain.writable) {
        size_t at = 0;
        const size_t wanted = std::min(buffer.size(), kMaxRequest - done);
        while (at < wanted) {
            const ssize_t got = getrandom(buffer.data() + at, wanted - at, 0);
            if (got <= 0) return static_cast<uint32_t>(done + at);
            at += static_cast<size_t>(got);
        }
        done += at;
    }
    return static_cast<uint32_t>(done);
}

}  // namespace

Served Rng::process(unsigned, Chain& chain) { return Served::done(fill(chain)); }

}  // namespace arclight::devices::virtio
