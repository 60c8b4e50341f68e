#include "devices/firmware/fw_cfg.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "devices/fdt_writer.h"
#include "devices/layout.h"

namespace arclight::devices {

namespace {

constexpr uint64_t kRegData = 0x00, kDataBytes = 8;
constexpr uint64_t kRegSelector = 0x08;
constexpr uint64_t kRegDma = 0x10, kDmaBytes = 8;

constexpr uint32_t kDmaError = 1, kDmaRead = 2, kDmaSkip = 4, kDmaSelect = 8, kDmaWrite = 16;
constexpr uint64_t kDmaSignature = 0x51454d5520434647;  // "QEMU CFG"
constexpr uint32_t kFeatures = 1 | 2;                   // the registers, DMA

constexpr uint16_t kWriteChannel = 0x4000;  // of a key: has no meaning any more

constexpr uint32_t kStateVersion = 1;

/// What the guest writes for DMA, big-endian.
struct DmaAccess {
    uint32_t control;
    uint32_t length;
    uint64_t address;
};
static_assert(sizeof(DmaAccess) == 16);

/// An entry of the directory, big-endian.
struct FileEntry {
    uint32_t size;
    uint16_t key;
    uint16_t reserved;
    char name[FwCfg::kNameBytes];
};
static_assert(sizeof(FileEntry) == 64);

template <typename T>
FwCfg::Bytes little_endian(T value) {
    FwCfg::Bytes bytes(sizeof value);
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

void append(FwCfg::Bytes& to, const void* from, size_t bytes) {
    const auto* first = static_cast<const uint8_t*>(from);
    to.insert(to.end(), first, first + bytes);
}

/// A register's value as the guest wrote it, most significant byte first.
uint64_t big_endian_value(uint64_t value, unsigned size) { return std::byteswap(value) >> (64 - 8 * size); }

}  // namespace

FwCfg::FwCfg(const mmu::GuestMemory& memory) : memory_(memory) {
    items_[kSignature] = {'Q', 'E', 'M', 'U'};
    set_u32(kId, kFeatures);
    items_[kFileDirectory] = Bytes(4);
}

void FwCfg::set(Key key, Bytes bytes) { items_[key] = std::move(bytes); }
void FwCfg::set_u16(Key key, uint16_t value) { items_[key] = little_endian(value); }
void FwCfg::set_u32(Key key, uint32_t value) { items_[key] = little_endian(value); }
void FwCfg::set_u64(Key key, uint64_t value) { items_[key] = little_endian(value); }

Result<void> FwCfg::add_file(std::string_view name, Bytes bytes) {
    if (name.empty() || name.size() >= kNameBytes)
        return failure("fw_cfg file '{}': a name has 1 to {} characters", name, kNameBytes - 1);
    if (files_.size() >= kFiles) return failure("more than {} fw_cfg files", kFiles);
    if (!files_.emplace(name, std::move(bytes)).second)
        return failure("fw_cfg file '{}' is there twice", name);
    return {};
}

void FwCfg::finish() {
    Bytes directory;
    const uint32_t count = std::byteswap(static_cast<uint32_t>(files_.size()));
    append(directory, &count, sizeof count);
    uint16_t key = kFirstFile;
    for (auto& [name, bytes] : files_) {
        FileEntry entry{.size = std::byteswap(static_cast<uint32_t>(bytes.size())),
                        .key = std::byteswap(key),
                        .reserved = 0,
                        .name = {}};
        std::ranges::copy(name, entry.name);
        append(directory, &entry, sizeof entry);
        items_[key++] = std::move(bytes);
    }
    files_.clear();
    items_[kFileDirectory] = std::move(directory);
}

void FwCfg::reset() {
    const std::lock_guard guard(lock_);
    state_ = {};
}

// ---- registers

const FwCfg::Bytes* FwCfg::item() const {
    const auto found = items_.find(state_.selected);
    return found != items_.end() ? &found->second : nullptr;
}

void FwCfg::select(uint16_t key) {
    state_.selected = key & static_cast<uint16_t>(~kWriteChannel);
    state_.offset = 0;
}

/// Behind an item's end: zero.
uint8_t FwCfg::next_byte() {
    const Bytes* bytes = item();
    return bytes != nullptr && state_.offset < bytes->size() ? (*bytes)[state_.offset++] : uint8_t{0};
}

uint64_t FwCfg::read(uint64_t offset, unsigned size) {
    const std::lock_guard guard(lock_);
    uint64_t value = 0;
    if (offset < kRegData + kDataBytes) {
        for (unsigned i = 0; i < size; ++i) value |= uint64_t{next_byte()} << (8 * i);
        return value;
    }
    for (unsigned i = 0; i < size; ++i) {
        const uint64_t at = offset + i - kRegDma;
        if (at < kDmaBytes) value |= (kDmaSignature >> (56 - 8 * at) & 0xff) << (8 * i);
    }
    return value;
}

void FwCfg::write(uint64_t offset, uint64_t value, unsigned size) {
    const std::lock_guard guard(lock_);
    if (offset == kRegSelector && size >= 2) return select(static_cast<uint16_t>(big_endian_value(value, 2)));
    if (offset >= kRegDma && offset < kRegDma + kDmaBytes) write_dma(offset - kRegDma, value, size);
}

/// The lower half starts the transfer.
void FwCfg::write_dma(uint64_t offset, uint64_t value, unsigned size) {
    if (offset == 0 && size == 8) return run_dma(big_endian_value(value, 8));
    if (size != 4) return;
    const uint64_t half = big_endian_value(value, 4);
    if (offset == 0)
        state_.dma_address = half << 32;
    else if (offset == 4)
        run_dma(state_.dma_address | half);
}

// ---- DMA

void FwCfg::run_dma(uint64_t address) {
    state_.dma_address = 0;
    const auto held = memory_.dma();
    DmaAccess access{};
    auto* next = reinterpret_cast<uint8_t*>(&access);
    const bool read = memory_.pieces(address, sizeof access, false, [&](const uint8_t* from, uint64_t bytes) {
        std::memcpy(next, from, bytes);
        next += bytes;
    });
    // Nowhere to tell of it.
    if (!read) return;
    const uint32_t result = std::byteswap(
        transfer(std::byteswap(access.control), std::byteswap(access.address), std::byteswap(access.length)));
    const auto* from = reinterpret_cast<const uint8_t*>(&result);
    (void)memory_.pieces(address, sizeof result, true, [&](uint8_t* to, uint64_t bytes) {
        std::memcpy(to, from, bytes);
        from += bytes;
    });
}

/// What the guest finds in its control word then: 0, or kDmaError. Reads of what is not there give zeros.
uint32_t FwCfg::transfer(uint32_t control, uint64_t address, uint32_t length) {
    if ((control & kDmaSelect) != 0) select(static_cast<uint16_t>(control >> 16));
    const Bytes* bytes = item();
    const uint64_t size = bytes != nullptr ? bytes->size() : 0;
    const uint64_t there = std::min<uint64_t>(length, size - std::min(size, state_.offset));
    if ((control & kDmaRead) != 0) {
        uint64_t left = there;
        const auto copy = [&](uint8_t* to, uint64_t room) {
            const uint64_t part = std::min(room, left);
            if (part != 0) std::memcpy(to, bytes->data() + state_.offset, part);
            std::memset(to + part, 0, room - part);
            state_.offset += part;
            left -= part;
        };
        return memory_.pieces(address, length, true, copy) ? 0 : kDmaError;
    }
    // No item can be written to.
    if ((control & kDmaWrite) != 0 && length != 0) return kDmaError;
    if ((control & kDmaSkip) != 0) state_.offset += there;
    return 0;
}

void FwCfg::add_to_device_tree(FdtWriter& fdt) const {
    fdt.begin_node("fw-cfg@9020000");
    fdt.property_string("compatible", "qemu,fw-cfg-mmio");
    fdt.property_u64s("reg", {layout::kFwCfg.base, layout::kFwCfg.size});
    fdt.property("dma-coherent");
    fdt.end_node();
}

// ---- state

void FwCfg::save(StateWriter& out) const {
    out.section("fw-cfg", kStateVersion, [&] { out(state_); });
}

StateResult FwCfg::load(StateReader& in) {
    State state;
    const auto loaded = in.section("fw-cfg", kStateVersion, [&] { in(state); });
    if (!loaded) return loaded;
    const std::lock_guard guard(lock_);
    state_ = state;
    return {};
}

}  // namespace arclight::devices
