// The 9P server over a real directory, and its device.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "devices/virtio/9p.h"
#include "tests/devices/p9_client.h"
#include "tests/devices/virtio_driver.h"

namespace arclight::devices::test {
namespace {

using Model = p9::SecurityModel;
namespace fs = std::filesystem;

// File systems that have no attributes for users cannot keep what mapped-xattr keeps.
bool has_user_xattrs(const std::string& path) { return setxattr(path.c_str(), "user.test", "x", 1, 0) == 0; }

p9::Server::Options with(Model model) {
    p9::Server::Options options;
    options.security = model;
    return options;
}

class VirtioP9 : public testing::TestWithParam<Model> {
  protected:
    void SetUp() override {
        if (GetParam() == Model::MappedXattr && !has_user_xattrs(directory.share))
            GTEST_SKIP() << "the file system has no user attributes";
    }
    SharedDirectory directory;
    Client client{directory.share, with(GetParam())};
    bool maps() const { return GetParam() == Model::MappedXattr || GetParam() == Model::MappedFile; }
};

// ---- what it does

TEST_P(VirtioP9, FilesAreWrittenAndRead) {
    ASSERT_EQ(client.create(1, "file", O_RDWR), 0);
    EXPECT_EQ(client.write(1, "some text"), 0);
    EXPECT_EQ(client.write(1, "more", 5), 0);
    EXPECT_EQ(client.read(1), "some more");
    EXPECT_EQ(client.read(1, 5, 2), "mo");
    EXPECT_EQ(client.read(1, 100), "");
    EXPECT_EQ(client.set_size(1, 4), 0);
    EXPECT_EQ(directory.read(directory.share + "/file"), "some");
    EXPECT_EQ(client.call(Message(Type::Fsync).u32(1).u32(1)).error, 0);
    EXPECT_EQ(client.call(Message(Type::Clunk).u32(1)).error, 0);
    EXPECT_EQ(client.write(1, "x"), EBADF);
    EXPECT_EQ(client.create(1, "file", O_WRONLY | O_EXCL), EEXIST);
    EXPECT_EQ(client.create(1, "file", O_WRONLY | O_TRUNC), 0);
    EXPECT_EQ(client.attributes(1).size, 0u);
}

TEST_P(VirtioP9, ModesTypesAndOwnersAreTheGuests) {
    ASSERT_EQ(client.create(1, "file"), 0);
    ASSERT_EQ(client.set_mode(1, S_IFREG | 0741), 0);
    EXPECT_EQ(client.attributes(1).mode, uint32_t{S_IFREG | 0741});
    ASSERT_EQ(client.mkdir("d"), 0);
    ASSERT_EQ(client.walk(2, "d"), 0);
    EXPECT_EQ(client.attributes(2).mode, uint32_t{S_IFDIR | 0755});
    EXPECT_EQ(client.attributes(2).type, 0x80);
    ASSERT_EQ(client.symlink("link", "file"), 0);
    ASSERT_EQ(client.walk(3, "link"), 0);
    EXPECT_EQ(client.attributes(3).type, 2);
    EXPECT_EQ(client.attributes(3).size, 4u);
    const Reply target = client.call(Message(Type::Readlink).u32(3));
    EXPECT_EQ(std::string(target.fields.begin() + 2, target.fields.end()), "file");
    ASSERT_EQ(client.mknod("pipe", S_IFIFO | 0600), 0);
    ASSERT_EQ(client.walk(4, "pipe"), 0);
    EXPECT_EQ(client.attributes(4).mode, uint32_t{S_IFIFO | 0600});
    if (!maps()) return;
    ASSERT_EQ(client.mknod("null", S_IFCHR | 0666), 0);
    ASSERT_EQ(client.walk(4, "null"), 0);
    EXPECT_EQ(client.attributes(4).mode, uint32_t{S_IFCHR | 0666});
    EXPECT_EQ(client.attributes(4).device, makedev(1, 3));
    for (const char* name : {"null", "link", "pipe"})
        EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(directory.share + "/" + name))) << name;
    const auto chown =
        Message(Type::Setattr).u32(1).u32(6).u32(0).u32(7).u32(8).u64(0).u64(0).u64(0).u64(0).u64(0);
    ASSERT_EQ(client.call(chown).error, 0);
    EXPECT_EQ(client.attributes(1).uid, 7u);
    EXPECT_EQ(client.attributes(1).gid, 8u);
    EXPECT_EQ(client.attributes(1).mode, uint32_t{S_IFREG | 0741});
}

