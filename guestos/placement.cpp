#include "guestos/placement.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <optional>
#include <string_view>

namespace arclight::guestos {

namespace {

constexpr std::array<std::string_view, static_cast<size_t>(host::ThreadGroup::Count)> kGroups{
    "vcpus", "compiler", "devices"};

constexpr std::string_view kCacheWays = "l3=", kColours = "colours=";

Result<host::CoreSet> parse_cores(const std::string& text, const host::CoreSet& permitted) {
    constexpr std::string_view kCache = "cache";
    if (text.starts_with(kCache)) {
        const std::string_view rest = std::string_view(text).substr(kCache.size());
        std::optional<host::CoreSet> one;
        if (rest.starts_with(':')) one = host::CoreSet::parse(rest.substr(1));
        if ((!one || one->count() != 1) && !rest.empty())
            return failure(
                "'{}' is no set of cores: cache, or cache:N for the cores that share core N's cache", text);
        unsigned core = 0;
        while (!(one ? *one : permitted).contains(core)) ++core;
        if (!permitted.contains(core))
            return failure("core {} is none that this process may run on ({})", core, permitted.text());
        host::CoreSet cores;
        const host::CoreSet sharing = host::CoreSet::sharing_cache(core);
        for (unsigned k = 0; k < CPU_SETSIZE; ++k)
            if (sharing.contains(k) && permitted.contains(k)) cores.add(k);
        return cores;
    }
    const auto cores = host::CoreSet::parse(text);
    if (!cores) return failure("'{}' is no set of cores: write a list such as 0-3,8, or cache", text);
    for (unsigned k = 0; k < CPU_SETSIZE; ++k)
        if (cores->contains(k) && !permitted.contains(k))
            return failure("core {} is none that this process may run on ({})", k, permitted.text());
    return *cores;
}

}  // namespace

Result<host::Placement> parse_placement(std::span<const std::string> words, const host::CoreSet& permitted) {
    host::Placement placement;
    for (const std::string& word : words) {
        if (word.starts_with(kCacheWays) || word.starts_with(kColours)) continue;
        const size_t equals = word.find('=');
        const auto cores =
            parse_cores(equals == std::string::npos ? word : word.substr(equals + 1), permitted);
        if (!cores) return std::unexpected(cores.error());
        bool known = equals == std::string::npos;
        for (size_t k = 0; k < kGroups.size(); ++k) {
            if (equals != std::string::npos && kGroups[k] != std::string_view(word).substr(0, equals))
                continue;
            placement[k] = *cores;
            known = true;
        }
        if (!known)
            return failure("'{}' is no group of threads: vcpus, compiler or devices", word.substr(0, equals));
    }
    return placement;
}

Result<uint64_t> parse_cache_ways(std::span<const std::string> words) {
    uint64_t ways = 0;
    for (const std::string& word : words) {
        if (!word.starts_with(kCacheWays)) continue;
        const std::string text = word.substr(kCacheWays.size());
        const auto list = host::CoreSet::parse(text);  // of numbers, whatever they count
        ways = 0;
        for (unsigned way = 0; list && way < CPU_SETSIZE; ++way) {
            if (!list->contains(way)) continue;
            if (way >= 64) return failure("'{}': no cache has a way {}", text, way);
            ways |= uint64_t{1} << way;
        }
        if (ways == 0) return failure("'{}' is no list of ways of a cache: write one such as 0-3", text);
    }
    return ways;
}

Result<host::PageColours> parse_colours(std::span<const std::string> words, unsigned usual) {
    host::PageColours colours;
    for (const std::string& word : words) {
        if (!word.starts_with(kColours)) continue;
        const std::string_view text = std::string_view(word).substr(kColours.size());
        const size_t slash = text.find('/');
        const auto list = host::CoreSet::parse(text.substr(0, slash));  // of numbers, whatever they count
        if (!list) return failure("'{}' is no list of colours: write one such as 0-15/32", text);
        unsigned of = usual;
        if (slash != std::string_view::npos) {
            const std::string_view number = text.substr(slash + 1);
            const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), of);
            if (error != std::errc{} || end != number.data() + number.size() || of < 2 || of > CPU_SETSIZE ||
                !std::has_single_bit(of))
                return failure("'{}' is no number of colours: a power of two from 2 to {}", number,
                               CPU_SETSIZE);
        } else if (usual < 2) {
            return failure(
                "this host does not say how many colours its second level of cache has: write them, "
                "as in 0-15/32");
        }
        for (unsigned colour = of; colour < CPU_SETSIZE; ++colour)
            if (list->contains(colour)) return failure("of {} colours none is number {}", of, colour);
        colours = {.of = of, .chosen = *list};
    }
    return colours;
}

bool places_threads(std::span<const std::string> words) {
    return std::ranges::any_of(words, [](const std::string& word) {
        return !word.starts_with(kCacheWays) && !word.starts_with(kColours);
    });
}

std::string placement_text(const host::Placement& placement) {
    std::string text;
    for (size_t k = 0; k < kGroups.size(); ++k)
        if (placement[k]) text += fmt::format("{}: {}\n", kGroups[k], placement[k]->text());
    return text;
}

}  // namespace arclight::guestos
