#include "guestos/sandbox/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

namespace arclight::guestos::sandbox {

namespace {

struct FileCloser {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

std::optional<unsigned> parse_id(std::string_view text) {
    unsigned id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    // The greatest number means "leave it as it is" to setresuid().
    if (error != std::errc{} || end != text.data() + text.size() || id == ~0u) return std::nullopt;
    return id;
}

// getpwnam() and its kin load libraries that the system's configuration names, which a static program cannot and a
// program with root's rights should not.
template <typename Visit>
void for_each_user(Visit&& visit) {
    const File file(std::fopen("/etc/passwd", "re"));
    while (const passwd* entry = file ? fgetpwent(file.get()) : nullptr) visit(*entry);
}
template <typename Visit>
void for_each_group(Visit&& visit) {
    const File file(std::fopen("/etc/group", "re"));
    while (const group* entry = file ? fgetgrent(file.get()) : nullptr) visit(*entry);
}

/// Ids are checked as all of them are set.
bool is(const User& user) {
    uid_t real_u, effective_u, saved_u;
    gid_t real_g, effective_g, saved_g;
    return getresuid(&real_u, &effective_u, &saved_u) == 0 &&
           getresgid(&real_g, &effective_g, &saved_g) == 0 && real_u == user.uid && effective_u == user.uid &&
           saved_u == user.uid && real_g == user.gid && effective_g == user.gid && saved_g == user.gid;
}

}  // namespace

Result<User> find_user(std::string_view text) {
    const size_t colon = text.find(':');
    const std::string name(text.substr(0, colon));
    std::optional<uid_t> uid = parse_id(name);
    std::optional<gid_t> gid;
    User user;
    std::string known_as;
    for_each_user([&](const passwd& entry) {
        if (!known_as.empty() || !(uid ? entry.pw_uid == *uid : name == entry.pw_name)) return;
        known_as = entry.pw_name;
        uid = entry.pw_uid;
        gid = entry.pw_gid;
        user.home = entry.pw_dir;
    });
    if (!uid) return failure("there is no user '{}' in /etc/passwd", name);
    if (colon != std::string_view::npos) {
        const std::string group_name(text.substr(colon + 1));
        gid = parse_id(group_name);
        if (!gid)
            for_each_group([&](const group& entry) {
                if (group_name == entry.gr_name) gid = entry.gr_gid;
            });
        if (!gid) return failure("there is no group '{}' in /etc/group", group_name);
    }
    user.uid = *uid;
    user.gid = gid.value_or(*uid);
    if (!known_as.empty())
        for_each_group([&](const group& entry) {
            for (char** member = entry.gr_mem; *member != nullptr; ++member)
                if (known_as == *member) user.groups.push_back(entry.gr_gid);
        });
    return user;
}

Result<void> become(const User& user) {
    if (geteuid() != 0 && is(user)) return {};
    if (geteuid() != 0) return failure("--user: only root can become another user");
    if (setgroups(user.groups.size(), user.groups.data()) != 0 ||
        setresgid(user.gid, user.gid, user.gid) != 0 || setresuid(user.uid, user.uid, user.uid) != 0)
        return failure("--user: cannot become user {}, group {}: {}", user.uid, user.gid,
                       std::strerror(errno));
    if (!is(user) || (user.uid != 0 && setresuid(0, 0, 0) == 0))
        return failure("--user: root's rights remain");
    return {};
}

Result<void> drop_capabilities() {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (syscall(SYS_capget, &header, sets.data()) != 0)
        return failure("capabilities: {}", std::strerror(errno));
    if (std::ranges::all_of(sets, [](const auto& set) { return (set.effective | set.permitted) == 0; }))
        return {};
    constexpr uint32_t kKept = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;
    // First what a program could get again by execve(), while the right to do this is there.
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
        if (capability >= 32 || (kKept >> capability & 1) == 0) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    for (size_t word = 0; word < sets.size(); ++word) {
        const uint32_t kept = word == 0 ? kKept : 0;
        sets[word].effective &= kept;
        sets[word].permitted &= kept;
        sets[word].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, sets.data()) != 0)
        return failure("capabilities: {}", std::strerror(errno));
    return {};
}

Result<void> forbid_new_privileges() {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return failure("PR_SET_NO_NEW_PRIVS: {}", std::strerror(errno));
    return {};
}

}  // namespace arclight::guestos::sandbox
