// Emitted code against the IR's interpreter.
#pragma once

#include "jit/ir/interpreter.h"
#include "tests/backend/harness.h"

namespace arclight::backend::testing {

/// The harness' memory, whose accesses fault outside of it.
class HarnessMemory : public ir::InterpreterMemory {
  public:
    explicit HarnessMemory(Memory& memory) : memory_(memory) {}
    bool access(GuestState& state, const MemoryAccess& access) override {
        if (perform(state, access, memory_)) return true;
        state.exit_reason = jit::ExitReason::Exception;
        state.pc = state.page_base + state.insn_offset;
        return false;
    }

  private:
    Memory& memory_;
};

/// Sets the guest up, runs `block` both ways from the same state and compares everything a guest can see.
class Comparison {
  public:
    explicit Comparison(Harness& h) : h_(h) {}

    /// Empty if emitted code and the interpreter agree.
    std::string run(const ir::Block& block) {
        const CompiledBlock compiled = h_.compile(block);
        if (!compiled) return "not compiled\n" + ir::print(block);
        return run(block, compiled);
    }

    std::string run(const ir::Block& block, const CompiledBlock& compiled) {
        GuestState& s = h_.state();
        std::memset(s.z_upper, 0xa5, sizeof s.z_upper);
        auto before = std::make_unique<GuestState>();
        auto model = std::make_unique<Memory>();
        copy(*before, s);
        std::memcpy(model->bytes, h_.memory.bytes, sizeof model->bytes);
        auto expected = std::make_unique<GuestState>();
        copy(*expected, s);
        expected->page_base = s.pc & mmu::kPageMask;
        HarnessMemory memory(*model);
        ir::Interpreter(*expected, memory).run(block);
        h_.run(compiled);

        std::string wrong;
        const auto check = [&](const std::string& what, uint64_t want, uint64_t got) {
            if (want != got) wrong += what + ": expected " + hex(want) + ", is " + hex(got) + "\n";
        };
        for (unsigned k = 0; k < 31; ++k) check("x" + std::to_string(k), expected->x[k], s.x[k]);
        check("sp", expected->sp, s.sp);
        check("nzcv", jit::nzcv_from_flags(expected->flags), jit::nzcv_from_flags(s.flags));
        for (unsigned k = 0; k < 32; ++k)
            for (unsigned d = 0; d < 2; ++d)
                check("v" + std::to_string(k) + "." + std::to_string(d), expected->v[k].d[d], s.v[k].d[d]);
        check("pc", expected->pc, s.pc);
        check("reason", static_cast<uint64_t>(expected->exit_reason), static_cast<uint64_t>(s.exit_reason));
        check("monitor", expected->exclusive_addr, s.exclusive_addr);
        check("tpidr", expected->tpidr_el0, s.tpidr_el0);
        check("above v", 0,
              static_cast<uint64_t>(std::memcmp(expected->z_upper, s.z_upper, sizeof s.z_upper) != 0));
        check("memory", 0,
              static_cast<uint64_t>(std::memcmp(model->bytes, h_.memory.bytes, sizeof model->bytes) != 0));
        if (!wrong.empty()) wrong += ir::print(block) + h_.listing(compiled) + initial(*before);
        return wrong;
    }

    static void copy(GuestState& to, const GuestState& from) {
        std::memcpy(static_cast<void*>(&to), static_cast<const void*>(&from), sizeof to);
    }
    static std::string hex(uint64_t v) {
        char text[20];
        std::snprintf(text, sizeof text, "%#llx", static_cast<unsigned long long>(v));
        return text;
    }

  private:
    static std::string initial(const GuestState& s) {
        std::string text = "initially nzcv=" + hex(jit::nzcv_from_flags(s.flags)) + " sp=" + hex(s.sp);
        for (unsigned k = 0; k < 31; ++k) text += " x" + std::to_string(k) + "=" + hex(s.x[k]);
        return text + "\n";
    }
    Harness& h_;
};

}  // namespace arclight::backend::testing
