// What an instruction of a kernel is: by the decoder, and by what the translator makes of it.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>

#include "guestos/prepare/site.h"
#include "jit/frontend.h"

namespace arclight::guestos::prepare {

/// Asks the translator itself, so that nothing is said of an instruction twice. Answers are kept by instruction word: a kernel
/// has tens of thousands of sites and hundreds of words.
class Translated {
  public:
    /// `frontend` must stay as long as this.
    explicit Translated(const jit::Frontend& frontend) : frontend_(frontend) {}

    struct Answer {
        std::optional<SiteKind> kind;  ///< sensitive_kind()
        bool access =
            false;  ///< the engine can mark it as one that meets devices: neither exclusive nor atomic
        bool inlined = true;  ///< is executed by emitted code alone: no helper, no exit
        bool defined = true;  ///< on a CPU of this frontend
    };
    const Answer& of(uint32_t insn);

  private:
    const jit::Frontend& frontend_;
    std::unordered_map<uint32_t, Answer> answers_;
};

}  // namespace arclight::guestos::prepare
