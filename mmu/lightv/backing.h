// Host memory that backs guest pages.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "host/memory_fault.h"
#include "mmu/lightv/module.h"

namespace arclight::mmu::lightv {

/// A run of mapped pages. The destructor unmaps them.
class Backing {
  public:
    /// `spec`: "anonymous", "file:PATH" (created or extended, mapped shared) or "node:N"
    /// (memory of that NUMA node).
    static Result<std::unique_ptr<Backing>> open(const std::string& spec, uint64_t pages);
    ~Backing();
    Backing(const Backing&) = delete;
    Backing& operator=(const Backing&) = delete;

    uint8_t* page(uint64_t index) const { return host_ + index * PageOverlay::kPage; }
    const std::string& spec() const { return spec_; }

  private:
    Backing(uint8_t* host, uint64_t bytes, std::string spec, host::FallibleMemory::Kind kind)
        : host_(host),
          bytes_(bytes),
          spec_(std::move(spec)),
          fallible_(host, bytes, "guest memory in '" + spec_ + "'", kind) {}
    uint8_t* host_;
    uint64_t bytes_;
    std::string spec_;
    host::FallibleMemory fallible_;
};

}  // namespace arclight::mmu::lightv
