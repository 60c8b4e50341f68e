// Snapshots as files: what is written is read, and nothing else is; what a machine must have in common with them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <zlib.h>

#include <algorithm>
#include <csignal>
#include <random>

#include "guestos/device_requests.h"
#include "guestos/new_file.h"
#include "guestos/snapshot/machine_description.h"
#include "guestos/snapshot/snapshot_file.h"
#include "test_files.h"

namespace arclight::guestos {
namespace {

using test::TemporaryDirectory;

constexpr uint64_t kBase = 0x4000'0000, kPage = 4096;
const std::string kDescription = "memory 262144\ncpus 2\n";

class SnapshotTest : public testing::Test {
  protected:
    SnapshotTest() {
        std::minstd_rand random(7);
        for (const size_t page : {0, 1, 7, 15})
            std::ranges::generate(std::span(ram).subspan(page * kPage, kPage),
                                  [&] { return random() & 0xff; });
        std::ranges::generate(parts, [&] { return random() & 0xff; });
    }
    Result<void> write(const std::string& at) {
        const int file = ::open(at.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
        auto written = SnapshotFile::write(file, kDescription, parts, kBase, ram);
        close(file);
        return written;
    }
    std::vector<uint8_t> bytes_of(const std::string& at) {
        return read_file("snapshot", at, 1 << 24).value();
    }
    std::string error_of(std::span<const uint8_t> bytes) {
        const std::string at = directory.write("wrong", bytes);
        const auto opened = SnapshotFile::open(at);
        if (opened) return "";
        EXPECT_EQ(opened.error().find('\n'), std::string::npos);
        EXPECT_TRUE(opened.error().starts_with("snapshot '" + at + "': ")) << opened.error();
        return opened.error().substr(at.size() + 13);
    }
    /// With a header whose checksum is right.
    std::vector<uint8_t> with_header(size_t at, uint64_t value, unsigned bytes) {
        std::vector<uint8_t> all = bytes_of(path);
        for (unsigned i = 0; i < bytes; ++i) all[at + i] = static_cast<uint8_t>(value >> (8 * i));
        const auto crc = static_cast<uint32_t>(crc32_z(0, all.data() + 16, SnapshotFile::kHeaderBytes - 16));
        for (unsigned i = 0; i < 4; ++i) all[12 + i] = static_cast<uint8_t>(crc >> (8 * i));
        return all;
    }

    TemporaryDirectory directory;
    const std::string path = directory.path() / "machine.snap";
    std::vector<uint8_t> ram = std::vector<uint8_t>(16 * kPage), parts = std::vector<uint8_t>(5000);
};

TEST_F(SnapshotTest, WhatIsWrittenIsRead) {
    ASSERT_TRUE(write(path));
    const auto read = SnapshotFile::open(path);
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(read->description(), kDescription);
    EXPECT_TRUE(std::ranges::equal(read->parts(), parts));
    EXPECT_EQ(read->ram().base, kBase);
    EXPECT_EQ(read->ram().bytes, ram.size());
    EXPECT_EQ(read->ram().offset % SnapshotFile::kRamAlignment, 0u);
    std::vector<uint8_t> content(ram.size());
    ASSERT_EQ(
        pread(read->descriptor(), content.data(), content.size(), static_cast<off_t>(read->ram().offset)),
        static_cast<ssize_t>(content.size()));
    EXPECT_EQ(content, ram);
}

TEST_F(SnapshotTest, PagesOfZerosTakeNoRoom) {
    ram.assign(size_t{64} << 20, 0);
    ram[40 << 20] = 1;
    ASSERT_TRUE(write(path));
    struct stat about {};
    ASSERT_EQ(stat(path.c_str(), &about), 0);
    EXPECT_GT(about.st_size, 64 << 20);
    EXPECT_LT(about.st_blocks * 512, 2 << 20);
}

TEST_F(SnapshotTest, EveryLengthButTheRightOneIsRefused) {
    ASSERT_TRUE(write(path));
    const std::vector<uint8_t> all = bytes_of(path);
    for (size_t length = 0; length < all.size(); length += length < 5000 ? 211 : 4099)
        EXPECT_NE(error_of(std::span(all).first(length)), "") << length;
    std::vector<uint8_t> longer = all;
    longer.push_back(0);
    EXPECT_EQ(error_of(longer), "is damaged: its header");
    EXPECT_EQ(error_of(std::span(all).first(all.size() - 10)), "is cut off: 10 bytes are missing");
    EXPECT_EQ(error_of({}), "is not a snapshot of Arclight's, or was not finished");
}

TEST_F(SnapshotTest, DamageOfHeaderAndDescriptionIsSeen) {
    ASSERT_TRUE(write(path));
    const std::vector<uint8_t> all = bytes_of(path);
    for (size_t at = 0; at < SnapshotFile::kHeaderBytes + kDescription.size(); at += at < 66 ? 1 : 41)
        for (const unsigned bit : {0, 7}) {
            std::vector<uint8_t> wrong = all;
            wrong[at] ^= 1u << bit;
            EXPECT_NE(error_of(wrong), "") << at << " " << bit;
        }
    EXPECT_EQ(error_of(with_header(8, 2, 4)), "has version 2 of the format; this program reads version 1");
}

/// Numbers that whoever made the file has chosen, and the checksum too.
TEST_F(SnapshotTest, NumbersThatDoNotFitTheFileAreRefused) {
    ASSERT_TRUE(write(path));
    EXPECT_EQ(error_of(with_header(8, 1, 4)), "");
    for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{4096}, uint64_t{1} << 32,
                                 uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 4095, ~uint64_t{0xffff}})
        for (const size_t field : {16, 32, 40, 48}) {
            const std::vector<uint8_t> made = with_header(field, value, 8);
            if (made == bytes_of(path)) continue;
            const std::string why = error_of(made);
            // Fewer bytes of parts are parts still, and their own checksum is looked at later.
            if (field == 32 && value <= 4096) continue;
            EXPECT_NE(why, "") << field << " " << value;
        }
    EXPECT_NE(error_of(with_header(64, 1, 1)), "") << "what is not used is zero";
}

TEST_F(SnapshotTest, WhatIsNoFileIsRefused) {
    EXPECT_NE(SnapshotFile::open(directory.path()).error().find("is not a file"), std::string::npos);
    EXPECT_NE(SnapshotFile::open(directory.path() / "none").error().find("No such file"), std::string::npos);
    const std::string pipe = directory.path() / "pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_NE(SnapshotFile::open(pipe).error().find("is not a file"), std::string::npos);
}

TEST_F(SnapshotTest, AFullDiskIsSaid) {
    const int full = ::open("/dev/full", O_RDWR);
    ASSERT_GE(full, 0);
    const auto written = SnapshotFile::write(full, kDescription, parts, kBase, ram);
    close(full);
    ASSERT_FALSE(written);
    EXPECT_TRUE(written.error().starts_with("cannot write: ")) << written.error();
}

// ---- New files

std::vector<std::string> names_in(const std::filesystem::path& directory) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory))
        names.push_back(entry.path().filename());
    return names;
}

