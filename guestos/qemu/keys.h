// Reads the keys of one option. What nobody asked for is an error at the end, with the nearest key that is known.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/qemu/invocation.h"

namespace arclight::guestos::qemu {

class Keys {
  public:
    explicit Keys(const Given& given) : given_(given), used_(given.values.size()) {}

    bool has(std::string_view key) const { return given_.has(key); }
    /// The last one counts; `otherwise` if there is none.
    std::string text(std::string_view key, std::string otherwise = "");
    std::optional<std::string> optional_text(std::string_view key);
    bool on(std::string_view key, bool otherwise);
    std::optional<bool> optional_switch(std::string_view key);
    std::optional<uint64_t> number(std::string_view key);
    std::optional<uint64_t> size(std::string_view key, uint64_t unit);
    /// One of `words`, or `otherwise`.
    std::string choice(std::string_view key, std::string_view otherwise,
                       const std::vector<std::string_view>& words);
    /// Knows these keys, whatever their values are.
    void ignore(std::initializer_list<std::string_view> keys);
    /// Takes all that begin with `prefix`, without it.
    KeyValues with_prefix(std::string_view prefix);
    /// Those that nobody asked for yet.
    KeyValues take_rest();

    template <typename... Args>
    void fail(fmt::format_string<Args...> format, Args&&... args) {
        if (!error_) error_ = fmt::format(format, std::forward<Args>(args)...);
    }
    /// The first error, with the option in front.
    Result<void> finish();

  private:
    /// Null: there is none.
    const std::string* find(std::string_view key);

    const Given& given_;
    std::vector<bool> used_;
    std::vector<std::string_view> known_;
    std::optional<std::string> error_;
};

}  // namespace arclight::guestos::qemu
