// JSON values out of a stream of bytes that any program may send.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

namespace arclight::guestos {

using Json = nlohmann::json;

/// Cuts the stream into values, which no end of line separates, as QEMU's parser does: also with 'single quotes', and in step
/// again after what is no JSON. Depth and size are limited.
class JsonStream {
  public:
    using Take = std::function<void(std::expected<Json, std::string>)>;

    /// Calls take() for each value, or with what is wrong.
    void feed(std::span<const uint8_t> bytes, const Take& take);
    void reset();

    static constexpr size_t kMaxBytes = size_t{1} << 20;  ///< of one value

  private:
    void feed_byte(uint8_t byte, const Take& take);
    void in_string(uint8_t byte, const Take& take);
    void outside(uint8_t byte, const Take& take);
    void end_value(const Take& take);
    void fail(const Take& take, const std::string& why);

    std::string text_;  ///< of the value so far, with double quotes
    size_t string_begin_ = 0;
    unsigned depth_ = 0;
    uint8_t quote_ = 0;  ///< of the string that the stream is in; 0: none
    bool escaped_ = false;
    bool word_ = false;  ///< in a number or a keyword outside of all brackets
};

/// In one line, with spaces as QEMU writes them; `pretty`: in several.
std::string qmp_text(const Json& json, bool pretty);

}  // namespace arclight::guestos
