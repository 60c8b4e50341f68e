#include "jit/block_image.h"

#include <algorithm>
#include <cstring>

#include "backend/x64/block_compiler.h"
#include "backend/x64/exit_emitter.h"

namespace arclight::backend {

namespace {
using jit::BlockImage;
using jit::CodeBuffer;
using jit::CompiledBlock;
using jit::ImageOffset;
using jit::Relocation;

uint32_t word_at(const uint8_t* field) {
    uint32_t value;
    std::memcpy(&value, field, sizeof value);
    return value;
}
void write_word(uint8_t* field, uint32_t value) { std::memcpy(field, &value, sizeof value); }

/// Makes the copy of a block's code, in `code`, an image's.
struct Taking {
    const CodeBuffer& buffer;
    const CompiledBlock& block;
    jit::ImageMemory& memory;
    bool counted = false;

    uint8_t* copy_of(const uint8_t* p) const { return memory.code.data() + offset_of(p); }
    ImageOffset offset_of(const uint8_t* p) const {
        if (p == nullptr) return jit::kNoOffset;
        const auto from_entry = static_cast<size_t>(p - block.entry);
        if (p >= block.entry && from_entry <= block.hot_bytes) return static_cast<ImageOffset>(from_entry);
        return block.hot_bytes + static_cast<ImageOffset>(p - block.cold);
    }
    const uint8_t* address_of(ImageOffset at) const {
        return at < block.hot_bytes ? block.entry + at : block.cold + (at - block.hot_bytes);
    }
    /// As if nothing had been linked to it, counted it, or sampled it. The counter's field is left to its relocation.
    void forget_patches() const {
        for (const jit::LinkSlot& exit : block.exits) {
            write_word(copy_of(exit.jump), static_cast<uint32_t>(exit.stub - (exit.jump + 4)));
            if (exit.epoch != nullptr) write_word(copy_of(exit.epoch), jit::kUnlinkedEpoch);
            if (exit.cross_page) {
                const uint8_t* const field = exit.stub + kLookupField;
                write_word(copy_of(field), static_cast<uint32_t>(buffer.stubs().lookup_cross - (field + 4)));
            }
        }
        if (block.indirect != nullptr) {
            uint8_t* const at = copy_of(block.indirect);
            *at = kIndirectOpcode;
            write_word(at + 1, kJumpCacheMask);
        }
        if (counts_aside(block))
            std::ranges::copy(kEntryNop, memory.code.data());
        else if (block.body != block.entry)
            std::ranges::copy(kCountDown, memory.code.data());
    }
    bool add_constant(uint8_t* field, const uint8_t* where) const {
        if (where < buffer.base() || where + 16 > buffer.base() + buffer.size()) return false;
        std::array<uint64_t, 2> value;
        std::memcpy(value.data(), where, sizeof value);
        const auto known = std::ranges::find(memory.constants, value);
        write_word(field, static_cast<uint32_t>(known - memory.constants.begin()));
        if (known == memory.constants.end()) memory.constants.push_back(value);
        return true;
    }
    bool relocate(const Relocation& r) {
        uint8_t* const field = memory.code.data() + r.at;
        const uint8_t* const target =
            address_of(r.at) + 4 + r.behind() + static_cast<int32_t>(word_at(field));
        switch (r.kind) {
            case Relocation::Kind::Block: write_word(field, offset_of(target)); break;
            case Relocation::Kind::Shared:
                write_word(field, static_cast<uint32_t>(target - buffer.base()));
                break;
            case Relocation::Kind::Constant:
            case Relocation::Kind::ConstantBefore: return add_constant(field, target);
            case Relocation::Kind::Counter:
                counted = true;
                write_word(field, 0);
                break;
            case Relocation::Kind::CounterNumber: write_word(field, 0); break;
            case Relocation::Kind::LinkNumber: {
                const auto number = word_at(field) - first_link_slot;
                if (number >= block.exits.size()) return false;
                write_word(field, number);
                break;
            }
            case Relocation::Kind::None: return false;  // no field
        }
        return true;
    }
    uint32_t first_link_slot;
};

/// Of what an image says, nothing is believed that leads out of the block.
struct Placement {
    const BlockImage& image;
    CodeBuffer& buffer;
    EmitContext& context;
    const CompiledBlock& block;
    uint32_t first_link_slot, counter;

