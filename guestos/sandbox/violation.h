// What happens when a thread makes a system call that its list does not have.
#pragma once

namespace arclight::guestos::sandbox {

/// From now on such a call prints one line on stderr, calls `before_death` (async-signal-safe; null: nothing) and ends
/// the process by SIGSYS.
void report_violations(void (*before_death)());

}  // namespace arclight::guestos::sandbox
