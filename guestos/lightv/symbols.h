// The kernel's symbols, from its System.map or a guest's /proc/kallsyms.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "mmu/result.h"

namespace arclight::guestos {

class Symbols {
  public:
    static Result<std::unique_ptr<Symbols>> read(const std::string& path);
    std::optional<uint64_t> find(const std::string& name) const;

  private:
    std::unordered_map<std::string, uint64_t> addresses_;
};

}  // namespace arclight::guestos
