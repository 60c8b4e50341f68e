// `--place`, and the monitor's `place`: which cores of the host a guest's threads run on.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "host/cores.h"
#include "host/page_colours.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Words of the form [GROUP=]CORES: GROUP is vcpus, compiler or devices, all of them if it is missing; CORES is a list such as
/// 0-3,8, or "cache" for the cores that share the last level of cache with the first one of `permitted`, or cache:N for those
/// of core N. A later word replaces an earlier one. An error is one line. Words of the form l3=WAYS are for parse_cache_ways(),
/// colours=COLOURS for parse_colours().
Result<host::Placement> parse_placement(std::span<const std::string> words, const host::CoreSet& permitted);
/// The last word of the form l3=WAYS, a list of ways of the third level of cache such as 0-3, as a bit for each; 0: there is none.
Result<uint64_t> parse_cache_ways(std::span<const std::string> words);
/// The last word of the form colours=LIST[/N]: colours of the host's pages, out of N, or of the `usual` ones that a host has (0 or 1: it
/// does not say). Its `of` is 0: there is no such word.
Result<host::PageColours> parse_colours(std::span<const std::string> words, unsigned usual);
/// Whether there is a word that gives threads cores.
bool places_threads(std::span<const std::string> words);
/// The other way round, one group a line; groups that were not placed are not there.
std::string placement_text(const host::Placement& placement);

}  // namespace arclight::guestos