TEST_P(VirtioP9, NamesFollowRenames) {
    ASSERT_EQ(client.mkdir("a"), 0);
    ASSERT_EQ(client.walk(1, "a"), 0);
    ASSERT_EQ(client.mkdir("b", 1), 0);
    ASSERT_EQ(client.walk(2, "a/b"), 0);
    ASSERT_EQ(client.create(3, "file", O_RDWR, 2), 0);
    ASSERT_EQ(client.walk(4, "a/b/file"), 0);
    ASSERT_EQ(client.write(3, "text"), 0);
    ASSERT_EQ(client.rename(0, "a", 0, "z"), 0);
    EXPECT_EQ(client.attributes(4).size, 4u) << "a directory above it was renamed";
    EXPECT_EQ(client.read(3), "text");
    EXPECT_EQ(client.walk(5, "a/b"), ENOENT);
    EXPECT_EQ(client.rename(0, "z", 2, "inside"), EINVAL);
    // By the fid; then what is there is replaced.
    ASSERT_EQ(client.call(Message(Type::Rename).u32(4).u32(0).text("moved")).error, 0);
    EXPECT_EQ(client.attributes(4).size, 4u);
    ASSERT_EQ(client.create(6, "other"), 0);
    ASSERT_EQ(client.walk(7, "other"), 0);
    ASSERT_EQ(client.rename(0, "moved", 0, "other"), 0);
    EXPECT_EQ(client.attributes(7).error, ENOENT);
    EXPECT_EQ(client.attributes(6).error, 0) << "it is open";
    EXPECT_EQ(client.attributes(4).size, 4u);
    EXPECT_EQ(client.call(Message(Type::Rename).u32(7).u32(0).text("again")).error, ENOENT);
}

TEST_P(VirtioP9, RemovedFilesStayOpen) {
    ASSERT_EQ(client.create(1, "file", O_RDWR), 0);
    ASSERT_EQ(client.write(1, "text"), 0);
    ASSERT_EQ(client.unlink("file"), 0);
    EXPECT_EQ(client.read(1), "text");
    EXPECT_EQ(client.attributes(1).size, 4u);
    EXPECT_EQ(client.set_size(1, 2), 0);
    EXPECT_EQ(client.read(1), "te");
    ASSERT_EQ(client.create(2, "file", O_RDWR), 0);
    EXPECT_EQ(client.attributes(2).size, 0u) << "another of the same name";
    ASSERT_EQ(client.walk(3, "file"), 0);
    EXPECT_EQ(client.call(Message(Type::Remove).u32(3)).error, 0);
    EXPECT_EQ(client.attributes(3).error, EBADF);
    EXPECT_FALSE(fs::exists(directory.share + "/file"));
    ASSERT_EQ(client.mkdir("d"), 0);
    ASSERT_EQ(client.walk(3, "d"), 0);
    ASSERT_EQ(client.create(4, "x", 1, 3), 0);
    EXPECT_EQ(client.unlink("d", 0x200), ENOTEMPTY);
    EXPECT_EQ(client.unlink("d"), EISDIR);
    EXPECT_EQ(client.unlink("x", 0, 3), 0);
    EXPECT_EQ(client.unlink("d", 0x200), 0) << "whatever the model keeps in there";
    EXPECT_EQ(client.mkdir("sub", 3), ENOENT);
}

