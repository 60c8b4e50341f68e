// Whose rights the process has.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "mmu/result.h"

namespace arclight::guestos::sandbox {

struct User {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;  ///< further ones, such as that of /dev/kvm
    std::string home;           ///< empty: not known
};

/// NAME, UID or either with :GID. Names are those of /etc/passwd and /etc/group: no other directory is asked. A number
/// without GID that has no entry there gets the group of the same number.
Result<User> find_user(std::string_view text);

/// Becomes that user for good; the caller is root, or that user already.
Result<void> become(const User& user);

/// Leaves root's privileges that have no use here: what remains are those to open files whoever owns them. Nothing for
/// others.
Result<void> drop_capabilities();

/// PR_SET_NO_NEW_PRIVS: nothing that is executed gets more rights than the process has.
Result<void> forbid_new_privileges();

}  // namespace arclight::guestos::sandbox
