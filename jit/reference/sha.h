// Both versions of the SHA-256 hash steps, for the tests.
#pragma once

#include "jit/guest_state.h"

namespace arclight::jit::reference {

void sha256_hash_plain(GuestState&, VectorCall& c);
void sha256_hash2_plain(GuestState&, VectorCall& c);

// These need SHA-NI.
void sha256_hash_host(GuestState&, VectorCall& c);
void sha256_hash2_host(GuestState&, VectorCall& c);

}  // namespace arclight::jit::reference
