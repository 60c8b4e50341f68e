#include "guestos/file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "test_files.h"

namespace arclight::guestos {
namespace {

namespace fs = std::filesystem;

/// In a directory that others write to too, somebody has guessed the temporary file's name.
TEST(WriteFile, DoesNotWriteThroughWhatIsThere) {
    const test::TemporaryDirectory directory;
    const auto victim = directory.write("victim", "untouched");
    const fs::path target = directory.path() / "target";
    const Bytes content{'n', 'e', 'w'};
    const auto text = [](const fs::path& file) {
        const auto bytes = read_file("file", file, 1 << 20);
        return bytes ? std::string(bytes->begin(), bytes->end()) : bytes.error();
    };
    for (unsigned k = 0; k < 3; ++k)
        fs::create_symlink(victim, fmt::format("{}.{}.{}.part", target.native(), getpid(), k));
    const auto other = fmt::format("{}.{}.3.part", target.native(), getpid());
    fs::create_hard_link(victim, other);
    const auto written = write_file("file", target, content);
    ASSERT_TRUE(written) << written.error();
    EXPECT_EQ(text(target), "new");
    EXPECT_FALSE(fs::is_symlink(target));
    EXPECT_EQ(text(victim), "untouched");
    EXPECT_EQ(text(other), "untouched");
}

TEST(WriteFile, LeavesNothingElseBehind) {
    const test::TemporaryDirectory directory;
    const fs::path target = directory.path() / "target";
    ASSERT_TRUE(write_file("file", target, Bytes{1}));
    ASSERT_TRUE(write_file("file", target, Bytes{2}));
    EXPECT_FALSE(write_file("file", directory.path() / "none" / "target", Bytes{1}));
    fs::create_directory(directory.path() / "directory");
    EXPECT_FALSE(write_file("file", directory.path() / "directory", Bytes{1}));
    EXPECT_EQ(std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator()), 2);
}

}  // namespace
}  // namespace arclight::guestos
