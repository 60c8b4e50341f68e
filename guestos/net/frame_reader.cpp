#include "guestos/net/frame_reader.h"

#include <cstring>

namespace arclight::guestos {

void FrameReader::drop_front(size_t count) {
    end_ -= count;
    if (count != 0 && end_ != 0) std::memmove(buffer_.data(), buffer_.data() + count, end_);
}

}  // namespace arclight::guestos
