// The program's version. The build writes the definition (cmake/WriteVersion.cmake), so that a new commit recompiles one file.
#pragma once

namespace arclight::guestos::cli {

/// "0.1.0 (commit 0123456789ab)"; "-modified" follows the commit when the sources differ from it, and the commit is left
/// out where it is not known.
extern const char* const kVersion;

}  // namespace arclight::guestos::cli
