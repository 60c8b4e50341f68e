#include "jit/engine/block_store.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <lz4.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>
#include <utility>

namespace arclight::jit {

namespace {
struct Header {
    std::array<char, 8> magic;
    uint64_t identity;
    uint32_t version, chunks, places, unused;
    CacheKey::Code nonce;  ///< of this file alone: see CacheKey::tag()
    uint64_t tables_at;    ///< where the chunks' and the places' entries are, one behind the other
    uint64_t guest_insns;  ///< of all blocks
    CacheKey::Code code;   ///< of the header with this field zero, and of the tables
};
struct ChunkEntry {
    uint64_t offset;
    uint32_t bytes, raw_bytes;  ///< compressed by LZ4, and before
    CacheKey::Tag tag;
};
static_assert(std::has_unique_object_representations_v<Header>);
static_assert(std::has_unique_object_representations_v<ChunkEntry>);

constexpr std::array<char, 8> kMagic{'A', 'R', 'C', 'B', 'L', 'K', 'S', '\n'};
constexpr uint32_t kVersion = 1;
constexpr std::string_view kPurpose = "arclight blocks", kChunkPurpose = "arclight chunk";
constexpr const char* kEnding = ".blocks";
constexpr size_t kChunkBytes = 128 << 10;
constexpr uint64_t kMostTables = 256 << 20;
constexpr uint32_t kMostChunk = 16 << 20;
/// Chunks in memory: a boot goes through them about in their order.
constexpr size_t kCachedChunks = 64;
/// More files of one identity than this are made one.
constexpr size_t kMostSegments = 4;
/// No run keeps more than this part of the room: a guest that makes code as it goes (a JVM) would keep all of it in memory.
constexpr uint64_t kMostKept = 4;
/// A run that had to translate fewer guest instructions writes no file.
constexpr uint64_t kLeastInsns = 500;
/// Likewise fewer than this share of those that are in files.
constexpr uint64_t kLeastShare = 100;

/// By its first instruction's bytes alone, since how long the block is, only the store knows.
uint64_t key_of(uint32_t translation_flags, uint32_t page_offset, bool grouping,
                std::span<const std::byte> code) {
    uint64_t first = 0;
    std::memcpy(&first, code.data(), std::min<size_t>(code.size(), 4));
    const std::array<uint64_t, 2> words{
        uint64_t{translation_flags} << 32 | uint64_t{grouping} << 16 | page_offset, first};
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
};

struct BlockStore::Segment {
    OpenFile file;
    std::string name;
    CacheKey::Code nonce{};
    uint64_t guest_insns = 0;
    uint64_t used = 0;  ///< blocks that were found here
    std::vector<ChunkEntry> chunks;
    std::vector<Place> places;  ///< of a published one: sorted by key
};

struct BlockStore::Cached {
    const Segment* segment = nullptr;
    uint32_t number = 0;
    std::vector<std::array<uint64_t, 2>> memory;  ///< aligned as stored blocks must be
    size_t bytes = 0;
    char* data() { return reinterpret_cast<char*>(memory.data()); }
    std::span<const char> content() const { return {reinterpret_cast<const char*>(memory.data()), bytes}; }
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
        if (name.starts_with(mine) && name.ends_with(kEnding)) names.push_back(name);
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
    Header header;
    if (!found.file || found.bytes < sizeof header ||
        !found.file.read_at(0, reinterpret_cast<char*>(&header), sizeof header))
        return nullptr;
    const uint64_t tables =
        uint64_t{header.chunks} * sizeof(ChunkEntry) + uint64_t{header.places} * sizeof(Place);
    if (header.magic != kMagic || header.version != kVersion || header.identity != options_.identity ||
        tables > kMostTables || header.tables_at > found.bytes || found.bytes - header.tables_at != tables)
        return nullptr;
    auto segment = std::make_unique<Segment>();
    segment->chunks.resize(header.chunks);
    segment->places.resize(header.places);
    const auto chunks = bytes_of(segment->chunks), places = bytes_of(segment->places);
    if (!found.file.read_at(header.tables_at, const_cast<char*>(chunks.data()), chunks.size()) ||
        !found.file.read_at(header.tables_at + chunks.size(), const_cast<char*>(places.data()),
                            places.size()))
        return nullptr;
    const CacheKey::Code code = std::exchange(header.code, {});
    const std::span<const char> head(reinterpret_cast<const char*>(&header), sizeof header);
    if (!CacheKey::same(key_->authenticate(kPurpose, {head, chunks, places}), code)) return nullptr;
    futimens(found.file.fd(), nullptr);  // used now: evict() takes the oldest
    segment->file = std::move(found.file);
    segment->name = name;
    segment->nonce = header.nonce;
    segment->guest_insns = header.guest_insns;
    return segment;
}

/// As it was written, into memory that nobody else writes to. False: it is not there, or not what was written.
bool BlockStore::read_chunk(const Segment& segment, uint32_t number, std::string& out) const {
    const ChunkEntry& entry = segment.chunks[number];
    if (&segment == kept_.get()) {
        out = kept_chunks_[number];
        return true;
    }
    out.resize(entry.bytes);
    return segment.file.read_at(entry.offset, out.data(), out.size()) &&
           key_->has_tag(kChunkPurpose, segment.nonce, number, out, entry.tag);
}

/// Empty: it is not there, or not what was written.
std::span<const char> BlockStore::chunk_of(const Segment& segment, uint32_t number) {
    if (&segment == kept_.get() && number == kept_chunks_.size()) return chunk_;
    if (number >= segment.chunks.size()) return {};
    for (const Cached& c : cache_)
        if (c.segment == &segment && c.number == number) return c.content();
    const ChunkEntry& entry = segment.chunks[number];
    if (entry.bytes > kMostChunk || entry.raw_bytes > kMostChunk) return {};
    Cached& c = cache_[next_cached_];
    c.segment = nullptr;
    c.memory.resize((entry.raw_bytes + sizeof c.memory[0] - 1) / sizeof c.memory[0]);
    c.bytes = entry.raw_bytes;
    if (!read_chunk(segment, number, compressed_) ||
        LZ4_decompress_safe(compressed_.data(), c.data(), static_cast<int>(compressed_.size()),
                            static_cast<int>(c.bytes)) != static_cast<int>(c.bytes)) {
        ++stats_.rejected;
        return {};
    }
    c.segment = &segment, c.number = number;
    next_cached_ = (next_cached_ + 1) % cache_.size();
    return c.content();
}

std::optional<StoredBlock> BlockStore::find(uint32_t translation_flags, uint32_t page_offset, bool grouping,
                                            std::span<const std::byte> code) {
    const uint64_t key = key_of(translation_flags, page_offset, grouping, code);
    const auto look = [&](Segment& segment, const Place& place) -> std::optional<StoredBlock> {
        if (place.guest_bytes > code.size() || hash_of(code.first(place.guest_bytes)) != place.hash)
            return std::nullopt;
        auto block = read_stored(chunk_of(segment, place.chunk), place.at);
        if (!block || !block->is_of(translation_flags, page_offset, grouping, code)) return std::nullopt;
        ++segment.used;
        ++stats_.found;
        stats_.found_insns += block->guest_insns;
        return block;
    };
    for (const auto& segment : segments_) {
        auto place = std::ranges::lower_bound(segment->places, key, {}, &Place::key);
        for (; place != segment->places.end() && place->key == key; ++place)
            if (auto block = look(*segment, *place)) return block;
    }
    const auto [first, last] = kept_places_.equal_range(key);
    for (auto kept = first; kept != last; ++kept)
        if (auto block = look(*kept_, kept_->places[kept->second])) return block;
    return std::nullopt;
}

void BlockStore::keep(const StoredBlock& block) {
    if (kept_bytes_ > options_.max_bytes / kMostKept) return;
    if (kept_ == nullptr) kept_ = std::make_unique<Segment>();
    const uint64_t key = key_of(block.translation_flags, block.page_offset, block.grouping, block.guest_code);
    kept_places_.emplace(key, static_cast<uint32_t>(kept_->places.size()));
    kept_->places.push_back({.key = key,
                             .hash = hash_of(block.guest_code),
                             .guest_bytes = static_cast<uint32_t>(block.guest_code.size()),
                             .chunk = static_cast<uint32_t>(kept_chunks_.size()),
                             .at = static_cast<uint32_t>(chunk_.size()),
                             .unused = 0});
    append_stored(block, chunk_);
    kept_->guest_insns += block.guest_insns;
    ++stats_.kept;
    if (chunk_.size() >= kChunkBytes) end_chunk();
}

void BlockStore::end_chunk() {
    if (chunk_.empty()) return;
    std::string compressed(static_cast<size_t>(LZ4_compressBound(static_cast<int>(chunk_.size()))), '\0');
    const int bytes = LZ4_compress_default(chunk_.data(), compressed.data(), static_cast<int>(chunk_.size()),
                                           static_cast<int>(compressed.size()));
    compressed.resize(static_cast<size_t>(bytes));
    compressed.shrink_to_fit();
    kept_->chunks.push_back({.offset = 0,
                             .bytes = static_cast<uint32_t>(bytes),
                             .raw_bytes = static_cast<uint32_t>(chunk_.size()),
                             .tag = {}});
    kept_bytes_ += compressed.size();
    kept_chunks_.push_back(std::move(compressed));
    chunk_.clear();
}

/// Makes the blocks of a file part of what is about to be published.
bool BlockStore::merge(Segment& from) {
    const auto first = static_cast<uint32_t>(kept_chunks_.size());
    for (uint32_t number = 0; number < from.chunks.size(); ++number) {
        std::string content;
        if (from.chunks[number].bytes > kMostChunk || !read_chunk(from, number, content)) return false;
        kept_->chunks.push_back(from.chunks[number]);
        kept_chunks_.push_back(std::move(content));
    }
    for (const Place& place : from.places) {
        kept_->places.push_back(place);
        kept_->places.back().chunk += first;
    }
    kept_->guest_insns += from.guest_insns;
    return true;
}

bool BlockStore::publish() {
    std::ranges::sort(kept_->places, {}, &Place::key);
    uint64_t end = sizeof(Header);
    const auto nonce = CacheKey::nonce();
    if (!nonce) return false;
    kept_->nonce = *nonce;
    for (uint32_t number = 0; number < kept_chunks_.size(); ++number) {
        const std::string& chunk = kept_chunks_[number];
        kept_->chunks[number].offset = end;
        kept_->chunks[number].tag = key_->tag(kChunkPurpose, kept_->nonce, number, chunk);
        end += chunk.size();
    }
    Header header{.magic = kMagic,
                  .identity = options_.identity,
                  .version = kVersion,
                  .chunks = static_cast<uint32_t>(kept_->chunks.size()),
                  .places = static_cast<uint32_t>(kept_->places.size()),
                  .unused = 0,
                  .nonce = kept_->nonce,
                  .tables_at = end,
                  .guest_insns = kept_->guest_insns,
                  .code = {}};
    const std::string_view head(reinterpret_cast<const char*>(&header), sizeof header);
    const auto chunks = bytes_of(kept_->chunks), places = bytes_of(kept_->places);
    header.code = key_->authenticate(kPurpose, {head, chunks, places});
    const CacheDirectory::Draft draft = directory_->make_draft();
    if (!draft.file) return false;
    bool good = draft.file.append(head);
    for (const std::string& chunk : kept_chunks_) good = good && draft.file.append(chunk);
    uint64_t part = 0;
    std::memcpy(&part, header.code.data(), sizeof part);
    good = good && draft.file.append(chunks) && draft.file.append(places) &&
           directory_->publish(draft, fmt::format("{:016x}-{:016x}{}", options_.identity, part, kEnding));
    if (!good) directory_->discard(draft);
    return good;
}

void BlockStore::save() {
    uint64_t known = 0;
    for (const auto& segment : segments_) known += segment->guest_insns;
    if (kept_ == nullptr || kept_->guest_insns < std::max(kLeastInsns, known / kLeastShare))
        return forget_kept();
    end_chunk();
    // Those of which this run needed nothing are left to age.
    const bool together = segments_.size() >= kMostSegments;
    bool good = true;
    std::vector<std::string> merged;
    for (const auto& segment : segments_) {
        if (!good || !together || segment->used == 0) continue;
        good = merge(*segment);
        merged.push_back(segment->name);
    }
    if (good && publish()) {
        for (const std::string& name : merged) directory_->remove(name);
        directory_->evict(kEnding, options_.max_bytes);
    }
    forget_kept();
}

void BlockStore::forget_kept() {
    kept_.reset();
    kept_places_.clear();
    kept_chunks_.clear();
    chunk_.clear();
    kept_bytes_ = 0;
}

}  // namespace arclight::jit
