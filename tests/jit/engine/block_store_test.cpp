#include "jit/engine/block_store.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <tuple>
#include <vector>

namespace arclight::jit {
namespace {

namespace fs = std::filesystem;

/// Something like a block, which a number tells from others.
struct Sample {
    explicit Sample(uint32_t n, uint32_t insns = 8) : number(n) {
        for (uint32_t k = 0; k < insns; ++k) code.insert(code.end(), {n, k});
        hot.assign(100 + n % 50, static_cast<uint8_t>(n));
        cold.assign(33, static_cast<uint8_t>(n >> 8));
        points.push_back({.access = n, .return_pc = 1, .first = 0, .words = 1, .insn_offset = 4, .page = 0});
        locations = {LocationWord(n), LocationWord(n >> 16), 0xffff};
    }
    std::span<const std::byte> guest_code() const { return std::as_bytes(std::span(code)); }
    uint32_t offset() const { return number * 4 % 4096; }
    StoredBlock block() const {
        return {.translation_flags = 5,
                .page_offset = offset(),
                .guest_insns = static_cast<uint32_t>(code.size()),
                .spins = number % 2 != 0,
                .grouping = true,
                .guest_code = guest_code(),
                .image = {.body = 7,
                          .hot = hot,
                          .cold = cold,
                          .relocations = relocations,
                          .constants = constants,
                          .exits = exits,
                          .points = points,
                          .locations = locations}};
    }
    uint32_t number;
    std::vector<uint32_t> code;
    std::vector<uint8_t> hot, cold;
    std::vector<PackedRelocation> relocations{{9, 1}};
    std::vector<std::array<uint64_t, 2>> constants{{1, 2}};
    std::vector<ImageExit> exits{
        {.jump = 1, .epoch = kNoOffset, .stub = 2, .target = -8, .cross_page = true}};
    std::vector<FaultPoint> points;
    std::vector<LocationWord> locations;
};

class BlockStoreTest : public testing::Test {
  protected:
    BlockStoreTest() {
        std::string name = fs::temp_directory_path() / "arclight-blocks-XXXXXX";
        if (mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no temporary directory";
        top_ = name;
    }
    ~BlockStoreTest() override { fs::remove_all(top_); }

    std::unique_ptr<BlockStore> open(uint64_t identity = 1, uint64_t most = 64 << 20) {
        auto store = BlockStore::open({.directory = directory(),
                                       .max_bytes = most,
                                       .identity = identity,
                                       .key_file = top_ / "state" / "key"});
        why_ = store ? "" : store.error();
        return store ? std::move(*store) : nullptr;
    }
    /// Leaves a file with these blocks.
    void fill(uint32_t first, uint32_t last, uint64_t identity = 1, uint64_t most = 64 << 20) {
        const auto store = open(identity, most);
        for (uint32_t n = first; n < last; ++n) keep(*store, n);
        store->save();
    }
    static bool keep(BlockStore& store, uint32_t n) {
        const Sample sample(n);
        store.note(sample.guest_code().size());
        return store.keep(sample.block());
    }
    static bool finds(BlockStore& store, uint32_t n) {
        const Sample sample(n);
        const auto found = store.find(5, sample.offset(), true, sample.guest_code());
        if (!found) return false;
        const StoredBlock want = sample.block();
        EXPECT_EQ(found->guest_insns, want.guest_insns);
        EXPECT_EQ(found->spins, want.spins);
        EXPECT_TRUE(std::ranges::equal(found->guest_code, want.guest_code));
        EXPECT_TRUE(std::ranges::equal(found->image.hot, want.image.hot));
        EXPECT_TRUE(std::ranges::equal(found->image.cold, want.image.cold));
        EXPECT_EQ(found->image.body, 7u);
        EXPECT_EQ(found->image.relocations[0][0], 9u);
        EXPECT_EQ(found->image.constants[0][1], 2u);
        EXPECT_EQ(found->image.exits[0].target, -8);
        EXPECT_EQ(found->image.exits[0].epoch, kNoOffset);
        EXPECT_EQ(found->image.exits[0].stub, 2u);
        EXPECT_EQ(found->image.points[0].access, n);
        EXPECT_TRUE(std::ranges::equal(found->image.locations, want.image.locations));
        return true;
    }
    unsigned found(uint32_t first, uint32_t last, uint64_t identity = 1) {
        const auto store = open(identity);
        unsigned count = 0;
        for (uint32_t n = first; n < last; ++n) count += finds(*store, n);
        rejected_ = store->stats().rejected;
        return count;
    }
    fs::path directory() const { return top_ / "a" / "blocks"; }
    std::vector<fs::path> files() const {
        std::vector<fs::path> all;
        for (const auto& file : fs::directory_iterator(directory())) all.push_back(file.path());
        std::ranges::sort(all);
        return all;
    }
    static std::string read(const fs::path& file) {
        std::ifstream in(file, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    static void write(const fs::path& file, const std::string& content) {
        std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
        fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
    }

    fs::path top_;
    std::string why_;  ///< of the last open() that failed
    uint64_t rejected_ = 0;
};

constexpr uint32_t kMany = 3000;  ///< several chunks, and worth a file

TEST_F(BlockStoreTest, AnotherRunFindsWhatWasKept) {
    fill(0, kMany);
    EXPECT_EQ(files().size(), 1u);
    EXPECT_EQ(found(0, kMany), kMany);
    EXPECT_EQ(found(kMany, kMany + 100), 0u);
    EXPECT_EQ(rejected_, 0u);
}

TEST_F(BlockStoreTest, WhatIsKeptOnTheWayAndAtTheEndIsInOneFile) {
    const auto store = open();
    for (uint32_t n = 0; n < kMany; ++n) keep(*store, n);
    EXPECT_FALSE(fs::exists(directory()) && !files().empty());
    store->save([&] {
        for (uint32_t n = kMany; n < 2 * kMany; ++n) keep(*store, n);
    });
    EXPECT_EQ(files().size(), 1u);
    EXPECT_EQ(found(0, 2 * kMany), 2 * kMany);
}

TEST_F(BlockStoreTest, ABlockIsFoundByAllThatItsCodeDependsOn) {
    fill(0, kMany);
    const auto store = open();
    const Sample sample(17);
    EXPECT_TRUE(store->find(5, sample.offset(), true, sample.guest_code()));
    EXPECT_FALSE(store->find(4, sample.offset(), true, sample.guest_code()));
    EXPECT_FALSE(store->find(5, sample.offset() + 4, true, sample.guest_code()));
    EXPECT_FALSE(store->find(5, sample.offset(), false, sample.guest_code()));
    // Code that goes on behind the block is none of its; code that ends before it does is another block.
    std::vector<uint32_t> code = sample.code;
    code.push_back(99);
    EXPECT_TRUE(store->find(5, sample.offset(), true, std::as_bytes(std::span(code))));
    code.resize(sample.code.size() - 1);
    EXPECT_FALSE(store->find(5, sample.offset(), true, std::as_bytes(std::span(code))));
    code = sample.code;
    for (uint32_t& word : code) {
        word ^= 1u << 31;
        EXPECT_FALSE(store->find(5, sample.offset(), true, std::as_bytes(std::span(code))));
        word ^= 1u << 31;
    }
    EXPECT_EQ(found(0, 10, 2), 0u) << "another build, host or choice of options";
}

TEST_F(BlockStoreTest, LittleIsNotWorthAFile) {
    fill(0, 20);
    EXPECT_TRUE(files().empty());
    fill(0, kMany);
    fill(kMany, kMany + 20);
    EXPECT_EQ(files().size(), 1u);
}

TEST_F(BlockStoreTest, NoByteOfAFileMayChange) {
    fill(0, kMany);
    const fs::path file = files().at(0);
    const std::string good = read(file);
    // Places in the chunks, the tables, and each byte of what ends the file.
    for (size_t at = 0; at<good.size(); at += at + 200> good.size() ? 1 : good.size() / 97) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 0x10);
        write(file, bad);
        const unsigned count = found(0, kMany);
        EXPECT_LT(count, kMany) << at;
        EXPECT_GE(rejected_, 1u) << at;
        if (!fs::exists(file)) {
            EXPECT_EQ(count, 0u) << "its tables are damaged: it is removed";
        }
    }
    for (const size_t bytes : {size_t{0}, size_t{8}, good.size() / 2, good.size() - 1}) {
        write(file, good.substr(0, bytes));
        EXPECT_EQ(found(0, kMany), 0u) << bytes;
        EXPECT_FALSE(fs::exists(file)) << bytes;
    }
    write(file, good);
    EXPECT_EQ(found(0, kMany), kMany);
}

TEST_F(BlockStoreTest, ChunksCannotBeExchanged) {
    // Of two files of this user's own, one's chunk in the other's place.
    fill(0, kMany);
    const std::string first = read(files().at(0));
    fs::remove(files().at(0));
    fill(kMany, 2 * kMany);
    const fs::path file = files().at(0);
    std::string second = read(file);
    const size_t bytes = 4096;
    second.replace(300, bytes, first.substr(300, bytes));
    write(file, second);
    EXPECT_LT(found(0, 2 * kMany), kMany);
    EXPECT_GE(rejected_, 1u);
}

TEST_F(BlockStoreTest, OthersFilesAreNotRead) {
    fill(0, kMany);
    const fs::path file = files().at(0);
    fs::permissions(file, fs::perms::owner_all | fs::perms::others_write);
    EXPECT_EQ(found(0, kMany), 0u);
    fill(0, kMany);
    fs::remove(top_ / "state" / "key");  // another user's key
    EXPECT_EQ(found(0, kMany), 0u);
    fs::permissions(directory(), fs::perms::all);
    EXPECT_EQ(open(), nullptr);
    EXPECT_NE(why_.find("others than this user may write"), std::string::npos) << why_;
}

TEST_F(BlockStoreTest, ManyFilesBecomeOne) {
    for (uint32_t part = 0; part < 5; ++part) {
        const auto store = open();
        for (uint32_t n = 0; n < part * kMany; n += 100) EXPECT_TRUE(finds(*store, n)) << n;
        for (uint32_t n = part * kMany; n < (part + 1) * kMany; ++n) keep(*store, n);
        store->save();
        EXPECT_EQ(files().size(), part < 4 ? part + 1 : 1);
    }
    EXPECT_EQ(found(0, 5 * kMany), 5 * kMany);
}

TEST_F(BlockStoreTest, TheOldestFilesGoWhenThereIsNoRoom) {
    fill(0, kMany, 1);
    const auto bytes = fs::file_size(files().at(0));
    fill(0, kMany / 8, 2, bytes + bytes / 20);
    EXPECT_EQ(files().size(), 1u);
    EXPECT_EQ(found(0, kMany, 1), 0u);
    EXPECT_EQ(found(0, kMany, 2), kMany / 8);
}

TEST_F(BlockStoreTest, ARunKeepsNoMoreThanItsPart) {
    const auto store = open(1, 1'000'000);
    uint32_t kept = 0;
    store->save();
    store->note(1'000'000);
    store->save([&] {
        while (kept < 10 * kMany && keep(*store, kept)) ++kept;
    });
    EXPECT_LT(kept, 10 * kMany);
    ASSERT_EQ(files().size(), 1u);
    EXPECT_LT(fs::file_size(files()[0]), 750'000u);
    EXPECT_EQ(found(0, kept), kept);
}

TEST_F(BlockStoreTest, NorMuchInMemory) {
    const auto store = open(1, uint64_t{1} << 30);
    uint64_t bytes = 0;
    for (uint32_t n = 0; n < 1000 * kMany && keep(*store, n); ++n) bytes += Sample(n).hot.size();
    EXPECT_LT(bytes, 32u << 20);
}

TEST_F(BlockStoreTest, WhatSeveralRunsKeepAtOnceIsCopiedOnce) {
    std::vector<std::unique_ptr<BlockStore>> stores(4);
    for (auto& store : stores) store = open();
    uint32_t own = kMany;
    for (const auto& store : stores) {
        for (uint32_t n = 0; n < kMany; ++n) keep(*store, n);
        keep(*store, own++);
        store->save();
    }
    ASSERT_EQ(files().size(), 4u);
    const auto bytes = fs::file_size(files()[0]);
    const auto store = open();
    for (uint32_t n = 0; n < own; ++n) ASSERT_TRUE(finds(*store, n)) << n;
    // All four have been used now but for what the first has found.
    for (uint32_t n = own; n < own + kMany; ++n) keep(*store, n);
    store->save();
    EXPECT_LE(files().size(), 4u);
    uint64_t all = 0;
    for (const fs::path& file : files()) all += fs::file_size(file);
    EXPECT_LT(all, 3 * bytes);
    EXPECT_EQ(found(0, own + kMany), own + kMany);
}

TEST_F(BlockStoreTest, RunsMayShareTheDirectory) {
    const auto one = open(), other = open();
    for (uint32_t n = 0; n < kMany; ++n) keep(*one, n), keep(*other, n + 1000);
    one->save();
    fs::remove_all(directory());  // and it may vanish
    other->save();
    fs::create_directory(directory());
    fs::permissions(directory(), fs::perms::owner_all);
    fill(0, kMany);
    fill(1000, kMany + 1000);
    EXPECT_EQ(found(0, kMany + 1000), kMany + 1000);
}

TEST_F(BlockStoreTest, AFullDiskLeavesWhatWasThere) {
    fill(0, kMany);
    const std::vector<fs::path> before = files();
    rlimit old{};
    getrlimit(RLIMIT_FSIZE, &old);
    auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
    for (const rlim_t room : {rlim_t{0}, rlim_t{200'000}}) {
        const rlimit little{room, old.rlim_max};
        setrlimit(RLIMIT_FSIZE, &little);
        fill(kMany, 2 * kMany);
        setrlimit(RLIMIT_FSIZE, &old);
        EXPECT_EQ(files(), before) << room;
    }
    std::signal(SIGXFSZ, handler);
    EXPECT_EQ(found(0, kMany), kMany);
}

TEST(StoredBlockTest, DamagedBytesAreNoReasonToReadElsewhere) {
    const Sample sample(70'001);
    std::string good;
    ASSERT_TRUE(append_stored(sample.block(), good));
    ImageMemory memory;
    ASSERT_TRUE(read_stored(good, 0, memory));
    // In memory of its own size, so that AddressSanitizer sees what is read behind it.
    for (size_t at = 0; at < good.size(); ++at)
        for (const int flip : {0x01, 0x80, 0xff}) {
            std::vector<char> bad(good.begin(), good.end());
            bad[at] = static_cast<char>(bad[at] ^ flip);
            read_stored(bad, 0, memory);
        }
    for (size_t bytes = 0; bytes < good.size(); ++bytes) {
        const std::vector<char> bad(good.begin(), good.begin() + static_cast<ptrdiff_t>(bytes));
        EXPECT_FALSE(read_stored(bad, 0, memory)) << bytes;
    }
    EXPECT_FALSE(read_stored(good, good.size(), memory));
    EXPECT_FALSE(read_stored(good, good.size() + 1, memory));
}

TEST(StoredBlockTest, WhatOnlySuperblocksHaveIsNotStored) {
    Sample sample(3);
    sample.points[0].page = 1;
    std::string out;
    EXPECT_FALSE(append_stored(sample.block(), out));
    EXPECT_TRUE(out.empty());
}

}  // namespace
}  // namespace arclight::jit
