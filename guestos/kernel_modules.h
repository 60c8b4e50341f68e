// A tree of kernel modules, described by the .modinfo section of each file: a Debian kernel package carries
// no modules.dep (depmod writes it at installation).
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "mmu/result.h"

namespace arclight::guestos {

struct KernelModule {
    std::string path;  ///< relative to the tree: "kernel/drivers/block/virtio_blk.ko"
    std::vector<std::string> depends;
    std::vector<std::string> aliases;
};

class KernelModules {
  public:
    /// `root` is what becomes /lib/modules/VERSION.
    static Result<KernelModules> scan(const std::filesystem::path& root);

    /// By the kernel's name; '-' and '_' are equal. Null if there is none.
    const KernelModule* find(std::string_view name) const;
    bool is_builtin(std::string_view name) const;
    /// The named modules that exist and all their dependencies, each once and after its own dependencies.
    std::vector<std::string> closure(std::span<const std::string> names) const;

    /// The text of modules.dep and modules.alias for a subset, as modprobe reads them.
    std::string dep_text(std::span<const std::string> names) const;
    std::string alias_text(std::span<const std::string> names) const;

  private:
    std::map<std::string, KernelModule, std::less<>> modules_;
    std::set<std::string, std::less<>> builtin_;
};

}  // namespace arclight::guestos
