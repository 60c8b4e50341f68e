#include "jit/engine/region_store.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

namespace arclight::jit {

namespace {
struct Header {
    std::array<char, 8> magic;
    uint32_t version, identity_bytes, shape_bytes, object_bytes;
    RegionStore::Key entry, whole;  ///< what the file is named by
    CacheKey::Code code;            ///< of the header with this field zero, and of what follows
};
static_assert(std::has_unique_object_representations_v<Header>);
constexpr std::array<char, 8> kMagic{'A', 'R', 'C', 'R', 'E', 'G', 'N', '\n'};
constexpr uint32_t kVersion = 3, kMaxPart = 16u << 20;
constexpr std::string_view kPurpose = "arclight regions";
std::string file_of(const RegionStore::Key& entry, const RegionStore::Key& whole) {
    return fmt::format("{:016x}{:016x}-{:016x}{:016x}{}", entry[1], entry[0], whole[1], whole[0],
                       kRegionEnding);
}

bool parse_name(std::string_view name, RegionStore::Key& entry, RegionStore::Key& whole) {
    if (name.size() != 65 + kRegionEnding.size() || !name.ends_with(kRegionEnding) || name[32] != '-')
        return false;
    const auto number = [&](size_t at, uint64_t& out) {
        out = 0;
        for (const char c : name.substr(at, 16)) {
            const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
            if (digit < 0) return false;
            out = out << 4 | static_cast<uint64_t>(digit);
        }
        return true;
    };
    return number(0, entry[1]) && number(16, entry[0]) && number(33, whole[1]) && number(49, whole[0]);
}

CacheKey::Code code_of(const CacheKey& key, Header header, std::string_view content) {
    header.code = {};
    return key.authenticate(kPurpose, {{reinterpret_cast<const char*>(&header), sizeof header}, content});
}

}  // namespace

RegionStore::Key RegionStore::hash(std::span<const char> bytes, uint64_t seed) {
    const XXH128_hash_t h = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
    return {h.low64, h.high64};
}

RegionStore::RegionStore(const Options& options, std::unique_ptr<CacheDirectory> directory,
                         std::shared_ptr<const CacheKey> key)
    : options_(options), directory_(std::move(directory)), key_(std::move(key)) {
    const std::array<uint64_t, 3> parts{options.build, host_cpu_identity(), kVersion};
    seed_ = XXH3_64bits(parts.data(), sizeof parts);
    directory_->each_name([&](const std::string& name) {
        Key entry, whole;
        if (parse_name(name, entry, whole)) entries_[entry].push_back(whole);
    });
}

Result<std::unique_ptr<RegionStore>> RegionStore::open(const Options& options) {
    auto cache = OwnCache::open(options.directory, options.key_file, options.key);
    if (!cache) return std::unexpected(cache.error());
    return std::unique_ptr<RegionStore>(
        new RegionStore(options, std::move(cache->directory), std::move(cache->key)));
}

void RegionStore::set_fingerprint(const std::string& fingerprint) {
    const std::lock_guard guard(lock_);
    identity_ = fmt::format("{:016x} {}", seed_, fingerprint);
}

bool RegionStore::empty() const {
    const std::lock_guard guard(index_lock_);
    return entries_.empty();
}

bool RegionStore::knows(const Key& entry) const {
    const std::lock_guard guard(index_lock_);
    return entries_.contains(entry);
}

std::optional<RegionStore::Stored> RegionStore::read(const std::string& name, const Key& entry,
                                                     const Key& whole, bool& gone) const {
    const CacheDirectory::Found found = directory_->open_file(name);
    gone = found.gone;
    constexpr uint64_t kMost = sizeof(Header) + 3ull * kMaxPart;
    if (!found.file || found.bytes < sizeof(Header) || found.bytes > kMost) return std::nullopt;
    // Read once: whoever may still write to the file changes nothing of what has been found good.
    std::string bytes(found.bytes, '\0');
    if (!found.file.read_at(0, bytes.data(), bytes.size())) return std::nullopt;
    Header header;
    std::memcpy(&header, bytes.data(), sizeof header);
    const std::string_view content = std::string_view(bytes).substr(sizeof header);
    if (!CacheKey::same(code_of(*key_, header, content), header.code)) return std::nullopt;
    if (header.magic != kMagic || header.version != kVersion || header.entry != entry ||
        header.whole != whole ||
        content.size() != uint64_t{header.identity_bytes} + header.shape_bytes + header.object_bytes ||
        content.substr(0, header.identity_bytes) != identity_)
        return std::nullopt;
    Stored stored{std::string(content.substr(header.identity_bytes, header.shape_bytes)),
                  std::string(content.substr(size_t{header.identity_bytes} + header.shape_bytes))};
    if (hash(stored.shape, seed_) != whole) return std::nullopt;
    futimens(found.file.fd(), nullptr);  // used now: evict() takes the oldest
    return stored;
}

void RegionStore::forget(const Key& entry, const Key& whole) {
    const std::lock_guard guard(index_lock_);
    const auto it = entries_.find(entry);
    if (it == entries_.end()) return;
    std::erase(it->second, whole);
    if (it->second.empty()) entries_.erase(it);
}

std::vector<RegionStore::Stored> RegionStore::load(const Key& entry) {
    const std::lock_guard guard(lock_);
    std::vector<Stored> found;
    if (identity_.empty()) return found;
    std::vector<Key> names;
    {
        const std::lock_guard index(index_lock_);
        if (const auto it = entries_.find(entry); it != entries_.end()) names = it->second;
    }
    for (const Key& whole : names) {
        const std::string name = file_of(entry, whole);
        bool gone = false;
        if (auto stored = read(name, entry, whole, gone)) {
            found.push_back(std::move(*stored));
            ++stats_.loaded;
            continue;
        }
        forget(entry, whole);
        if (gone) continue;  // evicted by another run, which may have made it again by now
        ++stats_.rejected;
        directory_->remove(name);
    }
    return found;
}

RegionStore::Key RegionStore::save(const Key& entry, const Stored& stored) {
    const std::lock_guard guard(lock_);
    const Key whole = name_of(stored);
    if (identity_.empty() || stored.shape.size() > kMaxPart || stored.object.size() > kMaxPart) return whole;
    Header header{.magic = kMagic,
                  .version = kVersion,
                  .identity_bytes = static_cast<uint32_t>(identity_.size()),
                  .shape_bytes = static_cast<uint32_t>(stored.shape.size()),
                  .object_bytes = static_cast<uint32_t>(stored.object.size()),
                  .entry = entry,
                  .whole = whole,
                  .code = {}};
    const std::string content = identity_ + stored.shape + stored.object;
    header.code = code_of(*key_, header, content);
    const CacheDirectory::Draft draft = directory_->make_draft();
    if (!draft.file) return whole;
    const std::string_view head(reinterpret_cast<const char*>(&header), sizeof header);
    if (!draft.file.append(head) || !draft.file.append(content) ||
        !directory_->publish(draft, file_of(entry, whole))) {
        directory_->discard(draft);
        return whole;
    }
    ++stats_.saved;
    {
        const std::lock_guard index(index_lock_);
        std::vector<Key>& variants = entries_[entry];
        if (std::find(variants.begin(), variants.end(), whole) == variants.end()) variants.push_back(whole);
        if (variants.size() > kVariants) {
            directory_->remove(file_of(entry, variants.front()));
            variants.erase(variants.begin());
        }
    }
    bytes_ += sizeof header + content.size();
    if (!sized_ || bytes_ > options_.max_bytes) evict();
    return whole;
}

void RegionStore::remove(const Key& entry, const Stored& stored) {
    const std::lock_guard guard(lock_);
    const Key whole = name_of(stored);
    forget(entry, whole);
    directory_->remove(file_of(entry, whole));
    ++stats_.rejected;
}

void RegionStore::discard(const Key& entry, const Key& whole) {
    const std::lock_guard guard(lock_);
    forget(entry, whole);
    if (directory_->remove(file_of(entry, whole))) ++stats_.discarded;
}

void RegionStore::evict() {
    const CacheDirectory::Eviction result =
        directory_->evict(options_.max_bytes, [&](const std::string& name) {
            Key entry, whole;
            if (parse_name(name, entry, whole)) forget(entry, whole);
        });
    bytes_ = result.bytes;
    stats_.evicted += result.removed;
    sized_ = true;
}

RegionStore::Stats RegionStore::stats() const {
    const std::lock_guard guard(lock_);
    return stats_;
}

}  // namespace arclight::jit
