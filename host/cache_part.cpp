#include "host/cache_part.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

namespace arclight::host {

namespace {

constexpr std::string_view kPrefix = "arclight-";

std::optional<uint64_t> number_in(const std::string& file, int base) {
    std::ifstream in(file);
    std::string text;
    if (!(in >> text)) return {};
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size()) return {};
    return value;
}

std::unexpected<std::string> failed(const std::string& what, int error) {
    return std::unexpected(what + ": " + std::strerror(error));
}

/// Of processes that are gone.
void remove_old_groups(const std::string& root) {
    DIR* directory = opendir(root.c_str());
    if (directory == nullptr) return;
    while (const dirent* entry = readdir(directory)) {
        const std::string_view name = entry->d_name;
        if (!name.starts_with(kPrefix)) continue;
        const std::string_view digits = name.substr(kPrefix.size());
        pid_t owner = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), owner);
        if (error != std::errc{} || end != digits.data() + digits.size() || owner <= 0) continue;
        if (kill(owner, 0) != 0 && errno == ESRCH) rmdir((root + '/' + std::string(name)).c_str());
    }
    closedir(directory);
}

std::expected<void, std::string> write_line(int file, const std::string& line) {
    const ssize_t written = write(file, line.data(), line.size());
    if (written < 0) return failed("the host refuses the division of its cache", errno);
    if (static_cast<size_t>(written) != line.size())
        return std::unexpected("the host takes a part of the division of its cache");
    return {};
}

struct Table {
    std::vector<std::string> resources;  // L3, or L3CODE and L3DATA
    std::string domains;                 // numbers, each with a blank behind it
};

/// Of lines such as "    L3:0=fffff;1=fffff".
Table read_table(const std::string& file) {
    Table table;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        const size_t begin = line.find_first_not_of(' '), colon = line.find(':');
        if (begin == std::string::npos || colon == std::string::npos || colon < begin) continue;
        const std::string name = line.substr(begin, colon - begin);
        if (name != "L3" && name != "L3CODE" && name != "L3DATA") continue;
        table.resources.push_back(name);
        table.domains.clear();
        for (size_t at = colon + 1; at < line.size();) {
            const size_t equals = line.find('=', at);
            if (equals == std::string::npos) break;
            table.domains += line.substr(at, equals - at) + ' ';
            const size_t next = line.find(';', equals);
            at = next == std::string::npos ? line.size() : next + 1;
        }
    }
    return table;
}

}  // namespace

std::string way_list(uint64_t ways) {
    std::string text;
    for (unsigned way = 0; way < 64;) {
        if ((ways >> way & 1) == 0) {
            ++way;
            continue;
        }
        const unsigned last = way + static_cast<unsigned>(std::countr_one(ways >> way)) - 1;
        if (!text.empty()) text += ',';
        text += std::to_string(way);
        if (last != way) text += '-' + std::to_string(last);
        way = last + 1;
    }
    return text;
}

CachePart::CachePart(CachePart&& other) noexcept
    : schemata_(std::exchange(other.schemata_, -1)),
      resources_(std::move(other.resources_)),
      domains_(std::move(other.domains_)),
      all_ways_(other.all_ways_),
      ways_(other.ways_),
      least_(other.least_),
      sparse_(other.sparse_) {}

CachePart::~CachePart() {
    if (schemata_ >= 0) close(schemata_);
}

std::expected<CachePart, std::string> CachePart::open(uint64_t ways, const std::string& root) {
    Table table = read_table(root + "/schemata");
    const std::string cache = table.resources.empty() ? "L3" : table.resources.front();
    const auto all = number_in(root + "/info/" + cache + "/cbm_mask", 16);
    if (!all || table.resources.empty() || table.domains.empty())
        return std::unexpected("this host does not divide its third level of cache (no " + root + ')');
    remove_old_groups(root);
    CachePart part;
    part.all_ways_ = *all;
    part.least_ = static_cast<unsigned>(number_in(root + "/info/" + cache + "/min_cbm_bits", 10).value_or(1));
    part.sparse_ = number_in(root + "/info/" + cache + "/sparse_masks", 10).value_or(0) != 0;
    for (const std::string& resource : table.resources) part.resources_ += resource + ' ';
    part.domains_ = table.domains;
    const std::string group = root + '/' + std::string(kPrefix) + std::to_string(getpid());
    if (mkdir(group.c_str(), 0755) != 0 && errno != EEXIST) return failed("cannot make " + group, errno);
    part.schemata_ = ::open((group + "/schemata").c_str(), O_WRONLY | O_CLOEXEC);
    std::expected<void, std::string> done;
    if (part.schemata_ < 0) done = failed("cannot open " + group + "/schemata", errno);
    if (done) done = part.use(ways);
    if (done) {
        const int tasks = ::open((group + "/tasks").c_str(), O_WRONLY | O_CLOEXEC);
        done = tasks < 0 ? failed("cannot open " + group + "/tasks", errno)
                         : write_line(tasks, std::to_string(getpid()) + '\n');
        if (tasks >= 0) close(tasks);
    }
    if (done) return part;
    rmdir(group.c_str());
    return std::unexpected(done.error());
}

std::expected<void, std::string> CachePart::use(uint64_t ways) {
    if (ways == 0 || (ways & ~all_ways_) != 0)
        return std::unexpected("the cache has the ways " + way_list(all_ways_) + ", not " + way_list(ways));
    if (static_cast<unsigned>(std::popcount(ways)) < least_)
        return std::unexpected("this host wants " + std::to_string(least_) + " ways at least");
    if (!sparse_ && !std::has_single_bit((ways >> std::countr_zero(ways)) + 1))
        return std::unexpected("this host wants ways that follow each other, not " + way_list(ways));
    char mask[17] = {};
    std::to_chars(mask, mask + 16, ways, 16);
    std::string lines;
    for (size_t at = 0; at < resources_.size(); at = resources_.find(' ', at) + 1) {
        lines += resources_.substr(at, resources_.find(' ', at) - at);
        char separator = ':';
        for (size_t d = 0; d < domains_.size(); d = domains_.find(' ', d) + 1) {
            lines += separator + domains_.substr(d, domains_.find(' ', d) - d) + '=' + mask;
            separator = ';';
        }
        lines += '\n';
    }
    if (auto written = write_line(schemata_, lines); !written) return written;
    ways_ = ways;
    return {};
}

}  // namespace arclight::host
