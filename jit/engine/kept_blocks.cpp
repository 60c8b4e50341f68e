// The engine's use of blocks that earlier runs have left (block_store.h).
#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <array>
#include <cstdio>

#include "host/file_hash.h"
#include "jit/engine/engine.h"

namespace arclight::jit {

void Engine::open_store() {
    const uint64_t program = host::program_hash();
    if (program == 0) {
        fmt::print(stderr, "arclight: no translations are kept: the program's file cannot be read\n");
        return;
    }
    const std::array<uint64_t, 6> parts{
        program,
        host_cpu_identity(),
        image_layout(code_),
        frontend_.variant(),
        uint64_t{options_.max_block_insns} << 8 | uint64_t{options_.concurrent} << 0 |
            uint64_t{options_.spectre} << 1 | uint64_t{options_.vector_registers} << 2 |
            uint64_t{tier2_.enabled()} << 3 | uint64_t{superblocks_.enabled()} << 4 |
            uint64_t{code_.counters_aside()} << 5,
        uint64_t{limits_.max_block_insns} << 32 | limits_.max_block_bytes};
    auto store = BlockStore::open({.directory = options_.store_directory,
                                   .max_bytes = options_.store_bytes,
                                   .identity = XXH3_64bits(parts.data(), sizeof parts),
                                   .key_file = options_.store_key_file,
                                   .key = options_.store_key});
    if (store)
        store_ = std::move(*store);
    else
        fmt::print(stderr, "arclight: no translations are kept: {}\n", store.error());
}

/// Whether an access there is translated as what it has met in this run.
bool Engine::has_site(uint64_t pa, uint64_t bytes) const {
    const auto site = sites_.lower_bound(pa);
    return site != sites_.end() && site->first < pa + bytes;
}

/// The block that code_read_ begins with, as an earlier run has compiled it. Null: there is none. `counter` is set where one
/// was taken for it, even so.
std::unique_ptr<TranslationBlock> Engine::take_stored(uint64_t pa, uint32_t translation_flags,
                                                      uint32_t& counter) {
    const auto stored =
        store_->find(translation_flags, static_cast<uint32_t>(pa & ~kPageMask), code_.grouping(), code_read_);
    if (!stored || has_site(pa, stored->guest_code.size())) return nullptr;
    if (!stored->spins) counter = hot_tier().new_counter(translation_flags);
    auto block = std::make_unique<TranslationBlock>();
    block->first_link_slot = cache_.next_link_slot();
    block->code = place(stored->image, code_, block->first_link_slot, counter);
    if (!block->code) return nullptr;
    block->spins = stored->spins;
    block->guest_bytes = static_cast<uint32_t>(stored->guest_code.size());
    block->guest_insns = stored->guest_insns;
    block->guest_code.assign(stored->guest_code.begin(), stored->guest_code.end());
    return block;
}

/// A block to keep, which may be about to be taken out. False: there is no room for it.
bool Engine::keep(const TranslationBlock& block) {
    const auto image = image_of(code_, block.code, block.relocations, block.first_link_slot, image_memory_);
    if (!image) return true;
    return store_->keep({.translation_flags = block.translation_flags,
                         .page_offset = static_cast<uint32_t>(block.pa & ~kPageMask),
                         .guest_insns = block.guest_insns,
                         .spins = block.spins,
                         .grouping = block.grouping,
                         .guest_code = block.guest_code,
                         .image = *image});
}

Engine::~Engine() {
    const std::lock_guard guard(lock_);
    if (store_ == nullptr) return;
    store_->save([this] {
        cache_.each_block(
            [this](const TranslationBlock& block) { return block.relocations.empty() || keep(block); });
    });
}

}  // namespace arclight::jit
