#include "guestos/sandbox/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace arclight::guestos::sandbox {

namespace {

// Of <linux/landlock.h>, which is older than some of this on Debian 12. The calls have the same numbers everywhere.
constexpr long kCreateRuleset = 444, kAddRule = 445, kRestrictSelf = 446;
constexpr unsigned kRulesetVersion = 1, kRulePathBeneath = 1, kRuleNetPort = 2;

struct RulesetAttributes {
    uint64_t fs;
    uint64_t net;     // ABI 4
    uint64_t scoped;  // ABI 6
};
struct [[gnu::packed]] PathBeneath {
    uint64_t allowed;
    int32_t parent;
};
struct NetPort {
    uint64_t allowed;
    uint64_t port;
};

namespace right {
constexpr uint64_t kExecute = 1 << 0, kWriteFile = 1 << 1, kReadFile = 1 << 2, kReadDir = 1 << 3,
                   kRemoveDir = 1 << 4, kRemoveFile = 1 << 5, kMakeDir = 1 << 7, kMakeReg = 1 << 8,
                   kMakeSock = 1 << 9, kMakeFifo = 1 << 10, kMakeSym = 1 << 12, kRefer = 1 << 13,
                   kTruncate = 1 << 14, kIoctlDevice = 1 << 15;
constexpr uint64_t kOfAbi1 = (1 << 13) - 1,
                   kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDevice;
constexpr uint64_t kTcpBind = 1, kTcpConnect = 2;
constexpr uint64_t kOfTrees =
    kRemoveDir | kRemoveFile | kMakeDir | kMakeReg | kMakeSock | kMakeFifo | kMakeSym | kRefer;
constexpr uint64_t kScopes = 3;  ///< abstract Unix sockets, signals
}  // namespace right

uint64_t handled_rights(int abi) {
    uint64_t all = right::kOfAbi1;
    if (abi >= 2) all |= right::kRefer;
    if (abi >= 3) all |= right::kTruncate;
    if (abi >= 5) all |= right::kIoctlDevice;
    return all;
}

uint64_t rights_of(unsigned access) {
    uint64_t rights = 0;
    if ((access & FileGrant::kRead) != 0) rights |= right::kReadFile;
    if ((access & FileGrant::kWrite) != 0) rights |= right::kWriteFile | right::kTruncate;
    if ((access & FileGrant::kDevice) != 0) rights |= right::kIoctlDevice;
    if ((access & FileGrant::kList) != 0) rights |= right::kReadDir;
    if ((access & FileGrant::kMake) != 0) rights |= right::kMakeReg;
    if ((access & FileGrant::kRemove) != 0) rights |= right::kRemoveFile;
    if ((access & FileGrant::kMakeSocket) != 0) rights |= right::kMakeSock;
    if ((access & FileGrant::kTree) != 0) rights |= right::kOfTrees;
    if ((access & FileGrant::kMove) != 0) rights |= right::kRefer;
    return rights;
}

struct Descriptor {
    int fd = -1;
    ~Descriptor() {
        if (fd >= 0) close(fd);
    }
};

std::unexpected<std::string> failed(std::string_view what) {
    return failure("Landlock: {}: {}", what, std::strerror(errno));
}

Result<void> add_grant(int ruleset, uint64_t handled, const FileGrant& grant) {
    const Descriptor file{open(grant.path.c_str(), O_PATH | O_CLOEXEC)};
    struct stat about {};
    if (file.fd < 0 || fstat(file.fd, &about) != 0) return {};  // whoever opens it says why that fails
    uint64_t rights = rights_of(grant.access);
    constexpr uint64_t kForDirectories =
        right::kReadDir | right::kMakeReg | right::kRemoveFile | right::kMakeSock | right::kRefer;
    if (!S_ISDIR(about.st_mode))
        rights &= right::kOfFiles;
    else if ((rights & kForDirectories) == 0)
        rights = right::kReadDir;  // somebody will say that it is a directory
    const PathBeneath rule{.allowed = rights & handled, .parent = file.fd};
    if (rule.allowed == 0) return {};
    // EBADFD: a pipe or the like, by /dev/fd, to which Landlock does not apply.
    if (syscall(kAddRule, ruleset, kRulePathBeneath, &rule, 0) != 0 && errno != EBADFD)
        return failed(fmt::format("'{}'", grant.path));
    return {};
}

}  // namespace

int landlock_abi() {
    const long abi = syscall(kCreateRuleset, nullptr, 0, kRulesetVersion);
    return abi > 0 ? static_cast<int>(abi) : 0;
}

Result<void> restrict_files(std::span<const FileGrant> grants, const TcpGrant& tcp) {
    const int abi = landlock_abi();
    if (abi == 0) return failed("not there");
    const uint64_t handled_tcp = right::kTcpBind | (tcp.connect ? 0 : right::kTcpConnect);
    const RulesetAttributes attributes{.fs = handled_rights(abi),
                                       .net = abi >= 4 ? handled_tcp : 0,
                                       .scoped = abi >= 6 ? right::kScopes : 0};
    const size_t bytes = abi >= 6   ? sizeof attributes
                         : abi >= 4 ? offsetof(RulesetAttributes, scoped)
                                    : offsetof(RulesetAttributes, net);
    const Descriptor ruleset{static_cast<int>(syscall(kCreateRuleset, &attributes, bytes, 0))};
    if (ruleset.fd < 0) return failed("no ruleset");
    for (const FileGrant& grant : grants)
        if (auto added = add_grant(ruleset.fd, attributes.fs, grant); !added) return added;
    for (const uint16_t port : tcp.ports) {
        const NetPort rule{.allowed = right::kTcpBind, .port = port};
        if (abi >= 4 && syscall(kAddRule, ruleset.fd, kRuleNetPort, &rule, 0) != 0)
            return failed(fmt::format("port {}", port));
    }
    if (syscall(kRestrictSelf, ruleset.fd, 0) != 0) return failed("cannot be enforced");
    return {};
}

}  // namespace arclight::guestos::sandbox
