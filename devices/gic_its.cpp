#include "devices/gic_its.h"

#include "devices/fdt_writer.h"
#include "devices/gic_v3.h"
#include "devices/guest_word.h"
#include "devices/register_access.h"

// Section numbers are those of ARM IHI 0069: 5.3 has the commands, 12.19 the registers.
namespace arclight::devices {

namespace {

constexpr uint64_t kRegCtlr = 0x0000;
constexpr uint64_t kRegIidr = 0x0004;
constexpr uint64_t kRegTyper = 0x0008;
constexpr uint64_t kRegQueueBase = 0x0080;
constexpr uint64_t kRegQueueWrite = 0x0088;
constexpr uint64_t kRegQueueRead = 0x0090;
constexpr uint64_t kRegBases = 0x0100;
constexpr uint64_t kRegBasesEnd = 0x0110;
constexpr uint64_t kRegIds = 0xffd0;
constexpr uint64_t kFrameSize = 0x1'0000;
constexpr uint64_t kRegTranslater = kFrameSize + 0x40;

constexpr uint32_t kCtlrEnabled = 1u << 0;
constexpr uint32_t kCtlrQuiescent = 1u << 31;
constexpr uint32_t kImplementer = 0x43b;
// PIDR4..7, PIDR0..3, CIDR0..3 of QEMU's ITS.
constexpr std::array<uint8_t, 12> kIdRegisters = {0x44, 0, 0, 0, 0x94, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1};

constexpr unsigned kDeviceBits = 16;
constexpr unsigned kEventBits = 16;
constexpr unsigned kCollectionBits = 16;
constexpr uint64_t kEntrySize = 8;
// Physical LPIs; entries of 8 bytes; a CPU is told by its number (PTA is zero); collections in memory alone.
constexpr uint64_t kTyper = 1u | (kEntrySize - 1) << 4 | (kEventBits - 1) << 8 | (kDeviceBits - 1) << 13 |
                            uint64_t{kCollectionBits - 1} << 32 | uint64_t{1} << 36;

// 12.19.1 GITS_BASER: type and size of entries are fixed.
constexpr uint64_t kBaseValid = 1ull << 63;
constexpr uint64_t kBaseIndirect = 1ull << 62;
constexpr uint64_t kBaseWritable = 0xf8e0'ffff'ffff'ffffull;
constexpr std::array<uint64_t, 2> kBaseFixed = {1ull << 56 | (kEntrySize - 1) << 48,
                                                4ull << 56 | (kEntrySize - 1) << 48};
constexpr unsigned kDevices = 0, kCollections = 1;

constexpr uint64_t kQueueValid = 1ull << 63;
constexpr uint64_t kQueueBaseWritable = 0xb8ef'ffff'ffff'fcffull;
constexpr uint64_t kQueueOffset = 0xf'ffe0;
constexpr uint64_t kQueueRetry = 1;
constexpr uint64_t kQueueStalled = 1;
constexpr uint64_t kPage = 4096;
constexpr uint64_t kPageAddress = 0x000f'ffff'ffff'f000ull;
constexpr uint64_t kCommandSize = 32;

constexpr uint64_t kValid = 1ull << 63;  // in commands and in first-level entries
constexpr uint64_t kEntryValid = 1;
constexpr uint64_t kTableAddress = 0x000f'ffff'ffff'ff00ull;

constexpr uint32_t kStateVersion = 1;

enum class Code : uint8_t {
    Movi = 0x01,
    Int = 0x03,
    Clear = 0x04,
    Sync = 0x05,
    Mapd = 0x08,
    Mapc = 0x09,
    Mapti = 0x0a,
    Mapi = 0x0b,
    Inv = 0x0c,
    Invall = 0x0d,
    Movall = 0x0e,
    Discard = 0x0f,
};

uint64_t merge_half(uint64_t old, bool upper, uint32_t value, uint32_t mask) {
    const unsigned shift = upper ? 32 : 0;
    return (old & ~(static_cast<uint64_t>(mask) << shift)) | static_cast<uint64_t>(value & mask) << shift;
}

}  // namespace

GicIts::GicIts(GicV3& gic, const mmu::GuestMemory& memory) : gic_(gic), memory_(memory) {}

void GicIts::reset() {
    const std::lock_guard guard(lock_);
    state_ = {};
}

// ---- state

void GicIts::save(StateWriter& out) const {
    const std::lock_guard guard(lock_);
    out.section("gicv3-its", kStateVersion, [&] { out(state_); });
}

StateResult GicIts::load(StateReader& in) {
    State state;
    const auto loaded = in.section("gicv3-its", kStateVersion, [&] {
        in(state);
        in.require((state.queue_base & ~kQueueBaseWritable) == 0 &&
                       (state.queue_write & ~(kQueueOffset | kQueueRetry)) == 0 &&
                       (state.queue_read & ~(kQueueOffset | kQueueStalled)) == 0 &&
                       ((state.bases[0] | state.bases[1]) & ~kBaseWritable) == 0,
                   "a register of the ITS that cannot be");
    });
    if (!loaded) return loaded;
    const std::lock_guard guard(lock_);
    state_ = state;
    return {};
}

// ---- tables

std::optional<uint64_t> GicIts::entry_address(uint64_t base, uint64_t index) const {
    constexpr std::array<uint64_t, 4> kPageSizes = {0x1000, 0x4000, 0x1'0000, 0x1'0000};
    if ((base & kBaseValid) == 0) return std::nullopt;
    const uint64_t page = kPageSizes[base >> 8 & 3];
    const uint64_t size = ((base & 0xff) + 1) * page;
    // With pages of 64 KiB bits 51:48 of the address are in 15:12.
    const uint64_t table = page == 0x1'0000 ? (base & 0x0000'ffff'ffff'0000ull) | (base >> 12 & 15) << 48
                                            : base & 0x0000'ffff'ffff'f000ull;
    if ((base & kBaseIndirect) == 0) {
        return index * kEntrySize < size ? std::optional(table + index * kEntrySize) : std::nullopt;
    }
    const uint64_t per_page = page / kEntrySize;
    const uint64_t first = index / per_page * 8;
    if (first >= size) return std::nullopt;
    const auto entry = load_guest<uint64_t>(memory_, table + first);
    if (!entry || (*entry & kValid) == 0) return std::nullopt;
    return (*entry & kPageAddress & ~(page - 1)) + index % per_page * kEntrySize;
}

