#include "jit/engine/region_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "jit/engine/region_shape.h"

namespace arclight::jit {
namespace {

namespace fs = std::filesystem;

class RegionStoreTest : public testing::Test {
  protected:
    RegionStoreTest() {
        std::string name = fs::temp_directory_path() / "arclight-regions-XXXXXX";
        if (mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no temporary directory";
        top_ = name;
    }
    ~RegionStoreTest() override { fs::remove_all(top_); }

    std::unique_ptr<RegionStore> open(uint64_t build = 1, uint64_t most = 1 << 20,
                                      const char* host = "host") {
        auto store = RegionStore::open(
            {.directory = directory(), .max_bytes = most, .build = build, .key_file = key_file()});
        if (!store) {
            why_ = store.error();
            return nullptr;
        }
        (*store)->set_fingerprint(host);
        return std::move(*store);
    }
    fs::path directory() const { return top_ / "a" / "regions"; }
    fs::path key_file() const { return top_ / "state" / "arclight" / "cache.key"; }
    static std::string read(const fs::path& file) {
        std::ifstream in(file, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    static void write(const fs::path& file, const std::string& content) {
        std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
        fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
    }
    fs::path only_file() const {
        EXPECT_EQ(count(), 1u);
        return *fs::directory_iterator(directory());
    }
    size_t count() const {
        return static_cast<size_t>(
            std::distance(fs::directory_iterator(directory()), fs::directory_iterator()));
    }
    static RegionStore::Key key(uint64_t n) { return {n * 0x9e37'79b9'7f4a'7c15, n}; }
    static RegionStore::Stored stored(unsigned n, size_t bytes = 500) {
        return {"shape " + std::to_string(n), std::string(bytes, static_cast<char>('a' + n % 26))};
    }

    fs::path top_;
    std::string why_;  ///< of the last open() that failed
};

TEST_F(RegionStoreTest, AnotherRunFindsWhatWasSaved) {
    open()->save(key(1), stored(1));
    const auto store = open();
    ASSERT_TRUE(store->knows(key(1)));
    EXPECT_FALSE(store->knows(key(2)));
    const auto found = store->load(key(1));
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].shape, stored(1).shape);
    EXPECT_EQ(found[0].object, stored(1).object);
}

TEST_F(RegionStoreTest, FilesAndDirectoryAreTheUsersAlone) {
    open()->save(key(1), stored(1));
    struct stat about {};
    ASSERT_EQ(stat(only_file().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 07777, 0600u);
    ASSERT_EQ(stat(directory().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 07777, 0700u);
}

TEST_F(RegionStoreTest, DirectoriesOfOthersAreRefused) {
    fs::create_directories(directory());
    fs::permissions(directory(), fs::perms::all);
    EXPECT_EQ(open(), nullptr);
}

TEST_F(RegionStoreTest, FilesThatOthersMayWriteToAreRefused) {
    open()->save(key(1), stored(1));
    fs::permissions(only_file(), fs::perms::group_write, fs::perm_options::add);
    EXPECT_TRUE(open()->load(key(1)).empty());
}

TEST_F(RegionStoreTest, AChangeOfAnyByteIsSeen) {
    open()->save(key(1), stored(1, 64));
    const fs::path file = only_file();
    const std::string good = read(file);
    const auto loads = [&](const std::string& content) {
        write(file, content);
        const auto store = open();
        const bool found = !store->load(key(1)).empty();
        EXPECT_EQ(store->stats().rejected, found ? 0u : 1u);
        EXPECT_EQ(count(), found ? 1u : 0u) << "a bad file must go";
        return found;
    };
    EXPECT_TRUE(loads(good));
    for (size_t at = 0; at < good.size(); ++at) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 1 << at % 8);
        EXPECT_FALSE(loads(bad)) << "byte " << at;
        EXPECT_FALSE(loads(good.substr(0, at))) << "cut at " << at;
    }
    EXPECT_FALSE(loads(good + "x"));
    EXPECT_FALSE(loads(std::string(good.size(), '\0')));
}

constexpr size_t kVersionAt = 8, kPartsAt = 12, kCodeAt = 56, kHeader = kCodeAt + sizeof(CacheKey::Code);
constexpr std::string_view kPurpose = "arclight regions";

/// The file with the code that it should have by `key`.
std::string signed_with(const CacheKey& key, std::string_view purpose, std::string file) {
    std::memset(file.data() + kCodeAt, 0, sizeof(CacheKey::Code));
    const CacheKey::Code code = key.authenticate(purpose, {file});
    std::memcpy(file.data() + kCodeAt, code.data(), code.size());
    return file;
}

/// What an earlier program has filed may be wrong, and its code right.
TEST_F(RegionStoreTest, FilesOfAnEarlierFormatAreNotUsed) {
    open()->save(key(1), stored(1));
    const fs::path file = only_file();
    const std::string content = read(file);
    const auto secret = CacheKey::open(key_file(), directory());
    ASSERT_TRUE(secret) << secret.error();
    const auto loads_as = [&](uint32_t version) {
        std::string changed = content;
        std::memcpy(changed.data() + kVersionAt, &version, sizeof version);
        write(file, signed_with(**secret, kPurpose, changed));
        return !open()->load(key(1)).empty();
    };
    uint32_t now = 0;
    std::memcpy(&now, content.data() + kVersionAt, sizeof now);
    EXPECT_TRUE(loads_as(now)) << "the code made here must be right";
    for (uint32_t version = 0; version < now; ++version) EXPECT_FALSE(loads_as(version)) << version;
}

/// All that somebody can do who may write to the directory, but does not have the key.
TEST_F(RegionStoreTest, AnAttackersCodeIsNotUsed) {
    open()->save(key(1), stored(1));
    const fs::path file = only_file();
    const std::string good = read(file);
    const auto secret = CacheKey::open(key_file(), directory());
    const auto other = CacheKey::open(top_ / "other" / "cache.key", directory());
    ASSERT_TRUE(secret && other);
    const auto loads = [&](const std::string& content) {
        write(file, content);
        return !open()->load(key(1)).empty();
    };
    std::string poisoned = good;
    poisoned.back() = static_cast<char>(poisoned.back() ^ 1);
    EXPECT_TRUE(loads(signed_with(**secret, kPurpose, poisoned))) << "the forgery itself must be right";
    EXPECT_FALSE(loads(signed_with(**other, kPurpose, poisoned)));
    EXPECT_FALSE(loads(signed_with(**secret, "another purpose", poisoned)));
    // Checksums without a key, over the same bytes.
    std::string unkeyed = poisoned;
    std::memset(unkeyed.data() + kCodeAt, 0, sizeof(CacheKey::Code));
    const RegionStore::Key sum = RegionStore::hash(unkeyed);
    for (const size_t at : {kCodeAt, kCodeAt + sizeof sum}) {
        std::memcpy(unkeyed.data() + at, sum.data(), sizeof sum);
        EXPECT_FALSE(loads(unkeyed));
    }
    // The parts' borders moved: all bytes behind the header are the same.
    std::string moved = good;
    std::array<uint32_t, 3> parts;
    std::memcpy(parts.data(), moved.data() + kPartsAt, sizeof parts);
    ++parts[1], --parts[2];
    std::memcpy(moved.data() + kPartsAt, parts.data(), sizeof parts);
    EXPECT_FALSE(loads(moved));
    EXPECT_TRUE(loads(good));
}

/// The file's name says what it is of; so does its content, and both are authenticated.
TEST_F(RegionStoreTest, ARenamedFileIsNotUsed) {
    open()->save(key(1), stored(1));
    const fs::path one = only_file();
    const std::string good = read(one);
    open()->save(key(2), stored(2));
    fs::path two;
    for (const auto& file : fs::directory_iterator(directory()))
        if (file.path() != one) two = file.path();
    const std::string other = read(two);
    constexpr size_t kNamesAt = 24, kNames = 2 * sizeof(RegionStore::Key);
    std::string renamed = good;
    renamed.replace(kNamesAt, kNames, other, kNamesAt, kNames);
    write(two, renamed);
    EXPECT_TRUE(open()->load(key(2)).empty());
    EXPECT_FALSE(open()->load(key(1)).empty());
}

TEST_F(RegionStoreTest, ADirectoryOfAnotherHostIsNotUsed) {
    for (unsigned n = 0; n < 5; ++n) open()->save(key(n), stored(n));
    fs::remove(key_file());
    const auto store = open();  // with a new key
    ASSERT_NE(store, nullptr);
    for (unsigned n = 0; n < 5; ++n) EXPECT_TRUE(store->load(key(n)).empty());
    EXPECT_EQ(store->stats().rejected, 5u);
    EXPECT_EQ(count(), 0u);
    store->save(key(1), stored(1));
    EXPECT_EQ(open()->load(key(1)).size(), 1u);
}

TEST_F(RegionStoreTest, TheKeyIsTheUsersAlone) {
    const mode_t old = umask(0);
    EXPECT_NE(open(), nullptr);
    umask(old);
    struct stat about {};
    ASSERT_EQ(lstat(key_file().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode, S_IFREG | 0600u);
    EXPECT_EQ(about.st_size, 32);
    ASSERT_EQ(lstat(key_file().parent_path().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 07777, 0700u);
    EXPECT_EQ(std::distance(fs::directory_iterator(key_file().parent_path()), fs::directory_iterator()), 1);
}

/// The cache is off then, whose reason is one line.
TEST_F(RegionStoreTest, AKeyOfOthersIsNotUsed) {
    open()->save(key(1), stored(1));
    const std::string secret = read(key_file());
    const auto refused = [&](const char* what) {
        why_.clear();
        EXPECT_EQ(open(), nullptr) << what;
        EXPECT_FALSE(why_.empty()) << what;
        EXPECT_EQ(why_.find('\n'), std::string::npos) << why_;
        fs::remove(key_file());
        write(key_file(), secret);
        EXPECT_NE(open(), nullptr) << what;
    };
    for (const mode_t mode : {0640, 0604, 0620, 0602, 0610}) {
        chmod(key_file().c_str(), mode);
        refused("a mode");
    }
    for (const size_t bytes : {size_t{0}, size_t{31}}) {
        write(key_file(), secret.substr(0, bytes));
        refused("truncated");
    }
    write(key_file(), secret + "x");
    refused("too long");
    fs::rename(key_file(), top_ / "elsewhere");
    fs::create_symlink(top_ / "elsewhere", key_file());
    refused("a symbolic link");
    fs::remove(key_file());
    ASSERT_EQ(mkfifo(key_file().c_str(), 0600), 0);
    refused("a FIFO");
    fs::remove(key_file());
    fs::create_directory(key_file());
    refused("a directory");
    chmod(key_file().parent_path().c_str(), 0770);
    EXPECT_EQ(open(), nullptr) << "others can write to the key's directory";
    chmod(key_file().parent_path().c_str(), 0700);
    if (geteuid() == 0) {
        constexpr uid_t kOther = 12345;
        ASSERT_EQ(chown(key_file().c_str(), kOther, 0), 0);
        refused("another user's");
        ASSERT_EQ(chown(key_file().parent_path().c_str(), kOther, 0), 0);
        EXPECT_EQ(open(), nullptr) << "another user's directory";
    }
}

TEST_F(RegionStoreTest, AKeyInTheCacheIsNotUsed) {
    for (const fs::path& inside :
         {directory() / "cache.key", directory() / "below" / "cache.key",
          directory() / ".." / "regions" / "cache.key", top_ / "link" / "cache.key"}) {
        fs::create_directories(directory());
        if (!fs::exists(top_ / "link")) fs::create_directory_symlink(directory(), top_ / "link");
        EXPECT_FALSE(RegionStore::open({.directory = directory(), .build = 1, .key_file = inside})) << inside;
        EXPECT_EQ(count(), 0u) << inside;
    }
    EXPECT_FALSE(RegionStore::open({.directory = directory(), .build = 1, .key_file = ""}));
    // Beside it, with a name that begins as its own.
    EXPECT_TRUE(
        RegionStore::open({.directory = directory(), .build = 1, .key_file = top_ / "a" / "regions.key"}));
}

TEST_F(RegionStoreTest, RunsThatBeginAtOnceHaveOneKey) {
    constexpr unsigned kRuns = 8;
    for (unsigned round = 0; round < 20; ++round) {
        fs::remove_all(key_file().parent_path());
        std::array<CacheKey::Code, kRuns> codes{};
        std::vector<pid_t> runs;
        std::array<int, 2> ends;
        ASSERT_EQ(pipe(ends.data()), 0);
        for (unsigned k = 0; k < kRuns; ++k) {
            const pid_t run = fork();
            ASSERT_GE(run, 0);
            if (run == 0) {
                const auto secret = CacheKey::open(key_file(), directory());
                CacheKey::Code code{};
                if (secret) code = (*secret)->authenticate("", {});
                _exit(::write(ends[1], code.data(), code.size()) == ssize_t{sizeof code} ? 0 : 1);
            }
            runs.push_back(run);
        }
        for (const pid_t run : runs) waitpid(run, nullptr, 0);
        close(ends[1]);
        for (auto& code : codes) ASSERT_EQ(::read(ends[0], code.data(), code.size()), ssize_t{sizeof code});
        close(ends[0]);
        EXPECT_NE(codes[0], CacheKey::Code{}) << "round " << round;
        for (const auto& code : codes) EXPECT_EQ(code, codes[0]) << "round " << round;
    }
}

TEST_F(RegionStoreTest, FilesOfOthersAreNotUsed) {
    open()->save(key(1), stored(1));
    EXPECT_TRUE(open(1, 1 << 20, "another host or LLVM")->load(key(1)).empty());
    open()->save(key(1), stored(1));
    // Another build makes other hashes of entries; if it did not, the file says whose it is.
    EXPECT_NE(open(2)->seed(), open()->seed());
    EXPECT_TRUE(open(2)->load(key(1)).empty());
}

TEST_F(RegionStoreTest, AFileUnderAnothersNameIsNotUsed) {
    open()->save(key(1), stored(1));
    const std::string name = only_file().filename();
    open()->save(key(2), stored(2));
    for (const auto& file : fs::directory_iterator(directory()))
        if (file.path().filename() != name)
            fs::copy_file(directory() / name, file.path(), fs::copy_options::overwrite_existing);
    EXPECT_TRUE(open()->load(key(2)).empty());
    EXPECT_EQ(open()->load(key(1)).size(), 1u);
}

TEST_F(RegionStoreTest, LinksAndOddFilesAreNotFollowed) {
    open()->save(key(1), stored(1));
    const fs::path file = only_file();
    fs::rename(file, top_ / "elsewhere");
    fs::create_symlink(top_ / "elsewhere", file);
    EXPECT_TRUE(open()->load(key(1)).empty());
    ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
    EXPECT_TRUE(open()->load(key(1)).empty());
}

TEST_F(RegionStoreTest, TheOldestGoWhenThereIsNoRoom) {
    const auto store = open(1, 10'000);
    for (unsigned n = 0; n < 8; ++n) {
        store->save(key(n), stored(n, 1000));
        timespec times[2] = {{1000 + n, 0}, {1000 + n, 0}};
        for (const auto& file : fs::directory_iterator(directory()))
            if (fs::last_write_time(file.path()) > fs::file_time_type::clock::now() - std::chrono::hours(1))
                utimensat(AT_FDCWD, file.path().c_str(), times, 0);
    }
    ASSERT_EQ(store->load(key(0)).size(), 1u);  // used now
    for (unsigned n = 8; n < 12; ++n) store->save(key(n), stored(n, 1000));
    EXPECT_FALSE(store->load(key(0)).empty());
    EXPECT_TRUE(store->load(key(1)).empty());
    EXPECT_FALSE(store->load(key(11)).empty());
    uintmax_t bytes = 0;
    for (const auto& file : fs::directory_iterator(directory())) bytes += file.file_size();
    EXPECT_LE(bytes, 10'000u);
    EXPECT_GT(store->stats().evicted, 0u);
}

TEST_F(RegionStoreTest, AnEntryKeepsAFewRegions) {
    const auto store = open();
    for (unsigned n = 0; n < 20; ++n) store->save(key(1), stored(n));
    EXPECT_LE(count(), 4u);
    EXPECT_EQ(open()->load(key(1)).size(), count());
}

TEST_F(RegionStoreTest, WhatIsWithdrawnIsGoneAndOthersOfItsEntryStay) {
    const auto store = open();
    const RegionStore::Key first = store->save(key(1), stored(1));
    EXPECT_EQ(first, store->name_of(stored(1)));
    store->save(key(1), stored(2));
    store->discard(key(1), first);
    const auto other_run = open();
    for (const auto& opened : {store.get(), other_run.get()}) {
        const auto found = opened->load(key(1));
        ASSERT_EQ(found.size(), 1u);
        EXPECT_EQ(found[0].shape, stored(2).shape);
    }
    store->discard(key(1), first);  // by another run meanwhile
    store->discard(key(1), store->name_of(stored(2)));
    EXPECT_FALSE(store->knows(key(1)));
    EXPECT_EQ(count(), 0u);
    EXPECT_EQ(store->stats().discarded, 2u);
}

TEST_F(RegionStoreTest, SeveralRunsShareADirectory) {
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t)
        threads.emplace_back([this, t] {
            const auto store = open(1, 20'000);
            std::mt19937 random(t);
            for (unsigned k = 0; k < 300; ++k) {
                const unsigned n = random() % 20;
                if (random() % 2 != 0) store->save(key(n), stored(n, 1000 + n));
                for (const auto& found : store->load(key(n))) {
                    EXPECT_EQ(found.shape, stored(n).shape);
                    EXPECT_EQ(found.object, stored(n, 1000 + n).object);
                }
            }
            EXPECT_EQ(store->stats().rejected, 0u);
        });
    for (std::thread& t : threads) t.join();
    for (const auto& file : fs::directory_iterator(directory()))
        EXPECT_EQ(file.path().extension(), ".region");
}

TEST(RegionShapeTest, OnlyAShapesBytesAreOne) {
    const auto code = [](size_t bytes) {
        std::vector<std::byte> made(bytes);
        for (size_t k = 0; k < bytes; ++k) made[k] = static_cast<std::byte>(k);
        return made;
    };
    const RegionShape shape{.translation_flags = 0x103,
                            .blocks = {{0x80, code(12)}, {-4096, code(1)}, {0x10ff0, code(16)}},
                            .return_sites = {0x84, -4096},
                            .indirect_targets = {0x80}};
    const std::string bytes = shape.bytes();
    EXPECT_EQ(RegionShape::parse(bytes), shape);
    for (size_t k = 0; k < bytes.size(); ++k) EXPECT_FALSE(RegionShape::parse(bytes.substr(0, k)));
    EXPECT_FALSE(RegionShape::parse(bytes + "x"));
    std::mt19937 random(1);
    for (unsigned k = 0; k < 20'000; ++k) {
        std::string bad = bytes;
        for (unsigned n = 0; n < 1 + k % 3; ++n) bad[random() % bad.size()] = static_cast<char>(random());
        if (const auto parsed = RegionShape::parse(bad)) {
            EXPECT_EQ(parsed->bytes(), bad);
        }
    }
}

}  // namespace
}  // namespace arclight::jit
