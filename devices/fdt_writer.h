#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmu/result.h"

namespace arclight::devices {

/// Writes a flattened device tree front to back with libfdt. The first failure sticks and is reported by
/// finish(); calls after it do nothing. The root node is opened by begin_node("").
class FdtWriter {
  public:
    FdtWriter();

    void begin_node(const std::string& name);
    void end_node();

    void property(const std::string& name);  ///< empty, means "true"
    void property(const std::string& name, std::span<const uint8_t> bytes);
    void property_string(const std::string& name, std::string_view value);
    void property_strings(const std::string& name, std::initializer_list<std::string_view> values);
    void property_cells(const std::string& name, std::initializer_list<uint32_t> cells);
    void property_cells(const std::string& name, std::span<const uint32_t> cells);
    void property_u32(const std::string& name, uint32_t value) { property_cells(name, {value}); }
    void property_u64(const std::string& name, uint64_t value);
    /// A reg-like list of 64-bit values for a parent with two address and two size cells.
    void property_u64s(const std::string& name, std::initializer_list<uint64_t> values);

    /// The finished blob, or what went wrong.
    Result<std::vector<uint8_t>> finish();

  private:
    template <typename F>
    void attempt(const std::string& what, F&& operation);

    std::vector<uint8_t> buffer_;
    std::string error_;
    unsigned depth_ = 0;
};

/// The fixed clock that UART and RTC refer to ("apb-pclk").
void add_clock_to_device_tree(FdtWriter& fdt);

}  // namespace arclight::devices
