// Accesses of translated code that fault because the host's page tables lack what the guest's have: SIGSEGV of the thread that
// made one.
#pragma once

#include <cstdint>

namespace arclight::host {

/// What translated code does about an access at `pc`, on the calling thread, to `address` that no page of the host's is there for or
/// that its rights refuse: where the thread goes on, or null. `address` is null where it is not canonical, or the host does not
/// say it.
using TranslatedAccess = const void* (*)(const void* pc, const void* address);
void set_translated_access_hook(TranslatedAccess hook);

/// Of a SIGSEGV or SIGBUS of the calling thread at *pc. True: it goes on at *pc.
bool handle_translated_access(const void* address, uint64_t* pc);

}  // namespace arclight::host