    size_t bytes() const { return image.hot.size() + image.cold.size(); }
    const uint8_t* at(ImageOffset offset) const {
        if (offset == jit::kNoOffset) return nullptr;
        return offset < image.hot.size() ? block.entry + offset : block.cold + (offset - image.hot.size());
    }
    bool relocate(const Relocation& r) const {
        const bool is_hot = size_t{r.at} + 4 <= image.hot.size();
        if (!is_hot && (r.at < image.hot.size() || size_t{r.at} + 4 > bytes())) return false;
        const uint8_t* const place = at(r.at);
        uint8_t* const field = buffer.writable(place);
        const uint32_t value = word_at(field);
        const uint8_t* target = nullptr;
        switch (r.kind) {
            case Relocation::Kind::Block:
                if (value > bytes()) return false;
                target = at(value);
                break;
            case Relocation::Kind::Shared:
                if (value >= buffer.assembler().cursor.hot.start) return false;
                target = buffer.base() + value;
                break;
            case Relocation::Kind::Constant:
            case Relocation::Kind::ConstantBefore: {
                if (value >= image.constants.size()) return false;
                const auto& [low, high] = image.constants[value];
                target = context.constants.place(low, high);
                break;
            }
            case Relocation::Kind::Counter:
                target = reinterpret_cast<const uint8_t*>(buffer.counters() + counter);
                break;
            case Relocation::Kind::CounterNumber: write_word(field, counter); return true;
            case Relocation::Kind::LinkNumber:
                if (value >= image.exits.size()) return false;
                write_word(field, first_link_slot + value);
                return true;
            case Relocation::Kind::None: return false;  // no field
        }
        write_word(field, static_cast<uint32_t>(target - (place + 4 + r.behind())));
        return true;
    }
    bool within(ImageOffset offset) const { return offset == jit::kNoOffset || offset <= bytes(); }
};
}  // namespace

CompiledBlock BlockCompiler::place(const BlockImage& image, CodeCursor& cursor, uint32_t first_link_slot,
                                   uint32_t counter) {
    jit::CodeBuffer& buffer = ctx_.buffer;
    const size_t hot = aligned(cursor.hot.next, kEntryAlignment),
                 cold = aligned(cursor.cold.next, kColdAlignment);
    CompiledBlock out;
    out.status = jit::CompileStatus::BufferFull;
    if (hot + image.hot.size() > cursor.hot.end || cold + image.cold.size() > cursor.cold.end) return out;
    out.status = jit::CompileStatus::TooComplex;
    if (image.body > image.hot.size() || image.counted != (counter != jit::kNoCounter)) return out;
    out.entry = buffer.base() + hot;
    out.body = out.entry + image.body;
    out.hot_bytes = static_cast<uint32_t>(image.hot.size());
    out.cold = out.cold_order = buffer.base() + cold;
    out.cold_bytes = static_cast<uint32_t>(image.cold.size());
    std::memcpy(buffer.writable(out.entry), image.hot.data(), image.hot.size());
    std::memcpy(buffer.writable(out.cold), image.cold.data(), image.cold.size());
    const Placement placement{image, buffer, ctx_, out, first_link_slot, counter};
    try {
        ImageOffset before = 0;
        for (const jit::PackedRelocation& packed : image.relocations) {
            const Relocation r = Relocation::unpack(packed, before);
            if (r.kind != Relocation::Kind::None && !placement.relocate(r)) return out;
            before = r.at;
        }
    } catch (const TooComplex&) {  // no room for its constants
        return out;
    }
    if (!placement.within(image.indirect)) return out;
    out.indirect = placement.at(image.indirect);
    out.indirect_register = image.indirect_register;
    out.indirect_kind = image.indirect_kind;
    out.exits.reserve(image.exits.size());
    for (const jit::ImageExit& e : image.exits) {
        if (!placement.within(e.jump) || !placement.within(e.epoch) || !placement.within(e.stub)) return out;
        out.exits.push_back({.jump = placement.at(e.jump),
                             .epoch = placement.at(e.epoch),
                             .stub = placement.at(e.stub),
                             .target = e.target,
                             .cross_page = e.cross_page,
                             .page = 0,
                             .next_page = 0});
    }
    out.faults.points.assign(image.points);
    out.faults.locations.assign(image.locations);
    cursor.hot.next = hot + image.hot.size();
    cursor.cold.next = cold + image.cold.size();
    out.status = jit::CompileStatus::Ok;
    return out;
}

}  // namespace arclight::backend

