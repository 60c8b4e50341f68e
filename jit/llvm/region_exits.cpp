#include "jit/llvm/region_exits.h"

#include <llvm/Object/ELF.h>
#include <llvm/Object/StackMapParser.h>

#include <algorithm>
#include <map>
#include <stdexcept>

namespace arclight::jit::tier2 {

namespace {
using Elf = llvm::object::ELFFile<llvm::object::ELF64LE>;
using Section = llvm::object::ELF64LE::Shdr;
using StackMaps = llvm::StackMapParser<llvm::endianness::little>;

[[noreturn]] void refuse(const char* why) {
    throw std::runtime_error(std::string("LLVM's object file: ") + why);
}

ValueLocation location_of(const StackMaps& maps, const StackMaps::LocationAccessor& l) {
    using Kind = StackMaps::LocationKind;
    switch (l.getKind()) {
        case Kind::Register: return {ValueLocation::Register, l.getDwarfRegNum(), 0};
        case Kind::Indirect: return {ValueLocation::Stack, l.getDwarfRegNum(), l.getOffset()};
        case Kind::Constant: return {ValueLocation::Constant, 0, static_cast<int32_t>(l.getSmallConstant())};
        case Kind::ConstantIndex:
            return {ValueLocation::Constant, 0,
                    static_cast<int64_t>(maps.getConstant(l.getConstantIndex()).getValue())};
        case Kind::Direct: break;
    }
    refuse("a location that is not expected");
}

/// The statepoints of the function at `function`, for exits 0 to `exits` - 1.
std::vector<RegionExitSite> sites_of(const StackMaps& maps, uint64_t function, size_t exits) {
    std::vector<RegionExitSite> sites;
    for (const auto& record : maps.records()) {
        // Three constants first: the calling convention, flags, and the number of operands.
        constexpr unsigned kHeader = 3;
        if (record.getID() >= exits || record.getNumLocations() < kHeader)
            refuse("a statepoint that is not a region exit");
        const uint32_t count = record.getLocation(kHeader - 1).getSmallConstant();
        if (record.getNumLocations() < kHeader + count || count == 0) refuse("a statepoint without operands");
        RegionExitSite& site = sites.emplace_back();
        site.exit = record.getID();
        site.end = function + record.getInstructionOffset();
        for (unsigned k = 0; k < count; ++k)
            site.locations.push_back(location_of(maps, record.getLocation(kHeader + k)));
    }
    return sites;
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

std::string add_exit_stubs(const std::string& object, const std::vector<RegionExit>& exits) {
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
    std::string code = write_region_exits(old_text, exits, sites_of(maps, function, exits.size()));
    std::vector<FaultingAccess> faults;
    if (faults_at != nullptr) faults = faults_of(file, *faults_at, old_text.size(), function);
    code.append(reinterpret_cast<const char*>(faults.data()), faults.size() * sizeof(FaultingAccess));
    const CodeEnd end{static_cast<uint32_t>(function), static_cast<uint32_t>(faults.size()), CodeEnd::kMagic};
    code.append(reinterpret_cast<const char*>(&end), sizeof end);

    constexpr size_t kAlignment = 16;
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
