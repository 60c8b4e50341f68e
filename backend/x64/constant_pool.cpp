#include "backend/x64/constant_pool.h"

#include <cstring>

namespace arclight::backend {

/// The operand is one for the assembler, which is where code is written.
Address ConstantPool::address(uint64_t low, uint64_t high) {
    const auto [it, is_new] = constants_.try_emplace({low, high}, static_cast<unsigned>(constants_.size()));
    uint8_t* where = buffer_.writable(buffer_.base()) + 16 * size_t{it->second};
    if (is_new) {
        if (it->second >= kCapacity) {
            constants_.erase(it);
            throw TooComplex{};
        }
        std::memcpy(where, &low, 8);
        std::memcpy(where + 8, &high, 8);
    }
    return Xbyak::util::ptr[Xbyak::util::rip + static_cast<const void*>(where)];
}

}  // namespace arclight::backend
