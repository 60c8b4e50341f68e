// A queue alone, in memory that is the input's: every buffer of every chain lies in RAM, and there are not too many.
#include <algorithm>

#include "devices/layout.h"
#include "devices/virtio/queue.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices;
using virtio::Queue;

void run(std::span<const uint8_t> bytes) {
    constexpr size_t kRam = 1 << 13;
    std::vector<uint8_t> ram(kRam);
    const mmu::GuestMemory memory(ram.data(), layout::kRamBase, ram.size());
    const auto inside = [&](std::span<uint8_t> buffer) {
        return buffer.data() >= ram.data() && buffer.data() + buffer.size() <= ram.data() + ram.size();
    };
    Input in(bytes);
    Queue queue(in.u8() + 1u);
    const uint8_t mode = in.u8();
    queue.size = in.u16();
    queue.descriptors = layout::kRamBase + in.u16();
    queue.available = layout::kRamBase + in.u16();
    queue.used = layout::kRamBase + in.u16();
    if ((mode & 8) != 0) queue.descriptors += in.u64();
    const auto content = in.bytes(in.u16());
    std::copy_n(content.begin(), std::min(content.size(), ram.size()), ram.begin());
    if (!queue.enable(memory, (mode & 1) != 0, (mode & 2) != 0)) return;
    std::vector<uint16_t> taken;
    for (unsigned step = 0; step < 300; step++) {
        virtio::Chain chain;
        const Queue::Pop pop = queue.pop(chain);
        if (pop == Queue::Pop::Malformed) return;
        if (pop == Queue::Pop::Chain) {
            require(chain.readable.size() + chain.writable.size() <= Queue::kMaxChain,
                    "a chain is not too long");
            for (const auto buffer : chain.readable) require(inside(buffer), "a buffer lies in RAM");
            for (const auto buffer : chain.writable) require(inside(buffer), "a buffer lies in RAM");
            std::vector<uint8_t> header(16);
            virtio::gather(chain.readable, header);
            virtio::scatter(header, chain.writable);
            taken.push_back(chain.head);
        } else if (!queue.enable_notification()) {
            break;
        }
        if (in.flag() && !taken.empty()) {
            const virtio::Used used{taken.back(), static_cast<uint32_t>(chain.writable_size())};
            taken.pop_back();
            queue.push({&used, 1});
            queue.should_interrupt();
        } else if (in.flag() && pop == Queue::Pop::Chain && !taken.empty()) {
            queue.rewind(1);
            taken.pop_back();
            if (in.empty()) break;
        }
    }
}

const Registered registered({.name = "virtio_queue", .run = run, .max_size = 4096, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
