#include "guestos/prepare/sweep.h"

#include <algorithm>
#include <array>
#include <map>

#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/frontend.h"
#include "frontend/a64/system/sysregs.h"
#include "frontend/a64/system/system_instructions.h"
#include "guestos/kernel_file.h"
#include "guestos/prepare/translated.h"

namespace arclight::guestos::prepare {

namespace a64 = frontend::a64;

namespace {

constexpr a64::FeatureSet all_features() {
    a64::FeatureSet all;
    for (size_t i = 0; i < a64::kFeatureCount; ++i) all = all.with(static_cast<a64::Feature>(i));
    return all;
}

/// Whether the word's encoding fields name an ID register (D19.2): those have no rows.
constexpr bool in_id_space(uint32_t encoding) {
    constexpr uint32_t kCrmAndOp2 = 0x7f;
    return (encoding & ~kCrmAndOp2) == a64::sysreg_encoding(3, 0, 0, 0, 0);
}

constexpr uint32_t encoding_of(uint32_t insn) { return insn >> 5 & 0xffff; }

bool is_privileged(uint32_t encoding, bool write) {
    const a64::SysregRow* row = a64::find_sysreg(encoding);
    if (row == nullptr) return !write && in_id_space(encoding);
    using namespace a64::sysreg_access;
    const uint8_t at_el0 = write ? kWrite0 : kRead0, at_el1 = write ? kWrite1 : kRead1;
    if ((row->access & at_el0) == 0) return (row->access & at_el1) != 0;
    constexpr uint8_t kMachine =
        a64::sysreg_io::kContext | a64::sysreg_io::kTlb | a64::sysreg_io::kUnmask | a64::sysreg_io::kOutside;
    return (row->io & kMachine) != 0;
}

std::optional<SiteKind> kind_of_system_instruction(uint32_t insn) {
    const a64::SystemInstruction* row = a64::system_instruction_of(insn);
    if (row == nullptr) return std::nullopt;
    if ((row->io & a64::system_io::kTlb) != 0) return SiteKind::Tlbi;
    return (row->io & a64::system_io::kResult) != 0 ? SiteKind::AddressTranslation : SiteKind::Cache;
}

/// Of the rows whose name alone says it.
std::optional<SiteKind> kind_of_row(std::string_view name) {
    struct Named {
        std::string_view name;
        SiteKind kind;
    };
    constexpr Named kNamed[] = {
        {"MSR_UAO", SiteKind::Pstate},
        {"MSR_PAN", SiteKind::Pstate},
        {"MSR_SPSel", SiteKind::Pstate},
        {"MSR_DAIFSet", SiteKind::Pstate},
        {"MSR_DAIFClr", SiteKind::Pstate},
        {"ERET", SiteKind::ExceptionReturn},
        {"ERETAA", SiteKind::ExceptionReturn},
        {"ERETAB", SiteKind::ExceptionReturn},
        {"HVC", SiteKind::Hypercall},
        {"SMC", SiteKind::Hypercall},
        {"WFI", SiteKind::Wait},
        {"WFE", SiteKind::Wait},
        {"WFIT", SiteKind::Wait},
        {"WFET", SiteKind::Wait},
    };
    const auto* const found = std::ranges::find(kNamed, name, &Named::name);
    return found == std::end(kNamed) ? std::nullopt : std::optional(found->kind);
}

constexpr uint32_t kPage = 4096;  ///< whose blocks are translated together (jit::Engine::expect_block)

/// What a decoder's row says of its words.
enum class RowClass : uint8_t { Other, Mrs, Msr, Sys, Named };
struct Row {
    RowClass is = RowClass::Other;
    SiteKind kind{};
};

std::vector<Row> classify_rows() {
    std::vector<Row> rows;
    for (const a64::Encoding& encoding : a64::encodings()) {
        const std::string_view name = encoding.name;
        Row row;
        if (name == "MRS") row.is = RowClass::Mrs;
        if (name == "MSR_reg") row.is = RowClass::Msr;
        if (name == "SYS") row.is = RowClass::Sys;
        if (const auto kind = kind_of_row(name)) row = {RowClass::Named, *kind};
        rows.push_back(row);
    }
    return rows;
}

bool by_place(const Site& a, const Site& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.kind < b.kind;
}

uint32_t saturated(uint64_t count) { return static_cast<uint32_t>(std::min<uint64_t>(count, kMaxFrequency)); }

}  // namespace

std::string_view plural_of(SiteKind kind) {
    constexpr std::array<std::string_view, kSiteKinds> kNames = {"register reads",
                                                                 "register writes",
                                                                 "PSTATE writes",
                                                                 "TLB invalidations",
                                                                 "cache maintenance",
                                                                 "address translations",
                                                                 "exception returns",
                                                                 "hypercalls",
                                                                 "waits",
                                                                 "device accesses",
                                                                 "blocks"};
    return kNames[static_cast<size_t>(kind)];
}

std::optional<SiteKind> sensitive_kind(uint32_t insn) {
    static const a64::Decoder decoder(all_features());
    static const std::vector<Row> rows = classify_rows();
    const int found = decoder.find(insn);
    if (found < 0) return std::nullopt;
    const Row& row = rows[static_cast<size_t>(found)];
    switch (row.is) {
        case RowClass::Other: break;
        case RowClass::Named: return row.kind;
        case RowClass::Sys: return kind_of_system_instruction(insn);
        case RowClass::Mrs:
            if (is_privileged(encoding_of(insn), false)) return SiteKind::ReadRegister;
            break;
        case RowClass::Msr:
            if (is_privileged(encoding_of(insn), true)) return SiteKind::WriteRegister;
            break;
    }
    return std::nullopt;
}

std::vector<Site> sweep(std::span<const uint8_t> image, std::span<const TextRange> text) {
    std::vector<Site> sites;
    for (const TextRange& range : text) {
        const uint64_t end = std::min<uint64_t>(range.end, image.size());
        for (uint64_t at = (uint64_t{range.begin} + 3) & ~uint64_t{3}; at + 4 <= end; at += 4)
            if (const auto kind = sensitive_kind(read_at<uint32_t>(image, at)))
                sites.push_back({static_cast<uint32_t>(at), *kind});
    }
    std::ranges::sort(sites, by_place);
    const auto repeated = std::ranges::unique(sites);
    sites.erase(repeated.begin(), repeated.end());
    return sites;
}

void add_profile(std::vector<Site>& sites, std::span<const uint8_t> image, const Profile& profile) {
    const auto in_image = [&](uint64_t at, uint64_t bytes) {
        return at % 4 == 0 && bytes <= image.size() && at <= image.size() - bytes;
    };
    std::vector<Site> more;
    Translated translated(a64::frontend());
    for (const auto& [offset, count] : profile.devices)
        if (in_image(offset, 4) && translated.of(read_at<uint32_t>(image, offset)).access)
            more.push_back({offset, SiteKind::Device, saturated(count)});
    const std::vector<Site> device_sites = more;
    // A kernel patches itself while it boots, and all that was translated before is translated again. A block that was
    // translated less often than others of its page was not executed before: made with them it would be made of old code.
    std::map<uint32_t, uint64_t> most_in_page;
    for (const auto& [offset, block] : profile.blocks) {
        uint64_t& most = most_in_page[offset / kPage];
        most = std::max(most, block.count);
    }
    for (const auto& [offset, block] : profile.blocks) {
        if (!in_image(offset, block.bytes)) continue;
        const uint64_t end = uint64_t{offset} + block.bytes;
        const auto first = std::ranges::lower_bound(sites, offset, {}, &Site::offset);
        bool any = false;
        for (auto site = first; site != sites.end() && site->offset < end; ++site) {
            site->frequency = saturated(site->frequency + block.count);
            any = true;
        }
        const auto device = std::ranges::lower_bound(device_sites, offset, {}, &Site::offset);
        any |= device != device_sites.end() && device->offset < end;
        if (any && block.count == most_in_page[offset / kPage])
            more.push_back({offset, SiteKind::Block, saturated(block.count)});
    }
    sites.insert(sites.end(), more.begin(), more.end());
    std::ranges::sort(sites, by_place);
}

}  // namespace arclight::guestos::prepare
