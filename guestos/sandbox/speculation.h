// What the host's kernel can keep the processor from executing on a guess.
#pragma once

namespace arclight::guestos::sandbox {

/// For this thread and those that it starts later: no load is executed before an older store whose address is not known
/// (SSBD), and no indirect branch by what other processes have trained (PR_SET_SPECULATION_CTRL). Says on stderr what the
/// kernel refuses although the processor would need it.
void restrict_speculation();

}  // namespace arclight::guestos::sandbox
