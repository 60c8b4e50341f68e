// Notes, while a block is compiled, which of its bytes depend on where it lies: see jit/block_image.h.
#pragma once

#include <cstdint>
#include <vector>

#include "jit/block_image.h"

namespace arclight::backend {

/// All addresses are of the view that code is executed at.
class RelocationRecorder {
  public:
    explicit RelocationRecorder(const jit::CodeBuffer& buffer) : buffer_(buffer) {}
    void start_block();
    /// The rel32 at `field` ends its instruction, and leads to `target`. The last one said of a field counts.
    void jump(const uint8_t* field, const uint8_t* target) { jumps_.push_back({field, target}); }
    /// The field at `field` is of this kind, which is none of a place in code or of a constant.
    void number(const uint8_t* field, jit::Relocation::Kind kind) { numbers_.push_back({field, kind}); }
    /// Instructions between `from`, where one begins, and the next end_emission() have the constant at `where` for an operand.
    void constant(const uint8_t* from, const uint8_t* where) { uses_.push_back({from, nullptr, where}); }
    /// What was emitted for one instruction of the IR, or one cold path, ends at `here`.
    void end_emission(const uint8_t* here) {
        for (; ended_ < uses_.size(); ++ended_) uses_[ended_].to = here;
    }

    /// Of the block, which is complete and is not linked yet. None: it has something that no relocation describes.
    std::vector<jit::PackedRelocation> relocations(const jit::CompiledBlock& block, size_t shared_bytes);

  private:
    struct Jump {
        const uint8_t *field, *target;
    };
    struct Number {
        const uint8_t* field;
        jit::Relocation::Kind kind;
    };
    void add(jit::ImageOffset at, jit::Relocation::Kind kind);
    bool add_jumps(const jit::CompiledBlock& block, size_t shared_bytes);
    bool add_constants(const jit::CompiledBlock& block);

    const jit::CodeBuffer& buffer_;
    std::vector<Jump> jumps_;
    std::vector<Number> numbers_;
    struct Use {
        const uint8_t *from, *to, *constant;
    };
    std::vector<Use> uses_;
    size_t ended_ = 0;  ///< uses whose `to` is known

    std::vector<jit::PackedRelocation> packed_;
    jit::ImageOffset last_ = 0;  ///< where the last of them is
};

}  // namespace arclight::backend
