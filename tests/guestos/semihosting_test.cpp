// Semihosting by a guest that does what no sane one does: bad addresses, sizes and names, memory that changes between two
// readings, files that it was not given. What a sane one gets is compared with QEMU in tests/baremetal.
#include "guestos/semihosting.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <thread>

#include "tests/guestos/test_files.h"

namespace arclight::guestos {
namespace {

using namespace test;

constexpr uint64_t kBase = 0x4000'0000, kFailed = ~uint64_t{0};
enum : uint32_t {
    kOpen = 1,
    kClose,
    kWriteC,
    kWrite0,
    kWrite,
    kRead,
    kReadC,
    kIsError,
    kIsTty,
    kSeek,
    kFlen = 0x0c,
    kTmpnam,
    kRemove,
    kRename,
    kSystem = 0x12,
    kErrno,
    kGetCmdline = 0x15,
    kHeapInfo,
    kExit = 0x18,
    kExitExtended = 0x20,
};

/// Counts how often each byte is read in a call; `after_read` changes memory behind the reader's back.
class Memory final : public GuestBytes {
  public:
    static constexpr uint64_t kSize = 64 << 10;
    std::vector<uint8_t> bytes = std::vector<uint8_t>(kSize);
    std::map<uint64_t, unsigned> reads;
    std::function<void(uint64_t va)> after_read;
    bool outside_now = false;

    bool read(uint64_t va, std::span<uint8_t> to) override {
        EXPECT_FALSE(outside_now);
        for (size_t i = 0; i < to.size(); ++i) {
            if (!inside(va + i)) return false;
            to[i] = bytes[va + i - kBase];
            ++reads[va + i];
        }
        if (after_read) after_read(va);
        return true;
    }
    bool write(uint64_t va, std::span<const uint8_t> from) override {
        EXPECT_FALSE(outside_now);
        for (size_t i = 0; i < from.size(); ++i) {
            if (!inside(va + i)) return false;
            bytes[va + i - kBase] = from[i];
        }
        return true;
    }
    bool writable(uint64_t va, uint64_t n) override { return n == 0 || (inside(va) && inside(va + n - 1)); }
    void outside(const std::function<void()>& host) override {
        outside_now = true;
        host();
        outside_now = false;
    }

    uint64_t place(uint64_t va, std::string_view text) {
        std::memcpy(bytes.data() + (va - kBase), text.data(), text.size());
        bytes[va - kBase + text.size()] = 0;
        return va;
    }
    std::string at(uint64_t va, uint64_t n) const {
        return {reinterpret_cast<const char*>(bytes.data()) + (va - kBase), n};
    }

  private:
    static bool inside(uint64_t va) { return va >= kBase && va < kBase + kSize; }
};

struct Guest {
    explicit Guest(std::vector<std::string> directories = {}, bool userspace = false)
        : semihosting(
              {.userspace = userspace,
               .command_line = "kernel words",
               .directories = std::move(*SemihostingDirectories::open(directories))},
              clock,
              {.output =
                   [this](std::span<const uint8_t> bytes) { printed.append(bytes.begin(), bytes.end()); },
               .input = [this]() -> std::optional<uint8_t> {
                   if (input.empty()) return {};
                   const auto byte = static_cast<uint8_t>(input.front());
                   input.erase(0, 1);
                   return byte;
               },
               .input_ended = [this] { return ended.load(); }},
              [this] { ++exits; }) {}

    uint64_t call(uint32_t operation, std::vector<uint64_t> words) {
        constexpr uint64_t kBlock = kBase + 0x8000;
        for (size_t i = 0; i < words.size(); ++i)
            std::memcpy(memory.bytes.data() + (kBlock - kBase) + 8 * i, &words[i], 8);
        return call_at(operation, kBlock);
    }
    uint64_t call_at(uint32_t operation, uint64_t parameter) {
        memory.reads.clear();
        return semihosting.call(false, operation, parameter, memory).value();
    }
    uint64_t open(const std::string& name, uint64_t mode) {
        memory.place(kBase, name);
        return call(kOpen, {kBase, mode, name.size()});
    }
    uint64_t error() { return call(kErrno, {}); }
    void expect_error(uint64_t result, uint64_t error_number) {
        EXPECT_EQ(result, kFailed);
        EXPECT_EQ(error(), error_number);
    }

