#include "guestos/acpi/aml.h"

#include <array>
#include <cctype>

namespace arclight::guestos::acpi {

Bytes join(Terms terms) {
    Bytes all;
    for (const Bytes& term : terms) append(all, term);
    return all;
}

void append(Bytes& to, uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i)
        to.push_back(static_cast<uint8_t>(i < sizeof value ? value >> (8 * i) : 0));
}

void append(Bytes& to, const Bytes& more) { to.insert(to.end(), more.begin(), more.end()); }

void append_text(Bytes& to, std::string_view text, size_t room) {
    for (size_t i = 0; i < room; ++i)
        to.push_back(i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0});
}

namespace aml {

namespace {

constexpr uint8_t kZeroOp = 0x00, kOneOp = 0x01, kNameOp = 0x08, kByte = 0x0a, kWord = 0x0b, kDword = 0x0c,
                  kStringPrefix = 0x0d, kQword = 0x0e, kScopeOp = 0x10, kBufferOp = 0x11, kPackageOp = 0x12,
                  kMethodOp = 0x14, kDual = 0x2e, kMulti = 0x2f, kExtended = 0x5b, kRoot = 0x5c, kArg0 = 0x68,
                  kStoreOp = 0x70, kAndOp = 0x7b, kOrOp = 0x7d, kNotifyOp = 0x86, kCreateDwordOp = 0x8a,
                  kLnotOp = 0x92, kLequalOp = 0x93, kIfOp = 0xa0, kElseOp = 0xa1, kReturnOp = 0xa4;
constexpr uint8_t kDeviceOp = 0x82;  // behind kExtended

/// 20.2.4: a length that counts itself.
Bytes with_length(const Bytes& body) {
    Bytes out;
    if (body.size() + 1 < 0x40) {
        out.push_back(static_cast<uint8_t>(body.size() + 1));
    } else {
        unsigned more = 1;
        while ((body.size() + 1 + more) >> (4 + 8 * more) != 0) ++more;
        const uint64_t length = body.size() + 1 + more;
        out.push_back(static_cast<uint8_t>(more << 6 | (length & 0xf)));
        append(out, length >> 4, more);
    }
    append(out, body);
    return out;
}

Bytes operation(uint8_t op, Terms operands) {
    Bytes out{op};
    append(out, join(operands));
    return out;
}

/// Small or large item with the length that its kind wants.
Bytes large_item(uint8_t tag, const Bytes& body) {
    Bytes out{tag};
    append(out, body.size(), 2);
    append(out, body);
    return out;
}

/// 6.4.3.5: a window that a bridge passes on; both ends are fixed.
Bytes window(uint8_t tag, unsigned size, uint8_t type, uint8_t type_flags, uint64_t base, uint64_t bytes,
             uint64_t translation) {
    constexpr uint8_t kMinFixed = 4, kMaxFixed = 8;
    Bytes body{type, kMinFixed | kMaxFixed, type_flags};
    for (const uint64_t value : {uint64_t{0}, base, base + bytes - 1, translation, bytes})
        append(body, value, size);
    return large_item(tag, body);
}

constexpr uint8_t kWordWindow = 0x88, kDwordWindow = 0x87, kQwordWindow = 0x8a;
constexpr uint8_t kMemory = 0, kPorts = 1, kBusNumbers = 2;
constexpr uint8_t kReadWrite = 1, kEntireRange = 3;

uint8_t hex_digit(char c) {
    return static_cast<uint8_t>(std::isdigit(static_cast<unsigned char>(c)) != 0 ? c - '0'
                                                                                 : (c | 0x20) - 'a' + 10);
}

}  // namespace

Bytes name(std::string_view path) {
    Bytes out;
    if (path.starts_with('\\')) {
        out.push_back(kRoot);
        path.remove_prefix(1);
    }
    std::vector<std::string_view> segments;
    while (!path.empty()) {
        const size_t dot = path.find('.');
        segments.push_back(path.substr(0, dot));
        path.remove_prefix(dot == std::string_view::npos ? path.size() : dot + 1);
    }
    if (segments.size() == 2) out.push_back(kDual);
    if (segments.size() > 2) {
        out.push_back(kMulti);
        out.push_back(static_cast<uint8_t>(segments.size()));
    }
    for (const std::string_view segment : segments)
        for (size_t i = 0; i < 4; ++i)
            out.push_back(i < segment.size() ? static_cast<uint8_t>(segment[i]) : '_');
    return out;
}

Bytes name(std::string_view path, const Bytes& value) { return operation(kNameOp, {name(path), value}); }

Bytes scope(std::string_view path, const Bytes& body) {
    return operation(kScopeOp, {with_length(join({name(path), body}))});
}

Bytes device(std::string_view path, const Bytes& body) {
    return operation(kExtended, {{kDeviceOp}, with_length(join({name(path), body}))});
}

Bytes method(std::string_view path, unsigned arguments, bool serialized, const Bytes& body) {
    const auto flags = static_cast<uint8_t>(arguments | (serialized ? 8u : 0u));
    return operation(kMethodOp, {with_length(join({name(path), {flags}, body}))});
}

Bytes integer(uint64_t value) {
    if (value == 0) return {kZeroOp};
    if (value == 1) return {kOneOp};
    const unsigned size = value <= 0xff ? 1 : value <= 0xffff ? 2 : value <= 0xffff'ffff ? 4 : 8;
    Bytes out{size == 1 ? kByte : size == 2 ? kWord : size == 4 ? kDword : kQword};
    append(out, value, size);
    return out;
}

Bytes string(std::string_view text) {
    Bytes out{kStringPrefix};
    append_text(out, text, text.size() + 1);
    return out;
}

Bytes buffer(const Bytes& content) {
    return operation(kBufferOp, {with_length(join({integer(content.size()), content}))});
}

Bytes package(const std::vector<Bytes>& elements) {
    Bytes body{static_cast<uint8_t>(elements.size())};
    for (const Bytes& element : elements) append(body, element);
    return operation(kPackageOp, {with_length(body)});
}

/// 19.3.4: three letters of five bits each and four hexadecimal digits, most significant byte first.
Bytes eisa_id(std::string_view id) {
    uint32_t value = 0;
    for (size_t i = 0; i < 3; ++i) value = value << 5 | static_cast<uint32_t>(id[i] - 0x40);
    for (size_t i = 3; i < 7; ++i) value = value << 4 | hex_digit(id[i]);
    Bytes out{kDword};
    for (const unsigned shift : {24u, 16u, 8u, 0u}) out.push_back(static_cast<uint8_t>(value >> shift));
    return out;
}

Bytes uuid(std::string_view text) {
    // 19.6.142: the order of the text's bytes.
    static constexpr std::array<uint8_t, 16> kOrder = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    Bytes digits;
    for (const char c : text)
        if (c != '-') digits.push_back(hex_digit(c));
    Bytes content;
    for (const uint8_t at : kOrder)
        content.push_back(static_cast<uint8_t>(digits[2 * at] << 4 | digits[2 * at + 1]));
    return buffer(content);
}

Bytes argument(unsigned number) { return {static_cast<uint8_t>(kArg0 + number)}; }
Bytes store(const Bytes& value, const Bytes& to) { return operation(kStoreOp, {value, to}); }
Bytes return_value(const Bytes& value) { return operation(kReturnOp, {value}); }
Bytes create_dword_field(const Bytes& buffer, uint64_t byte, std::string_view path) {
    return operation(kCreateDwordOp, {buffer, integer(byte), name(path)});
}
Bytes equal(const Bytes& a, const Bytes& b) { return operation(kLequalOp, {a, b}); }
Bytes logical_not(const Bytes& a) { return operation(kLnotOp, {a}); }
Bytes bit_and(const Bytes& a, const Bytes& b, const Bytes& to) { return operation(kAndOp, {a, b, to}); }
Bytes bit_or(const Bytes& a, const Bytes& b, const Bytes& to) { return operation(kOrOp, {a, b, to}); }
Bytes if_then(const Bytes& condition, const Bytes& body) {
    return operation(kIfOp, {with_length(join({condition, body}))});
}
Bytes otherwise(const Bytes& body) { return operation(kElseOp, {with_length(body)}); }
Bytes notify(std::string_view path, uint64_t value) {
    return operation(kNotifyOp, {name(path), integer(value)});
}

Bytes resources(const std::vector<Bytes>& descriptors) {
    Bytes content;
    for (const Bytes& descriptor : descriptors) append(content, descriptor);
    // The end tag; a checksum of zero counts as right.
    content.push_back(0x79);
    content.push_back(0);
    return buffer(content);
}

Bytes memory32(uint64_t base, uint64_t size) {
    Bytes body{kReadWrite};
    append(body, base, 4);
    append(body, size, 4);
    return large_item(0x86, body);
}

Bytes interrupt(uint32_t gsi, bool edge) {
    constexpr uint8_t kConsumer = 1, kEdge = 2;
    Bytes body{static_cast<uint8_t>(kConsumer | (edge ? kEdge : 0)), 1};
    append(body, gsi, 4);
    return large_item(0x89, body);
}

/// 6.4.3.8.1
Bytes gpio_interrupt(uint16_t pin, std::string_view controller) {
    constexpr uint16_t kHeader = 23, kConsumer = 1, kEdgeHigh = 1;
    constexpr uint8_t kRevision = 1, kInterrupt = 0, kPullUp = 1;
    const auto name_at = static_cast<uint16_t>(kHeader + sizeof pin);
    Bytes body{kRevision, kInterrupt};
    append(body, kConsumer, 2);
    append(body, kEdgeHigh, 2);
    body.push_back(kPullUp);
    append(body, 0, 2);  // drive strength
    append(body, 0, 2);  // debouncing
    append(body, kHeader, 2);
    body.push_back(0);  // resource source's index
    append(body, name_at, 2);
    append(body, name_at + controller.size() + 1, 2);  // vendor's data, of which there is none
    append(body, 0, 2);
    append(body, pin, 2);
    append_text(body, controller, controller.size() + 1);
    return large_item(0x8c, body);
}

Bytes bus_numbers(uint16_t first, uint16_t last) {
    return window(kWordWindow, 2, kBusNumbers, 0, first, uint64_t{last} - first + 1, 0);
}
Bytes memory_window32(uint64_t base, uint64_t size) {
    return window(kDwordWindow, 4, kMemory, kReadWrite, base, size, 0);
}
Bytes memory_window64(uint64_t base, uint64_t size) {
    return window(kQwordWindow, 8, kMemory, kReadWrite, base, size, 0);
}
Bytes port_window(uint64_t base, uint64_t size, uint64_t translation) {
    return window(kDwordWindow, 4, kPorts, kEntireRange, base, size, translation);
}

}  // namespace aml
}  // namespace arclight::guestos::acpi
