// The file server: 9P2000.L requests, one after the other. Every field of them is the guest's, and hostile.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devices/state.h"
#include "devices/virtio/9p_fids.h"
#include "devices/virtio/9p_folder.h"
#include "devices/virtio/9p_qids.h"
#include "devices/virtio/9p_security.h"
#include "devices/virtio/9p_wire.h"

namespace arclight::devices::virtio::p9 {

class Server {
  public:
    using Buffers = std::span<const std::span<uint8_t>>;

    struct Options {
        SecurityModel security = SecurityModel::MappedXattr;
        bool readonly = false;
        Multidevs multidevs = Multidevs::Remap;
        FidTable::Limits limits;
        std::function<void()> warn_multidevs;
    };
    Server(Folder folder, Options options);

    /// One request. `message`: a copy of it, of a Twrite without the data; `data`: those, where they are; `room`: for the
    /// data of an Rread, behind its kReadReplySize bytes. The reply goes to `reply`, without those data: returns how many
    /// of them are in `room`. No reply is longer than `limit`, its data counted.
    uint32_t serve(std::span<const uint8_t> message, Buffers data, Buffers room, uint64_t limit,
                   std::vector<uint8_t>& reply);

    /// Forgets the guest: all fids are clunked.
    void reset();

    /// Fids by their names; open ones are opened again by load(). One whose file is not there any more is there without it.
    void save(StateWriter& out) const;
    StateResult load(StateReader& in);

  private:
    /// What an operation has beside its fields.
    struct Request {
        Type type;
        Reader& in;
        Writer& out;
        Buffers data, room;
        uint64_t limit;  ///< of the reply
        uint32_t direct = 0;
    };
    /// A fid that names a file that is there.
    struct Found {
        Fid* fid;
        Place place;
    };

    // 9p_session.cpp: the fids
    Status version(Request& request);
    Status attach(Request& request);
    Status walk(Request& request);
    Status clunk(Request& request);
    Status clunk(uint32_t number);
    // 9p_files.cpp: content of open files and directories
    Status lopen(Request& request);
    Status lcreate(Request& request);
    Status read(Request& request);
    Status write(Request& request);
    Status readdir(Request& request);
    Status fsync(Request& request);
    Status lock(Request& request);
    Status getlock(Request& request);
    // 9p_entries.cpp: what is in directories
    Status mkdir(Request& request);
    Status mknod(Request& request);
    Status symlink(Request& request);
    Status link(Request& request);
    Status rename(Request& request);
    Status renameat(Request& request);
    Status unlinkat(Request& request);
    Status remove(Request& request);
    Status readlink(Request& request);
    // 9p_attributes.cpp
    Status getattr(Request& request);
    Status setattr(Request& request);
    Status statfs(Request& request);
    Status xattrwalk(Request& request);
    Status xattrcreate(Request& request);

    Status dispatch(Request& request);
    Status check(const Request& request) const;

    Expected<Place> place_of(const NameTree::Name& name) const;
    Expected<Found> find(uint32_t number);
    /// A place in a directory; new_place() for a name that is not there yet.
    Expected<Place> place_in(const NameTree::Name& directory, std::string_view name) const;
    Expected<Place> new_place(uint32_t directory, std::string_view name, Fid*& fid);
    Expected<struct stat> stat_of(const Fid& fid) const;
    Status write_qid(Writer& out, const Place& place);
    Status move(const NameTree::Name& from, std::string_view name, const NameTree::Name& to,
                std::string_view new_name);
    Qid entry_qid(const Fid& directory, const std::string& name, uint64_t inode);
    /// What fits behind the header of a read or a write, in blocks of the file's.
    uint32_t io_unit(uint64_t block) const;
    Status read_xattr(const XattrFile& xattr, uint64_t offset, uint32_t count, Request& request);
    Status write_xattr_back(const Fid& fid);
    Status write_xattr(XattrFile& xattr, uint64_t offset, uint32_t count, Request& request);

    template <typename Function>
    Status with_target(const Fid& fid, Function&& function);

    Folder folder_;
    const Options options_;
    Security security_;
    Qids qids_;
    FidTable fids_;
    uint32_t msize_ = 0;  ///< 0: no version is agreed on
};

/// Whether a name can be one part of a path.
Status check_name(std::string_view name);

}  // namespace arclight::devices::virtio::p9
