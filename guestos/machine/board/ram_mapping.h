#pragma once

#include <cstdint>
#include <memory>

#include "host/memory_fault.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Guest RAM: anonymous memory, huge pages where the host gives them.
class RamMapping {
  public:
    /// An error is one line for the user.
    static Result<std::unique_ptr<RamMapping>> allocate(uint64_t bytes);
    ~RamMapping();
    RamMapping(const RamMapping&) = delete;
    RamMapping& operator=(const RamMapping&) = delete;

    uint8_t* host() const { return host_; }
    uint64_t size() const { return size_; }

  private:
    RamMapping(uint8_t* host, uint64_t size)
        : host_(host),
          size_(size),
          fallible_(host, size, "guest memory", host::FallibleMemory::Kind::Anonymous) {}
    uint8_t* host_;
    uint64_t size_;
    host::FallibleMemory fallible_;
};

}  // namespace arclight::guestos
