// Lists of system calls as seccomp filters (classic BPF; Linux's Documentation/userspace-api/seccomp_filter.rst).
#pragma once

#include <linux/filter.h>

#include <span>
#include <vector>

#include "guestos/sandbox/system_calls.h"
#include "mmu/result.h"

namespace arclight::guestos::sandbox {

/// The filter that allows what `rules` allow. Other calls raise SIGSYS with `role` as its si_errno, so that the report
/// can name it; calls of another architecture end the process.
std::vector<sock_filter> make_filter(std::span<const Rule> rules, ThreadRole role);

enum class Threads : uint8_t { Calling, All };
/// For good: filters stack, and a call must pass all of them. The thread has PR_SET_NO_NEW_PRIVS. An error is one line.
Result<void> install_filter(std::span<const sock_filter> filter, Threads threads);
/// The same for the calling thread of a process that has a filter already, so that a failure is nothing that a kernel lacks: it ends
/// the process with a line.
void narrow_thread(std::span<const sock_filter> filter);

bool seccomp_available();

}  // namespace arclight::guestos::sandbox
