// The store of compiled regions on disk: what comes out of a damaged or foreign file is nothing, or what was put in.
#include "jit/engine/region_store.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

namespace fs = std::filesystem;
using jit::CacheKey;
using jit::RegionStore;

// Of this process: the cache, and outside of it the key.
class Directory {
  public:
    Directory() : path_(fs::temp_directory_path() / ("fuzz-store-" + std::to_string(getpid()))) {
        auto key = CacheKey::open(path_ / "state" / "key", cache());
        require(key.has_value(), "a key can be made");
        key_ = std::move(*key);
    }
    ~Directory() { fs::remove_all(path_); }
    fs::path cache() const { return path_ / "cache"; }
    const std::shared_ptr<const CacheKey>& key() const { return key_; }
    void empty() const { fs::remove_all(cache()); }

  private:
    fs::path path_;
    std::shared_ptr<const CacheKey> key_;
};

std::string read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::unique_ptr<RegionStore> open(const Directory& directory) {
    auto store = RegionStore::open({.directory = directory.cache().string(), .key = directory.key()});
    require(store.has_value(), "a store can be opened");
    (*store)->set_fingerprint("fuzz");
    return std::move(*store);
}

void run(std::span<const uint8_t> bytes) {
    static const Directory directory;
    const RegionStore::Key entry{1, 2};
    const RegionStore::Stored stored{.shape = "the shape of a region", .object = std::string(200, 'o')};
    directory.empty();
    open(directory)->save(entry, stored);
    fs::path path;
    for (const auto& file : fs::directory_iterator(directory.cache())) {
        if (file.path().extension() == ".region") path = file.path();
    }
    require(!path.empty(), "a region has a file");

    Input in(bytes);
    std::string text = read(path);
    const std::string whole = text;
    if (in.flag()) {
        const auto other = in.rest();
        text.assign(other.begin(), other.end());
    } else {
        while (!in.empty()) {
            const uint8_t what = in.u8();
            const size_t at = in.u16() % (text.size() + 1);
            switch (what & 3) {
                case 0: text.insert(at, 1, static_cast<char>(in.u8())); break;
                case 1: text.erase(at, what >> 2); break;
                case 2: text.resize(at); break;
                default:
                    if (at < text.size()) text[at] = static_cast<char>(in.u8());
            }
        }
    }
    std::ofstream(path, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));

    const auto store = open(directory);
    for (const RegionStore::Stored& found : store->load(entry)) {
        require(found.shape == stored.shape && found.object == stored.object,
                "what is loaded is what was saved");
        require(text == whole, "a changed file is not loaded");
    }
    require(text == whole || !fs::exists(path), "a changed file is removed");
}

const Registered registered({.name = "region_store", .run = run, .max_size = 512, .words = {"ARCREGN\n"}});

}  // namespace
}  // namespace arclight::fuzz
