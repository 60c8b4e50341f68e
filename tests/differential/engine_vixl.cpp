// Oracle A: VIXL's simulator. It works on host addresses, so the guest's memory is mapped where the guest has
// it.
#include <unistd.h>
#include <vixl/aarch64/decoder-aarch64.h>
#include <vixl/aarch64/disasm-aarch64.h>
#include <vixl/aarch64/simulator-aarch64.h>

#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <unordered_map>

#include "tests/differential/case.h"

namespace arclight::differential {
namespace {

namespace va64 = vixl::aarch64;

// VIXL aborts the process on what it does not simulate. Nothing of it is used after that but a new Simulator.
sigjmp_buf g_recover;
volatile sig_atomic_t g_signal;
void on_abort(int signal) {
    g_signal = signal;
    siglongjmp(g_recover, 1);
}

class Handlers {
  public:
    Handlers() {
        struct sigaction action {};
        action.sa_handler = on_abort;
        action.sa_flags = SA_NODEFER;
        for (unsigned i = 0; i < 7; ++i) sigaction(kSignals[i], &action, &saved_[i]);
    }
    ~Handlers() {
        for (unsigned i = 0; i < 7; ++i) sigaction(kSignals[i], &saved_[i], nullptr);
    }

  private:
    static constexpr int kSignals[7] = {SIGABRT, SIGSEGV, SIGTRAP, SIGILL, SIGINT, SIGFPE, SIGALRM};
    struct sigaction saved_[7];
};

class VixlEngine final : public Engine {
  public:
    VixlEngine() {
        map_guest_memory();
        sink_ = std::fopen("/dev/null", "w");
        reset();
    }
    ~VixlEngine() override { std::fclose(sink_); }
    const char* name() const override { return "vixl"; }

    std::vector<Outcome> run(const Batch& batch, const std::vector<bool>& wanted) override {
        place_code(batch);
        std::vector<Outcome> out(batch.cases.size());
        const Handlers handlers;
        bool dirty = false;
        for (size_t i = 0; i < out.size(); ++i) {
            if (!wanted[i]) continue;
            if (dirty) restore_arena(batch);
            run_case(batch.cases[i], out[i]);
            out[i].memory = changed_granules(batch.arena, reinterpret_cast<const uint8_t*>(DIFF_ARENA_VA));
            dirty = !out[i].memory.empty();
        }
        return out;
    }

  private:
    void reset() {
        decoder_ = std::make_unique<va64::Decoder>();
        sim_ = std::make_unique<va64::Simulator>(decoder_.get(), sink_);
        sim_->SetCPUFeatures(vixl::CPUFeatures::All());
        sim_->SilenceExclusiveAccessWarning();
    }

    bool is_allocated(uint32_t word) {
        if (allocated_.size() > 100'000) allocated_.clear();
        const auto [it, is_new] = allocated_.try_emplace(word, true);
        if (is_new) it->second = !looks_unallocated(word);
        return it->second;
    }

    void load(const DiffState& s) {
        for (unsigned i = 0; i < 31; ++i)
            sim_->WriteXRegister(i, static_cast<int64_t>(s.x[i]), va64::Simulator::NoRegLog);
        sim_->WriteRegister<uint64_t>(31, s.sp, va64::Simulator::NoRegLog, va64::Reg31IsStackPointer);
        sim_->ReadNzcv().SetRawValue(s.nzcv);
        sim_->ReadFpcr().SetRawValue(s.fpcr);
        for (unsigned i = 0; i < 32; ++i) {
            va64::Simulator::qreg_t q;
            std::memcpy(q.val, s.v[i], 16);
            sim_->WriteQRegister(i, q, va64::Simulator::NoRegLog);
        }
    }

    void save(DiffState& s) {
        for (unsigned i = 0; i < 31; ++i) s.x[i] = static_cast<uint64_t>(sim_->ReadXRegister(i));
        s.sp = sim_->ReadRegister<uint64_t>(31, va64::Reg31IsStackPointer);
        s.pc = reinterpret_cast<uint64_t>(sim_->ReadPc());
        s.nzcv = sim_->ReadNzcv().GetRawValue();
        s.fpcr = sim_->ReadFpcr().GetRawValue();
        for (unsigned i = 0; i < 32; ++i) {
            const va64::Simulator::qreg_t q = sim_->ReadQRegister(i);
            std::memcpy(s.v[i], q.val, 16);
        }
    }

    void run_case(const Case& c, Outcome& out) {
        out.state = c.initial;
        if (sigsetjmp(g_recover, 1) != 0) {
            out.stop = Stop::Broken;
            out.problem = std::string("vixl: ") + strsignal(g_signal);
            alarm(0);
            out.state.pc = reinterpret_cast<uint64_t>(sim_->ReadPc());
            // Leaked on purpose: its destructor may meet the half-done state that the abort left.
            (void)sim_.release();
            (void)decoder_.release();
            reset();
            return;
        }
        alarm(5);
        load(c.initial);
        sim_->WritePc(reinterpret_cast<const va64::Instruction*>(c.code_va()), va64::Simulator::NoBranchLog);
        for (unsigned steps = 0;; ++steps) {
            const uint64_t pc = reinterpret_cast<uint64_t>(sim_->ReadPc());
            if (!c.in_slot(pc) || (c.word_at(pc) & 0xffe0001f) == 0xd4200000) break;
            if (steps == 2'000'000) {
                out.stop = Stop::Limit;
                return;
            }
            // Some words that are not allocated it simulates all the same, or loops for ever in them.
            if (!is_allocated(c.word_at(pc))) {
                out.stop = Stop::Undefined;
                break;
            }
            sim_->ExecuteInstruction();
        }
        alarm(0);
        if (out.stop == Stop::NotRun) out.stop = Stop::End;
        save(out.state);
    }

    FILE* sink_;
    std::unordered_map<uint32_t, bool> allocated_;
    std::unique_ptr<va64::Decoder> decoder_;
    std::unique_ptr<va64::Simulator> sim_;
};

}  // namespace

std::unique_ptr<Engine> make_vixl_engine() { return std::make_unique<VixlEngine>(); }

bool looks_unallocated(uint32_t word) {
    const std::string text = disassemble(word, 0);
    // "unimplemented" is another matter: the cryptographic extension.
    // Reserved sizes of REV16 (vector) look fine to VIXL.
    const bool reserved_rev16 = (word & 0xbf3ffc00) == 0x0e201800 && (word >> 22 & 3) != 0;
    return reserved_rev16 || text.starts_with("unallocated") ||
           (text.find("undefined") != text.npos && !text.starts_with("pmull"));
}

std::string disassemble(uint32_t word, uint64_t pc) {
    static va64::Decoder decoder;
    static va64::Disassembler text;
    static const bool attached = (decoder.AppendVisitor(&text), true);
    (void)attached;
    text.MapCodeAddress(static_cast<int64_t>(pc), reinterpret_cast<const va64::Instruction*>(&word));
    decoder.Decode(reinterpret_cast<const va64::Instruction*>(&word));
    return text.GetOutput();
}

}  // namespace arclight::differential
