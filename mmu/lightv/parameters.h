// Reading JSON that a person wrote: every key is known, every value of its kind, or there is one line about
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mmu/lightv/module.h"

namespace arclight::mmu::lightv {

/// "4096", "0x1000", "4K", "2M", "1G".
std::optional<uint64_t> parse_number(const std::string& text);

/// Takes values out of an object; finish() says what was wrong, or that a key is left that nobody asked for.
class Parameters {
  public:
    Parameters(const Json& object, std::string what);

    uint64_t number(const char* key, std::optional<uint64_t> otherwise = {});
    double fraction(const char* key, std::optional<double> otherwise = {});
    std::string text(const char* key, std::optional<std::string> otherwise = {});
    /// One of a few words.
    std::string word(const char* key, const std::vector<std::string>& words,
                     std::optional<std::string> otherwise = {});
    std::vector<std::string> texts(const char* key);
    /// Null if it is not there.
    Json object(const char* key, bool needed);
    bool has(const char* key) const { return left_.contains(key); }
    void wrong(const std::string& text);

    Result<void> finish();

  private:
    Json take(const char* key, bool needed);

    Json left_;
    std::string what_;
    std::string error_;
};

}  // namespace arclight::mmu::lightv
