#include "tests/frontend/a64/sve/engine.h"

#include <gtest/gtest.h>

#include <cstring>
#include <span>

#include "frontend/a64/scalable/execute.h"
#include "frontend/a64/system/fp_control.h"
#include "frontend/a64/system/translation_flags.h"
#include "frontend/a64/translate/translator.h"
#include "frontend/a64/translation_flags.h"
#include "jit/host_code.h"
#include "jit/ir/ir.h"
#include "jit/memory_semantics.h"
#include "jit/runtime_entries.h"

namespace arclight::frontend::a64::sve_engine {

// ---- Memory

uint8_t* TestMemory::at(uint64_t va) {
    const uint64_t offset = va - sve_test::kMemory;
    return host_.data() +
           (offset < sve_test::kPage ? 2 * sve_test::kPage + offset : offset - sve_test::kPage);
}

void TestMemory::fill(const uint8_t* bytes) {
    for (uint64_t i = 0; i < kPages; ++i)
        std::memcpy(at(sve_test::kMemory + i * sve_test::kPage), bytes + i * sve_test::kPage,
                    sve_test::kPage);
}

void TestMemory::read(uint8_t* bytes) {
    for (uint64_t i = 0; i < kPages; ++i)
        std::memcpy(bytes + i * sve_test::kPage, at(sve_test::kMemory + i * sve_test::kPage),
                    sve_test::kPage);
}

bool TestMemory::move(uint64_t va, size_t bytes, void* value, bool write) {
    for (size_t i = 0; i < bytes; ++i)
        if (va + i - sve_test::kMemory >= sve_test::kMemoryBytes) return fault = va + i, false;
    auto* other = static_cast<uint8_t*>(value);
    for (size_t i = 0; i < bytes; ++i)
        if (write)
            *at(va + i) = other[i];
        else
            other[i] = *at(va + i);
    return true;
}

bool TestMemory::load(uint64_t va, unsigned size, uint64_t& value) {
    return move(va, size_t{1} << size, &value, false);
}

bool TestMemory::store(uint64_t va, unsigned size, uint64_t value) {
    return move(va, size_t{1} << size, &value, true);
}

bool TestMemory::try_load(uint64_t va, unsigned size, uint64_t& value) {
    const bool done = load(va, size, value);
    fault.reset();
    return done;
}

/// Plain loads and stores of predicates. False: it faults.
bool TestMemory::access(jit::GuestState& state, const jit::MemoryAccess& access) {
    std::array<uint8_t, 64> bytes{};
    if (!move(state.access_addr, access.bytes(), bytes.data(), false)) return false;
    jit::perform_access(state, access, bytes.data());
    return !access.writes() || move(state.access_addr, access.bytes(), bytes.data(), true);
}

// ---- The engine

Engine::Engine(FeatureSet features)
    : decoder_(features),
      guest_(std::make_unique<jit::GuestState>()),
      tlb_(std::make_unique<mmu::SoftTlb>()) {
    tlb_->epoch = 1;
    for (uint64_t k = 0; k < mmu::kJumpCacheLines; ++k) tlb_->jump_cache[k] = mmu::JumpCacheEntry::empty(k);
}

uint64_t Engine::run_operation(jit::GuestState& s, uint64_t first, uint64_t second, uint64_t) {
    Engine& e = *static_cast<Engine*>(s.cpu);
    ++e.calls_;
    // What C++ may do to registers that the back end uses.
    if (__builtin_cpu_supports("avx512bw") != 0)
        asm volatile(
            ".irp k, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
            "vpternlogd $255, %zmm\\k, %zmm\\k, %zmm\\k\n"
            ".endr\n"
            ".irp k, 1,2,3,4,5,6,7\n"
            "kxnorq %k\\k, %k\\k, %k\\k\n"
            ".endr");
    scalable::execute(s, &e.memory_, scalable::Operation::unpack(first, second));
    if (e.memory_.fault || e.memory_.is_undefined) s.exit_request = 1;
    return 0;
}

void Engine::memory_slow(jit::GuestState& s, uint64_t descriptor, const void*) {
    Engine& e = *static_cast<Engine*>(s.cpu);
    if (!e.memory_.access(s, jit::MemoryAccess::unpack(descriptor))) s.exit_request = 1;
}

void Engine::run_compiled(const jit::ir::Block& block, Way way) {
    EXPECT_EQ(jit::ir::verify(block), "") << jit::ir::print(block);
    for (unsigned k = 0; k < TestMemory::kPages; ++k) {
        const uint64_t va = sve_test::kMemory + k * sve_test::kPage;
        mmu::TlbEntry& entry = tlb_->entries[mmu::tlb_index(va)] = {};
        if (way == Way::CompiledWithoutTlb) continue;
        entry.read_tag = va;
        if (way == Way::Compiled) entry.write_tag = va;
        entry.addend = reinterpret_cast<uint64_t>(memory_.at(va)) - va;
    }
    code_.reset();
    const jit::CompiledBlock compiled = jit::compile(block, code_, 0);
    ASSERT_EQ(compiled.status, jit::CompileStatus::Ok);
    accelerator_.run(*guest_, compiled.entry);
}

Result Engine::run(const Case& c, std::span<const uint32_t> code, State& s, Way way) {
    std::array<uint8_t, sve_test::kMemoryBytes> bytes;
    sve_test::fill(s, bytes.data(), c);
    memory_.fill(bytes.data());
    memory_.fault.reset();
    memory_.is_undefined = false;

    jit::GuestState& guest = *guest_;
    std::memset(static_cast<void*>(&guest), 0, sizeof guest);
    guest.cpu = this;
    guest.tlb = guest.user_tlb = tlb_.get();
    guest.exclusive_addr = jit::kNoExclusive;
    guest.vector_bytes = c.vector_bytes;
    const auto put = [&](unsigned entry, const void* function) { guest.runtime.entry[entry] = function; };
    for (const Helper helper : {Helper::Scalable, Helper::ScalableMemory})
        put(jit::kFirstHelper + static_cast<unsigned>(helper), reinterpret_cast<const void*>(&run_operation));
    put(jit::kMemorySlow, reinterpret_cast<const void*>(&memory_slow));
    put(jit::kVectorCall, reinterpret_cast<const void*>(&backend::vector_call));
    put(jit::kLookupDirect, reinterpret_cast<const void*>(jit::LookupFn{
                                [](jit::GuestState&, uint64_t) -> const void* { return nullptr; }}));
    std::memcpy(guest.x, s.x, sizeof s.x);
    guest.flags = jit::flags_from_nzcv(static_cast<uint32_t>(s.nzcv));
    reset_fp(guest);
    write_fpcr(guest, static_cast<uint32_t>(s.fpcr));
    std::memcpy(guest.p, s.p, sizeof s.p);
    for (unsigned i = 0; i < 32; ++i) {
        std::memcpy(&guest.v[i], s.z[i], 16);
        std::memcpy(guest.z_upper[i].b + 16, s.z[i] + 16, 48);
    }

    uint32_t flags = translation_flag::vector_length_flags(c.vector_bytes);
    flags |= fp_flags(static_cast<uint32_t>(s.fpcr)) & ~translation_flag::kFpMerges;
    jit::ir::Block block;
    translate_block(block, code, 0x40, flags, static_cast<unsigned>(code.size()), decoder_);
    if (way == Way::Interpreted)
        jit::ir::Interpreter(guest, memory_).run(block);
    else
        run_compiled(block, way);
    if (guest.exit_reason == jit::ExitReason::Undefined || memory_.is_undefined) return {1, 0};
    if (memory_.fault) return {2, *memory_.fault / sve_test::kPage};
    std::memcpy(s.x, guest.x, sizeof s.x);
    s.nzcv = jit::nzcv_from_flags(guest.flags);
    s.fpsr = read_fpsr(guest);
    std::memcpy(s.p, guest.p, sizeof s.p);
    for (unsigned i = 0; i < 32; ++i) {
        std::memcpy(s.z[i], &guest.v[i], 16);
        std::memcpy(s.z[i] + 16, guest.z_upper[i].b + 16, 48);
    }
    memory_.read(bytes.data());
    return {0, sve_test::sum_of(s, bytes.data(), c)};
}

}  // namespace arclight::frontend::a64::sve_engine
