#include "backend/x64/relocation_recorder.h"

#include <algorithm>
#include <cstring>

#include "jit/host_instruction.h"

namespace arclight::backend {

using jit::CompiledBlock;
using jit::ImageOffset;
using Kind = jit::Relocation::Kind;

namespace {
std::span<const uint8_t> hot_of(const CompiledBlock& block) { return {block.entry, block.hot_bytes}; }
std::span<const uint8_t> cold_of(const CompiledBlock& block) { return {block.cold, block.cold_bytes}; }

/// What ends a half lies in it too: a jump may lead there.
bool contains(std::span<const uint8_t> half, const uint8_t* p) {
    return p >= half.data() && p <= half.data() + half.size();
}

ImageOffset offset_in(const CompiledBlock& block, const uint8_t* p) {
    if (contains(hot_of(block), p)) return static_cast<ImageOffset>(p - block.entry);
    return block.hot_bytes + static_cast<ImageOffset>(p - block.cold);
}

int32_t field_at(const uint8_t* field) {
    int32_t value;
    std::memcpy(&value, field, sizeof value);
    return value;
}
}  // namespace

void RelocationRecorder::start_block() {
    jumps_.clear();
    numbers_.clear();
    uses_.clear();
    ended_ = 0;
}

void RelocationRecorder::add(ImageOffset at, Kind kind) {
    jit::Relocation{.at = at, .kind = kind}.append_to(packed_, last_);
    last_ = at;
}

bool RelocationRecorder::add_jumps(const CompiledBlock& block, size_t shared_bytes) {
    for (const Jump& j : jumps_) {
        if (field_at(j.field) != j.target - (j.field + 4)) continue;  // was pointed elsewhere later
        const bool from_hot = contains(hot_of(block), j.field), to_hot = contains(hot_of(block), j.target);
        const bool to_cold = contains(cold_of(block), j.target);
        if (!from_hot && !contains(cold_of(block), j.field)) return false;
        if (from_hot ? to_hot : to_cold) continue;
        const bool shared = j.target >= buffer_.base() && j.target < buffer_.base() + shared_bytes;
        if (!to_hot && !to_cold && !shared) return false;
        add(offset_in(block, j.field), to_hot || to_cold ? Kind::Block : Kind::Shared);
    }
    return true;
}

/// The emitters say which constants they are about to use, not by which bytes; the instructions tell.
bool RelocationRecorder::add_constants(const CompiledBlock& block) {
    const uint8_t* from = nullptr;
    for (const Use& use : uses_) {
        // Uses come as code does, so one emission's are behind one another.
        if (from != use.to) from = use.from;
        while (from < use.to) {
            const jit::RelativeOperand insn = jit::relative_operand({from, use.to});
            if (insn.bytes == 0) return false;
            if (insn.field != 0) {
                const uint8_t *field = from + insn.field, *end = from + insn.bytes;
                const uint8_t* target = end + field_at(field);
                const auto behind = end - (field + 4);
                if (behind > 1 || std::ranges::find(uses_, target, &Use::constant) == uses_.end())
                    return false;
                add(offset_in(block, field), behind == 0 ? Kind::Constant : Kind::ConstantBefore);
            }
            from += insn.bytes;
        }
    }
    return true;
}

std::vector<jit::PackedRelocation> RelocationRecorder::relocations(const CompiledBlock& block,
                                                                   size_t shared_bytes) {
    packed_.clear();
    last_ = 0;
    if (ended_ != uses_.size() || !add_jumps(block, shared_bytes)) return {};
    for (const Number& n : numbers_) add(offset_in(block, n.field), n.kind);
    if (!add_constants(block)) return {};
    return {packed_.begin(), packed_.end()};
}

}  // namespace arclight::backend
