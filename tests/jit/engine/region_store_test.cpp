#include "jit/engine/region_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

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
        std::string why;
        auto store = RegionStore::open({.directory = directory(), .max_bytes = most, .build = build}, why);
        if (store == nullptr) return nullptr;
        store->set_fingerprint(host);
        return store;
    }
    fs::path directory() const { return top_ / "a" / "regions"; }
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
    std::string good;
    {
        std::ifstream in(file, std::ios::binary);
        good.assign(std::istreambuf_iterator<char>(in), {});
    }
    const auto loads = [&](const std::string& content) {
        std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
        fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
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

/// What an earlier program has filed may be wrong, and its checksum right.
TEST_F(RegionStoreTest, FilesOfAnEarlierFormatAreNotUsed) {
    open()->save(key(1), stored(1));
    const fs::path file = only_file();
    std::string content;
    {
        std::ifstream in(file, std::ios::binary);
        content.assign(std::istreambuf_iterator<char>(in), {});
    }
    constexpr size_t kVersionAt = 8, kChecksumAt = 56, kHeader = kChecksumAt + sizeof(RegionStore::Key);
    const auto loads_as = [&](uint32_t version) {
        std::string header = content.substr(0, kHeader);
        const std::string rest = content.substr(kHeader);
        std::memcpy(header.data() + kVersionAt, &version, sizeof version);
        std::memset(header.data() + kChecksumAt, 0, sizeof(RegionStore::Key));
        const RegionStore::Key first = RegionStore::hash(header);
        const RegionStore::Key checksum = RegionStore::hash(rest, first[0] ^ first[1]);
        std::memcpy(header.data() + kChecksumAt, checksum.data(), sizeof checksum);
        std::ofstream(file, std::ios::binary | std::ios::trunc) << header << rest;
        fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
        return !open()->load(key(1)).empty();
    };
    uint32_t now = 0;
    std::memcpy(&now, content.data() + kVersionAt, sizeof now);
    ASSERT_EQ(now, 2u);
    EXPECT_TRUE(loads_as(now)) << "the checksum made here must be right";
    EXPECT_FALSE(loads_as(1));
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
