#include "jit/llvm/ways_out.h"

#include <llvm/Object/ELF.h>
#include <llvm/Object/StackMapParser.h>
#include <xbyak/xbyak.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <stdexcept>
#include <tuple>

#include "jit/guest_state.h"

namespace arclight::jit::tier2 {

using namespace Xbyak::util;
using Xbyak::Reg64;
using Xbyak::Xmm;

namespace {
using Elf = llvm::object::ELFFile<llvm::object::ELF64LE>;
using Section = llvm::object::ELF64LE::Shdr;
using StackMaps = llvm::StackMapParser<llvm::endianness::little>;

[[noreturn]] void refuse(const char* why) {
    throw std::runtime_error(std::string("LLVM's object file: ") + why);
}

/// Where a value is.
struct Place {
    enum Kind : uint8_t { Gpr, Vector, Stack, Constant } kind = Constant;
    uint8_t reg = 0;    ///< Stack: the base
    int64_t value = 0;  ///< Constant; Stack: the displacement
    auto operator<=>(const Place&) const = default;
};

/// DWARF's numbers (System V ABI, AMD64 supplement, figure 3.36) to x86's.
constexpr uint8_t kGprOfDwarf[16] = {0, 2, 1, 3, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr unsigned kFirstVectorOfDwarf = 17, kFirstHighVectorOfDwarf = 67;

Place place_of(const StackMaps& maps, const StackMaps::LocationAccessor& l) {
    using Kind = StackMaps::LocationKind;
    const auto gpr = [](unsigned dwarf) {
        if (dwarf >= 16) refuse("a register that is not expected");
        return kGprOfDwarf[dwarf];
    };
    switch (l.getKind()) {
        case Kind::Register: {
            const unsigned dwarf = l.getDwarfRegNum();
            if (dwarf >= kFirstVectorOfDwarf && dwarf < kFirstVectorOfDwarf + 16)
                return {Place::Vector, static_cast<uint8_t>(dwarf - kFirstVectorOfDwarf)};
            if (dwarf >= kFirstHighVectorOfDwarf && dwarf < kFirstHighVectorOfDwarf + 16)
                return {Place::Vector, static_cast<uint8_t>(dwarf - kFirstHighVectorOfDwarf + 16)};
            return {Place::Gpr, gpr(dwarf)};
        }
        case Kind::Indirect: {
            const uint8_t base = gpr(l.getDwarfRegNum());
            if (base != Xbyak::Operand::RSP && base != Xbyak::Operand::RBP)
                refuse("a frame that is not expected");
            return {Place::Stack, base, l.getOffset()};
        }
        case Kind::Constant: return {Place::Constant, 0, static_cast<int32_t>(l.getSmallConstant())};
        case Kind::ConstantIndex:
            return {Place::Constant, 0,
                    static_cast<int64_t>(maps.getConstant(l.getConstantIndex()).getValue())};
        case Kind::Direct: break;
    }
    refuse("a place that is not expected");
}

// ---- Writing them
// -----------------------------------------------------------------------------------------------------

/// One thing to do on the way out. Ways that end alike share that end.
struct Step {
    /// Zero: rax, for Clear, which clears the upper half of a vector register.
    enum Kind : uint8_t { Store, Copy, Flags, Zero, Clear, Finish } kind;
    uint8_t state;  ///< the register that holds GuestState's address
    uint8_t slot = 0;
    bool low = false;  ///< only the lower half of a vector register
    FlagsAtExit flags = FlagsAtExit::Clean;
    bool pc_known = false;
    Place a{}, b{}, c{};
    auto operator<=>(const Step&) const = default;
};

constexpr uint8_t kPcSlot = 65;

/// In one of these nothing of a way out's remains once it has stored what was in registers.
constexpr unsigned kScratch =
    1u << Xbyak::Operand::RAX | 1u << Xbyak::Operand::RCX | 1u << Xbyak::Operand::RDX;

class Writer : public Xbyak::CodeGenerator {
  public:
    Writer(size_t size, void* buffer) : CodeGenerator(size, buffer) {}

    /// Where the way begins.
    size_t write(const WayOut& way, const std::vector<Place>& places) {
        const size_t start = getSize();
        pushed_ = 0;
        unsigned busy = 1u << Xbyak::Operand::RSP;  // registers that are asked for
        for (const Place& p : places)
            if (p.kind == Place::Gpr || p.kind == Place::Stack) busy |= 1u << p.reg;

        std::vector<Place> at = places;
        Place& state_at = at[0];
        if (state_at.kind != Place::Gpr) {
            unsigned r = static_cast<unsigned>(std::countr_one(busy));
            if (r >= 16) {
                // One of them goes to the stack.
                r = Xbyak::Operand::RBX;
                push(Reg64(static_cast<int>(r)));
                pushed_ += 8;
                for (Place& p : at)
                    if (p == Place{Place::Gpr, static_cast<uint8_t>(r)})
                        p = {Place::Stack, Xbyak::Operand::RSP, -8};
            }
            load(Reg64(static_cast<int>(r)), state_at);
            state_at = {Place::Gpr, static_cast<uint8_t>(r)};
        }
        if (way.pc_known) {
            push(static_cast<uint32_t>(way.offset));
            pushed_ += 8;
        }
        const uint8_t state = state_at.reg;
        std::vector<Step> registers, copies;
        const auto put = [&](uint8_t slot, const Place& p) {
            if (p.kind == (is_vector(slot) ? Place::Gpr : Place::Vector))
                refuse("a value in a wrong register");
            const bool low = is_vector(slot) && (way.low >> (slot - 32) & 1) != 0;
            const bool in_register = p.kind == Place::Gpr || p.kind == Place::Vector;
            (in_register ? registers : copies)
                .push_back({.kind = in_register ? Step::Store : Step::Copy,
                            .state = state,
                            .slot = slot,
                            .low = low,
                            .a = p});
        };
        size_t next = 1;
        for (const uint8_t slot : way.slots) put(slot, at.at(next++));
        std::vector<Step> steps;
        if (way.flags != FlagsAtExit::Clean) {
            Step s{.kind = Step::Flags, .state = state, .flags = way.flags};
            s.a = at.at(next++);
            if (way.flags == FlagsAtExit::Dynamic) s.c = s.a, s.a = at.at(next++);
            const bool one = way.flags == FlagsAtExit::Packed || way.flags == FlagsAtExit::Logic32 ||
                             way.flags == FlagsAtExit::Logic64;
            if (!one) s.b = at.at(next++);
            steps.push_back(s);
        }
        if (!way.pc_known) put(kPcSlot, at.at(next++));
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
        // Last, as most ways have these in common.
        if (way.clear != 0) steps.push_back({.kind = Step::Zero, .state = state});
        for (unsigned rest = way.clear; rest != 0; rest &= rest - 1)
            steps.push_back({.kind = Step::Clear,
                             .state = state,
                             .slot = static_cast<uint8_t>(32 + std::countr_zero(rest))});
        steps.push_back({.kind = Step::Finish, .state = state, .pc_known = way.pc_known});
        for (size_t k = registers.size(); k < steps.size(); ++k) steps[k].state = later;
        move_at_ = registers.size();
        move_from_ = state;
        write(steps);
        return start;
    }

    /// What the ways out share.
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
            for (const Place& p : {s.a, s.b, s.c})
                if (p.kind == Place::Gpr || p.kind == Place::Stack) r |= 1u << p.reg;
        return r;
    }

    /// Steps that are written already are gone on with there.
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
                if (s.a.kind == Place::Gpr) {
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
                // As a region's return, whatever is on its stack. The registers are nobody's.
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

    Xbyak::RegExp stack(const Place& p) const {
        const bool moved = p.reg == Xbyak::Operand::RSP;
        return Reg64(p.reg) + static_cast<int>(p.value + (moved ? pushed_ : 0));
    }
    void load(const Reg64& to, const Place& p) {
        switch (p.kind) {
            case Place::Gpr:
                if (p.reg != to.getIdx()) mov(to, Reg64(p.reg));
                return;
            case Place::Stack: mov(to, qword[stack(p)]); return;
            case Place::Constant: mov(to, p.value); return;
            case Place::Vector: vmovq(to, Xmm(p.reg)); return;  // what flags come from
        }
    }

    void copy(const Step& s) {
        if (is_vector(s.slot) && !s.low) {
            if (s.a.kind == Place::Stack) {
                vmovups(xmm0, ptr[stack(s.a)]);
            } else {
                vxorps(xmm0, xmm0, xmm0);  // any value will do: it is a constant only if it is undefined
            }
            vmovaps(ptr[Reg64(s.state) + offset_of(s.slot)], xmm0);
            return;
        }
        if (s.a.kind == Place::Constant && s.a.value == static_cast<int32_t>(s.a.value)) {
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
        const bool second_in_first = s.b == Place{Place::Gpr, Xbyak::Operand::RCX};
        if (second_in_first && s.a == Place{Place::Gpr, Xbyak::Operand::RDX}) {
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
                case Place::Gpr: push(Reg64(s.c.reg)); break;
                case Place::Constant: push(static_cast<uint32_t>(s.c.value)); break;
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

/// By statepoints, not by ways: LLVM may have made several of one.
size_t room_for(const StackMaps& maps) {
    constexpr size_t kPerPlace = 30, kPerWay = 200, kShared = 1024;
    size_t n = kShared;
    for (const auto& record : maps.records()) n += kPerWay + kPerPlace * record.getNumLocations();
    return n;
}
template <typename T>
T take(llvm::Expected<T> value) {
    if (!value) throw std::runtime_error("LLVM's object file: " + llvm::toString(value.takeError()));
    return std::move(*value);
}

/// What the relocations of kFaultSection say, all of them addresses in the code.
std::vector<FaultingAccess> faults_of(const Elf& file, const Section& relocations, size_t code_bytes,
                                      uint64_t function) {
    std::map<uint64_t, uint64_t> words;  // of the section: what belongs there
    const Section* symbols = take(file.getSection(relocations.sh_link));
    for (const llvm::object::ELF64LE::Rela& r : take(file.relas(relocations))) {
        if (r.getType(false) != llvm::ELF::R_X86_64_64) refuse("a table that is not expected");
        const auto* symbol = take(file.getRelocationSymbol(r, symbols));
        const uint64_t to = (symbol != nullptr ? symbol->st_value : 0) + static_cast<uint64_t>(r.r_addend);
        if (to < function || to >= code_bytes) refuse("a table that leads out of the code");
        words[r.r_offset] = to - function;
    }
    std::vector<FaultingAccess> faults;
    for (auto it = words.begin(); it != words.end(); ++it) {
        const uint64_t access = it->second;
        if (it->first % 16 != 0 || ++it == words.end() || it->first % 16 != 8)
            refuse("a table that is not expected");
        faults.push_back({static_cast<uint32_t>(access), static_cast<uint32_t>(it->second)});
    }
    std::ranges::sort(faults, {}, &FaultingAccess::access);
    return faults;
}
}  // namespace

std::string add_ways_out(const std::string& object, const std::vector<WayOut>& ways) {
    const Elf file = take(Elf::create(object));
    const llvm::ArrayRef<Section> sections = take(file.sections());
    const Section *text = nullptr, *maps_at = nullptr, *faults_at = nullptr;
    std::vector<const Section*> unwanted;
    for (const Section& s : sections) {
        const llvm::StringRef name = take(file.getSectionName(s));
        if ((s.sh_flags & llvm::ELF::SHF_EXECINSTR) != 0 && s.sh_size != 0) {
            if (text != nullptr) refuse("two sections of code");
            text = &s;
        } else if (name.ends_with(".llvm_stackmaps")) {
            unwanted.push_back(&s);
            if (s.sh_type == llvm::ELF::SHT_PROGBITS) maps_at = &s;
        } else if (name.ends_with(kFaultSection)) {
            unwanted.push_back(&s);
            if (s.sh_type == llvm::ELF::SHT_RELA) faults_at = &s;
        }
    }
    if (text == nullptr) refuse("no code");
    if (maps_at == nullptr) refuse("no stack maps");  // even an endless loop can be interrupted
    uint64_t function = ~uint64_t{0};
    for (const Section& s : sections) {
        if (s.sh_type != llvm::ELF::SHT_SYMTAB) continue;
        const llvm::StringRef names = take(file.getStringTableForSymtab(s));
        for (const llvm::object::ELF64LE::Sym& symbol : take(file.symbols(&s)))
            if (take(symbol.getName(names)) == "region") function = symbol.st_value;
    }
    if (function == ~uint64_t{0}) refuse("no function");

    const llvm::ArrayRef<uint8_t> map_bytes = take(file.getSectionContents(*maps_at));
    const StackMaps maps(map_bytes);
    if (maps.getNumFunctions() != 1) refuse("stack maps of other functions");
    const llvm::ArrayRef<uint8_t> old_text = take(file.getSectionContents(*text));
    constexpr size_t kAlignment = 16;
    const size_t first = (old_text.size() + kAlignment - 1) & ~(kAlignment - 1);
    std::string code(first + room_for(maps), '\xcc');
    std::memcpy(code.data(), old_text.data(), old_text.size());
    Writer writer(code.size() - first, code.data() + first);
    std::vector<Place> places;
    for (const auto& record : maps.records()) {
        const uint64_t id = record.getID();
        // Three constants first: the calling convention, flags, and how many there are of ours.
        constexpr unsigned kHeader = 3;
        if (id >= ways.size() || record.getNumLocations() < kHeader) refuse("a statepoint that is not ours");
        const uint32_t count = record.getLocation(kHeader - 1).getSmallConstant();
        if (record.getNumLocations() < kHeader + count || count == 0) refuse("a statepoint without operands");
        places.clear();
        for (unsigned k = 0; k < count; ++k)
            places.push_back(place_of(maps, record.getLocation(kHeader + k)));
        const size_t to = first + writer.write(ways[id], places);
        const size_t after = function + record.getInstructionOffset();
        // What stands there has no effect: one NOPL of that length, with some displacement.
        constexpr char kNothing[] = {0x0f, 0x1f, 0x44, 0x00};
        if (after < kWayOutBytes || after > old_text.size() ||
            std::memcmp(code.data() + after - kWayOutBytes, kNothing, sizeof kNothing) != 0)
            refuse("no room for a jump");
        code[after - kWayOutBytes] = static_cast<char>(0xe9);
        const auto distance = static_cast<int32_t>(to - after);
        std::memcpy(code.data() + after - 4, &distance, sizeof distance);
    }
    writer.finish();
    code.resize((first + writer.getSize() + 7) & ~size_t{7});
    std::vector<FaultingAccess> faults;
    if (faults_at != nullptr) faults = faults_of(file, *faults_at, old_text.size(), function);
    code.append(reinterpret_cast<const char*>(faults.data()), faults.size() * sizeof(FaultingAccess));
    const CodeEnd end{static_cast<uint32_t>(function), static_cast<uint32_t>(faults.size()), CodeEnd::kMagic};
    code.append(reinterpret_cast<const char*>(&end), sizeof end);

    std::string result = object;
    result.resize((result.size() + kAlignment - 1) & ~(kAlignment - 1));
    const auto change = [&](const Section* s, const auto& how) {
        Section* there =
            reinterpret_cast<Section*>(result.data() + (reinterpret_cast<const char*>(s) - object.data()));
        how(*there);
    };
    change(text, [&](Section& s) {
        s.sh_offset = result.size();
        s.sh_size = code.size();
    });
    for (const Section* s : unwanted) {
        change(s, [](Section& s) {
            s.sh_type = llvm::ELF::SHT_NULL;
            s.sh_flags = 0;
            s.sh_size = 0;
        });
    }
    return result + code;
}

}  // namespace arclight::jit::tier2
