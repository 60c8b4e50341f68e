// Floating point by the format of elements.
#pragma once

#include "frontend/a64/scalable/variants.h"
#include "jit/softfloat/add.h"
#include "jit/softfloat/minmax.h"

namespace arclight::frontend::a64::scalable {

/// Calls f with the format of 8 << size bits.
template <typename F>
void by_format(unsigned size, F f) {
    switch (size) {
        case 1: return f(jit::softfloat::Half{});
        case 2: return f(jit::softfloat::Single{});
        default: return f(jit::softfloat::Double{});
    }
}

/// What reductions and pairwise operations do with two elements; op: a Reduction.
template <typename F>
typename F::Uint reduced(jit::softfloat::Environment& env, unsigned op, typename F::Uint a,
                         typename F::Uint b) {
    switch (op) {
        case kFpSum: return jit::softfloat::add<F>(env, a, b);
        case kFpMax: return jit::softfloat::max<F>(env, a, b);
        case kFpMin: return jit::softfloat::min<F>(env, a, b);
        case kFpMaxNum: return jit::softfloat::max_num<F>(env, a, b);
        default: return jit::softfloat::min_num<F>(env, a, b);
    }
}

}  // namespace arclight::frontend::a64::scalable
