// How scalable operations reach memory: one element after the other.
#pragma once

#include <cstdint>

namespace arclight::frontend::a64::scalable {

class Memory {
  public:
    virtual ~Memory() = default;
    /// 1 << size bytes, 1 to 8. False: an exception was taken, and nothing more is to be done.
    virtual bool load(uint64_t address, unsigned size, uint64_t& value) = 0;
    virtual bool store(uint64_t address, unsigned size, uint64_t value) = 0;
    /// The same without exceptions: false where one would be taken, and for what is no normal memory.
    virtual bool try_load(uint64_t address, unsigned size, uint64_t& value) = 0;
    /// The exception of an instruction that vectors of the present length do not have. Nothing more is to be done.
    virtual void undefined() = 0;
};

}  // namespace arclight::frontend::a64::scalable
