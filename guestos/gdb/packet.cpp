#include "guestos/gdb/packet.h"

#include <algorithm>

namespace arclight::guestos::gdb {

namespace {
constexpr char kStart = '$', kEnd = '#', kEscape = '}', kRepeat = '*';
constexpr uint8_t kEscapeBit = 0x20, kInterrupt = 3;
constexpr char kDigits[] = "0123456789abcdef";

int digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}
}  // namespace

void PacketParser::put(uint8_t byte) {
    if (length_ < kMaxPacket)
        data_.push_back(static_cast<char>(byte));
    else
        bad_ = true;
}

PacketParser::Item PacketParser::feed(uint8_t byte) {
    switch (state_) {
        case State::Between:
            switch (byte) {
                case kStart:
                    data_.clear();
                    length_ = 0;
                    sum_ = 0;
                    bad_ = false;
                    state_ = State::Data;
                    return Item::None;
                case '+': return Item::Ack;
                case '-': return Item::Nack;
                case kInterrupt: return Item::Interrupt;
                default: return Item::None;
            }
        case State::Data:
        case State::Escaped:
            if (byte == kEnd) {  // a bare one is the frame's, whatever comes before
                bad_ |= state_ == State::Escaped;
                state_ = State::Checksum1;
                return Item::None;
            }
            if (byte == kStart) {  // the end of the last one got lost
                state_ = State::Between;
                return feed(byte);
            }
            sum_ = static_cast<uint8_t>(sum_ + byte);
            length_ = std::min(length_ + 1, kMaxPacket);
            if (state_ == State::Escaped) {
                put(byte ^ kEscapeBit);
                state_ = State::Data;
            } else if (byte == kEscape) {
                state_ = State::Escaped;
            } else {
                put(byte);
            }
            return Item::None;
        case State::Checksum1:
        case State::Checksum2: {
            const int value = digit(byte);
            bad_ |= value < 0;
            given_ = static_cast<uint8_t>(given_ << 4 | (value & 15));
            if (state_ == State::Checksum1) {
                state_ = State::Checksum2;
                return Item::None;
            }
            state_ = State::Between;
            return bad_ || given_ != sum_ ? Item::Bad : Item::Packet;
        }
    }
    return Item::None;
}

std::string make_packet(std::string_view data) {
    std::string out(1, kStart);
    uint8_t sum = 0;
    const auto put = [&](uint8_t byte) {
        out.push_back(static_cast<char>(byte));
        sum = static_cast<uint8_t>(sum + byte);
    };
    for (const char c : data) {
        const auto byte = static_cast<uint8_t>(c);
        if (c == kStart || c == kEnd || c == kEscape || c == kRepeat) {
            put(kEscape);
            put(byte ^ kEscapeBit);
        } else {
            put(byte);
        }
    }
    out.push_back(kEnd);
    out.push_back(kDigits[sum >> 4]);
    out.push_back(kDigits[sum & 15]);
    return out;
}

std::string to_hex(std::string_view bytes) {
    std::string out;
    out.reserve(2 * bytes.size());
    for (const char c : bytes) {
        out.push_back(kDigits[static_cast<uint8_t>(c) >> 4]);
        out.push_back(kDigits[static_cast<uint8_t>(c) & 15]);
    }
    return out;
}

bool from_hex(std::string_view hex, std::string& bytes) {
    bytes.clear();
    if (hex.size() % 2 != 0) return false;
    for (size_t i = 0; i < hex.size(); i += 2) {
        const int high = digit(static_cast<uint8_t>(hex[i])), low = digit(static_cast<uint8_t>(hex[i + 1]));
        if (high < 0 || low < 0) return false;
        bytes.push_back(static_cast<char>(high << 4 | low));
    }
    return true;
}

bool take_number(std::string_view& text, uint64_t& value) {
    value = 0;
    size_t n = 0;
    for (; n < text.size() && digit(static_cast<uint8_t>(text[n])) >= 0; ++n) {
        if (value >> 60 != 0) return false;
        value = value << 4 | static_cast<uint64_t>(digit(static_cast<uint8_t>(text[n])));
    }
    text.remove_prefix(n);
    return n != 0;
}

bool take(std::string_view& text, char c) { return take(text, std::string_view(&c, 1)); }

bool take(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

}  // namespace arclight::guestos::gdb
