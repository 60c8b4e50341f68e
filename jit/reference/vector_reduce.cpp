// Pairwise and across-lanes integer operations.
#include <algorithm>

#include "jit/reference/groups.h"
#include "jit/reference/lanes.h"

namespace arclight::jit::reference {

namespace {
using ir::Op;

template <typename T, typename F>
void pairwise(VectorCall& c, F f) {
    const auto a = lanes<T>(c.a), b = lanes<T>(c.b);
    Lanes<T> r{};
    const unsigned half = active<T>(c) / 2;
    for (unsigned i = 0; i < half; ++i) r[i] = static_cast<T>(f(a[2 * i], a[2 * i + 1]));
    for (unsigned i = 0; i < half; ++i) r[half + i] = static_cast<T>(f(b[2 * i], b[2 * i + 1]));
    c.out = pack(r);
}
template <typename T, typename F>
void across(VectorCall& c, F f) {
    const auto a = lanes<T>(c.a);
    T r = a[0];
    for (unsigned i = 1; i < active<T>(c); ++i) r = static_cast<T>(f(r, a[i]));
    c.out.d[0] = static_cast<std::make_unsigned_t<T>>(r);
    c.out.d[1] = 0;
}

#define REDUCE(shape, by, expression)                                                    \
    [](GuestState&, VectorCall& c) {                                                     \
        by(c, [&]<typename T>(T) { shape<T>(c, [](T a, T b) { return expression; }); }); \
    }
}  // namespace

void add_vector_reduce(Table& t) {
    t[Op::VAddP] = REDUCE(pairwise, by_unsigned, a + b);
    t[Op::VMaxPS] = REDUCE(pairwise, by_signed, std::max(a, b));
    t[Op::VMaxPU] = REDUCE(pairwise, by_unsigned, std::max(a, b));
    t[Op::VMinPS] = REDUCE(pairwise, by_signed, std::min(a, b));
    t[Op::VMinPU] = REDUCE(pairwise, by_unsigned, std::min(a, b));
    t[Op::VAddV] = REDUCE(across, by_unsigned, a + b);
    t[Op::VMaxVS] = REDUCE(across, by_signed, std::max(a, b));
    t[Op::VMaxVU] = REDUCE(across, by_unsigned, std::max(a, b));
    t[Op::VMinVS] = REDUCE(across, by_signed, std::min(a, b));
    t[Op::VMinVU] = REDUCE(across, by_unsigned, std::min(a, b));
}

}  // namespace arclight::jit::reference
