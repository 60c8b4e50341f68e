// Runs a case here: its block in the interpreter, where operations on scalable vectors are calls of the runtime, or compiled, where
// the back end does what it can itself.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "backend/process_accelerator.h"
#include "frontend/a64/cpu_features.h"
#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/scalable/memory.h"
#include "jit/ir/interpreter.h"
#include "tests/frontend/a64/sve/case.h"

namespace arclight::frontend::a64::sve_engine {

using sve_test::Case;
using sve_test::Result;
using sve_test::State;

/// Two pages between others that are not there. In the host they lie in the other order, with a gap.
class TestMemory : public scalable::Memory, public jit::ir::InterpreterMemory {
  public:
    std::optional<uint64_t> fault;
    bool is_undefined = false;

    static constexpr unsigned kPages = sve_test::kMemoryBytes / sve_test::kPage;
    uint8_t* at(uint64_t va);
    void fill(const uint8_t* bytes);
    void read(uint8_t* bytes);
    bool load(uint64_t va, unsigned size, uint64_t& value) override;
    bool store(uint64_t va, unsigned size, uint64_t value) override;
    bool try_load(uint64_t va, unsigned size, uint64_t& value) override;
    void undefined() override { is_undefined = true; }
    bool access(jit::GuestState& state, const jit::MemoryAccess& access) override;

  private:
    bool move(uint64_t va, size_t bytes, void* value, bool write);
    alignas(sve_test::kPage) std::array<uint8_t, 3 * sve_test::kPage> host_{};
};

enum class Way {
    Interpreted,
    Compiled,           ///< the soft TLB knows both pages
    CompiledReadOnly,   ///< for reads alone, as where a page is watched or holds code
    CompiledWithoutTlb  ///< none
};

class Engine {
  public:
    explicit Engine(FeatureSet features);
    /// The case's instruction, in the state that it begins with; `state` is then what it ends with.
    Result run(const Case& c, State& state, Way way) { return run(c, std::span(&c.insn, 1), state, way); }
    /// The same of these instructions, as one block.
    Result run(const Case& c, std::span<const uint32_t> code, State& state, Way way);
    /// Calls of scalable operations in C++ so far.
    uint64_t calls() const { return calls_; }

  private:
    static uint64_t run_operation(jit::GuestState& s, uint64_t first, uint64_t second, uint64_t);
    static void memory_slow(jit::GuestState& s, uint64_t descriptor, const void* host_pc);
    void run_compiled(const jit::ir::Block& block, Way way);

    const Decoder decoder_;
    TestMemory memory_;
    std::unique_ptr<jit::GuestState> guest_;
    std::unique_ptr<mmu::SoftTlb> tlb_;
    jit::CodeBuffer code_{size_t{4} << 20};
    backend::ProcessAccelerator accelerator_{code_};
    uint64_t calls_ = 0;
};

}  // namespace arclight::frontend::a64::sve_engine
