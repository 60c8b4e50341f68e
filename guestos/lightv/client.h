// The other end of the control socket (control.h).
#pragma once

#include <string>
#include <string_view>

#include "mmu/lightv/json.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Sends one line, with a descriptor if there is one, and returns the line that comes back.
Result<std::string> ask_control(const std::string& path, const std::string& line, int descriptor = -1);

/// Asks likewise, with a descriptor if there is one, and takes the answer apart: its "result", null where it has none. An error is one line: what went wrong on the way, the
/// "error" of an answer that is not "ok", or that `who` ("the run") gave an answer that makes no sense.
Result<mmu::lightv::Json> ask_for_result(const std::string& path, const mmu::lightv::Json& request,
                                         std::string_view who, int descriptor = -1);

}  // namespace arclight::guestos
