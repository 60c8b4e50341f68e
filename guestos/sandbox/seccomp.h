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

bool seccomp_available();

}  // namespace arclight::guestos::sandbox