namespace arclight::jit {

namespace {
constexpr unsigned kKindBits = 3;
constexpr int32_t kFarthest = 1 << (15 - kKindBits);
/// What the distance of one of Kind::None counts in.
constexpr int32_t kStride = 1024;
static_assert(static_cast<unsigned>(Relocation::Kind::None) == (1u << kKindBits) - 1);

PackedRelocation pack(int32_t distance, Relocation::Kind kind) {
    const auto word =
        static_cast<uint16_t>(static_cast<uint32_t>(distance) << kKindBits | static_cast<uint32_t>(kind));
    PackedRelocation packed;
    std::memcpy(packed.data(), &word, sizeof packed);
    return packed;
}
}  // namespace

void Relocation::append_to(std::vector<PackedRelocation>& out, ImageOffset before) const {
    auto distance = static_cast<int32_t>(at - before);
    if (distance < -kFarthest || distance >= kFarthest) {
        const int32_t strides = distance / kStride;
        out.push_back(pack(strides, Kind::None));
        distance -= strides * kStride;
    }
    out.push_back(pack(distance, kind));
}

Relocation Relocation::unpack(PackedRelocation packed, ImageOffset before) {
    int16_t word;
    std::memcpy(&word, packed.data(), sizeof word);
    const auto kind = static_cast<Kind>(word & ((1 << kKindBits) - 1));
    const int32_t distance = (word >> kKindBits) * (kind == Kind::None ? kStride : 1);
    return {.at = before + static_cast<ImageOffset>(distance), .kind = kind};
}

std::vector<PackedRelocation> relocations_of_last(CodeBuffer& buffer, const CompiledBlock& block) {
    CodeBuffer::Assembler& a = buffer.assembler();
    backend::RelocationRecorder* recorder = a.compiler.relocations();
    return recorder != nullptr ? recorder->relocations(block, a.cursor.hot.start)
                               : std::vector<PackedRelocation>{};
}

std::optional<BlockImage> image_of(const CodeBuffer& buffer, const CompiledBlock& block,
                                   std::span<const PackedRelocation> relocations, uint32_t first_link_slot,
                                   ImageMemory& memory) {
    if (relocations.empty()) return std::nullopt;
    memory.code.assign(block.entry, block.entry + block.hot_bytes);
    memory.code.insert(memory.code.end(), block.cold, block.cold + block.cold_bytes);
    memory.constants.clear();
    memory.exits.clear();
    backend::Taking taking{buffer, block, memory, false, first_link_slot};
    taking.forget_patches();
    ImageOffset before = 0;
    for (const PackedRelocation& packed : relocations) {
        const Relocation r = Relocation::unpack(packed, before);
        if (r.kind != Relocation::Kind::None && !taking.relocate(r)) return std::nullopt;
        before = r.at;
    }
    for (const LinkSlot& slot : block.exits)
        memory.exits.push_back({taking.offset_of(slot.jump), taking.offset_of(slot.epoch),
                                taking.offset_of(slot.stub), slot.target, slot.cross_page});
    const std::span<const uint8_t> code = memory.code;
    return BlockImage{.body = static_cast<ImageOffset>(block.body - block.entry),
                      .indirect = taking.offset_of(block.indirect),
                      .indirect_register = block.indirect_register,
                      .indirect_kind = block.indirect_kind,
                      .counted = taking.counted,
                      .hot = code.first(block.hot_bytes),
                      .cold = code.subspan(block.hot_bytes),
                      .relocations = relocations,
                      .constants = memory.constants,
                      .exits = memory.exits,
                      .points = block.faults.points,
                      .locations = block.faults.locations};
}

uint64_t image_layout(const CodeBuffer& buffer) { return buffer.assembler().cursor.hot.start; }

}  // namespace arclight::jit
