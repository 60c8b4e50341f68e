// The remote protocol's frames: $DATA#CC, with acknowledgements and the interrupt byte (GDB manual, E.1, E.13).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace arclight::guestos::gdb {

/// The longest packet, frame included, that is taken; what qSupported says.
inline constexpr size_t kMaxPacket = 0x4000;

/// Takes a connection's bytes apart. What is no packet is skipped; one that is too long, or whose checksum is wrong, is Bad.
class PacketParser {
  public:
    enum class Item : uint8_t {
        None,       ///< the byte completed nothing
        Packet,     ///< data() is there until the next byte
        Bad,        ///< to be asked for again ('-')
        Ack,        ///< '+'
        Nack,       ///< '-'
        Interrupt,  ///< Ctrl-C
    };
    Item feed(uint8_t byte);
    const std::string& data() const { return data_; }

  private:
    enum class State : uint8_t { Between, Data, Escaped, Checksum1, Checksum2 } state_ = State::Between;
    void put(uint8_t byte);

    std::string data_;
    size_t length_ = 0;
    uint8_t sum_ = 0, given_ = 0;
    bool bad_ = false;
};

/// With frame and checksum; '$', '#', '}' and '*' are escaped.
std::string make_packet(std::string_view data);

// ---- Numbers in packets
std::string to_hex(std::string_view bytes);
/// Nothing that is not pairs of hexadecimal digits is taken: false.
bool from_hex(std::string_view hex, std::string& bytes);
/// Takes hexadecimal digits from the front, 16 at most. False: there is none.
bool take_number(std::string_view& text, uint64_t& value);
/// Takes `c` from the front. False: it is not there.
bool take(std::string_view& text, char c);
bool take(std::string_view& text, std::string_view prefix);

}  // namespace arclight::guestos::gdb
