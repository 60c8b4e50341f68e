#include "jit/engine/region_cache.h"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

namespace arclight::jit {

namespace {
constexpr size_t kMaxCandidates = 1024;  ///< entries whose candidates are kept
}

RegionCache::RegionCache(const Tier2Options& options) {
    if (!options.enabled || options.synchronous || options.cache_directory.empty()) return;
    const uint64_t build = options.compiler_build();
    if (build == 0) return;
    auto store = RegionStore::open({.directory = options.cache_directory,
                                    .max_bytes = options.cache_bytes,
                                    .build = build,
                                    .key_file = options.cache_key_file,
                                    .key = options.cache_key});
    if (store)
        store_ = std::move(*store);
    else
        fmt::print(stderr, "arclight: no compiled regions are kept: {}\n", store.error());
}

RegionCache::Key RegionCache::entry_key(const TranslationBlock& block) const {
    std::string bytes(reinterpret_cast<const char*>(block.guest_code.data()), block.guest_code.size());
    const uint64_t place = uint64_t{block.translation_flags} << 12 | (block.pa & ~kPageMask);
    bytes.append(reinterpret_cast<const char*>(&place), sizeof place);
    return RegionStore::hash(bytes, store_->seed());
}

void RegionCache::read_candidates(Lock& lock, const Key& entry) {
    if (candidates_.contains(entry)) return;
    lock.unlock();
    std::vector<Candidate> read;
    for (RegionStore::Stored& stored : store_->load(entry)) {
        if (auto shape = RegionShape::parse(stored.shape))
            read.push_back({std::move(*shape), std::move(stored)});
        else
            store_->remove(entry, stored);
    }
    lock.lock();
    if (candidates_.size() >= kMaxCandidates) candidates_.clear();
    candidates_[entry] = std::move(read);
}

StoredRegion RegionCache::save(Lock& lock, const Key& entry, const RegionStore::Stored& stored) {
    lock.unlock();
    const Key whole = store_->save(entry, stored);
    lock.lock();
    return {entry, whole};
}

void RegionCache::evict(Lock& lock) {
    const std::vector<StoredRegion> files = std::exchange(evictions_, {});
    lock.unlock();
    for (const StoredRegion& file : files) store_->discard(file.entry, file.whole);
    lock.lock();
}

}  // namespace arclight::jit
