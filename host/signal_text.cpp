#include "host/signal_text.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace arclight::host {

SignalText& SignalText::operator<<(std::string_view text) {
    const size_t count = std::min(text.size(), sizeof text_ - used_);
    std::memcpy(text_ + used_, text.data(), count);
    used_ += count;
    return *this;
}

SignalText& SignalText::operator<<(int64_t number) {
    char digits[20];
    char* first = digits + sizeof digits;
    auto rest = number < 0 ? uint64_t{0} - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
    do *--first = static_cast<char>('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (number < 0) *this << "-";
    return *this << std::string_view(first, static_cast<size_t>(digits + sizeof digits - first));
}

SignalText& SignalText::hex(uint64_t number) {
    char digits[16];
    char* first = digits + sizeof digits;
    do *--first = "0123456789abcdef"[number & 15];
    while ((number >>= 4) != 0);
    return *this << "0x" << std::string_view(first, static_cast<size_t>(digits + sizeof digits - first));
}

void SignalText::flush() {
    for (size_t at = 0; at < used_;) {
        const ssize_t done = write(STDERR_FILENO, text_ + at, used_ - at);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) break;
        at += static_cast<size_t>(done);
    }
    used_ = 0;
}

}  // namespace arclight::host
