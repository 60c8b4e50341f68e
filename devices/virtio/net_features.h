#pragma once

#include <cstdint>

namespace arclight::devices::virtio {

// Feature bits of a network device (virtio 1.2 section 5.1.3).
inline constexpr uint64_t kNetFeatureChecksum = 1ull << 0;       ///< the device completes checksums
inline constexpr uint64_t kNetFeatureGuestChecksum = 1ull << 1;  ///< the driver takes incomplete ones
inline constexpr uint64_t kNetFeatureMtu = 1ull << 3;
inline constexpr uint64_t kNetFeatureMac = 1ull << 5;
inline constexpr uint64_t kNetFeatureGuestTcp4 = 1ull << 7;
inline constexpr uint64_t kNetFeatureGuestTcp6 = 1ull << 8;
inline constexpr uint64_t kNetFeatureHostTcp4 = 1ull << 11;
inline constexpr uint64_t kNetFeatureHostTcp6 = 1ull << 12;
inline constexpr uint64_t kNetFeatureMergeable = 1ull << 15;
inline constexpr uint64_t kNetFeatureStatus = 1ull << 16;
inline constexpr uint64_t kNetFeatureControl = 1ull << 17;
inline constexpr uint64_t kNetFeatureControlRx = 1ull << 18;
inline constexpr uint64_t kNetFeatureControlVlan = 1ull << 19;
inline constexpr uint64_t kNetFeatureControlRxExtra = 1ull << 20;
inline constexpr uint64_t kNetFeaturePairs = 1ull << 22;  ///< several pairs of queues (VIRTIO_NET_F_MQ)
inline constexpr uint64_t kNetFeatureControlMac = 1ull << 23;

}  // namespace arclight::devices::virtio
