#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace arclight::devices::svio {

/// Cuts a TCP segment that stands for several (virtio 1.2 section 5.1.6, gso_type TCPv4 and TCPv6) into those, of `data_bytes` of data each
/// but for the last one, with all checksums. `emit` gets them in order; each is valid during its call, with `room` bytes before it that
/// are its to use. False: it is no such segment, and nothing was given.
bool cut_segment(std::span<const uint8_t> frame, uint16_t data_bytes, size_t room,
                 const std::function<void(std::span<uint8_t> room_and_frame)>& emit);

}  // namespace arclight::devices::svio
