#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace arclight::devices::virtio {

/// The queues of a network device (virtio 1.2 section 5.1.2): pairs, one queue of each for what the guest receives and one for what it
/// sends, and then the control queue.
struct NetQueues {
    static constexpr unsigned kMaxPairs = 32;

    static constexpr unsigned receive(unsigned pair) { return 2 * pair; }
    static constexpr unsigned transmit(unsigned pair) { return 2 * pair + 1; }
    static constexpr bool sends(unsigned queue) { return queue % 2 != 0; }
    /// A driver that has not agreed to several pairs knows of one, whatever the device has.
    static constexpr unsigned control(unsigned pairs, bool agreed) { return agreed ? 2 * pairs : 2; }
};

/// Commands of the control queue about pairs (5.1.6.5.6).
inline constexpr uint8_t kNetClassPairs = 4, kNetPairsSet = 0;
/// How many pairs a command of that class wants to use from now on; none: it is not one that a device of `pairs` can carry out.
inline std::optional<unsigned> pairs_wanted(uint8_t command, std::span<const uint8_t> data, unsigned pairs) {
    if (command != kNetPairsSet || data.size() != sizeof(uint16_t)) return {};
    const unsigned wanted = data[0] | unsigned{data[1]} << 8;
    if (wanted == 0 || wanted > pairs) return {};
    return wanted;
}

inline constexpr uint8_t kNetControlOk = 0, kNetControlError = 1;

}  // namespace arclight::devices::virtio
