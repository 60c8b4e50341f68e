#include "devices/virtio/9p_server.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <utility>

namespace arclight::devices::virtio::p9 {

namespace {

constexpr uint32_t kMaxPath = 1 << 20;  // of a saved name

bool changes_files(Type type) {
    switch (type) {
        case Type::Lcreate:
        case Type::Symlink:
        case Type::Mknod:
        case Type::Rename:
        case Type::Setattr:
        case Type::Xattrcreate:
        case Type::Link:
        case Type::Mkdir:
        case Type::Renameat:
        case Type::Unlinkat:
        case Type::Write:
        case Type::Remove: return true;
        default: return false;
    }
}

}  // namespace

Server::Server(Folder folder, Options options)
    : folder_(std::move(folder)),
      options_(std::move(options)),
      security_(options_.security),
      qids_(options_.multidevs, options_.warn_multidevs),
      fids_(options_.limits) {
    // The shared directory's own device is the first, whose inode numbers stay.
    if (const auto place = folder_.place(""))
        if (const auto info = security_.stat(*place)) std::ignore = qids_.qid(*info);
}

void Server::reset() {
    fids_.clear();
    msize_ = 0;
}

uint32_t Server::serve(std::span<const uint8_t> message, Buffers data, Buffers room, uint64_t limit,
                       std::vector<uint8_t>& reply) {
    reply.clear();
    Reader in(message);
    in.u32();
    // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): a message may say any number
    const auto type = static_cast<Type>(in.u8());
    const uint16_t tag = in.u16();
    Writer out(reply);
    const auto begin = [&](Type of) {
        reply.clear();
        out.u32(0);
        out.u8(static_cast<uint8_t>(static_cast<unsigned>(of) + 1));
        out.u16(tag);
    };
    begin(type);
    Request request{.type = type, .in = in, .out = out, .data = data, .room = room, .limit = limit};
    Status done = in.ok() ? check(request) : std::unexpected(EINVAL);
    if (done) done = dispatch(request);
    if (done && out.size() + request.direct > limit) done = std::unexpected(ENOBUFS);
    if (!done) {
        begin(Type::Error);
        out.u32(static_cast<uint32_t>(done.error()));
        request.direct = 0;
    }
    out.set_u32(0, static_cast<uint32_t>(out.size() + request.direct));
    return request.direct;
}

Status Server::check(const Request& request) const {
    if (msize_ == 0 && request.type != Type::Version) return std::unexpected(EPROTO);
    if (options_.readonly && changes_files(request.type)) return std::unexpected(EROFS);
    return {};
}

Status Server::dispatch(Request& request) {
    switch (request.type) {
        case Type::Statfs: return statfs(request);
        case Type::Lopen: return lopen(request);
        case Type::Lcreate: return lcreate(request);
        case Type::Symlink: return symlink(request);
        case Type::Mknod: return mknod(request);
        case Type::Rename: return rename(request);
        case Type::Readlink: return readlink(request);
        case Type::Getattr: return getattr(request);
        case Type::Setattr: return setattr(request);
        case Type::Xattrwalk: return xattrwalk(request);
        case Type::Xattrcreate: return xattrcreate(request);
        case Type::Readdir: return readdir(request);
        case Type::Fsync: return fsync(request);
        case Type::Lock: return lock(request);
        case Type::Getlock: return getlock(request);
        case Type::Link: return link(request);
        case Type::Mkdir: return mkdir(request);
        case Type::Renameat: return renameat(request);
        case Type::Unlinkat: return unlinkat(request);
        case Type::Version: return version(request);
        case Type::Attach: return attach(request);
        // Requests are served in order: what is to be flushed is answered already.
        case Type::Flush: return {};
        case Type::Walk: return walk(request);
        case Type::Read: return read(request);
        case Type::Write: return write(request);
        case Type::Clunk: return clunk(request);
        case Type::Remove: return remove(request);
        default: return std::unexpected(EOPNOTSUPP);
    }
}

// ---- names and fids

Status check_name(std::string_view name) {
    if (name.empty() || name.find('/') != name.npos) return std::unexpected(ENOENT);
    return {};
}

Expected<Place> Server::place_of(const NameTree::Name& name) const {
    const auto path = name.path();
    if (!path) return std::unexpected(ENOENT);
    return folder_.place(*path);
}

Expected<Server::Found> Server::find(uint32_t number) {
    const auto fid = fids_.find(number);
    if (!fid) return std::unexpected(fid.error());
    auto place = place_of((*fid)->name);
    if (!place) return std::unexpected(place.error());
    return Found{*fid, std::move(*place)};
}

Expected<Place> Server::place_in(const NameTree::Name& directory, std::string_view name) const {
    if (const auto checked = check_name(name); !checked) return std::unexpected(checked.error());
    if (security_.hides(name)) return std::unexpected(EINVAL);
    auto path = directory.path();
    if (!path) return std::unexpected(ENOENT);
    if (!path->empty()) *path += '/';
    return folder_.place(*path += name);
}

Expected<struct stat> Server::stat_of(const Fid& fid) const {
    if (fid.file && !security_.keeps_beside())
        return security_.stat(Security::Target{fid.file.get(), nullptr});
    const auto place = place_of(fid.name);
    if (place) return security_.stat(*place);
    if (fid.file) return security_.stat(Security::Target{fid.file.get(), nullptr});
    return std::unexpected(place.error());
}

Status Server::write_qid(Writer& out, const Place& place) {
    const auto info = security_.stat(place);
    if (!info) return std::unexpected(info.error());
    const auto qid = qids_.qid(*info);
    if (!qid) return std::unexpected(qid.error());
    out.qid(*qid);
    return {};
}

uint32_t Server::io_unit(uint64_t block) const {
    const uint64_t room = msize_ - kIoHeaderSize;
    if (block == 0 || block > room) return static_cast<uint32_t>(room);
    return static_cast<uint32_t>(room / block * block);
}

// ---- state

void Server::save(StateWriter& out) const {
    out(msize_, static_cast<uint32_t>(fids_.all().size()));
    const auto text = [&](std::string_view value) {
        out.bytes(std::span(reinterpret_cast<const uint8_t*>(value.data()), value.size()));
    };
    for (const auto& [number, fid] : fids_.all()) {
        const auto path = fid.name.path();
        const bool removed = !path.has_value(), open = static_cast<bool>(fid.file),
                   xattr = fid.xattr != nullptr;
        out(number, fid.uid, removed, open, static_cast<uint32_t>(fid.flags), xattr);
        text(path.value_or(""));
        if (!xattr) continue;
        out(fid.xattr->writing, fid.xattr->written, static_cast<uint32_t>(fid.xattr->flags));
        text(fid.xattr->name);
        out.bytes(std::span(fid.xattr->value));
    }
}

StateResult Server::load(StateReader& in) {
    reset();
    uint32_t msize = 0, count = 0;
    in(msize, count);
    in.require(msize == 0 || (msize >= kMinMessage && msize <= kMaxMessage), "a message size that cannot be");
    in.require(count == 0 || msize != 0, "fids without a session");
    const auto text = [&](uint64_t limit) {
        std::vector<uint8_t> bytes;
        in.bytes(bytes, limit);
        return std::string(bytes.begin(), bytes.end());
    };
    for (uint32_t i = 0; i < count && in.ok(); i++) {
        uint32_t number = 0, uid = 0, flags = 0;
        bool removed = false, open = false, xattr = false;
        in(number, uid, removed, open, flags, xattr);
        const std::string path = text(kMaxPath);
        auto attribute = std::make_unique<XattrFile>();
        if (xattr) {
            uint32_t xattr_flags = 0;
            in(attribute->writing, attribute->written, xattr_flags);
            attribute->flags = static_cast<int>(xattr_flags);
            attribute->name = text(0xffff);
            in.bytes(attribute->value, Security::kMaxXattr);
            in.require(attribute->written <= attribute->value.size(), "more of an attribute than it has");
        }
        in.require(fids_.can_add(number).has_value(), "a fid that cannot be");
        NameTree::Name name = fids_.names().root();
        for (std::string_view rest = path; !rest.empty() && in.ok();) {
            const std::string_view part = rest.substr(0, rest.find('/'));
            rest.remove_prefix(std::min(rest.size(), part.size() + 1));
            in.require(!part.empty() && part != "." && part != ".." && part.find('\0') == part.npos,
                       "a name that cannot be");
            name = name.child(part);
        }
        if (!in.ok()) break;
        if (removed) {
            // Under a name that no file has.
            name = name.child("/");
            fids_.names().removed(name.parent(), "/");
        }
        Fid& fid = fids_.add(number, name, uid);
        if (xattr && fids_.can_hold_xattr(attribute->value.size()))
            fids_.hold_xattr(fid, std::move(attribute));
        const bool writes = (flags & O_ACCMODE) != O_RDONLY;
        if (!open || xattr || removed || (writes && options_.readonly) || !fids_.can_open()) continue;
        const auto place = place_of(name);
        if (!place) continue;
        auto file = open_node_for(*place, static_cast<int>(flags & (O_ACCMODE | O_APPEND | O_SYNC)));
        struct stat info {};
        if (!file || fstat(file->get(), &info) != 0) continue;
        fids_.opened(fid, std::move(*file), static_cast<int>(flags), S_ISDIR(info.st_mode));
    }
    if (!in.ok()) reset();
    if (in.ok()) msize_ = msize;
    return in.result();
}

}  // namespace arclight::devices::virtio::p9
