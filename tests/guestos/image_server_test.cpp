// Images that qemu-nbd opens: what is in them, what of them is refused, and images that are damaged.
#include "guestos/image_server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "devices/virtio/host_file.h"
#include "devices/virtio/nbd.h"
#include "guestos/device_requests.h"

namespace arclight::guestos {
namespace {

namespace fs = std::filesystem;

class ImageServer : public testing::Test {
  protected:
    void SetUp() override {
        if (std::system("qemu-nbd --version > /dev/null 2>&1 && qemu-img --version > /dev/null 2>&1") != 0)
            GTEST_SKIP() << "no qemu-nbd (package qemu-utils)";
        char name[] = "/tmp/arclight-image-XXXXXX";
        directory = mkdtemp(name);
    }
    ~ImageServer() override {
        std::error_code ignored;
        if (!directory.empty()) fs::remove_all(directory, ignored);
    }
    std::string path(const std::string& name) const { return directory + "/" + name; }
    void run(const std::string& command) const {
        EXPECT_EQ(std::system(("cd " + directory + " && " + command + " > /dev/null").c_str()), 0) << command;
    }
    using Connection = std::shared_ptr<devices::virtio::NbdConnection>;
    static Result<Connection> open(const DriveOptions& drive) {
        RunOptions options;
        options.devices.push_back(disk_device(drive));
        if (const auto opened = open_images(options); !opened) return std::unexpected(opened.error());
        return options.images.empty() ? nullptr : options.images.begin()->second;
    }
    static std::string read(devices::virtio::NbdConnection& image, uint64_t offset, size_t bytes) {
        std::string text(bytes, '?');
        const auto done = image.read(offset, {reinterpret_cast<uint8_t*>(text.data()), bytes});
        return done ? text : "error " + std::to_string(done.error().number);
    }
    std::string directory;
};

// QEMU's vvfat: a master boot record, and a partition with the directory's files.
TEST_F(ImageServer, DirectoriesAsFatDisks) {
    fs::create_directory(path("d"));
    const std::string content = "read through a FAT file system";
    std::ofstream(path("d/a.txt")) << content;
    for (const std::string name : {"fat:", "fat:rw:", "fat:floppy:rw:"}) {
        const auto image = open({.file = name + path("d"), .format = "raw"});
        ASSERT_TRUE(image.has_value()) << image.error();
        ASSERT_NE(*image, nullptr);
        EXPECT_EQ((*image)->readonly(), name == "fat:") << name;
        std::string text = read(**image, 0, 512);
        EXPECT_EQ(text.substr(510), "\x55\xaa") << name;
        for (uint64_t at = 0; at < (*image)->size() && at < 8 << 20 && text.find(content) == text.npos;
             at += 1 << 20)
            text = read(**image, at, std::min<uint64_t>(1 << 20, (*image)->size() - at));
        EXPECT_NE(text.find(content), text.npos) << name;
    }
    EXPECT_FALSE(open({.file = "fat:rw:" + path("nowhere")}).has_value());
    // A file of such a name is one.
    const fs::path here = fs::current_path();
    fs::current_path(directory);
    std::ofstream("fat:d") << std::string(512, 'x');
    const auto plain = open({.file = "fat:d"});
    EXPECT_TRUE(plain.has_value() && *plain == nullptr);
    fs::current_path(here);
}

TEST_F(ImageServer, FormatsBackingFilesAndClusters) {
    std::ofstream(path("base.raw")) << std::string(200'000, 'r') << std::string(3'000'000, '\0');
    fs::resize_file(path("base.raw"), 4 << 20);
    run("qemu-img convert -c -f raw -O qcow2 base.raw compressed.qcow2");
    run("qemu-img create -q -f qcow2 -b compressed.qcow2 -F qcow2 top.qcow2");
    for (const std::string format : {"qcow2", "vmdk", "vdi", "vhdx", "qed", "qcow"})
        run("qemu-img convert -f raw -O " + format + " base.raw disk." + format);
    for (const std::string name :
         {"compressed.qcow2", "top.qcow2", "disk.vmdk", "disk.vdi", "disk.vhdx", "disk.qed", "disk.qcow"}) {
        const auto image = open({.file = path(name)});
        ASSERT_TRUE(image.has_value()) << name << ": " << image.error();
        ASSERT_NE(*image, nullptr) << name;
        EXPECT_EQ((*image)->size(), uint64_t{4} << 20) << name;
        EXPECT_EQ(read(**image, 199'999, 2), std::string("r\0", 2)) << name;
    }
    {
        const auto image = open({.file = path("top.qcow2"), .format = "qcow2"});
        ASSERT_TRUE(image.has_value()) << image.error();
        const std::string text = "written";
        ASSERT_TRUE(
            (*image)->write(65536 * 3, {reinterpret_cast<const uint8_t*>(text.data()), 7}).has_value());
        ASSERT_TRUE((*image)->zero(0, 65536, true).has_value());
        ASSERT_TRUE((*image)->flush().has_value());
        // QEMU's own locks keep a second one away.
        const auto second = open({.file = path("top.qcow2")});
        ASSERT_FALSE(second.has_value());
        EXPECT_NE(second.error().find("another process"), std::string::npos) << second.error();
    }
    run("sleep 0.2; qemu-img check -q top.qcow2");
    run("qemu-img convert -O raw top.qcow2 top.raw");
    std::ifstream in(path("top.raw"));
    std::string all(std::istreambuf_iterator<char>(in), {});
    EXPECT_EQ(all.substr(65536 * 3, 8), std::string("written\0", 8).substr(0, 7) + all[65536 * 3 + 7]);
    EXPECT_EQ(all[0], '\0');
    EXPECT_EQ(all[65536], 'r');
}

TEST_F(ImageServer, RawImagesNeedNoneWhereTheHostReadsThem) {
    std::ofstream(path("raw")) << std::string(65536, 'x');
    EXPECT_EQ(open({.file = path("raw")}).value(), nullptr);
    EXPECT_EQ(open({.file = path("raw"), .format = "raw"}).value(), nullptr);
    EXPECT_EQ(open({.file = path("none")}).value(), nullptr) << "the disk says that it is not there";
    // Where the file system takes no sectors of 512 bytes past its cache, the server copies.
    DriveOptions direct{.file = path("raw"), .readonly = true};
    direct.cache = "none";
    const auto server = open(direct);
    ASSERT_TRUE(server || !devices::virtio::direct_io_possible(path("raw"))) << server.error();
    if (server) {
        EXPECT_EQ(*server == nullptr, devices::virtio::direct_io_possible(path("raw")));
    }
}

TEST_F(ImageServer, WhatIsWrongIsOneLine) {
    std::ofstream(path("junk")) << std::string(65536, 'x');
    const auto junk = open({.file = path("junk"), .format = "qcow2"});
    EXPECT_EQ(junk.error(), "disk image '" + path("junk") + "': Image is not in qcow2 format");
    const auto format = open({.file = path("junk"), .format = "none"});
    ASSERT_FALSE(format.has_value());
    EXPECT_EQ(format.error().find('\n'), std::string::npos);
    const auto missing = open({.file = path("missing"), .format = "qcow2"});
    EXPECT_NE(missing.error().find("No such file or directory"), std::string::npos) << missing.error();
    run("qemu-img create -q -f qcow2 -u -b gone.raw -F raw top.qcow2 1M");
    const auto backing = open({.file = path("top.qcow2")});
    EXPECT_NE(backing.error().find("No such file or directory"), std::string::npos) << backing.error();
    // A name that QEMU would take for a protocol, or for an option.
    const std::string before = fs::current_path();
    fs::current_path(directory);
    for (const std::string name : {"nbd:unix:x", "-r"}) {
        fs::copy_file("junk", name);
        EXPECT_EQ(open({.file = name, .format = "qcow2"}).error(),
                  "disk image '" + name + "': Image is not in qcow2 format");
    }
    fs::current_path(before);
    const char* path_before = std::getenv("PATH");
    const std::string kept = path_before != nullptr ? path_before : "";
    setenv("PATH", "/nonexistent", 1);
    EXPECT_EQ(open({.file = path("junk"), .format = "qcow2"}).error(),
              "disk image '" + path("junk") +
                  "': needs qemu-nbd for what it is, which is not installed (package qemu-utils)");
    setenv("PATH", kept.c_str(), 1);
}

// Tables that point anywhere, sizes that cannot be: requests end, well or not.
TEST_F(ImageServer, DamagedImagesNeitherHangNorCrash) {
    std::ofstream(path("base.raw")) << std::string(700'000, 'r');
    fs::resize_file(path("base.raw"), 2 << 20);
    run("qemu-img convert -c -f raw -O qcow2 base.raw good.qcow2");
    std::ifstream in(path("good.qcow2"));
    const std::string good(std::istreambuf_iterator<char>(in), {});
    std::mt19937 random(1);
    unsigned opened = 0;
    for (int round = 0; round < 40; round++) {
        std::string bad = good;
        // The header in some, tables in others: those are the clusters behind it.
        const size_t range = round % 4 == 0 ? 112 : std::min<size_t>(bad.size(), 5 * 65536);
        for (unsigned i = 0; i < (round % 4 == 0 ? 2u : 60u); i++)
            bad[(round % 4 == 0 ? 8 : 65536) % range +
                random() % (range - (round % 4 == 0 ? 8 : 65536) % range)] = static_cast<char>(random());
        for (unsigned i = 0; i < 8 && round % 4 != 0; i++)
            bad[65536 + random() % 64] = static_cast<char>(random());
        if (round % 5 == 4) bad.resize(random() % bad.size());
        std::ofstream(path("bad.qcow2")) << bad;
        DriveOptions drive{.file = path("bad.qcow2"), .format = "qcow2"};
        const auto image = open(drive);
        if (!image) {
            EXPECT_EQ(image.error().find('\n'), std::string::npos);
            continue;
        }
        opened++;
        const uint64_t size = std::min<uint64_t>((*image)->size(), 2 << 20);
        for (uint64_t at = 0; at + 65536 <= size; at += 65536) read(**image, at, 65536);
        const std::string text(4096, 'w');
        for (uint64_t at = 0; at + 65536 <= size; at += 5 * 65536)
            static_cast<void>(
                (*image)->write(at, {reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
        static_cast<void>((*image)->flush());
    }
    EXPECT_GT(opened, 5u) << "damage that nobody sees";
    EXPECT_LT(opened, 40u) << "damage that nobody looks at";
}

}  // namespace
}  // namespace arclight::guestos
