#include "guestos/sandbox/seccomp.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace arclight::guestos::sandbox {

namespace {

constexpr uint32_t kViolation = SECCOMP_RET_TRAP;

class FilterBuilder {
  public:
    void load(size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
    void give(uint32_t result) { add(BPF_RET | BPF_K, result); }
    /// Jumps over `yes` instructions if the comparison holds, and over `no` if not.
    void jump(unsigned comparison, uint32_t value, size_t yes, size_t no) {
        code_.push_back({static_cast<uint16_t>(BPF_JMP | comparison | BPF_K), static_cast<uint8_t>(yes),
                         static_cast<uint8_t>(no), value});
    }
    void mask(uint32_t value) { add(BPF_ALU | BPF_AND | BPF_K, value); }
    void append(const FilterBuilder& other) {
        code_.insert(code_.end(), other.code_.begin(), other.code_.end());
    }
    size_t size() const { return code_.size(); }
    std::vector<sock_filter> take() { return std::move(code_); }

  private:
    void add(unsigned code, uint32_t value) { code_.push_back({static_cast<uint16_t>(code), 0, 0, value}); }
    std::vector<sock_filter> code_;
};

/// Falls out at its end where the condition does not hold. `then`: what is behind it, to be jumped over.
void add_condition(FilterBuilder& out, const Condition& c, size_t then) {
    if (c.kind == Condition::Kind::None) return;
    out.load(offsetof(seccomp_data, args) + c.argument * sizeof(uint64_t));  // the lower half comes first
    switch (c.kind) {
        case Condition::Kind::None: break;
        case Condition::Kind::Equals: out.jump(BPF_JEQ, c.value, 0, then); break;
        case Condition::Kind::Differs: out.jump(BPF_JEQ, c.value, then, 0); break;
        case Condition::Kind::Lacks: out.jump(BPF_JSET, c.value, then, 0); break;
        case Condition::Kind::Has:
            out.mask(c.value);
            out.jump(BPF_JEQ, c.value, 0, then);
            break;
        case Condition::Kind::HasNot:
            out.mask(c.value);
            out.jump(BPF_JEQ, c.value, then, 0);
            break;
    }
}

FilterBuilder rule_body(const Rule& rule) {
    FilterBuilder result, second, first;
    result.give(rule.outcome == Outcome::Allow ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | ENOSYS);
    add_condition(second, rule.conditions[1], result.size());
    add_condition(first, rule.conditions[0], second.size() + result.size());
    first.append(second);
    first.append(result);
    return first;
}

bool unconditional(const Rule& rule) {
    return rule.conditions[0].kind == Condition::Kind::None &&
           rule.conditions[1].kind == Condition::Kind::None;
}

}  // namespace

std::vector<sock_filter> make_filter(std::span<const Rule> rules, ThreadRole role) {
    const uint32_t violation = kViolation | static_cast<uint32_t>(role);
    FilterBuilder out;
    out.load(offsetof(seccomp_data, arch));
    out.jump(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0);
    out.give(SECCOMP_RET_KILL_PROCESS);
    // A number of the x32 ABI has a bit that none of the list has.
    out.load(offsetof(seccomp_data, nr));
    std::vector<unsigned> done;
    for (const Rule& rule : rules) {
        if (std::ranges::find(done, rule.number) != done.end()) continue;
        done.push_back(rule.number);
        FilterBuilder body;
        const auto same = [&](const Rule& r) { return r.number == rule.number; };
        if (const auto any =
                std::ranges::find_if(rules, [&](const Rule& r) { return same(r) && unconditional(r); });
            any != rules.end()) {
            body = rule_body(*any);
        } else {
            for (const Rule& r : rules)
                if (same(r)) body.append(rule_body(r));
            body.give(violation);
        }
        out.jump(BPF_JEQ, rule.number, 0, body.size());
        out.append(body);
    }
    out.give(violation);
    return out.take();
}

Result<void> install_filter(std::span<const sock_filter> filter, Threads threads) {
    const sock_fprog program{static_cast<unsigned short>(filter.size()),
                             const_cast<sock_filter*>(filter.data())};
    const unsigned all = threads == Threads::All ? SECCOMP_FILTER_FLAG_TSYNC : 0;
    // Kernels before 5.16 would otherwise turn off speculative store bypass for the process, which makes translated
    // code slower by tens of percents; those before 4.17 do not know the flag, nor do they do that.
    long result =
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, all | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
    if (result < 0 && errno == EINVAL) result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, all, &program);
    if (result > 0) return failure("seccomp: thread {} has other filters", result);
    if (result < 0) return failure("seccomp: {}", std::strerror(errno));
    return {};
}

void narrow_thread(std::span<const sock_filter> filter) {
    if (const auto installed = install_filter(filter, Threads::Calling); !installed) {
        std::fprintf(stderr, "arclight: sandbox: a thread cannot have its list: %s\n",
                     installed.error().c_str());
        std::_Exit(EXIT_FAILURE);
    }
}

bool seccomp_available() {
    uint32_t action = kViolation;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

}  // namespace arclight::guestos::sandbox
