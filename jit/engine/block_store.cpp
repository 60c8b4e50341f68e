#include "jit/engine/block_store.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

namespace arclight::jit {

namespace {
/// A file is chunks, the chunks' and the places' entries, and this: it is written from its start to its end.
struct Footer {
    uint64_t identity;
    uint32_t version, chunks, places, unused;
    CacheKey::Code nonce;  ///< of this file alone: see CacheKey::tag()
    CacheKey::Code code;   ///< of the footer with this field zero, and of the entries
    std::array<char, 8> magic;
};
struct ChunkEntry {
    uint64_t offset;
    uint32_t bytes, unused;
    CacheKey::Tag tag;
};
static_assert(std::has_unique_object_representations_v<Footer>);
static_assert(std::has_unique_object_representations_v<ChunkEntry>);

constexpr std::array<char, 8> kMagic{'A', 'R', 'C', 'B', 'L', 'K', 'S', '\n'};
constexpr uint32_t kVersion = 2;
constexpr std::string_view kPurpose = "arclight blocks", kChunkPurpose = "arclight chunk";
constexpr size_t kChunkBytes = 128 << 10;
constexpr uint64_t kMostTables = 256 << 20;
constexpr uint32_t kMostChunk = 16 << 20;
/// Chunks in memory: a boot goes through them about in their order.
constexpr size_t kCachedChunks = 64;
/// From so many files of one identity on, those are made one that are not much bigger than what is new; from more on, all.
constexpr size_t kManySegments = 4, kMostSegments = 8;
/// No file is made bigger than this part of the room.
constexpr uint64_t kMostMerged = 2;
/// No run writes more than this part of the room.
constexpr uint64_t kMostKept = 2;
/// Of blocks that were taken out, in memory: a guest that makes code as it goes (a JVM) has ever more of them.
constexpr size_t kMostHeldChunks = 128;
/// A run that had to translate fewer bytes of guest code writes no file.
constexpr uint64_t kLeastBytes = 2000;
/// Likewise fewer than this share of those that are in files.
constexpr uint64_t kLeastShare = 100;

/// By the first bytes alone, since how long the block is, only the store knows: those of a block that is not as long are these.
constexpr size_t kLongKey = 16, kShortKey = 4;
uint64_t key_of(uint32_t translation_flags, uint32_t page_offset, bool grouping,
                std::span<const std::byte> code, size_t bytes) {
    std::array<uint64_t, 3> words{uint64_t{translation_flags} << 32 | uint64_t{grouping} << 16 | page_offset};
    std::memcpy(&words[1], code.data(), std::min(code.size(), bytes));
    return XXH3_64bits(words.data(), sizeof words);
}
/// Of all of its code: another block's chunk need not be read to see that it is another one.
uint64_t hash_of(std::span<const std::byte> code) { return XXH3_64bits(code.data(), code.size()); }

template <typename T>
std::string_view bytes_of(const std::vector<T>& v) {
    return {reinterpret_cast<const char*>(v.data()), v.size() * sizeof(T)};
}
}  // namespace

/// Where a block is.
struct BlockStore::Place {
    uint64_t key, hash;  ///< key_of() and hash_of()
    uint32_t guest_bytes, chunk, at, unused;
    auto order() const { return std::tuple(key, hash, guest_bytes); }
    /// Whether the block may be what `code` begins with.
    bool may_be(uint64_t wanted, std::span<const std::byte> code) const {
        return key == wanted && guest_bytes <= code.size() && hash_of(code.first(guest_bytes)) == hash;
    }
};

struct BlockStore::Segment {
    OpenFile file;
    std::string name;
    CacheKey::Code nonce{};
    uint64_t guest_bytes = 0;
    uint64_t used = 0;  ///< blocks that were found here
    std::vector<ChunkEntry> chunks;
    std::vector<uint32_t> cached;  ///< by chunk: where in the cache it was last
    std::vector<Place> places;     ///< sorted by key
    std::vector<uint32_t>
        buckets;  ///< by the upper bits of a key: the first place that has these or higher ones
    unsigned bucket_shift = 0;

