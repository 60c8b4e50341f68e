#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace arclight::devices::virtio {

/// What an image is in, if not raw.
struct ImageFormat {
    std::string_view name;
    bool compressed;  ///< a raw image, perhaps, after unpacking
};

/// How much of a file's start and of its end is looked at: as much as QEMU looks at, so that a guest cannot write
/// what QEMU sees and this does not.
constexpr size_t kImageProbeSize = 512;

/// By the file's first and last kImageProbeSize bytes, or all of a smaller one. Null: raw. LUKS counts as raw:
/// it is the guest that decrypts it.
const ImageFormat* probe_image_format(std::span<const uint8_t> first, std::span<const uint8_t> last);

}  // namespace arclight::devices::virtio
