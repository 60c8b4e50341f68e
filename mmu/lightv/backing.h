// Host memory that backs guest pages.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "host/memory_fault.h"
#include "mmu/guarded_mapping.h"
#include "mmu/host_stage.h"
#include "mmu/lightv/module.h"

namespace arclight::mmu::lightv {

/// A run of mapped pages, with guards on both sides.
class Backing {
  public:
    enum class Form : uint8_t {
        Any,
        File,  ///< a part of a file, which other places can map: what a HostStage wants
    };
    /// `spec`: "anonymous", "file:PATH" (created or extended, mapped shared) or "node:N"
    /// (memory of that NUMA node).
    static Result<std::unique_ptr<Backing>> open(const std::string& spec, uint64_t pages,
                                                 Form form = Form::Any);
    ~Backing();
    Backing(const Backing&) = delete;
    Backing& operator=(const Backing&) = delete;

    uint8_t* page(uint64_t index) const { return memory_.data() + index * PageOverlay::kPage; }
    Place place(uint64_t index) const { return {page(index), file_, index * PageOverlay::kPage}; }
    const std::string& spec() const { return spec_; }

  private:
    Backing(GuardedMapping memory, int file, std::string spec, host::FallibleMemory::Kind kind)
        : memory_(std::move(memory)),
          file_(file),
          spec_(std::move(spec)),
          fallible_(memory_.data(), memory_.size(), "guest memory in '" + spec_ + "'", kind) {}
    GuardedMapping memory_;
    const int file_;  ///< -1: none
    std::string spec_;
    host::FallibleMemory fallible_;
};

}  // namespace arclight::mmu::lightv
