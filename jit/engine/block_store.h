// Tier 1's blocks on disk, for the next run: what was translated once is copied and relocated instead (jit/block_image.h).
//
// A block is found by its guest code, its offset in its page and its translation flags. A run writes what it had to translate as
// one file, at its end, from the code cache: until then there is nothing but the relocations of its blocks. Files hold chunks of
// blocks that are read, and authenticated (cache_key.h), when a block of them is first asked for. They appear whole, so that
// several runs may share a directory. Not synchronised: the engine's lock is held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "jit/engine/cache_directory.h"
#include "jit/engine/cache_key.h"
#include "jit/engine/key_index.h"
#include "jit/engine/stored_block.h"

namespace arclight::jit {

class BlockStore {
  public:
    struct Options {
        std::string directory;
        uint64_t max_bytes = uint64_t{256} << 20;  ///< of all files: more, and those used least recently go
        /// Of all that one block's code depends on beside what a StoredBlock says: the program, the host, options.
        uint64_t identity = 0;
        std::string key_file;                 ///< outside of the directory; made if there is none
        std::shared_ptr<const CacheKey> key;  ///< if there is one, key_file is not looked at
    };
    /// An error: the directory or the key cannot be made, or others may write to them. Both are opened here only.
    static Result<std::unique_ptr<BlockStore>> open(const Options& options);
    ~BlockStore();
    BlockStore(const BlockStore&) = delete;
    BlockStore& operator=(const BlockStore&) = delete;

    /// The block that `code` begins with. What it points to is good until the next call of anything here.
    std::optional<StoredBlock> find(uint32_t translation_flags, uint32_t page_offset, bool grouping,
                                    std::span<const std::byte> code);
    /// A block that find() did not find is one to keep: what save() decides by.
    void note(uint64_t guest_bytes) {
        ++stats_.kept;
        noted_bytes_ += guest_bytes;
    }
    /// Keeps such a block: within save() in its file, else in memory until then, as far as there is room. False: there is none.
    bool keep(const StoredBlock& block);
    /// Writes a file, if what was noted is worth one: of what was kept before and of what `rest` keeps. Nothing is kept afterwards.
    void save(const std::function<void()>& rest = {});

    struct Stats {
        uint64_t found = 0, kept = 0;      ///< blocks; those of note()
        uint64_t found_insns = 0;          ///< guest instructions
        uint64_t files = 0, rejected = 0;  ///< read; and those that were not as they must be
    };
    const Stats& stats() const { return stats_; }

  private:
    struct Segment;
    struct Cached;
    struct Place;
    struct Draft;
    BlockStore(const Options& options, std::unique_ptr<CacheDirectory> directory,
               std::shared_ptr<const CacheKey> key);
    void open_segments();
    std::unique_ptr<Segment> open_segment(const std::string& name) const;
    bool read_chunk(const Segment& segment, uint32_t number, std::string& out) const;
    std::span<const char> chunk_of(Segment& segment, uint32_t number);
    std::span<const char> kept_chunk(uint32_t number) const;
    const Place* find_kept(uint64_t key, std::span<const std::byte> code) const;
    void end_chunk();
    void write_chunk(std::string_view chunk);
    std::vector<std::string> merge();
    bool publish();
    void forget_kept();

    const Options options_;
    const std::unique_ptr<CacheDirectory> directory_;
    const std::shared_ptr<const CacheKey> key_;
    std::vector<std::unique_ptr<Segment>> segments_;
    std::vector<Cached> cache_;
    size_t next_cached_ = 0;
    ImageMemory memory_;  ///< of what find() has found

    // ---- What this run keeps
    uint64_t noted_bytes_ = 0;  ///< of guest code
    std::vector<std::string> held_;
    std::string chunk_;    ///< the one that is being filled
    uint32_t chunks_ = 0;  ///< before it
    uint64_t kept_bytes_ = 0;
    std::vector<Place> places_;
    KeyIndex kept_;                 ///< in places_
    std::unique_ptr<Draft> draft_;  ///< within save()
    Stats stats_;
};

}  // namespace arclight::jit
