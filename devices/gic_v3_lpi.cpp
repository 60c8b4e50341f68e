#include <utility>

#include "devices/gic_v3.h"
#include "devices/guest_word.h"
#include "devices/register_access.h"

// LPIs in the redistributors (ARM IHI 0069 sections 5.1 and 12.11). What makes them pending is in gic_its.cpp.
namespace arclight::devices {

namespace {

constexpr uint64_t kAddress = 0x000f'ffff'ffff'f000ull;  // GICR_PROPBASER, GICR_PENDBASER
constexpr uint64_t kPendingAddress = 0x000f'ffff'ffff'0000ull;
// Memory attributes are remembered and without effect.
constexpr uint64_t kConfigurationWritable = kAddress | 0x0700'0000'0000'0f9full;
constexpr uint64_t kTableWritable = kPendingAddress | 0x4700'0000'0000'0f80ull;
constexpr uint64_t kPendingTableZero = 1ull << 62;

constexpr uint8_t kConfigEnable = 1;
constexpr uint8_t kConfigPriority = 0xfc;

constexpr uint32_t kStateVersion = 1;

}  // namespace

uint32_t GicV3::lpi_register(const Lpis& lpis, LpiRegister reg, bool upper) {
    const uint64_t value =
        reg == LpiRegister::Configuration ? lpis.configuration : lpis.table & ~kPendingTableZero;
    return static_cast<uint32_t>(value >> (upper ? 32 : 0));
}

// 12.11.25 and 12.11.23: while LPIs are enabled a write has no effect.
void GicV3::write_lpi_register(Lpis& lpis, LpiRegister reg, bool upper, uint32_t value, uint32_t mask) {
    if (lpis.enabled) return;
    const unsigned shift = upper ? 32 : 0;
    uint64_t& field = reg == LpiRegister::Configuration ? lpis.configuration : lpis.table;
    const uint64_t merged =
        (field & ~(static_cast<uint64_t>(mask) << shift)) | static_cast<uint64_t>(value & mask) << shift;
    field = merged & (reg == LpiRegister::Configuration ? kConfigurationWritable : kTableWritable);
}

void GicV3::enable_lpis(Lpis& lpis, bool enable) {
    if (enable == lpis.enabled) return;
    lpis.enabled = enable;
    const uint64_t table = lpis.table & kPendingAddress;
    if (enable) {
        lpis.pending.clear();
        if ((lpis.table & kPendingTableZero) != 0) return;
        for (uint32_t intid = kFirstLpi; intid < lpis.end(); intid += 64) {
            uint64_t word = load_guest<uint64_t>(*lpi_memory_, table + intid / 8).value_or(0);
            for (; word != 0; word &= word - 1)
                lpis.pending.insert(intid + static_cast<uint32_t>(std::countr_zero(word)));
        }
        return;
    }
    for (uint32_t intid = kFirstLpi; intid < lpis.end(); intid += 64) {
        uint64_t word = 0;
        for (uint32_t i = 0; i < 64; i++)
            word |= static_cast<uint64_t>(lpis.pending.contains(intid + i)) << i;
        store_guest(*lpi_memory_, table + intid / 8, word);
    }
    lpis.pending.clear();
}

void GicV3::consider_lpis(unsigned index) {
    Cpu& cpu = state_.cpus[index];
    const Lpis& lpis = lpis_[index];
    if (!lpis.enabled || !participates(cpu, true)) return;
    lpis.pending.for_each([&](uint32_t intid) {
        const auto config =
            load_guest<uint8_t>(*lpi_memory_, (lpis.configuration & kAddress) + intid - kFirstLpi)
                .value_or(0);
        const uint8_t priority = config & kConfigPriority;
        if ((config & kConfigEnable) == 0 || (cpu.best.valid() && priority >= cpu.best.priority)) return;
        cpu.best = {intid, priority, true};
    });
}

// ---- for the ITS

void GicV3::set_lpi(unsigned cpu, uint32_t intid, bool pending, bool at_once) {
    const std::lock_guard guard(lock_);
    if (cpu >= cpu_count_ || lpi_memory_ == nullptr) return;
    Lpis& lpis = lpis_[cpu];
    if (!lpis.enabled || !lpis.valid(intid)) return;
    if (pending)
        lpis.pending.insert(intid);
    else
        lpis.pending.erase(intid);
    if (at_once) update(cpu);
}

void GicV3::move_lpi(unsigned from, unsigned to, uint32_t intid) {
    const std::lock_guard guard(lock_);
    if (from >= cpu_count_ || to >= cpu_count_ || from == to || intid < kFirstLpi || intid >= kLpiEnd) return;
    if (!lpis_[from].pending.contains(intid)) return;
    lpis_[from].pending.erase(intid);
    if (lpis_[to].enabled && lpis_[to].valid(intid)) lpis_[to].pending.insert(intid);
}

void GicV3::move_all_lpis(unsigned from, unsigned to) {
    const std::lock_guard guard(lock_);
    if (from >= cpu_count_ || to >= cpu_count_ || from == to) return;
    lpis_[from].pending.for_each([&](uint32_t intid) {
        if (lpis_[to].enabled && lpis_[to].valid(intid)) lpis_[to].pending.insert(intid);
    });
    lpis_[from].pending.clear();
}

void GicV3::lpis_changed() {
    const std::lock_guard guard(lock_);
    update_all();
}

// ---- state

void GicV3::save_lpis(StateWriter& out) const {
    out.section("gicv3-lpi", kStateVersion, [&] {
        for (unsigned i = 0; i < cpu_count_; i++) {
            const Lpis& lpis = lpis_[i];
            std::vector<uint32_t> pending;
            lpis.pending.for_each([&](uint32_t intid) { pending.push_back(intid); });
            out(lpis.enabled, lpis.configuration, lpis.table);
            out.list(pending, kLpiEnd);
        }
    });
}

StateResult GicV3::load_lpis(StateReader& in, std::vector<Lpis>& loaded) const {
    loaded.resize(cpu_count_);
    return in.section("gicv3-lpi", kStateVersion, [&] {
        for (Lpis& lpis : loaded) {
            std::vector<uint32_t> pending;
            in(lpis.enabled, lpis.configuration, lpis.table);
            in.list(pending, kLpiEnd);
            in.require(
                (lpis.configuration & ~kConfigurationWritable) == 0 && (lpis.table & ~kTableWritable) == 0,
                "a table of LPIs that cannot be");
            for (const uint32_t intid : pending) {
                in.require(lpis.enabled && lpis.valid(intid), "an LPI that is not there");
                if (!in.ok()) return;
                lpis.pending.insert(intid);
            }
        }
    });
}

}  // namespace arclight::devices
