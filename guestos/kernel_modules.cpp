#include "guestos/kernel_modules.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <sstream>

#include "guestos/file.h"

namespace arclight::guestos {

namespace {

constexpr uint64_t kMaxModule = 64 << 20;

std::string normal_name(std::string_view name) {
    std::string result(name);
    std::ranges::replace(result, '-', '_');
    return result;
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    std::string part;
    for (std::istringstream in{std::string(text)}; std::getline(in, part, separator);)
        if (!part.empty()) parts.push_back(part);
    return parts;
}

// The bytes of .modinfo: "key=value" strings, each ended by a NUL.
std::optional<std::string_view> modinfo_section(const Bytes& file) {
    const auto inside = [&](uint64_t offset, uint64_t size) {
        return offset <= file.size() && size <= file.size() - offset;
    };
    Elf64_Ehdr header;
    if (!inside(0, sizeof header) || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0) return {};
    std::memcpy(&header, file.data(), sizeof header);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_shentsize != sizeof(Elf64_Shdr) ||
        header.e_shstrndx >= header.e_shnum ||
        !inside(header.e_shoff, uint64_t(header.e_shnum) * sizeof(Elf64_Shdr)))
        return {};
    const auto section = [&](unsigned index) {
        Elf64_Shdr result;
        std::memcpy(&result, file.data() + header.e_shoff + index * sizeof result, sizeof result);
        return result;
    };
    const Elf64_Shdr names = section(header.e_shstrndx);
    if (!inside(names.sh_offset, names.sh_size)) return {};
    constexpr std::string_view wanted(".modinfo\0", 9);
    for (unsigned i = 0; i < header.e_shnum; ++i) {
        const Elf64_Shdr s = section(i);
        if (s.sh_name > names.sh_size || names.sh_size - s.sh_name < wanted.size()) continue;
        if (std::memcmp(file.data() + names.sh_offset + s.sh_name, wanted.data(), wanted.size()) != 0)
            continue;
        if (s.sh_type == SHT_NOBITS || !inside(s.sh_offset, s.sh_size)) return {};
        return std::string_view(reinterpret_cast<const char*>(file.data()) + s.sh_offset, s.sh_size);
    }
    return {};
}

}  // namespace

Result<KernelModules> KernelModules::scan(const std::filesystem::path& root) {
    std::error_code error;
    std::filesystem::recursive_directory_iterator files(root, error);
    if (error) return failure("cannot read kernel modules in '{}': {}", root.native(), error.message());
    KernelModules result;
    for (const auto& entry : files) {
        if (entry.path().extension() != ".ko" || !entry.is_regular_file(error)) continue;
        const auto file = read_file("kernel module", entry.path(), kMaxModule);
        if (!file) return std::unexpected(file.error());
        const auto info = modinfo_section(*file);
        if (!info) return failure("kernel module '{}' is damaged", entry.path().native());
        KernelModule module{.path = entry.path().lexically_relative(root).native()};
        for (const auto& line : split(*info, '\0')) {
            if (line.starts_with("depends="))
                for (const auto& name : split(line.substr(8), ','))
                    module.depends.push_back(normal_name(name));
            if (line.starts_with("alias=")) module.aliases.push_back(line.substr(6));
        }
        result.modules_.emplace(normal_name(entry.path().stem().native()), std::move(module));
    }
    if (const auto text = read_file("module list", root / "modules.builtin", kMaxModule))
        for (const auto& line : split({reinterpret_cast<const char*>(text->data()), text->size()}, '\n'))
            result.builtin_.insert(normal_name(std::filesystem::path(line).stem().native()));
    return result;
}

const KernelModule* KernelModules::find(std::string_view name) const {
    const auto found = modules_.find(normal_name(name));
    return found == modules_.end() ? nullptr : &found->second;
}

bool KernelModules::is_builtin(std::string_view name) const { return builtin_.contains(normal_name(name)); }

std::vector<std::string> KernelModules::closure(std::span<const std::string> names) const {
    std::vector<std::string> order;
    std::set<std::string> seen;
    const auto visit = [&](const auto& self, const std::string& raw) -> void {
        const std::string name = normal_name(raw);
        const KernelModule* module = find(name);
        if (!module || !seen.insert(name).second) return;
        for (const auto& dependency : module->depends) self(self, dependency);
        order.push_back(name);
    };
    for (const auto& name : names) visit(visit, name);
    return order;
}

std::string KernelModules::dep_text(std::span<const std::string> names) const {
    std::string text;
    for (const auto& name : names) {
        // modprobe loads the list from its end, the module itself last.
        const std::string only[] = {name};
        auto order = closure(only);
        if (order.empty()) continue;
        std::ranges::reverse(order);
        text += modules_.at(order.front()).path + ":";
        for (const auto& dependency : std::span(order).subspan(1))
            text += fmt::format(" {}", modules_.at(dependency).path);
        text += "\n";
    }
    return text;
}

std::string KernelModules::alias_text(std::span<const std::string> names) const {
    std::string text;
    for (const auto& name : names)
        if (const KernelModule* module = find(name))
            for (const auto& alias : module->aliases)
                text += fmt::format("alias {} {}\n", alias, normal_name(name));
    return text;
}

}  // namespace arclight::guestos
