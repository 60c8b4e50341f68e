// Both versions of BFloat16's dot products, for the tests.
#pragma once

#include "jit/guest_state.h"

namespace arclight::jit::reference {

void bfloat_dot_plain(GuestState&, VectorCall& c);
void bfloat_dot_host(GuestState&, VectorCall& c);
void bfloat_matrix_plain(GuestState&, VectorCall& c);
void bfloat_matrix_host(GuestState&, VectorCall& c);

}  // namespace arclight::jit::reference
