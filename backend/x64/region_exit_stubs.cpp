// The exit stubs of compiled regions: stores of guest registers from where LLVM left their values.
#include <xbyak/xbyak.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <map>
#include <stdexcept>
#include <tuple>

#include "jit/guest_state.h"
#include "jit/region_exit_code.h"

namespace arclight::jit {

using namespace Xbyak::util;
using Xbyak::Reg64;
using Xbyak::Xmm;

namespace {

[[noreturn]] void refuse(const char* why) {
    throw std::runtime_error(std::string("LLVM's object file: ") + why);
}

/// Where a value is.
struct HostLocation {
    enum Kind : uint8_t { Gpr, Vector, Stack, Constant } kind = Constant;
    uint8_t reg = 0;    ///< the hardware's number; Stack: the base
    int64_t value = 0;  ///< Constant; Stack: the displacement
    auto operator<=>(const HostLocation&) const = default;
};

/// DWARF's register numbers (System V ABI, AMD64 supplement, figure 3.36) to the hardware's.
constexpr uint8_t kGprOfDwarf[16] = {0, 2, 1, 3, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr unsigned kFirstVectorOfDwarf = 17, kFirstHighVectorOfDwarf = 67;

HostLocation host_location(const ValueLocation& l) {
    const unsigned dwarf = l.dwarf_register;
    const auto gpr = [&] {
        if (dwarf >= 16) refuse("a register that is not expected");
        return kGprOfDwarf[dwarf];
    };
    switch (l.kind) {
        case ValueLocation::Register:
            if (dwarf >= kFirstVectorOfDwarf && dwarf < kFirstVectorOfDwarf + 16)
                return {HostLocation::Vector, static_cast<uint8_t>(dwarf - kFirstVectorOfDwarf)};
            if (dwarf >= kFirstHighVectorOfDwarf && dwarf < kFirstHighVectorOfDwarf + 16)
                return {HostLocation::Vector, static_cast<uint8_t>(dwarf - kFirstHighVectorOfDwarf + 16)};
            return {HostLocation::Gpr, gpr()};
        case ValueLocation::Stack: {
            const uint8_t base = gpr();
            if (base != Xbyak::Operand::RSP && base != Xbyak::Operand::RBP)
                refuse("a frame that is not expected");
            return {HostLocation::Stack, base, l.value};
        }
        case ValueLocation::Constant: break;
    }
    return {HostLocation::Constant, 0, l.value};
}

/// One step of an exit stub. Stubs with the same last steps share the code of these.
struct Step {
    /// Zero: rax, for Clear, which clears the upper half of a vector register.
    enum Kind : uint8_t { Store, Copy, Flags, Zero, Clear, Finish } kind;
    uint8_t state;  ///< the register that holds GuestState's address
    uint8_t slot = 0;
    bool low = false;  ///< only the lower half of a vector register
    FlagsAtExit flags = FlagsAtExit::Clean;
    bool pc_known = false;
    HostLocation a{}, b{}, c{};
    auto operator<=>(const Step&) const = default;
};

constexpr uint8_t kPcSlot = 65;

/// Holds no value of an exit once the stub has stored the values that were in registers.
constexpr unsigned kScratch =
    1u << Xbyak::Operand::RAX | 1u << Xbyak::Operand::RCX | 1u << Xbyak::Operand::RDX;

class StubWriter : public Xbyak::CodeGenerator {
  public:
    StubWriter(size_t size, void* buffer) : CodeGenerator(size, buffer) {}

    /// Writes the stub of `exit`; returns its offset in the code.
    size_t write(const RegionExit& exit, const std::vector<HostLocation>& locations) {
        const size_t start = getSize();
        pushed_ = 0;
        unsigned busy = 1u << Xbyak::Operand::RSP;  // registers that locations name
        for (const HostLocation& p : locations)
            if (p.kind == HostLocation::Gpr || p.kind == HostLocation::Stack) busy |= 1u << p.reg;

        std::vector<HostLocation> at = locations;
        HostLocation& state_at = at[0];
        if (state_at.kind != HostLocation::Gpr) {
            unsigned r = static_cast<unsigned>(std::countr_one(busy));
            if (r >= 16) {
                // All are in use: one is pushed.
                r = Xbyak::Operand::RBX;
                push(Reg64(static_cast<int>(r)));
                pushed_ += 8;
                for (HostLocation& p : at)
                    if (p == HostLocation{HostLocation::Gpr, static_cast<uint8_t>(r)})
                        p = {HostLocation::Stack, Xbyak::Operand::RSP, -8};
            }
            load(Reg64(static_cast<int>(r)), state_at);
            state_at = {HostLocation::Gpr, static_cast<uint8_t>(r)};
        }
        if (exit.pc_known) {
            push(static_cast<uint32_t>(exit.offset));
            pushed_ += 8;
        }
        const uint8_t state = state_at.reg;
        std::vector<Step> registers, copies;
        const auto put = [&](uint8_t slot, const HostLocation& p) {
            if (p.kind == (is_vector(slot) ? HostLocation::Gpr : HostLocation::Vector))
                refuse("a value in a wrong register");
            const bool low = is_vector(slot) && (exit.low >> (slot - 32) & 1) != 0;
            const bool in_register = p.kind == HostLocation::Gpr || p.kind == HostLocation::Vector;
            (in_register ? registers : copies)
                .push_back({.kind = in_register ? Step::Store : Step::Copy,
                            .state = state,
                            .slot = slot,
                            .low = low,
                            .a = p});
        };
        size_t next = 1;
        const auto operand = [&]() -> const HostLocation& {
            if (next == at.size()) refuse("a statepoint with other operands");
            return at[next++];
        };
        for (const uint8_t slot : exit.slots) put(slot, operand());
        std::vector<Step> steps;
        if (exit.flags != FlagsAtExit::Clean) {
            Step s{.kind = Step::Flags, .state = state, .flags = exit.flags};
            s.a = operand();
            if (exit.flags == FlagsAtExit::Dynamic) s.c = s.a, s.a = operand();
            const bool one = exit.flags == FlagsAtExit::Packed || exit.flags == FlagsAtExit::Logic32 ||
                             exit.flags == FlagsAtExit::Logic64;
            if (!one) s.b = operand();
            steps.push_back(s);
        }
        if (!exit.pc_known) put(kPcSlot, operand());
        if (next != at.size()) refuse("a statepoint with other operands");
        // The state's register must not be one that the later steps use.
        uint8_t later = state;
        if ((kScratch >> state & 1) != 0) {
            unsigned taken = busy | kScratch | 1u << Xbyak::Operand::RBP;
            taken = std::countr_one(taken) >= 16 ? flag_registers(steps) | kScratch |
                                                       1u << Xbyak::Operand::RSP | 1u << Xbyak::Operand::RBP
                                                 : taken;
            later = static_cast<uint8_t>(std::countr_one(taken));
        }
        steps.insert(steps.begin(), registers.begin(), registers.end());
        steps.insert(steps.end(), copies.begin(), copies.end());
        // Last, as most exits have these in common.
        if (exit.clear != 0) steps.push_back({.kind = Step::Zero, .state = state});
        for (unsigned rest = exit.clear; rest != 0; rest &= rest - 1)
            steps.push_back({.kind = Step::Clear,
                             .state = state,
                             .slot = static_cast<uint8_t>(32 + std::countr_zero(rest))});
        steps.push_back({.kind = Step::Finish, .state = state, .pc_known = exit.pc_known});
        for (size_t k = registers.size(); k < steps.size(); ++k) steps[k].state = later;
        move_at_ = registers.size();
        move_from_ = state;
        write(steps);
        return start;
    }

    /// Writes the subroutine that the stubs share.
    void finish() {
        if (!pack_used_) return;
        align(16);
        L(pack_);
        pack_dynamic();
    }

  private:
    static unsigned flag_registers(const std::vector<Step>& steps) {
        unsigned r = 0;
        for (const Step& s : steps)
            for (const HostLocation& p : {s.a, s.b, s.c})
                if (p.kind == HostLocation::Gpr || p.kind == HostLocation::Stack) r |= 1u << p.reg;
        return r;
    }

    /// Jumps to the rest of the steps where that has been written before.
    void write(const std::vector<Step>& steps) {
        std::vector<unsigned> suffix(steps.size() + 1);
        for (size_t k = steps.size(); k-- > 0;) {
            const auto key = std::tuple(steps[k], suffix[k + 1], pushed_);
            suffix[k] = suffixes_.try_emplace(key, static_cast<unsigned>(suffixes_.size() + 1)).first->second;
        }
        for (size_t k = 0; k < steps.size(); ++k) {
            const bool moves = k == move_at_ && steps[k].state != move_from_;
            if (moves) mov(Reg64(steps[k].state), Reg64(move_from_));
            const auto [it, is_new] = written_.try_emplace(suffix[k], getSize());
            if (!is_new) {
                jmp(getCode() + it->second);
                return;
            }
            do_step(steps[k]);
        }
    }

    void do_step(const Step& s) {
        switch (s.kind) {
            case Step::Store:
                if (s.a.kind == HostLocation::Gpr) {
                    mov(field(s.state, s.slot), Reg64(s.a.reg));
                } else if (s.low) {
                    vmovsd(field(s.state, s.slot), Xmm(s.a.reg));
                } else {
                    vmovaps(ptr[Reg64(s.state) + offset_of(s.slot)], Xmm(s.a.reg));
                }
                return;
            case Step::Copy: copy(s); return;
            case Step::Flags: flags(s); return;
            case Step::Zero: xor_(eax, eax); return;
            case Step::Clear: mov(qword[Reg64(s.state) + offset_of(s.slot) + 8], rax); return;
            case Step::Finish:
                if (s.pc_known) {
                    pop(rax);
                    add(rax, qword[Reg64(s.state) + static_cast<int>(offsetof(GuestState, page_base))]);
                } else {
                    mov(rax, field(s.state, kPcSlot));
                }
                // As a region's return, whatever is on its stack. No register is preserved.
                mov(rsp, qword[Reg64(s.state) + static_cast<int>(offsetof(GuestState, saved_rsp))]);
                lea(rbp, ptr[Reg64(s.state) + kStateBias]);
                sub(rsp, 8);
                ret();
                return;
        }
    }

    static int offset_of(unsigned slot) {
        if (slot == kPcSlot) return static_cast<int>(offsetof(GuestState, pc));
        return static_cast<int>(slot < 32 ? offsetof(GuestState, x) + 8 * slot
                                          : offsetof(GuestState, v) + 16 * (slot - 32));
    }
    Xbyak::Address field(unsigned state, unsigned slot) const {
        return qword[Reg64(static_cast<int>(state)) + offset_of(slot)];
    }
    static bool is_vector(unsigned slot) { return slot >= 32 && slot < 64; }

    Xbyak::RegExp stack(const HostLocation& p) const {
        const bool moved = p.reg == Xbyak::Operand::RSP;
        return Reg64(p.reg) + static_cast<int>(p.value + (moved ? pushed_ : 0));
    }
    void load(const Reg64& to, const HostLocation& p) {
        switch (p.kind) {
            case HostLocation::Gpr:
                if (p.reg != to.getIdx()) mov(to, Reg64(p.reg));
                return;
            case HostLocation::Stack: mov(to, qword[stack(p)]); return;
            case HostLocation::Constant: mov(to, p.value); return;
            case HostLocation::Vector: vmovq(to, Xmm(p.reg)); return;  // operands of the flags
        }
    }

    void copy(const Step& s) {
        if (is_vector(s.slot) && !s.low) {
            if (s.a.kind == HostLocation::Stack) {
                vmovups(xmm0, ptr[stack(s.a)]);
            } else {
                vxorps(xmm0, xmm0,
                       xmm0);  // a vector is a constant only if it is undefined: any value will do
            }
            vmovaps(ptr[Reg64(s.state) + offset_of(s.slot)], xmm0);
            return;
        }
        if (s.a.kind == HostLocation::Constant && s.a.value == static_cast<int32_t>(s.a.value)) {
            mov(field(s.state, s.slot), static_cast<uint64_t>(s.a.value));
            return;
        }
        load(rax, s.a);
        mov(field(s.state, s.slot), rax);
    }

    void store_flags(unsigned state) {
        mov(word[Reg64(static_cast<int>(state)) + static_cast<int>(offsetof(GuestState, flags))], ax);
    }
    void load_both(const Step& s) {
        const bool second_in_first = s.b == HostLocation{HostLocation::Gpr, Xbyak::Operand::RCX};
        if (second_in_first && s.a == HostLocation{HostLocation::Gpr, Xbyak::Operand::RDX}) {
            xchg(rcx, rdx);
            return;
        }
        if (second_in_first) mov(rdx, rcx);
        load(rcx, s.a);
        if (!second_in_first) load(rdx, s.b);
    }

    void flags(const Step& s) {
        if (s.flags == FlagsAtExit::Packed) {
            load(rax, s.a);
            store_flags(s.state);
            return;
        }
        if (s.flags == FlagsAtExit::Dynamic) {
            switch (s.c.kind) {
                case HostLocation::Gpr: push(Reg64(s.c.reg)); break;
                case HostLocation::Constant: push(static_cast<uint32_t>(s.c.value)); break;
                default: push(qword[stack(s.c)]); break;
            }
            pushed_ += 8;
            load_both(s);
            pop(rax);
            pushed_ -= 8;
            pack_used_ = true;
            call(pack_);
            store_flags(s.state);
            return;
        }
        load_both(s);
        pack(s.flags);
        store_flags(s.state);
    }
    /// ax, from rcx and rdx (see GuestState::flags). The comparison of numbers may raise again what the
    /// guest's has raised, nothing else.
    void pack(FlagsAtExit kind) {
        switch (kind) {
            case FlagsAtExit::Add32: add(ecx, edx); break;
            case FlagsAtExit::Add64: add(rcx, rdx); break;
            case FlagsAtExit::Sub32: cmp(ecx, edx); break;
            case FlagsAtExit::Sub64: cmp(rcx, rdx); break;
            case FlagsAtExit::Logic32: test(ecx, ecx); break;
            case FlagsAtExit::Logic64: test(rcx, rcx); break;
            case FlagsAtExit::FCmp32:
            case FlagsAtExit::FCmp64: compare_numbers(kind == FlagsAtExit::FCmp64); return;
            default: break;
        }
        if (kind == FlagsAtExit::Sub32 || kind == FlagsAtExit::Sub64) cmc();
        lahf();
        seto(al);
    }
    void compare_numbers(bool wide) {
        if (wide) {
            vmovq(xmm0, rcx);
            vmovq(xmm1, rdx);
            vucomisd(xmm0, xmm1);
        } else {
            vmovd(xmm0, ecx);
            vmovd(xmm1, edx);
            vucomiss(xmm0, xmm1);
        }
        Xbyak::Label done;
        mov(eax, 1u << kFlagCBit | 1u << kFlagVBit);
        jp(done);
        mov(eax, 1u << kFlagZBit | 1u << kFlagCBit);
        je(done);
        mov(eax, 1u << kFlagNBit);
        jb(done);
        mov(eax, 1u << kFlagCBit);
        L(done);
    }
    /// The kind is in eax.
    void pack_dynamic() {
        for (unsigned k = 1; k <= static_cast<unsigned>(FlagsAtExit::FCmp64); ++k) {
            Xbyak::Label next;
            cmp(eax, k);
            jne(next);
            pack(static_cast<FlagsAtExit>(k));
            ret();
            L(next);
        }
        mov(eax, ecx);
        ret();
    }

    int64_t pushed_ = 0;
    size_t move_at_ = 0;
    uint8_t move_from_ = 0;
    bool pack_used_ = false;
    Xbyak::Label pack_;
    std::map<std::tuple<Step, unsigned, int64_t>, unsigned> suffixes_;
    std::map<unsigned, size_t> written_;
};

/// Bytes that the stubs take at most.
size_t room_for(std::span<const RegionExitSite> sites) {
    constexpr size_t kPerLocation = 30, kPerSite = 200, kShared = 1024;
    size_t n = kShared;
    for (const RegionExitSite& site : sites) n += kPerSite + kPerLocation * site.locations.size();
    return n;
}
}  // namespace

std::string write_region_exits(std::span<const uint8_t> text, std::span<const RegionExit> exits,
                               std::span<const RegionExitSite> sites) {
    constexpr size_t kAlignment = 16;
    const size_t first = (text.size() + kAlignment - 1) & ~(kAlignment - 1);
    std::string code(first + room_for(sites), '\xcc');
    std::memcpy(code.data(), text.data(), text.size());
    StubWriter writer(code.size() - first, code.data() + first);
    std::vector<HostLocation> locations;
    for (const RegionExitSite& site : sites) {
        locations.clear();
        std::ranges::transform(site.locations, std::back_inserter(locations), host_location);
        const size_t to = first + writer.write(exits[site.exit], locations);
        // LLVM leaves one NOPL of that length, with some displacement.
        constexpr char kNop[] = {0x0f, 0x1f, 0x44, 0x00};
        if (site.end < kExitSiteBytes || site.end > text.size() ||
            std::memcmp(code.data() + site.end - kExitSiteBytes, kNop, sizeof kNop) != 0)
            refuse("no room for a jump");
        constexpr char kJmp = static_cast<char>(0xe9);
        code[site.end - kExitSiteBytes] = kJmp;
        const auto distance = static_cast<int32_t>(to - site.end);
        std::memcpy(code.data() + site.end - sizeof distance, &distance, sizeof distance);
    }
    writer.finish();
    code.resize((first + writer.getSize() + 7) & ~size_t{7});
    return code;
}

}  // namespace arclight::jit
