// Requests about the content of files and directories.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <limits>

#include "devices/virtio/9p_server.h"
#include "devices/virtio/queue.h"

namespace arclight::devices::virtio::p9 {

namespace {

// The protocol's flags are Linux's generic ones, which x86-64 has too. Caches of the host's, signals and terminals are not
// the guest's business, and what creates files is not taken from here.
static_assert(O_TRUNC == 01000 && O_APPEND == 02000 && O_NONBLOCK == 04000 && O_DSYNC == 010000 &&
              O_DIRECTORY == 0200000 && O_NOATIME == 01000000 && O_SYNC == 04010000);
constexpr uint32_t kKeptFlags = O_ACCMODE | O_TRUNC | O_APPEND | O_SYNC | O_NOATIME;
constexpr uint32_t kExclusive = O_EXCL;

constexpr uint8_t kLockSuccess = 0;
constexpr uint8_t kLockTypeUnlocked = 2;
constexpr uint32_t kLockFlagBlock = 1;

constexpr size_t kQidSize = 13;
constexpr size_t kEntrySize = kQidSize + 8 + 1 + 2;  // without the name

// getdents64(2)
struct HostEntry {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
};
constexpr size_t kHostEntryName = 19;

uint64_t total(std::span<const std::span<uint8_t>> buffers) {
    uint64_t bytes = 0;
    for (const auto& buffer : buffers) bytes += buffer.size();
    return bytes;
}

std::vector<iovec> vector_of(std::span<const std::span<uint8_t>> buffers, uint64_t bytes) {
    std::vector<iovec> vectors;
    for (const auto& buffer : buffers) {
        const size_t take = std::min<uint64_t>(buffer.size(), bytes);
        if (take != 0) vectors.push_back({buffer.data(), take});
        bytes -= take;
    }
    return vectors;
}

template <typename Call>
Expected<uint32_t> transfer(Call&& call) {
    for (;;) {
        const ssize_t done = call();
        if (done >= 0) return static_cast<uint32_t>(done);
        if (errno != EINTR) return std::unexpected(errno);
    }
}

bool writes(uint32_t flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0; }

}  // namespace

// ---- opening

Status Server::lopen(Request& request) {
    const uint32_t number = request.in.u32(), flags = request.in.u32();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    const auto found = find(number);
    if (!found) return std::unexpected(found.error());
    if (found->fid->open()) return std::unexpected(EINVAL);
    if (auto openable = fids_.can_open(); !openable) return openable;
    if (options_.readonly && writes(flags)) return std::unexpected(EROFS);
    const auto info = security_.stat(found->place);
    if (!info) return std::unexpected(info.error());
    const bool directory = S_ISDIR(info->st_mode);
    // The guest opens devices, pipes and links itself; with a mapped model they are files on the host.
    if (!directory && !S_ISREG(info->st_mode)) return std::unexpected(S_ISLNK(info->st_mode) ? ELOOP : ENXIO);
    if (directory && writes(flags)) return std::unexpected(EISDIR);
    if (!directory && (flags & O_DIRECTORY) != 0) return std::unexpected(ENOTDIR);
    const int host_flags = directory ? O_RDONLY | O_DIRECTORY : static_cast<int>(flags & kKeptFlags);
    auto file = open_node_for(found->place, host_flags);
    if (!file) return std::unexpected(file.error());
    const auto qid = qids_.qid(*info);
    if (!qid) return std::unexpected(qid.error());
    fids_.opened(*found->fid, std::move(*file), host_flags, directory);
    request.out.qid(*qid);
    request.out.u32(directory ? 0 : io_unit(static_cast<uint64_t>(info->st_blksize)));
    return {};
}

// The fid, a directory's, becomes the new file's.
Status Server::lcreate(Request& request) {
    const uint32_t number = request.in.u32();
    const std::string_view name = request.in.text();
    const uint32_t flags = request.in.u32(), mode = request.in.u32(), gid = request.in.u32();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    const auto found = fids_.find(number);
    if (!found) return std::unexpected(found.error());
    Fid& fid = **found;
    if (fid.open()) return std::unexpected(EINVAL);
    if (auto openable = fids_.can_open(); !openable) return openable;
    if (name == "." || name == "..") return std::unexpected(EEXIST);
    const auto place = place_in(fid.name, name);
    if (!place) return std::unexpected(place.error());
    const int host_flags = static_cast<int>(flags & kKeptFlags & ~static_cast<uint32_t>(O_NOATIME));
    auto file =
        security_.create(*place, host_flags, {.uid = fid.uid, .gid = gid, .mode = S_IFREG | (mode & 07777)});
    if (!file && file.error() == EEXIST && (flags & kExclusive) == 0) {
        const auto there = security_.stat(*place);
        if (!there) return std::unexpected(there.error());
        if (!S_ISREG(there->st_mode)) return std::unexpected(S_ISDIR(there->st_mode) ? EISDIR : ENXIO);
        file = open_node_for(*place, host_flags);
    }
    if (!file) return std::unexpected(file.error());
    const auto info = security_.stat(Security::Target{file->get(), &*place});
    if (!info) return std::unexpected(info.error());
    const auto qid = qids_.qid(*info);
    if (!qid) return std::unexpected(qid.error());
    fid.name = fid.name.child(name);
    fids_.opened(fid, std::move(*file), host_flags, false);
    request.out.qid(*qid);
    request.out.u32(io_unit(static_cast<uint64_t>(info->st_blksize)));
    return {};
}

// ---- files

Status Server::read(Request& request) {
    const uint32_t number = request.in.u32();
    const uint64_t offset = request.in.u64();
    const uint32_t wanted = request.in.u32();
    if (!request.in.ok() || request.limit < kReadReplySize) return std::unexpected(EINVAL);
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    const auto count = static_cast<uint32_t>(std::min<uint64_t>(
        {wanted, msize_ - kReadReplySize, request.limit - kReadReplySize, total(request.room)}));
    if ((*fid)->xattr != nullptr) return read_xattr(*(*fid)->xattr, offset, count, request);
    if (!(*fid)->file || (*fid)->directory) return std::unexpected(EINVAL);
    if (offset > std::numeric_limits<int64_t>::max()) return std::unexpected(EINVAL);
    const auto vectors = vector_of(request.room, count);
    const auto got = transfer([&] {
        return preadv((*fid)->file.get(), vectors.data(), static_cast<int>(vectors.size()),
                      static_cast<off_t>(offset));
    });
    if (!got) return std::unexpected(got.error());
    request.out.u32(*got);
    request.direct = *got;
    return {};
}

Status Server::write(Request& request) {
    const uint32_t number = request.in.u32();
    const uint64_t offset = request.in.u64();
    const uint32_t count = request.in.u32();
    if (!request.in.ok() || count > total(request.data)) return std::unexpected(EINVAL);
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    if ((*fid)->xattr != nullptr) return write_xattr(*(*fid)->xattr, offset, count, request);
    if (!(*fid)->file || (*fid)->directory) return std::unexpected(EINVAL);
    if (offset > std::numeric_limits<int64_t>::max()) return std::unexpected(EINVAL);
    const auto vectors = vector_of(request.data, count);
    const auto put = transfer([&] {
        return pwritev((*fid)->file.get(), vectors.data(), static_cast<int>(vectors.size()),
                       static_cast<off_t>(offset));
    });
    if (!put) return std::unexpected(put.error());
    request.out.u32(*put);
    return {};
}

Status Server::read_xattr(const XattrFile& xattr, uint64_t offset, uint32_t count, Request& request) {
    if (xattr.writing) return std::unexpected(EINVAL);
    const uint64_t size = xattr.value.size(), from = std::min(offset, size);
    const auto part = std::span(xattr.value).subspan(from, std::min<uint64_t>(size - from, count));
    if (scatter(part, request.room) != part.size()) return std::unexpected(EFAULT);
    request.out.u32(static_cast<uint32_t>(part.size()));
    request.direct = static_cast<uint32_t>(part.size());
    return {};
}

Status Server::write_xattr(XattrFile& xattr, uint64_t offset, uint32_t count, Request& request) {
    // In order, and no more than was announced.
    if (!xattr.writing || offset != xattr.written) return std::unexpected(EINVAL);
    if (count > xattr.value.size() - xattr.written) return std::unexpected(ENOSPC);
    if (gather(request.data, std::span(xattr.value).subspan(xattr.written, count)) != count)
        return std::unexpected(EFAULT);
    xattr.written += count;
    request.out.u32(count);
    return {};
}

Status Server::fsync(Request& request) {
    const uint32_t number = request.in.u32(), data_only = request.in.u32();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    if (!(*fid)->file) return std::unexpected(EINVAL);
    const int fd = (*fid)->file.get();
    if ((data_only != 0 ? fdatasync(fd) : ::fsync(fd)) != 0) return std::unexpected(errno);
    return {};
}

// ---- locks

// A guest's locks are its kernel's, which has asked itself before it asks here. The host's would be another thing: they
// belong to open files, and a guest's to processes. QEMU does the same.
Status Server::lock(Request& request) {
    const uint32_t number = request.in.u32();
    request.in.u8();
    const uint32_t flags = request.in.u32();
    request.in.u64();
    request.in.u64();
    request.in.u32();
    request.in.text();
    if (!request.in.ok() || (flags & ~kLockFlagBlock) != 0) return std::unexpected(EINVAL);
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    if (!(*fid)->file) return std::unexpected(EINVAL);
    request.out.u8(kLockSuccess);
    return {};
}

Status Server::getlock(Request& request) {
    const uint32_t number = request.in.u32();
    request.in.u8();
    const uint64_t start = request.in.u64(), length = request.in.u64();
    const uint32_t process = request.in.u32();
    const std::string_view client = request.in.text();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    if (!(*fid)->file) return std::unexpected(EINVAL);
    request.out.u8(kLockTypeUnlocked);
    request.out.u64(start);
    request.out.u64(length);
    request.out.u32(process);
    request.out.text(client);
    return {};
}

// ---- directories

// The offset of an entry is the host's of the one after it.
Status Server::readdir(Request& request) {
    const uint32_t number = request.in.u32();
    const uint64_t offset = request.in.u64();
    const uint32_t wanted = request.in.u32();
    if (!request.in.ok() || request.limit < kReadReplySize) return std::unexpected(EINVAL);
    const auto found = fids_.find(number);
    if (!found) return std::unexpected(found.error());
    const Fid& fid = **found;
    if (!fid.file || !fid.directory) return std::unexpected(EINVAL);
    if (lseek(fid.file.get(), static_cast<off_t>(offset), SEEK_SET) < 0) return std::unexpected(errno);

    const size_t room = std::min<uint64_t>({wanted, msize_ - kIoHeaderSize, request.limit - kReadReplySize});
    const size_t start = request.out.size();
    request.out.u32(0);
    const size_t end = request.out.size() + room;
    std::array<uint8_t, 32768> buffer;
    for (bool full = false; !full;) {
        const long got = syscall(SYS_getdents64, fid.file.get(), buffer.data(), buffer.size());
        if (got < 0) return std::unexpected(errno);
        if (got == 0) break;
        for (size_t at = 0; at < static_cast<size_t>(got);) {
            HostEntry entry;
            std::memcpy(&entry, buffer.data() + at, kHostEntryName);
            const std::string name(reinterpret_cast<const char*>(buffer.data() + at + kHostEntryName));
            at += entry.size;
            if (security_.hides(name)) continue;
            full = request.out.size() + kEntrySize + name.size() > end;
            if (full) break;
            request.out.qid(entry_qid(fid, name, entry.inode));
            request.out.u64(static_cast<uint64_t>(entry.offset));
            request.out.u8(security_.maps() && entry.type != DT_DIR ? uint8_t{DT_UNKNOWN} : entry.type);
            request.out.text(name);
        }
        // No room for even one entry would look like the end.
        if (full && request.out.size() == start + 4) return std::unexpected(EINVAL);
    }
    request.out.set_u32(start, static_cast<uint32_t>(request.out.size() - start - 4));
    return {};
}

// Of what is above the shared directory the guest learns nothing.
Qid Server::entry_qid(const Fid& directory, const std::string& name, uint64_t inode) {
    struct stat info {};
    const bool above = name == ".." && directory.name.is_root();
    if (fstatat(directory.file.get(), above ? "." : name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0)
        if (const auto qid = qids_.qid(info)) return *qid;
    Qid qid;
    qid.path = inode;
    return qid;
}

}  // namespace arclight::devices::virtio::p9
