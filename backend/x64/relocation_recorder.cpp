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
    if (p == nullptr) return jit::kNoOffset;
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

bool RelocationRecorder::add_jumps(const CompiledBlock& block, size_t shared_bytes) {
    for (const Jump& j : jumps_) {
        if (field_at(j.field) != j.target - (j.field + 4)) continue;  // was pointed elsewhere later
        const bool from_hot = contains(hot_of(block), j.field), to_hot = contains(hot_of(block), j.target);
        const bool to_cold = contains(cold_of(block), j.target);
        if (!from_hot && !contains(cold_of(block), j.field)) return false;
        if (from_hot ? to_hot : to_cold) continue;
        const ImageOffset at = offset_in(block, j.field);
        if (to_hot || to_cold)
            relocations_.push_back({at, offset_in(block, j.target), Kind::Block, 0});
        else if (j.target >= buffer_.base() && j.target < buffer_.base() + shared_bytes)
            relocations_.push_back({at, static_cast<uint32_t>(j.target - buffer_.base()), Kind::Shared, 0});
        else
            return false;
    }
    return true;
}

uint32_t RelocationRecorder::constant_number(const uint8_t* where) {
    const auto known = std::ranges::find(constant_places_, where);
    if (known != constant_places_.end()) return static_cast<uint32_t>(known - constant_places_.begin());
    std::array<uint64_t, 2> value;
    std::memcpy(value.data(), where, sizeof value);
    constants_.push_back(value);
    constant_places_.push_back(where);
    return static_cast<uint32_t>(constants_.size() - 1);
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
                if (std::ranges::find(uses_, target, &Use::constant) == uses_.end()) return false;
                relocations_.push_back({offset_in(block, field), constant_number(target), Kind::Constant,
                                        static_cast<uint8_t>(end - (field + 4))});
            }
            from += insn.bytes;
        }
    }
    return true;
}

std::optional<jit::BlockImage> RelocationRecorder::image(const CompiledBlock& block, size_t shared_bytes) {
    relocations_.clear();
    constants_.clear();
    constant_places_.clear();
    exits_.clear();
    if (!add_jumps(block, shared_bytes)) return std::nullopt;
    for (const Number& n : numbers_)
        relocations_.push_back({offset_in(block, n.field), n.value, n.kind, n.behind});
    if (ended_ != uses_.size() || !add_constants(block)) return std::nullopt;
    for (const jit::LinkSlot& slot : block.exits)
        exits_.push_back({offset_in(block, slot.jump), offset_in(block, slot.epoch),
                          offset_in(block, slot.stub), slot.target, slot.cross_page, slot.page,
                          slot.next_page});
    return jit::BlockImage{
        .body = static_cast<ImageOffset>(block.body - block.entry),
        .indirect = offset_in(block, block.indirect),
        .indirect_register = block.indirect_register,
        .indirect_kind = block.indirect_kind,
        .counted = std::ranges::any_of(numbers_, [](const Number& n) { return n.kind == Kind::Counter; }),
        .hot = hot_of(block),
        .cold = cold_of(block),
        .relocations = relocations_,
        .constants = constants_,
        .exits = exits_,
        .points = block.faults.points,
        .locations = block.faults.locations};
}

}  // namespace arclight::backend
