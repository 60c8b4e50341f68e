#include "devices/virtio/9p_wire.h"

#include <algorithm>

namespace arclight::devices::virtio::p9 {

std::string_view Reader::text() {
    const uint16_t length = u16();
    if (rest_.size() < length) {
        ok_ = false;
        rest_ = {};
        return {};
    }
    const std::string_view value(reinterpret_cast<const char*>(rest_.data()), length);
    rest_ = rest_.subspan(length);
    if (value.find('\0') != std::string_view::npos) ok_ = false;
    return value;
}

void Writer::text(std::string_view value) {
    const size_t length = std::min<size_t>(value.size(), 0xffff);
    u16(static_cast<uint16_t>(length));
    bytes({reinterpret_cast<const uint8_t*>(value.data()), length});
}

void Writer::qid(const Qid& qid) {
    u8(qid.type);
    u32(qid.version);
    u64(qid.path);
}

}  // namespace arclight::devices::virtio::p9
