#include "backend/x64/constant_pool.h"

#include <cstring>

namespace arclight::backend {

const uint8_t* ConstantPool::place(uint64_t low, uint64_t high) {
    const auto [it, is_new] = constants_.try_emplace({low, high}, static_cast<unsigned>(constants_.size()));
    const uint8_t* where = buffer_.base() + 16 * size_t{it->second};
    if (is_new) {
        if (it->second >= kCapacity) {
            constants_.erase(it);
            throw TooComplex{};
        }
        std::memcpy(buffer_.writable(where), &low, 8);
        std::memcpy(buffer_.writable(where) + 8, &high, 8);
    }
    return where;
}

Address ConstantPool::address(uint64_t low, uint64_t high) {
    const uint8_t* where = place(low, high);
    if (as_.relocations != nullptr) as_.relocations->constant(as_.here(), where);
    return Xbyak::util::ptr[as_.at_address(where)];
}

}  // namespace arclight::backend
