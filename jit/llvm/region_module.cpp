// Finds LLVM when tier 2 is first used: linking it costs every start of a program some ten milliseconds.
#include "jit/llvm/region_module.h"

#define XXH_INLINE_ALL
#include <dlfcn.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <climits>
#include <mutex>
#include <stdexcept>

#include "host/file_hash.h"

namespace arclight::jit {

namespace {
/// Beside the program, as a build leaves it, or in ../lib/arclight from there, as it is installed. Empty: not
/// there.
std::string module_of_program() {
    std::array<char, PATH_MAX> path;
    const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
    if (length <= 0) return {};
    const std::string program(path.data(), static_cast<size_t>(length));
    const std::string directory = program.substr(0, program.rfind('/') + 1);
    for (const std::string place : {"", "../lib/arclight/"})
        if (const std::string module = directory + place + kRegionModule; access(module.c_str(), R_OK) == 0)
            return module;
    return {};
}

[[noreturn]] void refuse(const std::string& why) { throw std::runtime_error(why); }

CreateRegionCompiler open_module() {
    std::string path = module_of_program();
    if (path.empty()) path = kRegionModule;  // where the program's RUNPATH and the system say
    void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) refuse(dlerror());
    const auto* version = static_cast<const uint64_t*>(dlsym(module, kInterfaceSymbol));
    void* create = dlsym(module, kCreateSymbol);
    if (version == nullptr || create == nullptr || *version != kRegionInterface) {
        dlclose(module);
        refuse(path + " belongs to another build of this program");
    }
    return reinterpret_cast<CreateRegionCompiler>(create);
}
}  // namespace

const void* RegionCode::side_exit(const void* pc) const {
    const auto* start = static_cast<const uint8_t*>(entry);
    const auto offset = static_cast<uint64_t>(static_cast<const uint8_t*>(pc) - start);
    const auto it = std::ranges::lower_bound(faults, offset, {}, &FaultingAccess::access);
    return it != faults.end() && it->access == offset ? start + it->side_exit : nullptr;
}

uint64_t region_build() {
    const std::string module = module_of_program();
    if (module.empty()) return 0;
    const std::array<uint64_t, 2> parts{host::program_hash(), host::file_hash(module.c_str())};
    return parts[0] == 0 || parts[1] == 0 ? 0 : XXH3_64bits(parts.data(), sizeof parts);
}

bool have_region_compiler() { return !module_of_program().empty(); }

std::unique_ptr<RegionCompiler> make_region_compiler(bool avx512) {
    static std::mutex lock;
    static CreateRegionCompiler create = nullptr;
    {
        const std::lock_guard guard(lock);
        if (create == nullptr) create = open_module();
    }
    return std::unique_ptr<RegionCompiler>(create(avx512));
}

}  // namespace arclight::jit