std::optional<GicIts::DeviceEntry> GicIts::device(uint32_t id) const {
    const auto at = entry_address(state_.bases[kDevices], id);
    const auto entry = at ? load_guest<uint64_t>(memory_, *at) : std::nullopt;
    if (!entry || (*entry & kEntryValid) == 0) return std::nullopt;
    return DeviceEntry{*entry & kTableAddress, static_cast<unsigned>(*entry >> 1 & 31) + 1};
}

std::optional<unsigned> GicIts::cpu_of(uint16_t collection) const {
    const auto at = entry_address(state_.bases[kCollections], collection);
    const auto entry = at ? load_guest<uint64_t>(memory_, *at) : std::nullopt;
    if (!entry || (*entry & kEntryValid) == 0) return std::nullopt;
    const auto cpu = static_cast<unsigned>(*entry >> 1 & 0xffff);
    return cpu < gic_.cpu_count() ? std::optional(cpu) : std::nullopt;
}

std::optional<uint64_t> GicIts::event_address(uint32_t id, uint32_t event) const {
    const auto found = device(id);
    if (!found || found->event_bits > kEventBits || event >> found->event_bits != 0) return std::nullopt;
    return found->table + event * kEntrySize;
}

std::optional<GicIts::Event> GicIts::event(uint32_t id, uint32_t number) const {
    const auto at = event_address(id, number);
    const auto entry = at ? load_guest<uint64_t>(memory_, *at) : std::nullopt;
    if (!entry || (*entry & kEntryValid) == 0) return std::nullopt;
    return Event{*at, static_cast<uint32_t>(*entry >> 1 & 0xff'ffff), static_cast<uint16_t>(*entry >> 25)};
}

void GicIts::set_pending(uint32_t id, uint32_t number, bool pending, bool at_once) {
    const auto found = event(id, number);
    const auto cpu = found ? cpu_of(found->collection) : std::nullopt;
    if (cpu) gic_.set_lpi(*cpu, found->intid, pending, at_once);
}

bool GicIts::message(uint32_t requester, uint64_t address, uint32_t data) {
    if (address - layout::kGicIts.base >= layout::kGicIts.size) return false;
    if (address != layout::kGicIts.base + kRegTranslater) return true;
    const std::lock_guard guard(lock_);
    if (state_.enabled) set_pending(requester, data, true, true);
    return true;
}

// ---- commands

void GicIts::map_device(uint32_t id, const Command& command) {
    const auto at = entry_address(state_.bases[kDevices], id);
    const uint64_t size = command[1] & 31;
    if (!at || size >= kEventBits) return;
    const bool valid = (command[2] & kValid) != 0;
    store_guest<uint64_t>(memory_, *at, valid ? kEntryValid | size << 1 | (command[2] & kTableAddress) : 0);
}

void GicIts::map_collection(const Command& command) {
    const auto at = entry_address(state_.bases[kCollections], command[2] & 0xffff);
    const uint64_t cpu = command[2] >> 16 & 0x7'ffff'ffff;
    const bool valid = (command[2] & kValid) != 0;
    if (!at || (valid && cpu >= gic_.cpu_count())) return;
    store_guest<uint64_t>(memory_, *at, valid ? kEntryValid | cpu << 1 : 0);
}

void GicIts::map_event(uint32_t id, uint32_t number, uint32_t intid, uint16_t collection) {
    const auto at = event_address(id, number);
    if (!at || intid < kFirstLpi || intid >= kLpiEnd) return;
    store_guest<uint64_t>(memory_, *at, kEntryValid | uint64_t{intid} << 1 | uint64_t{collection} << 25);
}

void GicIts::move_event(uint32_t id, uint32_t number, uint16_t collection) {
    const auto found = event(id, number);
    if (!found) return;
    const auto from = cpu_of(found->collection), to = cpu_of(collection);
    if (!from || !to) return;
    map_event(id, number, found->intid, collection);
    gic_.move_lpi(*from, *to, found->intid);
}

void GicIts::discard(uint32_t id, uint32_t number) {
    set_pending(id, number, false, false);
    if (const auto found = event(id, number)) store_guest<uint64_t>(memory_, found->address, 0);
}

void GicIts::run(const Command& command) {
    const auto id = static_cast<uint32_t>(command[0] >> 32);
    const auto number = static_cast<uint32_t>(command[1]);
    const auto collection = static_cast<uint16_t>(command[2]);
    if (id >> kDeviceBits != 0) return;
    switch (static_cast<Code>(command[0] & 0xff)) {
        case Code::Movi: move_event(id, number, collection); break;
        case Code::Int: set_pending(id, number, true, false); break;
        case Code::Clear: set_pending(id, number, false, false); break;
        case Code::Mapd: map_device(id, command); break;
        case Code::Mapc: map_collection(command); break;
        case Code::Mapti: map_event(id, number, static_cast<uint32_t>(command[1] >> 32), collection); break;
        case Code::Mapi: map_event(id, number, number, collection); break;
        case Code::Movall:
            gic_.move_all_lpis(static_cast<unsigned>(command[2] >> 16 & 0xffff'ffff),
                               static_cast<unsigned>(command[3] >> 16 & 0xffff'ffff));
            break;
        case Code::Discard: discard(id, number); break;
        // Nothing is cached, and commands are complete one after the other.
        case Code::Sync:
        case Code::Inv:
        case Code::Invall: break;
    }
}

// CPUs are told once, so that a queue full of commands costs little whatever is pending.
void GicIts::run_queue() {
    const uint64_t base = state_.queue_base & kPageAddress;
    const uint64_t size = ((state_.queue_base & 0xff) + 1) * kPage;
    const uint64_t end = state_.queue_write & kQueueOffset;
    if (!state_.enabled || (state_.queue_base & kQueueValid) == 0 ||
        (state_.queue_read & kQueueStalled) != 0 || end >= size || state_.queue_read >= size ||
        state_.queue_read == end)
        return;
    while (state_.queue_read != end) {
        Command command;
        for (unsigned i = 0; i < command.size(); i++) {
            const auto word = load_guest<uint64_t>(memory_, base + state_.queue_read + i * 8);
            if (!word) {
                state_.queue_read |= kQueueStalled;
                break;
            }
            command[i] = *word;
        }
        if ((state_.queue_read & kQueueStalled) != 0) break;
        run(command);
        state_.queue_read = (state_.queue_read + kCommandSize) % size;
    }
    gic_.lpis_changed();
}

// ---- registers

uint32_t GicIts::read_word(uint64_t offset) const {
    const auto half = [&](uint64_t value) { return static_cast<uint32_t>(value >> ((offset & 4) * 8)); };
    if (offset >= kRegBases && offset < kRegBasesEnd) {
        const uint64_t index = (offset - kRegBases) / 8;
        return half(state_.bases[index] | kBaseFixed[index]);
    }
    if (offset >= kRegIds && offset < kFrameSize) {
        const uint64_t index = (offset - kRegIds) / 4;
        return index < kIdRegisters.size() ? kIdRegisters[index] : 0;
    }
    switch (offset) {
        case kRegCtlr: return state_.enabled ? kCtlrEnabled : kCtlrQuiescent;
        case kRegIidr: return kImplementer;
        default: break;
    }
    switch (offset & ~4ull) {
        case kRegTyper: return half(kTyper);
        case kRegQueueBase: return half(state_.queue_base);
        case kRegQueueWrite: return half(state_.queue_write & kQueueOffset);
        case kRegQueueRead: return half(state_.queue_read);
        default: return 0;
    }
}

void GicIts::write_word(uint64_t offset, uint32_t value, uint32_t mask) {
    const bool upper = (offset & 4) != 0;
    // 12.19.1 and 12.19.2: while the ITS is enabled a write has no effect.
    if (offset >= kRegBases && offset < kRegBasesEnd) {
        uint64_t& base = state_.bases[(offset - kRegBases) / 8];
        if (!state_.enabled) base = merge_half(base, upper, value, mask) & kBaseWritable;
        return;
    }
    switch (offset & ~4ull) {
        case kRegCtlr:
            if (upper || (mask & kCtlrEnabled) == 0) return;
            state_.enabled = (value & kCtlrEnabled) != 0;
            run_queue();
            return;
        case kRegQueueBase:
            if (state_.enabled) return;
            state_.queue_base = merge_half(state_.queue_base, upper, value, mask) & kQueueBaseWritable;
            state_.queue_read = 0;
            return;
        case kRegQueueWrite:
            state_.queue_write =
                merge_half(state_.queue_write, upper, value, mask) & (kQueueOffset | kQueueRetry);
            if ((state_.queue_write & kQueueRetry) != 0) state_.queue_read &= ~kQueueStalled;
            run_queue();
            return;
        default: return;
    }
}

uint64_t GicIts::read(uint64_t offset, unsigned size) {
    const std::lock_guard guard(lock_);
    return read_by_words(offset, size, [&](uint64_t word) { return read_word(word); });
}

void GicIts::write(uint64_t offset, uint64_t value, unsigned size) {
    const std::lock_guard guard(lock_);
    write_by_words(offset, value, size,
                   [&](uint64_t word, uint32_t data, uint32_t mask) { write_word(word, data, mask); });
}

void GicIts::add_node(FdtWriter& fdt) {
    fdt.begin_node("its@8080000");
    fdt.property_string("compatible", "arm,gic-v3-its");
    fdt.property("msi-controller");
    fdt.property_u32("#msi-cells", 1);
    fdt.property_u64s("reg", {layout::kGicIts.base, layout::kGicIts.size});
    fdt.property_u32("phandle", layout::kPhandleMsi);
    fdt.end_node();
}

}  // namespace arclight::devices