    devices::GuestClock clock;
    Memory memory;
    std::string printed, input;
    std::atomic<bool> ended{true};
    int exits = 0;
    Semihosting semihosting;
};

std::string content(const std::filesystem::path& file) {
    std::ostringstream out;
    out << std::ifstream(file).rdbuf();
    return out.str();
}

TEST(Semihosting, El0MayCallOnlyWhenItIsSaid) {
    Guest kernel_only;
    EXPECT_FALSE(kernel_only.semihosting.call(true, kErrno, 0, kernel_only.memory));
    Guest all({}, true);
    EXPECT_TRUE(all.semihosting.call(true, kErrno, 0, all.memory));
}

TEST(Semihosting, FilesAreThoseOfTheDirectories) {
    const TemporaryDirectory outer;
    std::filesystem::create_directories(outer.path() / "given/below");
    std::filesystem::create_directories(outer.path() / "second");
    outer.write("secret", std::string_view("secret"));
    outer.write("given/own", std::string_view("own"));
    std::filesystem::create_symlink("../secret", outer.path() / "given/link");
    std::filesystem::create_symlink(outer.path() / "secret", outer.path() / "given/absolute");
    std::filesystem::create_symlink("..", outer.path() / "given/up");
    std::filesystem::create_symlink("own", outer.path() / "given/inner");
    const std::string given = outer.path() / "given", second = outer.path() / "second";
    Guest guest({given + "/", second});

    EXPECT_NE(guest.open("own", 0), kFailed);
    EXPECT_NE(guest.open("inner", 0), kFailed);
    EXPECT_NE(guest.open("below/../own", 0), kFailed);
    EXPECT_NE(guest.open(given + "/own", 0), kFailed);
    EXPECT_NE(guest.open(second + "/new", 4), kFailed);
    EXPECT_TRUE(std::filesystem::exists(outer.path() / "second/new"));

    testing::internal::CaptureStderr();
    const std::string outside[] = {"../secret",         "link", "absolute", "up/secret", "below/../../secret",
                                   given + "/../secret"};
    for (const std::string& name : outside) {
        guest.expect_error(guest.open(name, 0), EXDEV);
        guest.memory.place(kBase, name);
        if (name != "link" && name != "absolute") {
            guest.expect_error(guest.call(kRemove, {kBase, name.size()}), EXDEV);
            guest.memory.place(kBase + 0x1000, "own");
            guest.expect_error(guest.call(kRename, {kBase + 0x1000, 3, kBase, name.size()}), EXDEV);
        }
    }
    for (const std::string& name :
         {std::string("/etc/passwd"), given + "x", outer.path().native(), std::string("/")})
        guest.expect_error(guest.open(name, 0), EACCES);
    EXPECT_EQ(content(outer.path() / "secret"), "secret");
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(std::ranges::count(said, '\n'), 1) << said;

    guest.expect_error(guest.open("below", 0), EISDIR);
    guest.expect_error(guest.open("own", 12), EINVAL);
    guest.expect_error(guest.call(kSystem, {kBase, 3}), EPERM);
}

TEST(Semihosting, WithoutDirectoriesThereAreNoFiles) {
    Guest guest;
    testing::internal::CaptureStderr();
    guest.expect_error(guest.open("a\nb", 4), EACCES);
    guest.expect_error(guest.open("/dev/null", 0), EACCES);
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "arclight: semihosting: the guest may not use 'a?b' (--semihosting-files gives it a "
              "directory's files)\n");
    EXPECT_NE(guest.open(":tt", 4), kFailed);
}

TEST(Semihosting, Modes) {
    const TemporaryDirectory directory;
    Guest guest({directory.path()});
    const auto write = [&](uint64_t handle, const std::string& text) {
        guest.memory.place(kBase + 0x2000, text);
        return guest.call(kWrite, {handle, kBase + 0x2000, text.size()});
    };
    EXPECT_EQ(write(guest.open("f", 4), "one"), 0u);
    EXPECT_EQ(write(guest.open("f", 8), ", two"), 0u);
    EXPECT_EQ(content(directory.path() / "f"), "one, two");
    EXPECT_EQ(write(guest.open("f", 2), "ONE"), 0u);
    EXPECT_EQ(content(directory.path() / "f"), "ONE, two");
    EXPECT_EQ(write(guest.open("f", 0), "no"), 2u);
    EXPECT_EQ(write(guest.open("f", 5), "new"), 0u);
    EXPECT_EQ(content(directory.path() / "f"), "new");
}

// What the guest changes after it was read must not count.
TEST(Semihosting, MemoryIsReadOnceForEachDecision) {
    const TemporaryDirectory directory;
    directory.write("good", std::string_view("good"));
    Guest guest({directory.path()});
    guest.memory.after_read = [&](uint64_t va) {
        if (va >= kBase + 0x3000 && va < kBase + 0x4000) guest.memory.place(va, "../x");
        for (uint64_t at = 0x8000; at < 0x8040; at += 8) put<uint64_t>(guest.memory.bytes, at, kFailed);
    };
    guest.memory.place(kBase + 0x3000, "good");
    const uint64_t file = guest.call(kOpen, {kBase + 0x3000, 0, 4});
    ASSERT_NE(file, kFailed);
    for (const auto& [va, count] : guest.memory.reads) EXPECT_EQ(count, 1u) << std::hex << va;
    EXPECT_EQ(guest.call(kRead, {file, kBase + 0x4000, 4}), 0u);
    EXPECT_EQ(guest.memory.at(kBase + 0x4000, 4), "good");
    for (const auto& [va, count] : guest.memory.reads) EXPECT_EQ(count, 1u) << std::hex << va;
    guest.memory.place(kBase + 0x3000, "good");
    guest.memory.place(kBase + 0x3100, "better");
    EXPECT_EQ(guest.call(kRename, {kBase + 0x3000, 4, kBase + 0x3100, 6}), 0u);
    for (const auto& [va, count] : guest.memory.reads) EXPECT_EQ(count, 1u) << std::hex << va;
    EXPECT_EQ(content(directory.path() / "better"), "good");
}

TEST(Semihosting, NamesAndAddressesThatAreNone) {
    const TemporaryDirectory directory;
    Guest guest({directory.path()});
    constexpr uint64_t kEnd = kBase + Memory::kSize;
    for (const uint32_t operation : {kOpen, kClose, kWrite, kRead, kIsError, kIsTty, kSeek, kFlen, kTmpnam,
                                     kRemove, kRename, kGetCmdline, kHeapInfo, kExit, kExitExtended})
        for (const uint64_t block : {uint64_t{0}, kEnd - 4, kFailed, kFailed - 7})
            guest.expect_error(guest.call_at(operation, block), EFAULT);
    EXPECT_EQ(guest.exits, 0);
    for (const uint64_t length : {uint64_t{3}, uint64_t{5}, uint64_t{4096}, kFailed, kFailed - 1}) {
        guest.memory.place(kBase, "name");
        guest.expect_error(guest.call(kOpen, {kBase, 4, length}), EFAULT);
    }
    guest.expect_error(guest.call(kOpen, {kEnd - 2, 4, 4}), EFAULT);
    EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
    testing::internal::CaptureStderr();
    guest.memory.bytes[Memory::kSize - 1] = 'x';  // no end within memory
    guest.expect_error(guest.call_at(kWrite0, kEnd - 1), EFAULT);
    guest.expect_error(guest.call_at(kWriteC, kEnd), EFAULT);
    EXPECT_EQ(guest.call_at(0x1234, kBase), kFailed);
    EXPECT_EQ(guest.call_at(0x1235, kBase), kFailed);
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "xarclight: semihosting operation 0x1234 is not known; the guest is told so\n");

