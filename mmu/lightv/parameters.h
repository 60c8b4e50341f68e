// Reads JSON parameters that a user wrote: an unknown key or a value of the wrong type becomes one line of error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mmu/lightv/module.h"

namespace arclight::mmu::lightv {

/// Parses "4096", "0x1000", "4K", "2M", "1G". Nothing if the text is no number or exceeds 64 bits.
std::optional<uint64_t> parse_number(const std::string& text);

/// Takes values out of an object. finish() returns the first error, or an error for a key that was not taken. A key
/// without a default (`otherwise`) is required.
class Parameters {
  public:
    Parameters(const Json& object, std::string what);

    uint64_t number(const char* key, std::optional<uint64_t> otherwise = {});
    double fraction(const char* key, std::optional<double> otherwise = {});
    std::string text(const char* key, std::optional<std::string> otherwise = {});
    /// A text that must be one of `words`.
    std::string word(const char* key, const std::vector<std::string>& words,
                     std::optional<std::string> otherwise = {});
    std::vector<std::string> texts(const char* key);
    /// A null value if the key is absent.
    Json object(const char* key, bool needed);
    bool has(const char* key) const { return left_.contains(key); }
    /// Records an error.
    void wrong(const std::string& text);

    Result<void> finish();

  private:
    Json take(const char* key, bool needed);

    Json left_;
    std::string what_;
    std::string error_;
};

}  // namespace arclight::mmu::lightv
