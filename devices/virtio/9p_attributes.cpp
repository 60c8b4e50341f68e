// Requests about what files are like.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "devices/virtio/9p_server.h"

namespace arclight::devices::virtio::p9 {

namespace {

constexpr uint64_t kBasicAttributes = 0x7ff;  // P9_STATS_BASIC

constexpr uint32_t kSetMode = 0x1, kSetUid = 0x2, kSetGid = 0x4, kSetSize = 0x8, kSetAtime = 0x10,
                   kSetMtime = 0x20, kSetCtime = 0x40, kGivenAtime = 0x80, kGivenMtime = 0x100;
constexpr uint32_t kSetAny = 0x7f;
constexpr uint32_t kUnchanged = ~0u;

timespec time_to_set(uint32_t valid, uint32_t set, uint32_t given, uint64_t seconds, uint64_t nanoseconds) {
    if ((valid & set) == 0) return {.tv_sec = 0, .tv_nsec = UTIME_OMIT};
    if ((valid & given) == 0) return {.tv_sec = 0, .tv_nsec = UTIME_NOW};
    return {.tv_sec = static_cast<time_t>(seconds),
            .tv_nsec = static_cast<long>(std::min<uint64_t>(nanoseconds, 999'999'999))};
}

}  // namespace

// Calls function(target) with what a fid is open on, or else with what its name leads to.
template <typename Function>
Status Server::with_target(const Fid& fid, Function&& function) {
    if (fid.file && !security_.keeps_beside()) return function(Security::Target{fid.file.get(), nullptr});
    const auto place = place_of(fid.name);
    if (fid.file) return function(Security::Target{fid.file.get(), place ? &*place : nullptr});
    if (!place) return std::unexpected(place.error());
    const auto node = open_node(*place);
    if (!node) return std::unexpected(node.error());
    return function(Security::Target{node->get(), &*place});
}

Status Server::write_xattr_back(const Fid& fid) {
    const XattrFile& xattr = *fid.xattr;
    if (xattr.written != xattr.value.size()) return std::unexpected(EINVAL);
    return with_target(fid, [&](const Security::Target& target) {
        // No value is how the guest removes one.
        return xattr.value.empty() ? security_.remove_xattr(target, xattr.name)
                                   : security_.set_xattr(target, xattr.name, xattr.value, xattr.flags);
    });
}

Status Server::getattr(Request& request) {
    const uint32_t number = request.in.u32();
    request.in.u64();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    const auto info = stat_of(**fid);
    if (!info) return std::unexpected(info.error());
    const auto qid = qids_.qid(*info);
    if (!qid) return std::unexpected(qid.error());
    Writer& out = request.out;
    const auto time = [&](const timespec& t) {
        out.u64(static_cast<uint64_t>(t.tv_sec));
        out.u64(static_cast<uint64_t>(t.tv_nsec));
    };
    out.u64(kBasicAttributes);
    out.qid(*qid);
    out.u32(info->st_mode);
    out.u32(info->st_uid);
    out.u32(info->st_gid);
    out.u64(info->st_nlink);
    out.u64(info->st_rdev);
    out.u64(static_cast<uint64_t>(info->st_size));
    out.u64(io_unit(static_cast<uint64_t>(info->st_blksize)));
    out.u64(static_cast<uint64_t>(info->st_blocks));
    time(info->st_atim);
    time(info->st_mtim);
    time(info->st_ctim);
    time({});    // of birth
    out.u64(0);  // generation
    out.u64(0);  // data version
    return {};
}

Status Server::setattr(Request& request) {
    Reader& in = request.in;
    const uint32_t number = in.u32(), valid = in.u32(), mode = in.u32(), uid = in.u32(), gid = in.u32();
    const uint64_t size = in.u64();
    const uint64_t atime = in.u64(), atime_ns = in.u64(), mtime = in.u64(), mtime_ns = in.u64();
    if (!in.ok()) return std::unexpected(EINVAL);
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    return with_target(**fid, [&](const Security::Target& target) -> Status {
        if ((valid & kSetMode) != 0)
            if (auto done = security_.chmod(target, mode); !done) return done;
        const std::string path = proc_path(target.fd);
        if ((valid & (kSetAtime | kSetMtime)) != 0) {
            const timespec times[] = {time_to_set(valid, kSetAtime, kGivenAtime, atime, atime_ns),
                                      time_to_set(valid, kSetMtime, kGivenMtime, mtime, mtime_ns)};
            if (utimensat(AT_FDCWD, path.c_str(), times, 0) != 0) return std::unexpected(errno);
        }
        const bool change_time_only = (valid & kSetAny) == kSetCtime;
        if ((valid & (kSetUid | kSetGid)) != 0 || change_time_only)
            if (auto done = security_.chown(target, (valid & kSetUid) != 0 ? uid : kUnchanged,
                                            (valid & kSetGid) != 0 ? gid : kUnchanged);
                !done)
                return done;
        if ((valid & kSetSize) == 0) return {};
        const auto info = security_.stat(target);
        if (!info) return std::unexpected(info.error());
        if (!S_ISREG(info->st_mode)) return std::unexpected(S_ISDIR(info->st_mode) ? EISDIR : EINVAL);
        const bool writable = (*fid)->file && ((*fid)->flags & O_ACCMODE) != O_RDONLY;
        const auto length = static_cast<off_t>(size);
        if ((writable ? ftruncate(target.fd, length) : truncate(path.c_str(), length)) != 0)
            return std::unexpected(errno);
        return {};
    });
}

Status Server::statfs(Request& request) {
    const uint32_t number = request.in.u32();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    struct statfs info {};
    const auto asked = with_target(**fid, [&](const Security::Target& target) -> Status {
        if (fstatfs(target.fd, &info) != 0) return std::unexpected(errno);
        return {};
    });
    if (!asked) return asked;
    // Linux's guests read and write in blocks of this size: as many of the host's as a message has.
    const auto block = static_cast<uint64_t>(std::max<long>(info.f_bsize, 1));
    const uint64_t factor = std::max<uint64_t>(1, (msize_ - kIoHeaderSize) / block);
    Writer& out = request.out;
    out.u32(static_cast<uint32_t>(info.f_type));
    out.u32(static_cast<uint32_t>(block * factor));
    out.u64(info.f_blocks / factor);
    out.u64(info.f_bfree / factor);
    out.u64(info.f_bavail / factor);
    out.u64(info.f_files);
    out.u64(info.f_ffree);
    out.u64(static_cast<uint32_t>(info.f_fsid.__val[0]) |
            static_cast<uint64_t>(static_cast<uint32_t>(info.f_fsid.__val[1])) << 32);
    out.u32(static_cast<uint32_t>(info.f_namelen));
    return {};
}

// ---- extended attributes: the new fid is read like a file that has the value, or the names

Status Server::xattrwalk(Request& request) {
    const uint32_t number = request.in.u32(), new_number = request.in.u32();
    const std::string name(request.in.text());
    if (!request.in.ok()) return std::unexpected(EINVAL);
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    if (auto addable = fids_.can_add(new_number); !addable) return addable;
    auto xattr = std::make_unique<XattrFile>();
    const auto got = with_target(**fid, [&](const Security::Target& target) -> Status {
        auto value = name.empty() ? security_.list_xattrs(target) : security_.get_xattr(target, name);
        if (!value) return std::unexpected(value.error());
        xattr->value = std::move(*value);
        return {};
    });
    if (!got) return got;
    if (auto room = fids_.can_hold_xattr(xattr->value.size()); !room) return room;
    request.out.u64(xattr->value.size());
    const NameTree::Name file = (*fid)->name;
    Fid& added = fids_.add(new_number, file, (*fid)->uid);
    fids_.hold_xattr(added, std::move(xattr));
    return {};
}

Status Server::xattrcreate(Request& request) {
    const uint32_t number = request.in.u32();
    const std::string name(request.in.text());
    const uint64_t size = request.in.u64();
    const uint32_t flags = request.in.u32();
    if (!request.in.ok() || flags > 2) return std::unexpected(EINVAL);  // XATTR_CREATE or XATTR_REPLACE
    if (size > Security::kMaxXattr) return std::unexpected(E2BIG);
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    if ((*fid)->open()) return std::unexpected(EINVAL);
    if (auto room = fids_.can_hold_xattr(size); !room) return room;
    auto xattr = std::make_unique<XattrFile>();
    xattr->name = name;
    xattr->value.resize(size);
    xattr->writing = true;
    xattr->flags = static_cast<int>(flags);
    fids_.hold_xattr(**fid, std::move(xattr));
    return {};
}

}  // namespace arclight::devices::virtio::p9
