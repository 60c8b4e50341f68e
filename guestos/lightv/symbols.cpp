#include "guestos/lightv/symbols.h"

#include <cerrno>
#include <cstring>
#include <fstream>

namespace arclight::guestos {

Result<std::unique_ptr<Symbols>> Symbols::read(const std::string& path) {
    std::ifstream in(path);
    if (!in) return failure("cannot read '{}': {}", path, strerror(errno));
    auto symbols = std::make_unique<Symbols>();
    bool any_address = false;
    std::string line;
    while (std::getline(in, line)) {
        char type = 0, name[256];
        unsigned long long address = 0;
        if (std::sscanf(line.c_str(), "%llx %c %255s", &address, &type, name) != 3) continue;
        symbols->addresses_.emplace(name, address);
        any_address |= address != 0 && address != ~0ull;
    }
    if (!any_address)
        return failure(
            "'{}' has no addresses (a System.map, or /proc/kallsyms as root with kptr_restrict 0 or 1)",
            path);
    return symbols;
}

std::optional<uint64_t> Symbols::find(const std::string& name) const {
    const auto found = addresses_.find(name);
    if (found == addresses_.end()) return std::nullopt;
    return found->second;
}

}  // namespace arclight::guestos
