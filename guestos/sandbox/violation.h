// What happens when a thread makes a system call that its list does not have.
#pragma once

namespace arclight::guestos::sandbox {

/// From now on such a call prints one line on stderr, carries out the last acts of a crash (host/failure.h) and ends the
/// process by SIGSYS.
void report_violations();

}  // namespace arclight::guestos::sandbox
