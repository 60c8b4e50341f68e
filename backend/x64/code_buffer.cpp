#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

#include "backend/x64/block_compiler.h"
#include "backend/x64/code_views.h"
#include "backend/x64/exit_emitter.h"
#include "backend/x64/stub_emitter.h"
#include "jit/entry_counter.h"
#include "jit/exit_lookup.h"

namespace arclight::jit {

bool host_has_vector_registers() {
    return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0;
}

CodeBuffer::CodeBuffer(size_t size, const CodeOptions& options)
    : size_(size),
      profile_(options.profile),
      spectre_(options.spectre),
      vector_registers_(options.vector_registers),
      images_(options.images),
      counters_aside_(options.counters_aside) {
    constexpr size_t kMinForRegions = size_t{96} << 20;
    range_log2_ = static_cast<unsigned>(std::bit_width(size + kCounterBytes + kMinForRegions - 1));
    const backend::CodeViews views =
        backend::map_code(size_t{1} << range_log2_, {.from = size, .bytes = kCounterBytes});
    base_ = views.executable;
    distance_ = views.writable - views.executable;
    const size_t half = size / 2;
    assembler_.reset(new Assembler{
        .cursor = {.hot = {.end = half}, .cold = {.start = half, .end = size, .populated = half}},
        .compiler = {*this, size}});
    stubs_ = assembler_->compiler.emit_stubs(assembler_->cursor);
    reset();
}

CodeBuffer::~CodeBuffer() { backend::unmap_code({base_, writable(base_)}, size_t{1} << range_log2_); }

void CodeBuffer::reset() {
    backend::CodeCursor& c = assembler_->cursor;
    for (backend::CodeArea* area : {&c.hot, &c.cold, &c.frequent, &c.seldom}) area->next = area->start;
}

size_t CodeBuffer::hot_used() const { return assembler_->cursor.hot.next; }
size_t CodeBuffer::cold_used() const { return assembler_->cursor.cold.next - size_ / 2; }

namespace {
/// Gets memory ahead of the cursors, a huge page at once if the host has one. Page by page both views would fault: 5,000
/// faults more at a boot, 4 % of its time.
void populate_ahead(CodeBuffer& buffer) {
    constexpr size_t kStep = size_t{2} << 20, kAhead = size_t{64} << 10;
    backend::CodeCursor& c = buffer.assembler().cursor;
    for (backend::CodeArea* area : {&c.hot, &c.cold, &c.frequent, &c.seldom}) {
        if (area->next + kAhead <= area->populated || area->populated >= area->end) continue;
        const size_t bytes = std::min(kStep, area->end - area->populated);
        const uint8_t* from = buffer.base() + area->populated;
        backend::populate_code({from, buffer.writable(from)}, bytes);
        area->populated += bytes;
    }
}
}  // namespace

CompiledBlock compile(const ir::Block& block, CodeBuffer& buffer, uint32_t first_link_slot,
                      uint32_t counter) {
    CodeBuffer::Assembler& a = buffer.assembler();
    populate_ahead(buffer);
    return a.compiler.compile(block, a.cursor, first_link_slot, counter);
}

void make_room_for_superblocks(CodeBuffer& buffer) {
    // Superblocks are bigger than all blocks they are made of, but are only made of hot ones; little of one is executed often.
    constexpr size_t kFrequent = 16, kSeldom = 4;
    backend::CodeCursor& c = buffer.assembler().cursor;
    const auto split = [](backend::CodeArea& area, size_t bytes) {
        const size_t end = area.end;
        area.end -= bytes;
        return backend::CodeArea{.start = area.end, .end = end, .next = area.end, .populated = area.end};
    };
    c.frequent = split(c.hot, buffer.size() / kFrequent);
    c.seldom = split(c.cold, buffer.size() / kSeldom);
}

CompiledBlock compile_superblock(const ir::Block& block, const SuperblockLayout& layout, CodeBuffer& buffer,
                                 uint32_t first_link_slot) {
    CodeBuffer::Assembler& a = buffer.assembler();
    populate_ahead(buffer);
    return a.compiler.compile(block, a.cursor, first_link_slot, kNoCounter, &layout);
}

CompiledBlock place(const BlockImage& image, CodeBuffer& buffer, uint32_t first_link_slot, uint32_t counter) {
    CodeBuffer::Assembler& a = buffer.assembler();
    populate_ahead(buffer);
    return a.compiler.place(image, a.cursor, first_link_slot, counter);
}

const uint8_t* emit_region_stub(CodeBuffer& buffer, const RegionStub& stub, const uint8_t* reuse) {
    CodeBuffer::Assembler& a = buffer.assembler();
    return backend::StubEmitter(a.compiler.context()).emit_region_stub(a.cursor, stub, reuse);
}

const uint8_t* emit_counted_jump(CodeBuffer& buffer, uint32_t counter, const void* target) {
    CodeBuffer::Assembler& a = buffer.assembler();
    return backend::StubEmitter(a.compiler.context()).emit_counted_jump(a.cursor, counter, target);
}

const uint8_t* emit_sampler(CodeBuffer& buffer, const CompiledBlock& block, uint32_t ring) {
    CodeBuffer::Assembler& a = buffer.assembler();
    return backend::StubEmitter(a.compiler.context()).emit_sampler(a.cursor, block, ring);
}

namespace {
/// One store that other CPUs may be fetching around (Intel SDM 3A 9.1.3). The field may be misaligned, but
/// lies within an aligned quadword, so it is never torn; the language has no name for that, the instruction
/// does it.
void patch(CodeBuffer& buffer, const uint8_t* field, uint32_t value) {
    asm volatile("movl %1, (%0)" : : "r"(buffer.writable(field)), "r"(value) : "memory");
}
uint32_t relative(const uint8_t* field, const void* target) {
    return static_cast<uint32_t>(static_cast<const uint8_t*>(target) - (field + 4));
}

/// The aligned quadword at `code`, at once.
void write_quadword(CodeBuffer& buffer, const uint8_t* code, const uint8_t (&bytes)[8]) {
    uint64_t word;
    std::memcpy(&word, bytes, sizeof word);
    std::atomic_ref(*reinterpret_cast<uint64_t*>(buffer.writable(code))).store(word);
}

/// What it replaces, a counter's instruction or a nop, is as long or longer, so that a thread is before it or behind it.
constexpr size_t kJumpBytes = 5;
}  // namespace

void patch_entry(CodeBuffer& buffer, const CompiledBlock& block, const uint8_t* stub) {
    uint8_t bytes[8];
    std::memcpy(bytes, block.entry, sizeof bytes);
    bytes[0] = 0xe9;
    const uint32_t to = static_cast<uint32_t>(stub - (block.entry + kJumpBytes));
    std::memcpy(bytes + 1, &to, sizeof to);
    write_quadword(buffer, block.entry, bytes);
}

void unpatch_entry(CodeBuffer& buffer, const CompiledBlock& block, uint32_t counter) {
    if (backend::counts_aside(block)) return patch_entry(buffer, block, block.cold);
    uint8_t bytes[8];
    std::memcpy(bytes, block.entry, sizeof bytes);
    std::ranges::copy(backend::kCountDown, bytes);
    const auto* where = reinterpret_cast<const uint8_t*>(buffer.counters() + counter);
    const uint32_t to = static_cast<uint32_t>(where - (block.entry + backend::kCountDown.size()));
    std::memcpy(bytes + 2, &to, sizeof to);
    write_quadword(buffer, block.entry, bytes);
}

void skip_counter(CodeBuffer& buffer, const CompiledBlock& block) {
    if (!backend::counts_aside(block)) return patch_entry(buffer, block, block.body);
    uint8_t bytes[8];
    std::memcpy(bytes, block.entry, sizeof bytes);
    std::ranges::copy(backend::kEntryNop, bytes);
    write_quadword(buffer, block.entry, bytes);
}

void go_on(CodeBuffer& buffer, const LinkSlot& slot, uint32_t epoch) { patch(buffer, slot.epoch, epoch); }

void link(CodeBuffer& buffer, const LinkSlot& slot, const void* target, uint32_t epoch) {
    patch(buffer, slot.jump, relative(slot.jump, target));
    if (slot.epoch != nullptr) patch(buffer, slot.epoch, epoch);
}

void redirect(CodeBuffer& buffer, const LinkSlot& slot, const void* code) {
    patch(buffer, slot.jump, relative(slot.jump, code));
}

void look_up_always(CodeBuffer& buffer, const LinkSlot& exit, bool always) {
    const uint8_t* const field = exit.stub + backend::kLookupField;
    const SharedStubs& stubs = buffer.stubs();
    patch(buffer, field, relative(field, always ? stubs.lookup_direct : stubs.lookup_cross));
}

void sample(CodeBuffer& buffer, const CompiledBlock& block, const uint8_t* sampler) {
    // There are other instructions in the quadword.
    const size_t offset = reinterpret_cast<uintptr_t>(block.indirect) & 7;
    const uint8_t* start = block.indirect - offset;
    uint8_t bytes[8];
    std::memcpy(bytes, start, sizeof bytes);
    constexpr uint8_t kJump = 0xe9;
    uint8_t* at = bytes + offset;
    at[0] = sampler != nullptr ? kJump : backend::kIndirectOpcode;
    const uint32_t field = sampler != nullptr
                               ? static_cast<uint32_t>(sampler - (block.indirect + backend::kIndirectBytes))
                               : backend::kJumpCacheMask;
    std::memcpy(at + 1, &field, sizeof field);
    write_quadword(buffer, start, bytes);
}

void unlink(CodeBuffer& buffer, const LinkSlot& slot) {
    if (slot.epoch != nullptr) patch(buffer, slot.epoch, kUnlinkedEpoch);
    patch(buffer, slot.jump, relative(slot.jump, slot.stub));
}

}  // namespace arclight::jit
