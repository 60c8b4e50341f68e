#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "backend/x64/block_compiler.h"
#include "backend/x64/exit_emitter.h"
#include "backend/x64/stub_emitter.h"

namespace arclight::jit {

namespace {
#ifdef __SANITIZE_THREAD__
// ThreadSanitizer leaves programs a few ranges of addresses, and turns a request for another one into one for
// address 0.
constexpr uint64_t kAddress = 0x10'0000'0000;
#else
constexpr uint64_t kAddress = CodeBuffer::kPreferredAddress;
#endif
}  // namespace

CodeBuffer::CodeBuffer(size_t size) : size_(size) {
    constexpr int kProtection = PROT_READ | PROT_WRITE | PROT_EXEC;
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    // Several buffers in one process (tests) cannot all be at the preferred address.
    constexpr size_t kMinForRegions = size_t{96} << 20;
    range_log2_ =
        static_cast<unsigned>(std::bit_width(size + kCounters * sizeof(uint32_t) + kMinForRegions - 1));
    const size_t mapped = size_t{1} << range_log2_;
    void* p =
        mmap(reinterpret_cast<void*>(kAddress), mapped, kProtection, kFlags | MAP_FIXED_NOREPLACE, -1, 0);
    if (p == MAP_FAILED) p = mmap(nullptr, mapped, kProtection, kFlags, -1, 0);
    if (p == MAP_FAILED)
        throw std::system_error(errno, std::generic_category(), "cannot map memory for translated code");
    base_ = static_cast<uint8_t*>(p);
    assembler_.reset(new Assembler{.cursor = {}, .compiler = {*this, size}});
    stubs_ = assembler_->compiler.emit_stubs(assembler_->cursor);
    reset();
}

CodeBuffer::~CodeBuffer() { munmap(base_, size_t{1} << range_log2_); }

void CodeBuffer::reset() {
    assembler_->cursor.hot = assembler_->cursor.first_hot;
    assembler_->cursor.cold = size_ / 2;
}

size_t CodeBuffer::hot_used() const { return assembler_->cursor.hot; }
size_t CodeBuffer::cold_used() const { return assembler_->cursor.cold - size_ / 2; }

CompiledBlock compile(const ir::Block& block, CodeBuffer& buffer, uint32_t first_link_slot,
                      uint32_t counter) {
    CodeBuffer::Assembler& a = buffer.assembler();
    return a.compiler.compile(block, a.cursor, first_link_slot, counter);
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
void patch(uint8_t* field, uint32_t value) {
    asm volatile("movl %1, (%0)" : : "r"(field), "r"(value) : "memory");
}
uint32_t relative(const uint8_t* field, const void* target) {
    return static_cast<uint32_t>(static_cast<const uint8_t*>(target) - (field + 4));
}

/// The counter's instruction is seven bytes at an aligned address, so that a thread is before it or behind
/// it.
constexpr size_t kCounterBytes = 7, kJumpBytes = 5;
void write_entry(const CompiledBlock& block, const uint8_t (&bytes)[kCounterBytes]) {
    uint64_t word;
    std::memcpy(&word, block.entry, sizeof word);
    std::memcpy(&word, bytes, kCounterBytes);
    std::atomic_ref(*reinterpret_cast<uint64_t*>(const_cast<uint8_t*>(block.entry))).store(word);
}
}  // namespace

void patch_entry(const CompiledBlock& block, const uint8_t* stub) {
    uint8_t bytes[kCounterBytes];
    std::memcpy(bytes, block.entry, kCounterBytes);
    bytes[0] = 0xe9;
    const uint32_t to = static_cast<uint32_t>(stub - (block.entry + kJumpBytes));
    std::memcpy(bytes + 1, &to, sizeof to);
    write_entry(block, bytes);
}

void unpatch_entry(const CompiledBlock& block, const CodeBuffer& buffer, uint32_t counter) {
    uint8_t bytes[kCounterBytes] = {0x83, 0x2d, 0, 0, 0, 0, 1};  // sub dword [rip + to], 1
    const auto* where = reinterpret_cast<const uint8_t*>(buffer.counters() + counter);
    const uint32_t to = static_cast<uint32_t>(where - (block.entry + kCounterBytes));
    std::memcpy(bytes + 2, &to, sizeof to);
    write_entry(block, bytes);
}

void link(const LinkSlot& slot, const void* target, uint32_t epoch) {
    patch(slot.jump, relative(slot.jump, target));
    if (slot.epoch != nullptr) patch(slot.epoch, epoch);
}

void redirect(const LinkSlot& slot, const void* code) { patch(slot.jump, relative(slot.jump, code)); }

void sample(const CompiledBlock& block, const uint8_t* sampler) {
    // As write_entry(); there are other instructions in the quadword.
    auto* start = reinterpret_cast<uint8_t*>(reinterpret_cast<uintptr_t>(block.indirect) & ~uintptr_t{7});
    uint8_t bytes[8];
    std::memcpy(bytes, start, sizeof bytes);
    constexpr uint8_t kAndEax = 0x25, kJump = 0xe9;
    uint8_t* at = bytes + (block.indirect - start);
    at[0] = sampler != nullptr ? kJump : kAndEax;
    const uint32_t field =
        sampler != nullptr
            ? static_cast<uint32_t>(sampler - (block.indirect + backend::kIndirectBytes))
            : static_cast<uint32_t>((mmu::kJumpCacheEntries - 1) * sizeof(mmu::JumpCacheEntry));
    std::memcpy(at + 1, &field, sizeof field);
    uint64_t word;
    std::memcpy(&word, bytes, sizeof word);
    std::atomic_ref(*reinterpret_cast<uint64_t*>(start)).store(word);
}

void unlink(const LinkSlot& slot) {
    if (slot.epoch != nullptr) patch(slot.epoch, kUnlinkedEpoch);
    patch(slot.jump, relative(slot.jump, slot.stub));
}

}  // namespace arclight::jit
