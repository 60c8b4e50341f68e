// Both versions of the 64-bit carry-less product, for the tests.
#pragma once

#include "jit/guest_state.h"

namespace arclight::jit::reference {

void polynomial_multiply64_plain(GuestState&, VectorCall& c);
void polynomial_multiply64_host(GuestState&, VectorCall& c);  ///< needs PCLMULQDQ

}  // namespace arclight::jit::reference
