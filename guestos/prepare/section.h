// The section of sites at the end of a prepared kernel's Image.
//
// Behind the image's bytes and zeros up to a multiple of 8, all little-endian:
//     a site each, by (offset, kind):  offset (4 bytes), kind (1), frequency (3)
//     then the trailer, 32 bytes:      "ARCLSITE", version 1 (4), number of sites (4), bytes of the image before (8),
//                                      CRC-32 of the sites and of this with zeros in its place (4), zeros (4)
// The image's header counts .bss, which begins where the file ends, in image_size, and the kernel clears it before use: as long
// as the section fits in there, a boot loader that copies the whole file puts it where nothing else is, and the kernel never
// sees it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "guestos/file.h"
#include "guestos/prepare/site.h"
#include "mmu/result.h"

namespace arclight::guestos::prepare {

/// Appends the sites, which are by (offset, kind) and in the image. An error is one line without the kernel's name.
Result<void> append_section(Bytes& image, std::span<const Site> sites);

/// Takes the section off, if there is one; what is left is the image as it was before. A damaged one is an error, one line
/// without the kernel's name, and stays. All sites lie in the image, at multiples of 4; whether there is such an instruction,
/// nobody has looked.
Result<std::optional<std::vector<Site>>> take_section(Bytes& image);

}  // namespace arclight::guestos::prepare
