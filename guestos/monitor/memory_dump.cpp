#include "guestos/monitor/memory_dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace arclight::guestos {

namespace {

std::string shown_character(uint64_t value) {
    const auto byte = static_cast<uint8_t>(value);
    switch (byte) {
        case '\'': return "'\\''";
        case '\\': return "'\\\\'";
        case '\n': return "'\\n'";
        case '\r': return "'\\r'";
        default: break;
    }
    if (byte >= 32 && byte <= 126) return fmt::format("'{:c}'", byte);
    return fmt::format("'\\x{:02x}'", byte);
}

std::string shown(uint64_t value, const DumpFormat& format) {
    const unsigned bits = format.size * 8;
    // Of the largest value.
    const unsigned octal = (bits + 2) / 3, hexadecimal = bits / 4, decimal = (bits * 10 + 32) / 33;
    switch (format.format) {
        case 'o': return fmt::format("{:#{}o}", value, octal + 1);
        case 'u': return fmt::format("{:{}}", value, decimal);
        case 'd': return fmt::format("{:{}}", static_cast<int64_t>(value), decimal);
        case 'c': return shown_character(value);
        default: return fmt::format("{:#0{}x}", value, hexadecimal + 2);
    }
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

}  // namespace

Result<DumpFormat> parse_dump_format(std::string_view text, const DumpFormat& before) {
    DumpFormat format{.count = 1, .format = before.format, .size = before.size};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), format.count);
    if (error == std::errc::result_out_of_range || format.count > kMaxDumpItems)
        return failure("more than {} items", kMaxDumpItems);
    for (const char c : text.substr(static_cast<size_t>(end - text.data()))) {
        switch (c) {
            case 'x':
            case 'd':
            case 'u':
            case 'o':
            case 'c': format.format = c; break;
            case 'b': format.size = 1; break;
            case 'h': format.size = 2; break;
            case 'w': format.size = 4; break;
            case 'g': format.size = 8; break;
            case 'i': return failure("there is no disassembler");
            default: return failure("invalid char in format: '{}'", c);
        }
    }
    return format;
}

Result<uint64_t> parse_address(
    std::string_view text, const std::function<std::optional<uint64_t>(std::string_view)>& register_value) {
    uint64_t sum = 0;
    bool minus = false;
    text = trimmed(text);
    if (text.empty()) return failure("unexpected end of expression");
    for (;;) {
        text = trimmed(text);
        const size_t end = std::min(text.find_first_of("+-", 0), text.size());
        const std::string_view term = trimmed(text.substr(0, end));
        uint64_t value = 0;
        if (term.starts_with('$')) {
            const auto found = register_value(term.substr(1));
            if (!found) return failure("unknown register");
            value = *found;
        } else {
            const bool hexadecimal = term.starts_with("0x") || term.starts_with("0X");
            const std::string_view digits = hexadecimal ? term.substr(2) : term;
            const auto [stop, error] =
                std::from_chars(digits.data(), digits.data() + digits.size(), value, hexadecimal ? 16 : 10);
            if (digits.empty()) return failure("unexpected end of expression");
            if (error != std::errc() || stop != digits.data() + digits.size())
                return failure("invalid char '{}' in expression", *stop);
        }
        sum = minus ? sum - value : sum + value;
        if (end == text.size()) return sum;
        minus = text[end] == '-';
        text.remove_prefix(end + 1);
    }
}

std::string dump_memory(uint64_t address, const DumpFormat& format,
                        const std::function<std::optional<std::vector<uint8_t>>(uint64_t, size_t)>& read) {
    const size_t line_bytes = format.size == 1 ? 8 : 16;
    const unsigned step = format.format == 'c' ? 1 : format.size;
    std::string text;
    for (size_t rest = size_t{format.size} * format.count; rest != 0;) {
        const size_t n = std::min(rest, line_bytes);
        const auto bytes = read(address, n);
        text += fmt::format("{:016x}:", address);
        if (!bytes) return text + " Cannot access memory\r\n";
        for (size_t at = 0; at < n; at += step) {
            uint64_t value = 0;
            for (unsigned i = 0; i < step; ++i) value |= uint64_t{(*bytes)[at + i]} << (8 * i);
            text += " " + shown(value, format);
        }
        text += "\r\n";
        address += n;
        rest -= n;
    }
    return text;
}

}  // namespace arclight::guestos
