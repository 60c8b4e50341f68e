// A part of the last level of cache for this process, where the host divides it: a group of Linux's resctrl file system
// (Documentation/arch/x86/resctrl.rst), over Intel's Resource Director Technology or AMD's Platform Quality of Service.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace arclight::host {

/// "0-3,8": ways of the cache, by number.
std::string way_list(uint64_t ways);

class CachePart {
  public:
    static constexpr const char* kRoot = "/sys/fs/resctrl";

    /// Makes a group that may fill `ways` (a bit for each) of every cache of the third level, and moves the calling process into
    /// it; threads that it starts later begin there. Groups that Arclight has left whose processes are gone are removed first: a
    /// process in the sandbox cannot remove its own. Errors are one line, without a name in front.
    static std::expected<CachePart, std::string> open(uint64_t ways, const std::string& root = kRoot);
    CachePart(CachePart&& other) noexcept;
    CachePart& operator=(CachePart&&) = delete;
    ~CachePart();

    /// Other ways, from now on. Opens no file. Any thread, but not two at once.
    std::expected<void, std::string> use(uint64_t ways);
    uint64_t ways() const { return ways_; }

  private:
    CachePart() = default;

    int schemata_ = -1;
    std::string resources_, domains_;  // as the group's table names them: "L3", "0 1"
    uint64_t all_ways_ = 0, ways_ = 0;
    unsigned least_ = 1;
    bool sparse_ = false;
};

}  // namespace arclight::host
