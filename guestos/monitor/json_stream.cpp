#include "guestos/monitor/json_stream.h"

#include <fmt/format.h>

#include <cctype>

#include "mmu/lightv/json.h"

namespace arclight::guestos {

namespace {

bool of_word(uint8_t byte) {
    return std::isalnum(byte) != 0 || byte == '_' || byte == '-' || byte == '+' || byte == '.';
}

std::string shown(uint8_t byte) {
    return byte >= 0x20 && byte < 0x7f ? std::string(1, static_cast<char>(byte)) : "\uFFFD";
}

/// Texts come from outside: what is no UTF-8 must not throw.
std::string scalar_text(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void append(const Json& json, std::string& out) {
    if (json.is_object()) {
        out += '{';
        bool first = true;
        for (const auto& [key, value] : json.items()) {
            if (!std::exchange(first, false)) out += ", ";
            out += scalar_text(Json(key)) + ": ";
            append(value, out);
        }
        out += '}';
    } else if (json.is_array()) {
        out += '[';
        bool first = true;
        for (const Json& value : json) {
            if (!std::exchange(first, false)) out += ", ";
            append(value, out);
        }
        out += ']';
    } else {
        out += scalar_text(json);
    }
}

}  // namespace

std::string qmp_text(const Json& json, bool pretty) {
    if (pretty) return json.dump(4, ' ', false, Json::error_handler_t::replace);
    std::string text;
    append(json, text);
    return text;
}

void JsonStream::reset() {
    text_.clear();
    depth_ = 0;
    quote_ = 0;
    escaped_ = word_ = false;
}

void JsonStream::feed(std::span<const uint8_t> bytes, const Take& take) {
    for (const uint8_t byte : bytes) feed_byte(byte, take);
}

void JsonStream::fail(const Take& take, const std::string& why) {
    reset();
    take(std::unexpected("JSON parse error, " + why));
}

void JsonStream::feed_byte(uint8_t byte, const Take& take) {
    if (text_.size() >= kMaxBytes) {
        reset();
        take(std::unexpected("JSON token size limit exceeded"));
        return;
    }
    if (quote_ != 0)
        in_string(byte, take);
    else
        outside(byte, take);
}

void JsonStream::in_string(uint8_t byte, const Take& take) {
    if (byte < 0x20 || byte == 0xff) {
        fail(take, fmt::format("stray '{}'", text_.substr(string_begin_) + shown(byte)));
        return;
    }
    if (escaped_) {
        escaped_ = false;
        // JSON knows no escaped apostrophe.
        if (byte == '\'')
            text_.back() = '\'';
        else
            text_ += static_cast<char>(byte);
        return;
    }
    if (byte == quote_) {
        quote_ = 0;
        text_ += '"';
        if (depth_ == 0) end_value(take);
        return;
    }
    escaped_ = byte == '\\';
    if (byte == '"') text_ += '\\';
    text_ += static_cast<char>(byte);
}

void JsonStream::outside(uint8_t byte, const Take& take) {
    if (word_ && !of_word(byte)) {
        word_ = false;
        end_value(take);
    }
    if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n') {
        if (depth_ != 0) text_ += ' ';
        return;
    }
    if (byte == '"' || byte == '\'') {
        quote_ = byte;
        string_begin_ = text_.size();
        text_ += '"';
    } else if (byte == '{' || byte == '[') {
        if (depth_ >= mmu::lightv::kMaxJsonDepth) {
            reset();
            take(std::unexpected("JSON nesting depth limit exceeded"));
            return;
        }
        depth_++;
        text_ += static_cast<char>(byte);
    } else if (byte == '}' || byte == ']') {
        if (depth_ == 0) {
            fail(take, "expecting value");
            return;
        }
        text_ += static_cast<char>(byte);
        if (--depth_ == 0) end_value(take);
    } else if (of_word(byte) || (depth_ != 0 && (byte == ',' || byte == ':'))) {
        word_ = depth_ == 0;
        text_ += static_cast<char>(byte);
    } else {
        fail(take, fmt::format("stray '{}'", shown(byte)));
    }
}

void JsonStream::end_value(const Take& take) {
    const std::string text = std::exchange(text_, {});
    auto value = mmu::lightv::parse_json(text, kMaxBytes);
    if (value)
        take(std::move(*value));
    else if (std::isalpha(static_cast<unsigned char>(text[0])) != 0)
        fail(take, fmt::format("invalid keyword '{}'", text));
    else
        fail(take, value.error());
}

}  // namespace arclight::guestos
