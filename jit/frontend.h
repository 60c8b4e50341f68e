// What the engine needs of a guest instruction set. One frontend (frontend/a64) implements it; the engine
// knows code as bytes, and nothing of what they mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "jit/ir/ir.h"

namespace arclight::jit {

class Frontend {
  public:
    virtual ~Frontend() = default;

    struct CodeLimits {
        unsigned
            alignment;  ///< of instructions, in bytes: 1, 2, 4 or 8; a store of this size is fetched whole
        unsigned max_block_bytes;  ///< that translate() may read for one block; a multiple of `alignment`
        unsigned max_block_insns;  ///< that translate() puts into one block
    };
    virtual CodeLimits code_limits() const = 0;

    /// Translates from `code` (the guest's bytes from the block's first instruction, at most to the end of
    /// its page) into `block`, whose `pa` is set and kept. `page_offset` is the first instruction's offset in
    /// its page. Always translates at least one instruction, and at most `max_insns`; an instruction that
    /// does not exist raises the guest's exception when it is executed. The result depends on nothing but the
    /// arguments.
    virtual void translate(ir::Block& block, std::span<const std::byte> code, uint32_t page_offset,
                           uint32_t translation_flags, unsigned max_insns) const = 0;

    /// Whether tier 2 may compile blocks with these flags: it executes several instructions between two
    /// checks for an exception that the flags may ask for at each one, such as a software step.
    virtual bool may_promote(uint32_t translation_flags) const = 0;

    /// Differs between frontends that make different IR of the same code, such as for CPUs with different
    /// features: what was compiled of one's IR is never used for the other's. The same in every run.
    virtual uint64_t variant() const = 0;

    /// An instruction of a listing.
    struct Listed {
        unsigned bytes;    ///< length of the instruction
        std::string text;  ///< encoding and mnemonic, one line without its end
    };
    /// The first instruction of `code`, which is not empty.
    virtual Listed describe(std::span<const std::byte> code) const = 0;
};

}  // namespace arclight::jit
