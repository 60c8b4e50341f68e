// Compiled regions on disk, for the next run. One file a region, named by two hashes: of the block that it is
// entered at, by which another run finds it before anything else is known, and of the whole region.
//
// A file is used only if this user's Arclight has written every byte of it under this name (cache_key.h), it is for
// this build of the program, this host CPU and this version of LLVM, and it belongs to the user. Files appear whole
// (temporary name, then rename), so that several runs may share a directory. Any thread may use it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "jit/engine/cache_directory.h"
#include "jit/engine/cache_key.h"
#include "mmu/result.h"

namespace arclight::jit {

class RegionStore {
  public:
    using Key = std::array<uint64_t, 2>;
    static Key hash(std::span<const char> bytes, uint64_t seed = 0);

    struct Options {
        std::string directory;
        uint64_t max_bytes = uint64_t{256} << 20;  ///< more: the files used least recently go
        uint64_t build = 0;                        ///< region_build()
        std::string key_file;                      ///< outside of the directory; made if there is none
        std::shared_ptr<const CacheKey> key;       ///< if there is one, key_file is not looked at
    };
    /// An error: the directory or the key cannot be made, or others may write to them. Both are opened here only.
    static Result<std::unique_ptr<RegionStore>> open(const Options& options);

    RegionStore(const RegionStore&) = delete;
    RegionStore& operator=(const RegionStore&) = delete;

    /// Hashes of entries are made with it: what another build or another CPU has left is not even found.
    uint64_t seed() const { return seed_; }
    /// RegionCompiler::fingerprint(). Nothing is read or written before it is known.
    void set_fingerprint(const std::string& fingerprint);

    bool empty() const;
    bool knows(const Key& entry) const;
    struct Stored {
        std::string shape, object;
    };
    /// All regions entered there; a file that is not as it must be is removed.
    std::vector<Stored> load(const Key& entry);
    /// Returns what names it beside its entry.
    Key save(const Key& entry, const Stored& stored);
    Key name_of(const Stored& stored) const { return hash(stored.shape, seed_); }
    /// Removes the file of a region that turned out not to be profitable.
    void discard(const Key& entry, const Key& whole);
    /// Removes the file of what load() returned, which turned out not to be code.
    void remove(const Key& entry, const Stored& stored);

    struct Stats {
        uint64_t loaded = 0, saved = 0, rejected = 0, evicted = 0, discarded = 0;
    };
    Stats stats() const;

  private:
    struct HashOfKey {
        size_t operator()(const Key& k) const { return k[0]; }
    };
    static constexpr size_t kVariants = 4;  ///< regions entered at one block

    RegionStore(const Options& options, std::unique_ptr<CacheDirectory> directory,
                std::shared_ptr<const CacheKey> key);
    void forget(const Key& entry, const Key& whole);
    std::optional<Stored> read(const std::string& name, const Key& entry, const Key& whole, bool& gone) const;
    void evict();

    const Options options_;
    const std::unique_ptr<CacheDirectory> directory_;
    const std::shared_ptr<const CacheKey> key_;
    uint64_t seed_ = 0;
    std::string identity_;           ///< empty: not known yet
    mutable std::mutex lock_;        ///< held while files are read and written
    mutable std::mutex index_lock_;  ///< of entries_ alone, so that knows() waits for no file
    std::unordered_map<Key, std::vector<Key>, HashOfKey> entries_;
    uint64_t bytes_ = 0;
    bool sized_ = false;  ///< bytes_ is known
    Stats stats_;
};

}  // namespace arclight::jit
