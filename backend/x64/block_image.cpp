#include "jit/block_image.h"

#include <cstring>

#include "backend/x64/block_compiler.h"

namespace arclight::backend {

namespace {
using jit::BlockImage;
using jit::CodeBuffer;
using jit::CompiledBlock;
using jit::ImageOffset;
using jit::Relocation;

/// Of what relocations say, nothing is believed that leads out of the block.
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
        if (size_t{r.at} + 4 > bytes()) return false;
        const uint8_t* target = nullptr;
        switch (r.kind) {
            case Relocation::Kind::Block:
                if (r.value > bytes()) return false;
                target = at(r.value);
                break;
            case Relocation::Kind::Shared:
                if (r.value >= buffer.assembler().cursor.first_hot) return false;
                target = buffer.base() + r.value;
                break;
            case Relocation::Kind::Constant: {
                if (r.value >= image.constants.size()) return false;
                const auto& [low, high] = image.constants[r.value];
                target = context.constants.place(low, high);
                break;
            }
            case Relocation::Kind::Counter:
                target = reinterpret_cast<const uint8_t*>(buffer.counters() + counter);
                break;
            case Relocation::Kind::CounterNumber: return write(r.at, counter);
            case Relocation::Kind::LinkNumber:
                return r.value < image.exits.size() && write(r.at, first_link_slot + r.value);
            default: return false;
        }
        return write(r.at, static_cast<uint32_t>(target - (at(r.at) + 4 + r.behind)));
    }
    bool write(ImageOffset offset, uint32_t value) const {
        std::memcpy(buffer.writable(at(offset)), &value, sizeof value);
        return true;
    }
    bool within(ImageOffset offset) const { return offset == jit::kNoOffset || offset <= bytes(); }
};
}  // namespace

CompiledBlock BlockCompiler::place(const BlockImage& image, CodeCursor& cursor, uint32_t first_link_slot,
                                   uint32_t counter) {
    jit::CodeBuffer& buffer = ctx_.buffer;
    const size_t hot = aligned(cursor.hot, kEntryAlignment), cold = aligned(cursor.cold, kColdAlignment);
    CompiledBlock out;
    out.status = jit::CompileStatus::BufferFull;
    if (hot + image.hot.size() > buffer.size() / 2 || cold + image.cold.size() > buffer.size()) return out;
    out.status = jit::CompileStatus::TooComplex;
    if (image.body > image.hot.size() || image.counted != (counter != jit::kNoCounter)) return out;
    out.entry = buffer.base() + hot;
    out.body = out.entry + image.body;
    out.hot_bytes = static_cast<uint32_t>(image.hot.size());
    out.cold = buffer.base() + cold;
    out.cold_bytes = static_cast<uint32_t>(image.cold.size());
    std::memcpy(buffer.writable(out.entry), image.hot.data(), image.hot.size());
    std::memcpy(buffer.writable(out.cold), image.cold.data(), image.cold.size());
    const Placement placement{image, buffer, ctx_, out, first_link_slot, counter};
    try {
        for (const Relocation& r : image.relocations)
            if (!placement.relocate(r)) return out;
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
                             .cross_page = e.cross_page != 0,
                             .page = e.page,
                             .next_page = e.next_page});
    }
    out.faults.points.assign(image.points.begin(), image.points.end());
    out.faults.locations.assign(image.locations.begin(), image.locations.end());
    cursor.hot = hot + image.hot.size();
    cursor.cold = cold + image.cold.size();
    out.status = jit::CompileStatus::Ok;
    return out;
}

}  // namespace arclight::backend

namespace arclight::jit {

std::optional<BlockImage> image_of_last(CodeBuffer& buffer, const CompiledBlock& block) {
    CodeBuffer::Assembler& a = buffer.assembler();
    backend::RelocationRecorder* recorder = a.compiler.relocations();
    return recorder != nullptr ? recorder->image(block, a.cursor.first_hot) : std::nullopt;
}

uint64_t image_layout(const CodeBuffer& buffer) { return buffer.assembler().cursor.first_hot; }

}  // namespace arclight::jit
