// Encodes ACPI Machine Language (ACPI 6.3 chapter 20) and resource descriptors (6.4). Each function returns the bytes of one
// term, so that a table's text reads like the ASL that it stands for.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

namespace arclight::guestos::acpi {

using Bytes = std::vector<uint8_t>;
using Terms = std::initializer_list<Bytes>;

Bytes join(Terms terms);
/// The value's low `size` bytes, little-endian.
void append(Bytes& to, uint64_t value, unsigned size);
void append(Bytes& to, const Bytes& more);
/// At most `room` characters, and zeros behind them.
void append_text(Bytes& to, std::string_view text, size_t room);

namespace aml {

// ---- Names are four characters, or a path of them with '\\' in front and '.' between
Bytes name(std::string_view path);
Bytes name(std::string_view path, const Bytes& value);  ///< Name (path, value)
Bytes scope(std::string_view path, const Bytes& body);
Bytes device(std::string_view path, const Bytes& body);
Bytes method(std::string_view path, unsigned arguments, bool serialized, const Bytes& body);

// ---- Data
Bytes integer(uint64_t value);
Bytes string(std::string_view text);
Bytes buffer(const Bytes& content);
Bytes package(const std::vector<Bytes>& elements);  ///< at most 255
Bytes eisa_id(std::string_view id);                 ///< "PNP0A08"
/// A UUID in the text's form, as ToUUID stores it.
Bytes uuid(std::string_view text);

// ---- Terms of methods
Bytes argument(unsigned number);
Bytes store(const Bytes& value, const Bytes& to);
Bytes return_value(const Bytes& value);
Bytes create_dword_field(const Bytes& buffer, uint64_t byte, std::string_view path);
Bytes equal(const Bytes& a, const Bytes& b);
Bytes logical_not(const Bytes& a);
Bytes bit_and(const Bytes& a, const Bytes& b, const Bytes& to);
Bytes bit_or(const Bytes& a, const Bytes& b, const Bytes& to);
Bytes if_then(const Bytes& condition, const Bytes& body);
Bytes otherwise(const Bytes& body);
Bytes notify(std::string_view path, uint64_t value);

// ---- Resources
/// The value of _CRS and the like, with the end tag.
Bytes resources(const std::vector<Bytes>& descriptors);
Bytes memory32(uint64_t base, uint64_t size);
/// `gsi`: an interrupt of the GIC, level or edge, active high, exclusive.
Bytes interrupt(uint32_t gsi, bool edge);
/// A GPIO's rising edge, with a pull-up.
Bytes gpio_interrupt(uint16_t pin, std::string_view controller);
Bytes bus_numbers(uint16_t first, uint16_t last);
/// Windows of a bridge: what lies at `base` for the bus is at base + translation for the CPU.
Bytes memory_window32(uint64_t base, uint64_t size);
Bytes memory_window64(uint64_t base, uint64_t size);
Bytes port_window(uint64_t base, uint64_t size, uint64_t translation);

}  // namespace aml
}  // namespace arclight::guestos::acpi
