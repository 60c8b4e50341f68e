// Both versions of the AES steps, for the tests.
#pragma once

#include "jit/guest_state.h"

namespace arclight::jit::reference {

void aes_encrypt_plain(GuestState&, VectorCall& c);
void aes_decrypt_plain(GuestState&, VectorCall& c);
void aes_mix_plain(GuestState&, VectorCall& c);
void aes_inverse_mix_plain(GuestState&, VectorCall& c);

// These need AES-NI.
void aes_encrypt_host(GuestState&, VectorCall& c);
void aes_decrypt_host(GuestState&, VectorCall& c);
void aes_mix_host(GuestState&, VectorCall& c);
void aes_inverse_mix_host(GuestState&, VectorCall& c);

}  // namespace arclight::jit::reference
