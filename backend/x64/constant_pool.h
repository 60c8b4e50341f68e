// Sixteen-byte constants at the start of the code buffer, where all blocks reach them.
#pragma once

#include <map>
#include <utility>

#include "backend/x64/assembler.h"
#include "jit/host_code.h"

namespace arclight::backend {

class ConstantPool {
  public:
    static constexpr unsigned kCapacity = 1024;
    static constexpr size_t kBytes = 16 * kCapacity;

    ConstantPool(const jit::CodeBuffer& buffer, const Assembler& as) : buffer_(buffer), as_(as) {}
    /// The constant's place, where code is executed; equal ones are stored once. Throws TooComplex when the pool is full.
    const uint8_t* place(uint64_t low, uint64_t high);
    /// Its operand, for an instruction that is about to be emitted.
    Address address(uint64_t low, uint64_t high);
    /// Whether a guest's constant may be put here: half of the pool is left to the emitters' own.
    bool has_room_for(uint64_t low, uint64_t high) const {
        return constants_.size() < kCapacity / 2 || constants_.contains({low, high});
    }

  private:
    const jit::CodeBuffer& buffer_;
    const Assembler& as_;
    std::map<std::pair<uint64_t, uint64_t>, unsigned> constants_;
};

}  // namespace arclight::backend