    const uint64_t file = guest.open("f", 6);
    // As much as there is memory, and not one byte more of the file.
    EXPECT_EQ(guest.call(kWrite, {file, kEnd - 10, kFailed}), kFailed - 10);
    EXPECT_EQ(guest.call(kWrite, {file, kEnd - 4096, 8192}), 4096u);
    EXPECT_EQ(guest.error(), uint64_t{EFAULT});
    EXPECT_EQ(guest.call(kSeek, {file, 0}), 0u);
    EXPECT_EQ(guest.call(kRead, {file, kEnd, 100}), 100u);
    EXPECT_EQ(guest.call(kRead, {file, 0, 100}), 100u);
    EXPECT_EQ(guest.call(kFlen, {file}), 4106u);
    guest.expect_error(guest.call(kSeek, {file, kFailed}), EINVAL);
    for (const uint64_t handle : {uint64_t{0}, uint64_t{99}, kFailed}) {
        guest.expect_error(guest.call(kClose, {handle}), EBADF);
        EXPECT_EQ(guest.call(kRead, {handle, kBase, 8}), 8u);
    }
}

TEST(Semihosting, HandlesEnd) {
    Guest guest;
    unsigned opened = 0;
    while (opened < 10'000 && guest.open(":tt", 4) != kFailed) ++opened;
    EXPECT_EQ(opened, 256u);
    EXPECT_EQ(guest.error(), uint64_t{EMFILE});
    EXPECT_EQ(guest.call(kClose, {7}), 0u);
    EXPECT_EQ(guest.open(":tt", 4), 7u);
}

TEST(Semihosting, CommandLineAndTemporaryNames) {
    Guest guest;
    guest.expect_error(guest.call(kGetCmdline, {kBase, 12}), E2BIG);
    EXPECT_EQ(guest.call(kGetCmdline, {kBase, 13}), 0u);
    EXPECT_EQ(guest.memory.at(kBase, 13), std::string("kernel words\0", 13));
    EXPECT_EQ(guest.call(kTmpnam, {kBase, 0x1ff, 100}), 0u);
    const std::string name(reinterpret_cast<const char*>(guest.memory.bytes.data()));
    EXPECT_TRUE(name.ends_with("-ff.tmp")) << name;
    EXPECT_EQ(name.find('/'), std::string::npos);
    guest.expect_error(guest.call(kTmpnam, {kBase, 1, name.size()}), ENAMETOOLONG);
}

TEST(Semihosting, TheConsolesInputIsWaitedForUntilItEndsOrTheMachineDoes) {
    Guest guest;
    guest.input = "ab";
    const uint64_t in = guest.open(":tt", 0);
    EXPECT_EQ(guest.call(kReadC, {}), uint64_t{'a'});
    EXPECT_EQ(guest.call(kRead, {in, kBase, 100}), 99u);
    EXPECT_EQ(guest.memory.at(kBase, 1), "b");
    EXPECT_EQ(guest.call(kReadC, {}), kFailed);
    EXPECT_EQ(guest.call(kRead, {in, kBase, 100}), 100u);
    guest.ended = false;
    std::thread stopper([&] { guest.semihosting.stop(); });
    EXPECT_EQ(guest.call(kReadC, {}), kFailed);
    stopper.join();
}

TEST(Semihosting, LeavesOnceWithTheFirstStatus) {
    const auto status_of = [](uint32_t operation, uint64_t reason, uint64_t code) {
        Guest guest;
        EXPECT_FALSE(guest.semihosting.status());
        guest.call(operation, {reason, code});
        guest.call(operation, {0x20026, 99});
        EXPECT_EQ(guest.exits, 2);
        return guest.semihosting.status().value_or(-1);
    };
    for (const uint32_t operation : {kExit, kExitExtended}) {
        EXPECT_EQ(status_of(operation, 0x20026, 0), 0);
        EXPECT_EQ(status_of(operation, 0x20026, 3), 3);
        EXPECT_EQ(status_of(operation, 0x20026, 0x1234567), 0x67);
        EXPECT_EQ(status_of(operation, 0x20023, 0), 1);
    }
}

TEST(Semihosting, ADirectoryThatIsNoneIsAnError) {
    const TemporaryDirectory directory;
    const std::string file = directory.write("file", std::string_view("x"));
    for (const std::string& path : {file, file + "2"}) {
        const auto opened = SemihostingDirectories::open(std::array{path});
        ASSERT_FALSE(opened);
        EXPECT_TRUE(opened.error().starts_with("directory '" + path + "' cannot be opened: "))
            << opened.error();
    }
}

}  // namespace
}  // namespace arclight::guestos
