#include "guestos/serve/interface_words.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "devices/virtio/net_frame.h"
#include "guestos/cli/parse.h"
#include "mmu/lightv/parameters.h"

namespace arclight::guestos::serve {

using devices::svio::FairClock;
using devices::svio::InterfaceOptions;
using devices::svio::TokenBucket;

namespace {

constexpr size_t kMaxName = 32;

/// Takes words out, and keeps the first thing that is wrong.
class Reader {
  public:
    explicit Reader(Words words) : left_(std::move(words)) {}

    std::optional<std::string> text(const char* key) {
        const auto found = left_.find(key);
        if (found == left_.end()) return {};
        std::string value = std::move(found->second);
        left_.erase(found);
        return value;
    }
    /// 4096, 64K, 10M, 1G; `least` to `most`.
    void size(const char* key, uint64_t& to, uint64_t most, uint64_t least = 0) {
        const auto value = text(key);
        if (!value) return;
        const auto number = mmu::lightv::parse_number(*value);
        if (!number || *number > most || *number < least)
            wrong(fmt::format("{}: '{}' is no number from {} to {}", key, *value, least, most));
        else
            to = *number;
    }
    void on_off(const char* key, bool& to) {
        const auto value = text(key);
        if (!value) return;
        if (*value != "on" && *value != "off")
            wrong(fmt::format("{}: '{}' is neither on nor off", key, *value));
        to = *value == "on";
    }
    void wrong(std::string why) {
        if (!error_) error_ = std::move(why);
    }
    Result<void> finish() {
        if (!error_ && !left_.empty()) error_ = fmt::format("'{}' is not known", left_.begin()->first);
        if (error_) return std::unexpected(*error_);
        return {};
    }

  private:
    Words left_;
    std::optional<std::string> error_;
};

std::string read_name(Reader& words) {
    const auto name = words.text("name");
    const bool good =
        name && !name->empty() && name->size() <= kMaxName && std::ranges::all_of(*name, [](unsigned char c) {
            return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
        });
    if (!name)
        words.wrong("name is missing");
    else if (!good)
        words.wrong(
            fmt::format("name: '{}' is not up to {} letters, digits, '-', '_' and '.'", *name, kMaxName));
    return name.value_or("");
}

void read_share(Reader& words, InterfaceOptions& options) {
    constexpr uint64_t kMaxBurst = uint64_t{1} << 32;
    uint64_t weight = options.weight;
    words.size("weight", weight, FairClock::kMaxWeight, 1);
    options.weight = static_cast<uint32_t>(weight);
    words.size("rate", options.rate, TokenBucket::kMaxRate);
    words.size("burst", options.burst, kMaxBurst);
}

}  // namespace

Result<Words> split_words(std::string_view text) {
    Words words;
    for (const std::string& part : cli::split_commas(text)) {
        const size_t equals = part.find('=');
        if (equals == std::string::npos || equals == 0) return failure("'{}' is no KEY=VALUE", part);
        if (!words.emplace(part.substr(0, equals), part.substr(equals + 1)).second)
            return failure("{} is given twice", part.substr(0, equals));
    }
    return words;
}

Result<InterfaceWords> parse_interface(const Words& given) {
    Reader words(given);
    InterfaceWords made;
    InterfaceOptions& options = made.options;
    options.name = read_name(words);
    made.socket = words.text("socket").value_or("");
    if (made.socket.empty()) words.wrong("socket is missing");
    read_share(words, options);
    if (const auto mac = words.text("mac")) {
        if (const auto address = devices::virtio::parse_mac(*mac))
            options.port.mac = *address;
        else
            words.wrong(address.error());
    }
    constexpr uint64_t kMaxDisk = uint64_t{1} << 62;
    words.size("offset", options.port.offset, kMaxDisk);
    words.size("size", options.port.size, kMaxDisk);
    words.on_off("readonly", options.port.readonly);
    if (auto good = words.finish(); !good) return std::unexpected(good.error());
    return made;
}

Result<InterfaceOptions> parse_change(const Words& given, const InterfaceOptions& now) {
    Reader words(given);
    InterfaceOptions options = now;
    // That of another rate says nothing of this one.
    if (given.contains("rate")) options.burst = 0;
    (void)words.text("name");
    read_share(words, options);
    if (auto good = words.finish(); !good) return std::unexpected(good.error());
    return options;
}

}  // namespace arclight::guestos::serve