TEST(NewFile, IsThereOnceItIsWhole) {
    const TemporaryDirectory directory;
    const std::string path = directory.write("file", "old");
    {
        auto file = NewFile::create(path);
        ASSERT_TRUE(file) << file.error();
        ASSERT_EQ(write(file->descriptor(), "new", 3), 3);
        EXPECT_EQ(std::filesystem::file_size(path), 3u);
        EXPECT_EQ(read_file("file", path, 10).value(), (Bytes{'o', 'l', 'd'}));
        ASSERT_TRUE(file->commit());
    }
    EXPECT_EQ(read_file("file", path, 10).value(), (Bytes{'n', 'e', 'w'}));
    EXPECT_EQ(std::filesystem::status(path).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    { ASSERT_TRUE(NewFile::create(path)); }
    EXPECT_EQ(read_file("file", path, 10).value(), (Bytes{'n', 'e', 'w'}));
    EXPECT_EQ(names_in(directory.path()).size(), 1u);
}

TEST(NewFile, OneWhoIsKilledLeavesTheOldFile) {
    const TemporaryDirectory directory;
    const std::string path = directory.write("file", "old");
    const pid_t child = fork();
    if (child == 0) {
        auto file = NewFile::create(path);
        (void)!write(file->descriptor(), "new", 3);
        raise(SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(read_file("file", path, 10).value(), (Bytes{'o', 'l', 'd'}));
}

TEST(NewFile, WhatIsNoFileStays) {
    const TemporaryDirectory directory;
    EXPECT_NE(NewFile::create(directory.path()).error().find("and no file"), std::string::npos);
    EXPECT_FALSE(NewFile::create(directory.path() / "none" / "file"));
}

// ---- The machine's description

RunOptions machine_with(std::initializer_list<DriveOptions> drives = {}) {
    RunOptions options{.memory = 256 << 20, .cpus = 2, .gic = 3};
    add_disks(options, std::span(drives.begin(), drives.size()));
    options.devices.push_back(entropy_device());
    return options;
}
std::string difference(const RunOptions& here, const RunOptions& saved) {
    const auto parsed = MachineDescription::parse(MachineDescription::of(saved).text());
    EXPECT_TRUE(parsed);
    return MachineDescription::of(here).difference_from(*parsed).value_or("");
}

TEST(MachineDescription, OfTheSameMachineIsTheSame) {
    EXPECT_EQ(difference(machine_with(), machine_with()), "");
    // What the guest does not see.
    RunOptions other = machine_with();
    other.kernel = "elsewhere";
    other.accel = Accel::Process;
    other.jit = JitTier::Tier1;
    EXPECT_EQ(difference(other, machine_with()), "");
}

TEST(MachineDescription, SaysWhatDiffers) {
    const RunOptions saved = machine_with();
    RunOptions here = saved;
    here.memory *= 2;
    EXPECT_EQ(difference(here, saved),
              "is of a machine with 268435456 bytes of RAM, this one has 536870912 bytes of RAM");
    here = saved;
    here.cpus = 4;
    EXPECT_EQ(difference(here, saved), "is of a machine with 2 CPUs, this one has 4");
    here = saved;
    here.gic = 2;
    EXPECT_EQ(difference(here, saved), "is of a machine with GICv3, this one has GICv2");
    here = saved;
    here.cpu = CpuChoice::parse("cortex-a57,crc=off").value();
    EXPECT_EQ(difference(here, saved), "is of a machine with the CPU max, this one has cortex-a57,crc32=off");
    here.cpu = CpuChoice::of_model("host").value();
    EXPECT_EQ(difference(here, saved), "");
    here = saved;
    here.virtio = VirtioMmio::Legacy;
    EXPECT_EQ(difference(here, saved),
              "is of a machine with modern virtio registers, this one has legacy ones");
    here = saved;
    here.devices.clear();
    EXPECT_EQ(difference(here, saved),
              "is of a machine with other devices: virtio-rng mmio next -; this one has: none");
    here = saved;
    here.serials = {"a", "b"};
    EXPECT_EQ(difference(here, saved),
              "is of a machine with another number of serial ports: none; this one has: 2");
    EXPECT_EQ(difference(here, here), "");
    here = saved;
    here.flash = {{.file = "firmware", .readonly = true}, {.file = "variables"}};
    EXPECT_EQ(difference(here, saved),
              "is of a machine with other flash banks: none; this one has: read-only, writable");
    RunOptions other = here;
    other.flash[1].readonly = true;
    EXPECT_NE(difference(other, here).find("read-only, writable; this one has: read-only, read-only"),
              std::string::npos);
    here = saved;
    here.devices = {entropy_device(DeviceBus::Pci)};
    for (const PciPlace& place : {PciPlace{.port = "rp"}, PciPlace{.function = 1}, PciPlace{.legacy = false},
                                  PciPlace{.modern = false}, PciPlace{.vectors = 3}}) {
        other = here;
        other.devices[0].pci = place;
        EXPECT_NE(difference(other, here).find("other devices"), std::string::npos);
        EXPECT_EQ(difference(other, other), "");
    }
    here = saved;
    add_network(here, {});
    EXPECT_NE(difference(here, saved).find("other devices"), std::string::npos);
}

TEST(MachineDescription, AnImageThatWasChangedIsNoticed) {
    const TemporaryDirectory directory;
    const std::string image = directory.write("disk.img", std::string(4096, 'a'));
    const DriveOptions drive{.file = image};
    const auto saved = MachineDescription::parse(MachineDescription::of(machine_with({drive})).text());
    ASSERT_TRUE(saved);
    EXPECT_EQ(MachineDescription::of(machine_with({drive})).difference_from(*saved), std::nullopt);
    // The same file by another name and only read.
    const std::string moved = directory.path() / "other.img";
    std::filesystem::rename(image, moved);
    const DriveOptions there{.file = moved, .snapshot = true};
    EXPECT_EQ(MachineDescription::of(machine_with({there})).difference_from(*saved), std::nullopt);
    std::filesystem::last_write_time(moved,
                                     std::filesystem::last_write_time(moved) + std::chrono::milliseconds(1));
    EXPECT_NE(
        MachineDescription::of(machine_with({there})).difference_from(*saved).value_or("").find("changed"),
        std::string::npos);
}

TEST(MachineDescription, GivesWhatTheOptionsLeaveOpen) {
    RunOptions saved = machine_with();
    saved.gic = 2;
    saved.cpu = CpuChoice::parse("neoverse-n1,lse=off").value();
    saved.virtio = VirtioMmio::Legacy;
    saved.session = true;
    const auto description = MachineDescription::parse(MachineDescription::of(saved).text());
    RunOptions open = machine_with();
    open.gic.reset();
    open.virtio.reset();
    open.memory = 1;
    open.cpus = 1;
    open.restore_memory = open.restore_cpus = true;
    const RunOptions complete = description->complete(open);
    EXPECT_EQ(complete.gic, 2u);
    EXPECT_EQ(complete.cpu.value().text(), "neoverse-n1,lse=off");
    EXPECT_EQ(complete.virtio, VirtioMmio::Legacy);
    EXPECT_EQ(complete.memory, saved.memory);
    EXPECT_EQ(complete.cpus, 2u);
    EXPECT_TRUE(complete.session);
    RunOptions given = machine_with();
    given.cpus = 4;
    given.cpu = CpuChoice{};
    EXPECT_EQ(description->complete(given).cpus, 4u);
    EXPECT_EQ(description->complete(given).cpu.value().text(), "max");
    EXPECT_EQ(MachineDescription::parse("cpus 4000000000\n")->complete(open).cpus, 64u);
    EXPECT_EQ(MachineDescription::parse("cpus 0\n")->complete(open).cpus, 1u);
}

TEST(MachineDescription, TextThatIsNoneIsRefused) {
    for (const std::string text : {"memory", "memory 1", " 1\n", "\n", "a b\nc", "a \x01\n", "a \x80\n"})
        EXPECT_FALSE(MachineDescription::parse(text)) << text;
    std::string many;
    for (int i = 0; i < 2000; ++i) many += "device x\n";
    EXPECT_FALSE(MachineDescription::parse(many));
    EXPECT_TRUE(MachineDescription::parse(""));
    EXPECT_EQ(
        MachineDescription::of(machine_with()).difference_from(*MachineDescription::parse("")).has_value(),
        true);
    const std::string strange = MachineDescription::of(machine_with()).text() + "quantum yes\n";
    EXPECT_EQ(MachineDescription::of(machine_with()).difference_from(*MachineDescription::parse(strange)),
              "is of a machine with parts that this program does not know");
}

}  // namespace
}  // namespace arclight::guestos
