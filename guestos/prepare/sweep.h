// The linear sweep of a kernel's text for its sites.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "guestos/prepare/kernel_text.h"
#include "guestos/prepare/profile.h"
#include "guestos/prepare/site.h"

namespace arclight::guestos::prepare {

/// By offset. Ranges outside the image are cut.
std::vector<Site> sweep(std::span<const uint8_t> image, std::span<const TextRange> text);

/// Adds what a run of this image met: frequencies, device sites, and the blocks that have a site and were there from their page's
/// first execution on. Entries at which the image has no load or store, or that are outside of it, are left out.
void add_profile(std::vector<Site>& sites, std::span<const uint8_t> image, const Profile& profile);

}  // namespace arclight::guestos::prepare
