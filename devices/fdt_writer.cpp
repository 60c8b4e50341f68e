#include "devices/fdt_writer.h"

#include <libfdt.h>

#include "devices/layout.h"

namespace arclight::devices {

namespace {

void append_be32(std::vector<uint8_t>& bytes, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(value >> shift));
}

}  // namespace

FdtWriter::FdtWriter() : buffer_(16 * 1024) {
    attempt("start", [&] { return fdt_create(buffer_.data(), static_cast<int>(buffer_.size())); });
    attempt("reservation map", [&] { return fdt_finish_reservemap(buffer_.data()); });
}

template <typename F>
void FdtWriter::attempt(const std::string& what, F&& operation) {
    if (!error_.empty()) return;
    int result = operation();
    while (result == -FDT_ERR_NOSPACE) {
        std::vector<uint8_t> larger(buffer_.size() * 2);
        result = fdt_resize(buffer_.data(), larger.data(), static_cast<int>(larger.size()));
        if (result != 0) break;
        buffer_.swap(larger);
        result = operation();
    }
    if (result != 0) error_ = "device tree: " + what + ": " + fdt_strerror(result);
}

void FdtWriter::begin_node(const std::string& name) {
    attempt("node '" + name + "'", [&] { return fdt_begin_node(buffer_.data(), name.c_str()); });
    depth_++;
}

void FdtWriter::end_node() {
    if (depth_ == 0) {
        if (error_.empty()) error_ = "device tree: more nodes ended than begun";
        return;
    }
    depth_--;
    attempt("end of node", [&] { return fdt_end_node(buffer_.data()); });
}

void FdtWriter::property(const std::string& name) { property(name, std::span<const uint8_t>{}); }

void FdtWriter::property(const std::string& name, std::span<const uint8_t> bytes) {
    attempt("property '" + name + "'", [&] {
        return fdt_property(buffer_.data(), name.c_str(), bytes.data(), static_cast<int>(bytes.size()));
    });
}

void FdtWriter::property_string(const std::string& name, std::string_view value) {
    property_strings(name, {value});
}

void FdtWriter::property_strings(const std::string& name, std::initializer_list<std::string_view> values) {
    std::vector<uint8_t> bytes;
    for (std::string_view value : values) {
        bytes.insert(bytes.end(), value.begin(), value.end());
        bytes.push_back(0);
    }
    property(name, bytes);
}

void FdtWriter::property_cells(const std::string& name, std::initializer_list<uint32_t> cells) {
    property_cells(name, std::span(cells.begin(), cells.size()));
}

void FdtWriter::property_cells(const std::string& name, std::span<const uint32_t> cells) {
    std::vector<uint8_t> bytes;
    for (uint32_t cell : cells) append_be32(bytes, cell);
    property(name, bytes);
}

void FdtWriter::property_u64(const std::string& name, uint64_t value) { property_u64s(name, {value}); }

void FdtWriter::property_u64s(const std::string& name, std::initializer_list<uint64_t> values) {
    std::vector<uint8_t> bytes;
    for (uint64_t value : values) {
        append_be32(bytes, static_cast<uint32_t>(value >> 32));
        append_be32(bytes, static_cast<uint32_t>(value));
    }
    property(name, bytes);
}

Result<std::vector<uint8_t>> FdtWriter::finish() {
    if (error_.empty() && depth_ != 0) error_ = "device tree: a node was not ended";
    attempt("finish", [&] { return fdt_finish(buffer_.data()); });
    if (!error_.empty()) return std::unexpected(error_);
    buffer_.resize(fdt_totalsize(buffer_.data()));
    return std::move(buffer_);
}

void add_clock_to_device_tree(FdtWriter& fdt) {
    fdt.begin_node("apb-pclk");
    fdt.property_string("compatible", "fixed-clock");
    fdt.property_u32("#clock-cells", 0);
    fdt.property_u32("clock-frequency", layout::kUartClockHz);
    fdt.property_string("clock-output-names", "clk24mhz");
    fdt.property_u32("phandle", layout::kPhandleClock);
    fdt.end_node();
}

}  // namespace arclight::devices
