// What translated code does to a piece of memory, instruction by instruction: it is executed in single steps (the
// host's trap flag), and each instruction's operands are decoded before it runs. So the order of the code's
// accesses is known on any host, where running threads against each other shows a wrong one by luck only.
#pragma once

#include <Zydis/Zydis.h>
#include <signal.h>
#include <ucontext.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace arclight::jit::testing {

/// An access to the piece of memory, or a fence of the host's.
struct TracedAccess {
    uint64_t offset;  ///< from the memory's start
    uint32_t bytes;   ///< 0: MFENCE
    bool reads, writes;
    bool locked;  ///< with a lock prefix, or XCHG
    /// No later load of this thread is executed before an earlier store has become visible.
    bool orders_stores_before_loads() const { return locked || bytes == 0; }
};

/// One at a time. Not under another user of the trap flag, such as a debugger that steps.
class AccessTrace {
  public:
    explicit AccessTrace(std::span<const std::byte> memory) : memory_(memory) {
        ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
        current() = this;
        struct sigaction action {};
        action.sa_sigaction = on_trap;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGTRAP, &action, &old_);
    }
    ~AccessTrace() {
        sigaction(SIGTRAP, &old_, nullptr);
        current() = nullptr;
    }
    AccessTrace(const AccessTrace&) = delete;
    AccessTrace& operator=(const AccessTrace&) = delete;

    /// What `f` does is traced; what was traced before is forgotten.
    template <typename F>
    void record(F&& f) {
        count_ = 0;
        stepping_ = true;
        raise(SIGTRAP);
        f();
        stepping_ = false;
        raise(SIGTRAP);
    }
    std::span<const TracedAccess> accesses() const { return {accesses_.data(), count_}; }
    bool overflowed() const { return count_ == accesses_.size(); }

  private:
    static AccessTrace*& current() {
        static AccessTrace* it = nullptr;
        return it;
    }
    static void on_trap(int, siginfo_t*, void* context) {
        constexpr greg_t kTrapFlag = 0x100;
        AccessTrace& self = *current();
        greg_t* const r = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
        if (!self.stepping_) {
            r[REG_EFL] &= ~kTrapFlag;
            return;
        }
        r[REG_EFL] |= kTrapFlag;
        self.decode(r);
    }
    /// The instruction that is executed next.
    void decode(const greg_t* r) {
        const auto pc = static_cast<uint64_t>(r[REG_RIP]);
        ZydisDecodedInstruction insn;
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder_, reinterpret_cast<const void*>(pc),
                                                 ZYDIS_MAX_INSTRUCTION_LENGTH, &insn, operands)))
            return;
        if (insn.mnemonic == ZYDIS_MNEMONIC_MFENCE) return add({0, 0, false, false, false});
        ZydisRegisterContext registers{};
        constexpr int kOrder[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
        for (int k = 0; k < 16; ++k)
            registers.values[ZYDIS_REGISTER_RAX + k] = static_cast<uint64_t>(r[kOrder[k]]);
        registers.values[ZYDIS_REGISTER_RIP] = pc;
        const bool locked = (insn.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0;
        bool in_memory = false;
        for (unsigned k = 0; k < insn.operand_count; ++k) {
            const ZydisDecodedOperand& op = operands[k];
            if (op.type != ZYDIS_OPERAND_TYPE_MEMORY || op.mem.type != ZYDIS_MEMOP_TYPE_MEM) continue;
            uint64_t address = 0;
            if (op.mem.segment == ZYDIS_REGISTER_FS || op.mem.segment == ZYDIS_REGISTER_GS ||
                !ZYAN_SUCCESS(ZydisCalcAbsoluteAddressEx(&insn, &op, pc, &registers, &address)))
                continue;
            const uint64_t offset = address - reinterpret_cast<uint64_t>(memory_.data());
            if (offset >= memory_.size()) continue;
            in_memory = true;
            add({offset, op.size / 8u, (op.actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0,
                 (op.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0,
                 locked || insn.mnemonic == ZYDIS_MNEMONIC_XCHG});
        }
        if (locked && !in_memory) add({0, 0, false, false, false});  // as good as MFENCE
    }
    void add(const TracedAccess& access) {
        const size_t n = count_;
        if (n == accesses_.size()) return;
        accesses_[n] = access;
        count_ = n + 1;
    }

    const std::span<const std::byte> memory_;
    ZydisDecoder decoder_;
    struct sigaction old_ {};
    volatile bool stepping_ = false;
    std::array<TracedAccess, 4096> accesses_;
    volatile size_t count_ = 0;
};

}  // namespace arclight::jit::testing