    uint64_t bytes() const { return chunks.empty() ? 0 : chunks.back().offset + chunks.back().bytes; }
    void make_buckets() {
        const auto bits = std::max<unsigned>(1, static_cast<unsigned>(std::bit_width(places.size())));
        bucket_shift = 64 - bits;
        buckets.resize((size_t{1} << bits) + 1);
        size_t next = 0;
        for (uint32_t k = 0; k < places.size(); ++k)
            for (const size_t bucket = places[k].key >> bucket_shift; next <= bucket;) buckets[next++] = k;
        for (; next < buckets.size(); ++next) buckets[next] = static_cast<uint32_t>(places.size());
    }
    /// Those that may have this key.
    std::span<const Place> places_of(uint64_t key) const {
        const size_t bucket = key >> bucket_shift;
        return std::span(places).subspan(buckets[bucket], buckets[bucket + 1] - buckets[bucket]);
    }
};

/// A file that is being written.
struct BlockStore::Draft {
    CacheDirectory::Draft file;
    CacheKey::Code nonce{};
    std::vector<ChunkEntry> chunks;
    uint64_t end = 0;
    bool good = true;
};

struct BlockStore::Cached {
    const Segment* segment = nullptr;
    uint32_t number = 0;
    std::string content;
};

BlockStore::BlockStore(const Options& options, std::unique_ptr<CacheDirectory> directory,
                       std::shared_ptr<const CacheKey> key)
    : options_(options), directory_(std::move(directory)), key_(std::move(key)), cache_(kCachedChunks) {
    open_segments();
}
BlockStore::~BlockStore() = default;

Result<std::unique_ptr<BlockStore>> BlockStore::open(const Options& options) {
    auto cache = OwnCache::open(options.directory, options.key_file, options.key);
    if (!cache) return std::unexpected(cache.error());
    return std::unique_ptr<BlockStore>(
        new BlockStore(options, std::move(cache->directory), std::move(cache->key)));
}

void BlockStore::open_segments() {
    const std::string mine = fmt::format("{:016x}-", options_.identity);
    std::vector<std::string> names;
    directory_->each_name([&](const std::string& name) {
        if (name.starts_with(mine) && name.ends_with(kBlocksEnding)) names.push_back(name);
    });
    std::ranges::sort(names);
    for (const std::string& name : names) {
        if (auto segment = open_segment(name))
            segments_.push_back(std::move(segment));
        else if (directory_->remove(name))
            ++stats_.rejected;
    }
    stats_.files = segments_.size();
}

/// Null: it is not as this user's Arclight has written it.
std::unique_ptr<BlockStore::Segment> BlockStore::open_segment(const std::string& name) const {
    static_assert(std::has_unique_object_representations_v<Place>);
    CacheDirectory::Found found = directory_->open_file(name);
    Footer footer;
    if (!found.file || found.bytes < sizeof footer ||
        !found.file.read_at(found.bytes - sizeof footer, reinterpret_cast<char*>(&footer), sizeof footer))
        return nullptr;
    const uint64_t tables =
        uint64_t{footer.chunks} * sizeof(ChunkEntry) + uint64_t{footer.places} * sizeof(Place);
    if (footer.magic != kMagic || footer.version != kVersion || footer.identity != options_.identity ||
        tables > kMostTables || tables > found.bytes - sizeof footer)
        return nullptr;
    auto segment = std::make_unique<Segment>();
    segment->chunks.resize(footer.chunks);
    segment->places.resize(footer.places);
    const auto chunks = bytes_of(segment->chunks), places = bytes_of(segment->places);
    const uint64_t at = found.bytes - sizeof footer - tables;
    if (!found.file.read_at(at, const_cast<char*>(chunks.data()), chunks.size()) ||
        !found.file.read_at(at + chunks.size(), const_cast<char*>(places.data()), places.size()))
        return nullptr;
    const CacheKey::Code code = std::exchange(footer.code, {});
    const std::span<const char> foot(reinterpret_cast<const char*>(&footer), sizeof footer);
    if (!CacheKey::same(key_->authenticate(kPurpose, {foot, chunks, places}), code)) return nullptr;
    segment->file = std::move(found.file);
    segment->name = name;
    segment->nonce = footer.nonce;
    segment->cached.resize(segment->chunks.size());
    for (const Place& place : segment->places) segment->guest_bytes += place.guest_bytes;
    if (!std::ranges::is_sorted(segment->places, {}, &Place::key)) return nullptr;
    segment->make_buckets();
    return segment;
}

/// As it was written, into memory that nobody else writes to. False: it is not there, or not what was written.
bool BlockStore::read_chunk(const Segment& segment, uint32_t number, std::string& out) const {
    const ChunkEntry& entry = segment.chunks[number];
    if (entry.bytes > kMostChunk) return false;
    out.resize(entry.bytes);
    return segment.file.read_at(entry.offset, out.data(), out.size()) &&
           key_->has_tag(kChunkPurpose, segment.nonce, number, out, entry.tag);
}

/// Empty: it is not there, or not what was written.
std::span<const char> BlockStore::chunk_of(Segment& segment, uint32_t number) {
    if (number >= segment.chunks.size()) return {};
    if (const Cached& c = cache_[segment.cached[number]]; c.segment == &segment && c.number == number)
        return c.content;
    Cached& c = cache_[next_cached_];
    c.segment = nullptr;
    if (!read_chunk(segment, number, c.content)) {
        ++stats_.rejected;
        return {};
    }
    c.segment = &segment, c.number = number;
    segment.cached[number] = static_cast<uint32_t>(next_cached_);
    next_cached_ = (next_cached_ + 1) % cache_.size();
    return c.content;
}

std::optional<StoredBlock> BlockStore::find(uint32_t translation_flags, uint32_t page_offset, bool grouping,
                                            std::span<const std::byte> code) {
    if (segments_.empty() && places_.empty()) return std::nullopt;
    const auto take = [&](std::span<const char> chunk, const Place& place) {
        auto block = read_stored(chunk, place.at, memory_);
        if (block && !block->is_of(translation_flags, page_offset, grouping, code)) block.reset();
        if (block) ++stats_.found, stats_.found_insns += block->guest_insns;
        return block;
    };
    for (const size_t bytes : {kLongKey, kShortKey}) {
        if (code.size() < bytes) continue;
        const uint64_t key = key_of(translation_flags, page_offset, grouping, code, bytes);
        for (const auto& segment : segments_)
            for (const Place& place : segment->places_of(key)) {
                if (!place.may_be(key, code)) continue;
                auto block = take(chunk_of(*segment, place.chunk), place);
                if (!block) continue;
                ++segment->used;
                return block;
            }
        if (const Place* const kept = find_kept(key, code))
            if (auto block = take(kept_chunk(kept->chunk), *kept)) return block;
    }
    return std::nullopt;
}

/// Of one that is held.
std::span<const char> BlockStore::kept_chunk(uint32_t number) const {
    if (number < held_.size()) return held_[number];
    return chunk_;
}

/// Null: there is none.
const BlockStore::Place* BlockStore::find_kept(uint64_t key, std::span<const std::byte> code) const {
    uint32_t number = 0;
    return kept_.find(key, number, [&](uint32_t n) { return places_[n].may_be(key, code); })
               ? &places_[number]
               : nullptr;
}

// ---- Keeping

bool BlockStore::keep(const StoredBlock& block) {
    if (kept_bytes_ > options_.max_bytes / kMostKept || held_.size() >= kMostHeldChunks) return false;
    const uint64_t key = key_of(block.translation_flags, block.page_offset, block.grouping, block.guest_code,
                                block.guest_code.size() < kLongKey ? kShortKey : kLongKey);
    // Within save() nobody looks for what was kept, and looking whether a block is there already, as one in twenty is, takes
    // longer than keeping it twice.
    const bool saving = draft_ != nullptr;
    if (const Place* known = saving ? nullptr : find_kept(key, block.guest_code);
        known != nullptr && known->guest_bytes == block.guest_code.size())
        return true;
    const auto at = static_cast<uint32_t>(chunk_.size());
    if (!append_stored(block, chunk_)) return true;
    if (!saving) kept_.add(key, static_cast<uint32_t>(places_.size()));
    places_.push_back({.key = key,
                       .hash = hash_of(block.guest_code),
                       .guest_bytes = static_cast<uint32_t>(block.guest_code.size()),
                       .chunk = chunks_,
                       .at = at,
                       .unused = 0});
    if (chunk_.size() >= kChunkBytes) end_chunk();
    return true;
}

void BlockStore::end_chunk() {
    if (chunk_.empty()) return;
    ++chunks_;
    if (draft_ == nullptr) {
        kept_bytes_ += chunk_.size();
        held_.push_back(std::exchange(chunk_, {}));
        return;
    }
    write_chunk(chunk_);
    chunk_.clear();
}

void BlockStore::write_chunk(std::string_view chunk) {
    const auto number = static_cast<uint32_t>(draft_->chunks.size());
    draft_->chunks.push_back({.offset = draft_->end,
                              .bytes = static_cast<uint32_t>(chunk.size()),
                              .unused = 0,
                              .tag = key_->tag(kChunkPurpose, draft_->nonce, number, chunk)});
    draft_->good = draft_->good && draft_->file.file.append(chunk);
    draft_->end += chunk.size();
    kept_bytes_ += chunk.size();
}

/// Makes the blocks of files part of the one that is being written: of those that this run has used, others are left to age.
/// Returns their names.
std::vector<std::string> BlockStore::merge() {
    std::vector<std::string> names;
    struct Chunk {
        const Segment* segment;
        uint32_t number;
    };
    std::vector<Chunk> chunks;
    std::vector<const Segment*> by_size;
    for (const auto& segment : segments_) by_size.push_back(segment.get());
    std::ranges::sort(by_size, {}, &Segment::bytes);
    uint64_t bytes = draft_->end;
    for (const Segment* segment : by_size) {
        if (segment->used == 0) continue;
        if (segments_.size() < kMostSegments && segment->bytes() > 2 * bytes) break;
        if (bytes + segment->bytes() > options_.max_bytes / kMostMerged) break;
        bytes += segment->bytes();
        const auto first = chunks_ + static_cast<uint32_t>(chunks.size());
        for (const Place& place : segment->places) {
            places_.push_back(place);
            places_.back().chunk += first;
        }
        for (uint32_t number = 0; number < segment->chunks.size(); ++number)
            chunks.push_back({segment, number});
        names.push_back(segment->name);
    }
    // Runs at the same time may have kept the same blocks: what nothing of is wanted is not copied.
    // Of the same ones the first stays, which this run may have in memory.
    std::ranges::sort(places_, {}, [](const Place& place) { return std::pair(place.order(), place.chunk); });
    const auto same = std::ranges::unique(places_, {}, &Place::order);
    places_.erase(same.begin(), same.end());
    std::vector<bool> wanted(chunks_ + chunks.size());
    for (const Place& place : places_)
        if (place.chunk < wanted.size()) wanted[place.chunk] = true;
    std::vector<uint32_t> number_of(wanted.size(), ~uint32_t{0});
    for (uint32_t k = 0; k < chunks_; ++k) number_of[k] = k;
    std::string content;
    for (size_t k = 0; k < chunks.size(); ++k) {
        const auto& [segment, number] = chunks[k];
        if (!wanted[chunks_ + k] || !read_chunk(*segment, number, content)) continue;
        number_of[chunks_ + k] = static_cast<uint32_t>(draft_->chunks.size());
        write_chunk(content);
    }
    for (Place& place : places_)
        place.chunk = place.chunk < number_of.size() ? number_of[place.chunk] : ~uint32_t{0};
    std::erase_if(places_, [](const Place& place) { return place.chunk == ~uint32_t{0}; });
    return names;
}

bool BlockStore::publish() {
    std::ranges::sort(places_, {}, &Place::key);
    Footer footer{.identity = options_.identity,
                  .version = kVersion,
                  .chunks = static_cast<uint32_t>(draft_->chunks.size()),
                  .places = static_cast<uint32_t>(places_.size()),
                  .unused = 0,
                  .nonce = draft_->nonce,
                  .code = {},
                  .magic = kMagic};
    const std::string_view foot(reinterpret_cast<const char*>(&footer), sizeof footer);
    const auto chunks = bytes_of(draft_->chunks), places = bytes_of(places_);
    footer.code = key_->authenticate(kPurpose, {foot, chunks, places});
    uint64_t part = 0;
    std::memcpy(&part, footer.code.data(), sizeof part);
    const OpenFile& file = draft_->file.file;
    return draft_->good && file.append(chunks) && file.append(places) && file.append(foot) &&
           directory_->publish(draft_->file,
                               fmt::format("{:016x}-{:016x}{}", options_.identity, part, kBlocksEnding));
}

void BlockStore::save(const std::function<void()>& rest) {
    uint64_t known = 0;
    for (const auto& segment : segments_) {
        if (segment->used == 0) continue;
        known += segment->guest_bytes;
        futimens(segment->file.fd(), nullptr);  // evict() takes what was not used for longest
    }
    const auto nonce = CacheKey::nonce();
    if (noted_bytes_ < std::max(kLeastBytes, known / kLeastShare) || !nonce) return forget_kept();
    draft_ = std::make_unique<Draft>(Draft{.file = directory_->make_draft(), .nonce = *nonce, .chunks = {}});
    if (!draft_->file.file) return forget_kept();
    kept_bytes_ = 0;
    for (const std::string& chunk : std::exchange(held_, {})) write_chunk(chunk);
    if (rest) rest();
    end_chunk();
    std::vector<std::string> merged;
    if (segments_.size() >= kManySegments) merged = merge();
    if (publish()) {
        for (const std::string& name : merged) directory_->remove(name);
        directory_->evict(options_.max_bytes);
    } else {
        directory_->discard(draft_->file);
    }
    forget_kept();
}

void BlockStore::forget_kept() {
    draft_.reset();
    places_.clear();
    kept_.clear();
    held_.clear();
    chunk_.clear();
    chunks_ = 0;
    kept_bytes_ = noted_bytes_ = 0;
}

}  // namespace arclight::jit