TEST_P(VirtioP9, DirectoriesAreListedWhole) {
    std::vector<std::string> wanted{".", ".."};
    for (int i = 0; i < 700; i++) {
        wanted.push_back("a file with number " + std::to_string(i));
        ASSERT_EQ(client.create(1, wanted.back()), 0);
    }
    std::ranges::sort(wanted);
    ASSERT_EQ(client.walk(1, ""), 0);
    ASSERT_EQ(client.open(1), 0);
    for (const uint32_t count : {100u, 4096u, 500'000u}) {
        auto names = client.list(1, count);
        std::ranges::sort(names);
        EXPECT_EQ(names, wanted) << count;
    }
    EXPECT_EQ(client.call(Message(Type::Readdir).u32(1).u64(0).u32(10)).error, EINVAL) << "no room for one";
}

TEST_P(VirtioP9, AttributesOfUsers) {
    if (!has_user_xattrs(directory.share)) GTEST_SKIP() << "the file system has no user attributes";
    ASSERT_EQ(client.create(1, "file"), 0);
    EXPECT_EQ(client.set_xattr(1, "user.one", "value"), 0);
    EXPECT_EQ(client.get_xattr(1, "user.one"), "value");
    EXPECT_EQ(client.set_xattr(1, "user.one", "2", 1), EEXIST);
    EXPECT_EQ(client.set_xattr(1, "user.two", "2", 2), ENODATA);
    EXPECT_EQ(client.get_xattr(1, ""), std::string("user.one\0", 9)) << "all names";
    EXPECT_EQ(client.set_xattr(1, "user.one", ""), 0) << "without a value it goes";
    EXPECT_EQ(client.get_xattr(1, "user.one"), "error " + std::to_string(ENODATA));
    EXPECT_EQ(client.set_xattr(1, "trusted.x", "1"), EOPNOTSUPP);
    EXPECT_EQ(client.set_xattr(1, "security.selinux", "1"), EOPNOTSUPP);
    EXPECT_EQ(client.set_xattr(1, "user.long", std::string(65537, 'x')), E2BIG);
    if (GetParam() != Model::MappedXattr) return;
    EXPECT_EQ(client.set_xattr(1, "user.virtfs.uid", "1234"), EACCES);
    EXPECT_EQ(client.get_xattr(1, "user.virtfs.uid"), "error " + std::to_string(ENODATA));
}

// ---- what it does not

// Each fid that a guest has stays beneath, whatever leads out.
TEST_P(VirtioP9, NothingLeadsOut) {
    // A name with a slash, a NUL, or no letter is no name; above the root is the root.
    for (const std::string& name : {std::string("../secret"), std::string("/etc"), std::string(""),
                                    std::string("a/b"), std::string("secret\0x", 8)}) {
        EXPECT_NE(client.walk(0, 1, ""), ENOENT);
        EXPECT_NE(client.call(Message(Type::Walk).u32(0).u32(2).u16(1).text(name)).error, 0) << name;
        EXPECT_NE(client.create(3, name), 0) << name;
        EXPECT_NE(client.mkdir(name), 0) << name;
        EXPECT_NE(client.symlink(name, "x"), 0) << name;
        EXPECT_NE(client.rename(0, name, 0, "stolen"), 0) << name;
        EXPECT_NE(client.unlink(name), 0) << name;
    }
    for (const std::string name : {".", ".."}) {
        EXPECT_EQ(client.create(3, name), EEXIST);
        EXPECT_EQ(client.mkdir(name), EEXIST);
        EXPECT_NE(client.rename(0, name, 0, "stolen"), 0);
        EXPECT_NE(client.unlink(name, 0x200), 0);
    }
    const uint64_t root = client.attributes(0).path;
    ASSERT_EQ(client.walk(1, "../../.."), 0);
    EXPECT_EQ(client.attributes(1).path, root);
    EXPECT_EQ(client.walk(1, "../secret"), ENOENT);
    // Nor does the host follow its own links, at the end of a path or within.
    fs::create_symlink(directory.outside + "/secret", directory.share + "/absolute");
    fs::create_symlink("../secret", directory.share + "/relative");
    fs::create_directory_symlink("..", directory.share + "/up");
    fs::create_directory_symlink("/proc/self/root", directory.share + "/magic");
    for (const std::string name : {"absolute", "relative", "up", "magic"}) {
        ASSERT_EQ(client.walk(1, name), 0);
        EXPECT_EQ(client.attributes(1).type, 2) << name;
        EXPECT_EQ(client.open(1), ELOOP) << name;
        EXPECT_NE(client.set_size(1, 0), 0) << name;
        EXPECT_NE(client.create(2, name, O_WRONLY | O_TRUNC), 0) << name;
        if (!maps()) {
            EXPECT_NE(client.set_mode(1, 0777), 0) << name;
        }
        EXPECT_EQ(client.walk(1, name + "/secret"), ELOOP) << name;
        EXPECT_EQ(client.walk(1, name), 0);
        EXPECT_NE(client.mkdir("made", 1), 0) << name;
        EXPECT_NE(client.rename(0, name, 1, "made"), 0) << name;
    }
    EXPECT_EQ(directory.read(directory.outside + "/secret"), "secret");
    EXPECT_FALSE(fs::exists(directory.outside + "/made"));
    // A link to a link is a link, not what it leads to.
    ASSERT_EQ(client.walk(1, "absolute"), 0);
    ASSERT_EQ(client.call(Message(Type::Link).u32(0).u32(1).text("hard")).error, 0);
    ASSERT_EQ(client.walk(2, "hard"), 0);
    EXPECT_EQ(client.attributes(2).type, 2);
}

// To open a device or a pipe on the host does something there, or never returns.
TEST_P(VirtioP9, DevicesAndPipesAreNotOpened) {
    ASSERT_EQ(mkfifo((directory.share + "/pipe").c_str(), 0666), 0);
    ASSERT_EQ(client.walk(1, "pipe"), 0);
    EXPECT_EQ(client.open(1), ENXIO);
    EXPECT_EQ(client.create(2, "pipe", O_WRONLY), ENXIO);
    EXPECT_NE(client.set_size(1, 0), 0);
    if (mknod((directory.share + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0) {
        ASSERT_EQ(client.walk(1, "null"), 0);
        EXPECT_EQ(client.open(1), ENXIO);
        EXPECT_EQ(client.create(2, "null", O_WRONLY), ENXIO);
    }
}

// Another process swaps a directory for a link that leads out, as fast as it can.
TEST_P(VirtioP9, RacesLeadNowhere) {
    fs::create_directory(directory.share + "/d");
    fs::create_directory(directory.outside + "/target");
    directory.write(directory.share + "/d/file", "inside");
    directory.write(directory.outside + "/target/file", "outside");
    fs::create_directory_symlink(directory.outside + "/target", directory.share + "/link");
    std::atomic<bool> stop{false};
    std::thread racer([&] {
        while (!stop)
            renameat2(AT_FDCWD, (directory.share + "/d").c_str(), AT_FDCWD,
                      (directory.share + "/link").c_str(), RENAME_EXCHANGE);
    });
    unsigned reached = 0;
    // On a busy host the directory may be the link for long.
    for (int i = 0; i < 500 || (reached == 0 && i < 200'000); i++) {
        if (client.walk(1, "d/file") == 0 && client.open(1, i % 2 != 0 ? O_RDWR : O_RDONLY) == 0) {
            ASSERT_EQ(client.read(1), "inside");
            reached++;
        }
        client.walk(2, "d");
        client.create(3, "made" + std::to_string(i), O_WRONLY, 2);
        client.mkdir("directory" + std::to_string(i), 2);
        client.rename(2, "file", 2, "file");
        client.unlink("nothing", 0, 2);
    }
    stop = true;
    racer.join();
    EXPECT_GT(reached, 0u);
    const auto names = fs::directory_iterator(directory.outside + "/target");
    EXPECT_EQ(std::distance(begin(names), end(names)), 1) << "something was made outside";
    EXPECT_EQ(directory.read(directory.outside + "/target/file"), "outside");
}

TEST_P(VirtioP9, ReadonlyMeansThat) {
    ASSERT_EQ(client.create(1, "file"), 0);
    ASSERT_EQ(client.write(1, "text"), 0);
    p9::Server::Options options = with(GetParam());
    options.readonly = true;
    Client other(directory.share, options);
    ASSERT_EQ(other.walk(1, "file"), 0);
    for (const uint32_t flags : {uint32_t{O_WRONLY}, uint32_t{O_RDWR}, uint32_t{O_TRUNC}})
        EXPECT_EQ(other.open(1, flags), EROFS) << flags;
    EXPECT_EQ(other.create(2, "new"), EROFS);
    EXPECT_EQ(other.mkdir("d"), EROFS);
    EXPECT_EQ(other.symlink("l", "x"), EROFS);
    EXPECT_EQ(other.mknod("n", S_IFIFO | 0600), EROFS);
    EXPECT_EQ(other.rename(0, "file", 0, "x"), EROFS);
    EXPECT_EQ(other.call(Message(Type::Rename).u32(1).u32(0).text("x")).error, EROFS);
    EXPECT_EQ(other.call(Message(Type::Link).u32(0).u32(1).text("x")).error, EROFS);
    EXPECT_EQ(other.unlink("file"), EROFS);
    EXPECT_EQ(other.set_mode(1, 0), EROFS);
    EXPECT_EQ(other.set_size(1, 0), EROFS);
    EXPECT_EQ(other.set_xattr(1, "user.x", "y"), EROFS);
    EXPECT_EQ(other.call(Message(Type::Remove).u32(1)).error, EROFS);
    ASSERT_EQ(other.open(1), 0);
    EXPECT_EQ(other.write(1, "x"), EROFS);
    EXPECT_EQ(other.read(1), "text");
}

std::string model_name(const testing::TestParamInfo<Model>& info) {
    constexpr const char* kNames[] = {"None", "MappedXattr", "MappedFile", "Passthrough"};
    return kNames[static_cast<size_t>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(Models, VirtioP9,
                         testing::Values(Model::None, Model::MappedXattr, Model::MappedFile,
                                         Model::Passthrough),
                         model_name);

// ---- the session

TEST(VirtioP9Session, MappedFilesAreHidden) {
    SharedDirectory directory;
    Client client(directory.share, with(Model::MappedFile));
    ASSERT_EQ(client.create(1, "file"), 0);
    EXPECT_TRUE(fs::exists(directory.share + "/.virtfs_metadata/file"));
    EXPECT_EQ(client.walk(2, ".virtfs_metadata"), ENOENT);
    EXPECT_EQ(client.create(2, ".virtfs_metadata"), EINVAL);
    EXPECT_EQ(client.mkdir(".virtfs_metadata"), EINVAL);
    EXPECT_EQ(client.rename(0, "file", 0, ".virtfs_metadata_root"), EINVAL);
    ASSERT_EQ(client.walk(2, ""), 0);
    ASSERT_EQ(client.open(2), 0);
    auto names = client.list(2);
    std::ranges::sort(names);
    EXPECT_EQ(names, (std::vector<std::string>{".", "..", "file"}));
    // What is kept of a file that another program has made into a link.
    fs::remove(directory.share + "/.virtfs_metadata/file");
    fs::create_symlink(directory.outside + "/secret", directory.share + "/.virtfs_metadata/file");
    EXPECT_NE(client.set_mode(1, 0600), 0);
    EXPECT_EQ(directory.read(directory.outside + "/secret"), "secret");
}

TEST(VirtioP9Session, VersionsAndSizes) {
    SharedDirectory directory;
    Client client(directory.share, with(Model::None));
    const Reply big = client.call(Message(Type::Version).u32(~0u).text("9P2000.L"));
    EXPECT_EQ(big.at<uint32_t>(0), p9::kMaxMessage);
    EXPECT_EQ(client.attributes(0).error, EBADF) << "a new session has no fids";
    EXPECT_EQ(client.call(Message(Type::Version).u32(4095).text("9P2000.L")).error, EMSGSIZE);
    const Reply other = client.call(Message(Type::Version).u32(8192).text("9P2000"));
    EXPECT_EQ(std::string(other.fields.begin() + 6, other.fields.end()), "unknown");
    EXPECT_NE(client.call(Message(Type::Attach).u32(0).u32(~0u).text("").text("").u32(0)).error, 0);
    EXPECT_EQ(client.call(Message(Type::Version).u32(8192).text("9P2000.L")).at<uint32_t>(0), 8192u);
    EXPECT_EQ(client.call(Message(Type::Attach).u32(0).u32(~0u).text("").text("").u32(0)).error, 0);
    EXPECT_EQ(client.call(Message(Type::Attach).u32(0).u32(~0u).text("").text("").u32(0)).error, EINVAL);
    EXPECT_EQ(client.call(Message(Type::Auth).u32(1).text("").text("").u32(0)).error, EOPNOTSUPP);
    EXPECT_EQ(client.call(Message(Type::Flush).u16(7)).error, 0);
}

TEST(VirtioP9Session, WalksThatEndEarly) {
    SharedDirectory directory;
    Client client(directory.share, with(Model::None));
    ASSERT_EQ(client.mkdir("a"), 0);
    const Reply part = client.call(Message(Type::Walk).u32(0).u32(1).u16(3).text("a").text("none").text("b"));
    EXPECT_EQ(part.error, 0);
    EXPECT_EQ(part.at<uint16_t>(0), 1);
    EXPECT_EQ(client.attributes(1).error, EBADF);
    EXPECT_EQ(client.call(Message(Type::Walk).u32(0).u32(1).u16(17)).error, EINVAL);
    EXPECT_EQ(client.call(Message(Type::Walk).u32(0).u32(~0u).u16(0)).error, EINVAL);
}

TEST(VirtioP9Session, TruncatedMessagesAreRefused) {
    SharedDirectory directory;
    Client client(directory.share, with(Model::None));
    ASSERT_EQ(client.create(1, "file", O_RDWR), 0);
    const Message whole[] = {
        Message(Type::Walk).u32(0).u32(5).u16(1).text("file"),
        Message(Type::Lcreate).u32(0).text("new").u32(1).u32(0).u32(0),
        Message(Type::Mkdir).u32(0).text("new").u32(0755).u32(0),
        Message(Type::Symlink).u32(0).text("new").text("x").u32(0),
        Message(Type::Renameat).u32(0).text("file").u32(0).text("new"),
        Message(Type::Unlinkat).u32(0).text("file").u32(0),
        Message(Type::Write).u32(1).u64(0).u32(1),
        Message(Type::Setattr).u32(1).u32(0xf).u32(0).u32(0).u32(0).u64(0).u64(0).u64(0).u64(0).u64(0)};
    for (const Message& message : whole)
        for (size_t size = p9::kHeaderSize; size < message.bytes.size(); size++) {
            Message cut = message;
            cut.bytes.resize(size);
            EXPECT_EQ(client.call(cut, "x").error, EINVAL) << int{message.bytes[4]} << " at " << size;
        }
    EXPECT_FALSE(fs::exists(directory.share + "/new"));
    EXPECT_TRUE(fs::exists(directory.share + "/file"));
    EXPECT_EQ(client.call(Message(Type::Write).u32(1).u64(0).u32(100), "short").error, EINVAL);
    EXPECT_EQ(client.call(Message(Type::Getattr).u32(1).u64(0), "", 20).error, ENOBUFS);
}

TEST(VirtioP9Session, LimitsHold) {
    SharedDirectory directory;
    directory.write(directory.share + "/file", "text");
    p9::Server::Options options = with(Model::None);
    options.limits = {.fids = 20, .open = 3, .name_bytes = 1 << 20, .xattr_bytes = 100'000};
    Client client(directory.share, options);
    for (uint32_t i = 1; i <= 3; i++) {
        ASSERT_EQ(client.walk(i, "file"), 0);
        ASSERT_EQ(client.open(i), 0);
    }
    ASSERT_EQ(client.walk(4, "file"), 0);
    EXPECT_EQ(client.open(4), EMFILE);
    EXPECT_EQ(client.create(5, "new"), EMFILE);
    EXPECT_FALSE(fs::exists(directory.share + "/new"));
    EXPECT_EQ(client.call(Message(Type::Clunk).u32(1)).error, 0);
    EXPECT_EQ(client.open(4), 0);
    int error = 0;
    for (uint32_t i = 10; error == 0 && i < 100; i++)
        error = client.call(Message(Type::Walk).u32(0).u32(i).u16(0)).error;
    EXPECT_EQ(error, ENFILE);
    EXPECT_EQ(client.call(Message(Type::Xattrcreate).u32(10).text("user.a").u64(60'000).u32(0)).error, 0);
    EXPECT_EQ(client.call(Message(Type::Xattrcreate).u32(11).text("user.a").u64(60'000).u32(0)).error,
              ENOSPC);
}

TEST(VirtioP9Session, PathsMayBeLongerThanTheHostTakes) {
    SharedDirectory directory;
    Client client(directory.share, with(Model::None));
    const std::string part(250, 'd');
    ASSERT_EQ(client.walk(1, ""), 0);
    for (int i = 0; i < 40; i++) {  // 10000 bytes
        ASSERT_EQ(client.mkdir(part, 1), 0) << i;
        ASSERT_EQ(client.call(Message(Type::Walk).u32(1).u32(1).u16(1).text(part)).error, 0) << i;
    }
    ASSERT_EQ(client.create(2, "file", O_RDWR, 1), 0);
    EXPECT_EQ(client.write(2, "deep"), 0);
    EXPECT_EQ(client.read(2), "deep");
    EXPECT_EQ(client.attributes(1).error, 0);
    EXPECT_EQ(client.mkdir(std::string(256, 'n')), ENAMETOOLONG);
}

// A mount within: another device, whose inode numbers may be those of the first.
TEST(VirtioP9Session, DevicesBelow) {
    SharedDirectory directory;
    const std::string point = directory.share + "/mounted";
    fs::create_directory(point);
    if (mount("none", point.c_str(), "tmpfs", 0, nullptr) != 0) GTEST_SKIP() << "nothing can be mounted here";
    directory.write(point + "/file", "text");
    {
        p9::Server::Options options = with(Model::None);
        options.multidevs = p9::Multidevs::Forbid;
        Client forbid(directory.share, options);
        EXPECT_EQ(forbid.walk(1, "mounted"), ENODEV);
        unsigned warnings = 0;
        options.multidevs = p9::Multidevs::Warn;
        options.warn_multidevs = [&] { warnings++; };
        Client warn(directory.share, options);
        EXPECT_EQ(warn.walk(1, "mounted/file"), 0);
        EXPECT_EQ(warn.walk(1, "mounted"), 0);
        EXPECT_EQ(warnings, 1u);
        options.multidevs = p9::Multidevs::Remap;
        Client remap(directory.share, options);
        ASSERT_EQ(remap.walk(1, "mounted/file"), 0);
        struct stat info {};
        ASSERT_EQ(stat((point + "/file").c_str(), &info), 0);
        EXPECT_EQ(remap.attributes(1).path, uint64_t{1} << 48 | info.st_ino);
        ASSERT_EQ(stat(directory.share.c_str(), &info), 0);
        EXPECT_EQ(remap.attributes(0).path, info.st_ino);
    }
    EXPECT_EQ(umount(point.c_str()), 0);
}

TEST(VirtioP9Session, FidsAreSaved) {
    SharedDirectory directory;
    Client client(directory.share, with(Model::None));
    ASSERT_EQ(client.mkdir("d"), 0);
    ASSERT_EQ(client.walk(1, "d"), 0);
    ASSERT_EQ(client.create(2, "file", O_RDWR, 1), 0);
    ASSERT_EQ(client.write(2, "text"), 0);
    ASSERT_EQ(client.create(3, "gone", O_RDWR), 0);
    ASSERT_EQ(client.unlink("gone"), 0);
    StateWriter out;
    out.section("9p", 1, [&] { client.server.save(out); });
    const auto stream = out.finish();
    ASSERT_TRUE(stream.has_value());
    Client other(directory.share, with(Model::None));
    ASSERT_EQ(other.walk(9, "d"), 0);
    StateReader in(*stream);
    ASSERT_TRUE(in.section("9p", 1, [&] { return other.server.load(in); }).has_value());
    EXPECT_EQ(other.read(2), "text");
    EXPECT_EQ(other.attributes(1).type, 0x80);
    EXPECT_EQ(other.attributes(3).error, ENOENT) << "a removed file cannot be opened again";
    EXPECT_EQ(other.attributes(9).error, EBADF) << "that was before";
    EXPECT_EQ(other.write(2, "TEXT"), 0);
    EXPECT_EQ(directory.read(directory.share + "/d/file"), "TEXT");
}

// ---- the device

TEST(VirtioP9Device, AnswersByItsQueueAndForgetsAtReset) {
    SharedDirectory directory;
    virtio::P9::Options options;
    options.tag = "tag";
    options.server.security = Model::None;
    auto share = virtio::P9::open(directory.share, std::move(options));
    ASSERT_TRUE(share.has_value()) << share.error();
    VirtioDriver driver(std::move(*share));
    driver.start(virtio::kFeatureVersion1 | 1);
    EXPECT_EQ(driver.get(0x8), 9u);
    EXPECT_EQ(driver.get(0x100), 3u | 't' << 16 | 'a' << 24);
    const auto ask = [&](const Message& message, uint32_t room) {
        std::vector<uint8_t> bytes = message.bytes;
        const auto size = static_cast<uint32_t>(bytes.size());
        std::memcpy(bytes.data(), &size, sizeof size);
        std::memcpy(driver.memory.host(VirtioDriver::kData, size), bytes.data(), size);
        driver.describe(VirtioDriver::kDescriptors, 0, VirtioDriver::kData, size, VirtioDriver::kNext, 1);
        driver.describe(VirtioDriver::kDescriptors, 1, VirtioDriver::kData + 0x8000, room,
                        VirtioDriver::kWrite);
        const auto before = driver.used_index();
        driver.offer(0);
        EXPECT_TRUE(eventually([&] { return driver.used_index() != before || driver.broken(); }));
        return driver.at<uint8_t>(VirtioDriver::kData + 0x8004);
    };
    const auto attach = [&] {
        return ask(Message(Type::Attach).u32(0).u32(~0u).text("").text("").u32(0), 4096);
    };
    const auto version = [&] { return ask(Message(Type::Version).u32(65536).text("9P2000.L"), 4096); };
    const auto open_descriptors = [] {
        const auto all = fs::directory_iterator("/proc/self/fd");
        return std::distance(begin(all), end(all));
    };
    EXPECT_EQ(version(), 101);
    EXPECT_EQ(attach(), 105);
    EXPECT_EQ(attach(), 7) << "Rlerror: the fid is taken";
    const auto before = open_descriptors();
    EXPECT_EQ(ask(Message(Type::Lcreate).u32(0).text("file").u32(O_RDWR).u32(0644).u32(0), 4096), 15);
    EXPECT_EQ(open_descriptors(), before + 1);
    driver.start(virtio::kFeatureVersion1 | 1);
    EXPECT_EQ(open_descriptors(), before) << "a reset closes what the guest had open";
    EXPECT_EQ(attach(), 7) << "there is no session";
    EXPECT_EQ(version(), 101);
    EXPECT_EQ(attach(), 105);
    // No room for an answer.
    EXPECT_FALSE(driver.broken());
    ask(Message(Type::Clunk).u32(0), 8);
    EXPECT_TRUE(driver.broken());
}

TEST(VirtioP9Device, DirectoriesThatAreNone) {
    SharedDirectory directory;
    EXPECT_EQ(virtio::P9::open(directory.outside + "/none", {}).error(),
              "shared directory '" + directory.outside + "/none': No such file or directory");
    EXPECT_EQ(virtio::P9::open(directory.outside + "/secret", {}).error(),
              "shared directory '" + directory.outside + "/secret': Not a directory");
}

}  // namespace
}  // namespace arclight::devices::test
