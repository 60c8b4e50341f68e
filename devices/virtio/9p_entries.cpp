// Requests about what is in directories: making, renaming and removing files.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>

#include "devices/virtio/9p_server.h"

namespace arclight::devices::virtio::p9 {

namespace {
constexpr uint32_t kRemoveDirectory = 0x200;  // P9_DOTL_AT_REMOVEDIR
constexpr uint32_t kMaxTarget = 4095;

bool is_dots(std::string_view name) { return name == "." || name == ".."; }
}  // namespace

// For a name that is not there yet.
Expected<Place> Server::new_place(uint32_t directory, std::string_view name, Fid*& fid) {
    const auto found = fids_.find(directory);
    if (!found) return std::unexpected(found.error());
    fid = *found;
    if (is_dots(name)) return std::unexpected(EEXIST);
    return place_in(fid->name, name);
}

Status Server::mkdir(Request& request) {
    const uint32_t number = request.in.u32();
    const std::string_view name = request.in.text();
    const uint32_t mode = request.in.u32(), gid = request.in.u32();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    Fid* fid = nullptr;
    const auto place = new_place(number, name, fid);
    if (!place) return std::unexpected(place.error());
    const Credentials credentials{.uid = fid->uid, .gid = gid, .mode = S_IFDIR | (mode & 07777)};
    if (auto made = security_.mkdir(*place, credentials); !made) return made;
    return write_qid(request.out, *place);
}

Status Server::mknod(Request& request) {
    const uint32_t number = request.in.u32();
    const std::string_view name = request.in.text();
    const uint32_t mode = request.in.u32(), major = request.in.u32(), minor = request.in.u32(),
                   gid = request.in.u32();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    const uint32_t type = mode & S_IFMT;
    if (type != S_IFREG && type != S_IFCHR && type != S_IFBLK && type != S_IFIFO && type != S_IFSOCK)
        return std::unexpected(EINVAL);
    Fid* fid = nullptr;
    const auto place = new_place(number, name, fid);
    if (!place) return std::unexpected(place.error());
    const Credentials credentials{
        .uid = fid->uid, .gid = gid, .mode = type | (mode & 07777), .device = makedev(major, minor)};
    if (auto made = security_.mknod(*place, credentials); !made) return made;
    return write_qid(request.out, *place);
}

Status Server::symlink(Request& request) {
    const uint32_t number = request.in.u32();
    const std::string_view name = request.in.text(), target = request.in.text();
    const uint32_t gid = request.in.u32();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    if (target.empty()) return std::unexpected(ENOENT);
    if (target.size() > kMaxTarget) return std::unexpected(ENAMETOOLONG);
    Fid* fid = nullptr;
    const auto place = new_place(number, name, fid);
    if (!place) return std::unexpected(place.error());
    const Credentials credentials{.uid = fid->uid, .gid = gid, .mode = 0};
    if (auto made = security_.symlink(*place, std::string(target), credentials); !made) return made;
    return write_qid(request.out, *place);
}

Status Server::link(Request& request) {
    const uint32_t directory = request.in.u32(), number = request.in.u32();
    const std::string_view name = request.in.text();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    const auto from = find(number);
    if (!from) return std::unexpected(from.error());
    Fid* fid = nullptr;
    const auto to = new_place(directory, name, fid);
    if (!to) return std::unexpected(to.error());
    return security_.link(from->place, *to);
}

Status Server::readlink(Request& request) {
    const uint32_t number = request.in.u32();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    const auto found = find(number);
    if (!found) return std::unexpected(found.error());
    const auto target = security_.readlink(found->place);
    if (!target) return std::unexpected(target.error());
    request.out.text(*target);
    return {};
}

// ---- renaming

Status Server::move(const NameTree::Name& from, std::string_view name, const NameTree::Name& to,
                    std::string_view new_name) {
    if (is_dots(name) || is_dots(new_name)) return std::unexpected(EISDIR);
    const auto source = place_in(from, name), target = place_in(to, new_name);
    if (!source) return std::unexpected(source.error());
    if (!target) return std::unexpected(target.error());
    if (auto renamed = security_.rename(*source, *target); !renamed) return renamed;
    fids_.names().renamed(from, name, to, new_name);
    return {};
}

Status Server::rename(Request& request) {
    const uint32_t number = request.in.u32(), directory = request.in.u32();
    const std::string_view name = request.in.text();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    const auto to = fids_.find(directory);
    if (!to) return std::unexpected(to.error());
    if ((*fid)->name.is_root()) return std::unexpected(EBUSY);
    const auto last = (*fid)->name.last();
    if (!last) return std::unexpected(ENOENT);
    return move((*fid)->name.parent(), *last, (*to)->name, name);
}

Status Server::renameat(Request& request) {
    const uint32_t from_number = request.in.u32();
    const std::string_view name = request.in.text();
    const uint32_t to_number = request.in.u32();
    const std::string_view new_name = request.in.text();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    const auto from = fids_.find(from_number);
    if (!from) return std::unexpected(from.error());
    const auto to = fids_.find(to_number);
    if (!to) return std::unexpected(to.error());
    return move((*from)->name, name, (*to)->name, new_name);
}

// ---- removing

Status Server::unlinkat(Request& request) {
    const uint32_t number = request.in.u32();
    const std::string_view name = request.in.text();
    const uint32_t flags = request.in.u32();
    if (!request.in.ok() || (flags & ~kRemoveDirectory) != 0) return std::unexpected(EINVAL);
    if (name == ".") return std::unexpected(EINVAL);
    if (name == "..") return std::unexpected(ENOTEMPTY);
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    const NameTree::Name directory = (*fid)->name;
    const auto place = place_in(directory, name);
    if (!place) return std::unexpected(place.error());
    if (auto removed = security_.remove(*place, (flags & kRemoveDirectory) != 0); !removed) return removed;
    fids_.names().removed(directory, name);
    return {};
}

// The fid is clunked in any case.
Status Server::remove(Request& request) {
    const uint32_t number = request.in.u32();
    if (!request.in.ok()) return std::unexpected(EINVAL);
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    const NameTree::Name name = (*fid)->name;
    fids_.remove(number);
    if (name.is_root()) return std::unexpected(EBUSY);
    const auto last = name.last();
    const auto place = place_of(name);
    if (!last || !place) return std::unexpected(ENOENT);
    const auto info = security_.stat(*place);
    if (!info) return std::unexpected(info.error());
    if (auto removed = security_.remove(*place, S_ISDIR(info->st_mode)); !removed) return removed;
    fids_.names().removed(name.parent(), *last);
    return {};
}

}  // namespace arclight::devices::virtio::p9
