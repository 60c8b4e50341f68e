// Pre-virtualization: the sweep for sites, where a kernel's text is, the section behind the image, profiles, and binding.
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "frontend/a64/frontend.h"
#include "frontend/a64/system/sysregs.h"
#include "frontend/a64/system/system_instructions.h"
#include "guestos/prepare/module.h"
#include "guestos/prepare/section.h"
#include "guestos/prepare/sweep.h"
#include "tests/guestos/test_files.h"

namespace arclight::guestos::prepare {
namespace {

using namespace guestos::test;
namespace a64 = frontend::a64;

constexpr uint32_t kMrsSctlr = 0xd538'1000, kMsrSctlr = 0xd518'1000, kWfi = 0xd503'207f, kNop = 0xd503'201f,
                   kHvc = 0xd400'0002, kLdr = 0xb940'0020, kLdxr = 0xc85f'7c41, kMrsCurrent = 0xd538'4100,
                   kDaifSet = 0xd503'42df;

constexpr uint32_t mrs(uint32_t encoding) { return 0xd530'0000 | (encoding & 0x7fff) << 5; }
constexpr uint32_t msr(uint32_t encoding) { return 0xd510'0000 | (encoding & 0x7fff) << 5; }

Bytes image_of(const std::vector<uint32_t>& words, size_t room = 4096) {
    Bytes image = linux_image(0, 64 + 4 * words.size() + room, 64 + 4 * words.size());
    for (size_t i = 0; i < words.size(); ++i) put<uint32_t>(image, 64 + 4 * i, words[i]);
    return image;
}
TextRange whole(const Bytes& image) { return {64, static_cast<uint32_t>(image.size())}; }

// ---- Sweep

TEST(Sweep, FindsEachKindOfSensitiveInstruction) {
    using enum SiteKind;
    const std::vector<std::pair<uint32_t, SiteKind>> all = {
        {kMrsSctlr, ReadRegister},
        {kMsrSctlr, WriteRegister},
        {kDaifSet, Pstate},
        {0xd508'871f, Tlbi},
        {0xd50b'7b20, Cache},
        {0xd508'751f, Cache},
        {0xd508'7800, AddressTranslation},
        {0xd69f'03e0, ExceptionReturn},
        {kHvc, Hypercall},
        {0xd400'0003, Hypercall},
        {kWfi, Wait},
        {0xd503'205f, Wait},
        {mrs(a64::sysreg_encoding(3, 0, 0, 4, 0)), ReadRegister},  // ID_AA64PFR0_EL1, which has no row
    };
    std::vector<uint32_t> words;
    std::vector<Site> expected;
    for (const auto& [word, kind] : all) {
        words.push_back(kNop);
        words.push_back(word);
        expected.push_back({static_cast<uint32_t>(60 + 4 * words.size()), kind});
    }
    const Bytes image = image_of(words);
    EXPECT_EQ(sweep(image, std::array{whole(image)}), expected);
}

TEST(Sweep, LeavesOutWhatEl0MayDo) {
    const Bytes image = image_of({kNop, kLdr, 0xd53b'4200 /* MRS NZCV */, 0xd53b'd040 /* MRS TPIDR_EL0 */,
                                  0xd51b'd040, 0xd400'0001 /* SVC */, 0xd503'3fdf /* ISB */, 0xd65f'03c0,
                                  0xd51c'1100 /* MSR HCR_EL2, which EL1 does not have */, 0, 0xffff'ffff});
    EXPECT_EQ(sweep(image, std::array{whole(image)}), std::vector<Site>{});
}

TEST(Sweep, AgreesWithTheRowsOfRegistersAndInstructions) {
    unsigned registers = 0;
    for (const a64::SysregRow& row : a64::sysreg_rows()) {
        using namespace a64::sysreg_access;
        const auto expect = [&](uint8_t at_el0, uint8_t at_el1, uint32_t insn, SiteKind kind) {
            const auto found = sensitive_kind(insn);
            if ((row.access & at_el0) == 0) {
                EXPECT_EQ(found, (row.access & at_el1) != 0 ? std::optional(kind) : std::nullopt) << row.name;
            }
        };
        expect(kRead0, kRead1, mrs(row.encoding), SiteKind::ReadRegister);
        expect(kWrite0, kWrite1, msr(row.encoding), SiteKind::WriteRegister);
        ++registers;
    }
    EXPECT_GT(registers, 100u);
    for (const a64::SystemInstruction& row : a64::system_instructions()) {
        const auto kind = sensitive_kind(0xd508'0000 | (row.encoding & 0x3fffu) << 5);
        EXPECT_EQ(kind == SiteKind::Tlbi, std::string_view(row.name).starts_with("TLBI")) << row.name;
        EXPECT_EQ(kind == SiteKind::AddressTranslation, std::string_view(row.name).starts_with("AT_"))
            << row.name;
        EXPECT_TRUE(kind) << row.name;
    }
}

TEST(Sweep, SkipsDataAndWhatIsNotThere) {
    const Bytes image = image_of({kWfi, kWfi, kWfi, kWfi});
    const auto end = static_cast<uint32_t>(image.size());
    EXPECT_EQ(
        sweep(image, std::array{TextRange{68, 72}, TextRange{end - 4, 4 * end}, TextRange{4 * end, 8 * end}}),
        (std::vector<Site>{{68, SiteKind::Wait}, {76, SiteKind::Wait}}));
    EXPECT_EQ(sweep(image, std::array{TextRange{65, 73}, TextRange{68, 72}}),
              (std::vector<Site>{{68, SiteKind::Wait}}));
}

// ---- Where the text is

/// A kernel's table of symbols (Linux scripts/kallsyms.c) in a file of zeros. Each token is a character.
struct SymbolTable {
    std::vector<std::pair<std::string, uint32_t>> symbols;  // type and name; offset

    Bytes image(bool offsets_last) const {
        Bytes image = linux_image(0, 1 << 20, 0x9000);
        std::fill(image.begin() + 64, image.end(), uint8_t{0});
        put<uint16_t>(image, 0, 0x5a4d);
        put<uint32_t>(image, 60, 64);  // the PE header
        put<uint32_t>(image, 64, 0x4550);
        put<uint32_t>(image, 64 + 44, 0x1000);  // the base of code
        const auto align = [&] { image.resize((image.size() + 7) & ~size_t{7}); };
        const auto number = [&](auto value) { append(image, &value, sizeof value); };
        const auto offsets = [&] {
            align();
            for (const auto& symbol : symbols) number(symbol.second);
            align();
            number(uint64_t{0});
        };
        if (!offsets_last) offsets();
        number(static_cast<uint32_t>(symbols.size()));
        align();
        std::vector<uint32_t> marks;
        const size_t names = image.size();
        for (size_t i = 0; i < symbols.size(); ++i) {
            if (i % 256 == 0) marks.push_back(static_cast<uint32_t>(image.size() - names));
            const std::string& name = symbols[i].first;
            if (name.size() > 127) number(static_cast<uint8_t>(0x80 | (name.size() & 0x7f)));
            number(static_cast<uint8_t>(name.size() > 127 ? name.size() >> 7 : name.size()));
            append(image, name.data(), name.size());
        }
        align();
        for (const uint32_t mark : marks) number(mark);
        align();
        std::vector<uint16_t> index;
        const size_t tokens = image.size();
        for (unsigned token = 0; token < 256; ++token) {
            index.push_back(static_cast<uint16_t>(image.size() - tokens));
            number(static_cast<uint8_t>(token != 0 ? token : 1));
            number(uint8_t{0});
        }
        align();
        for (const uint16_t at : index) number(at);
        if (offsets_last) offsets();
        return image;
    }
};

/// `start`: the first symbol's name.
SymbolTable symbols_from(const std::string& start, uint32_t stext) {
    SymbolTable table{{{start, 0}, {"T_stext", stext}}};
    for (uint32_t i = 0; i < 600; ++i)
        table.symbols.emplace_back("tfunction" + std::string(i % 200, 'x') + std::to_string(i),
                                   stext + 4 * i);
    table.symbols.emplace_back("T_etext", stext + 0x2000);
    table.symbols.emplace_back("T_sinittext", stext + 0x3000);
    table.symbols.emplace_back("T_einittext", stext + 0x4000);
    return table;
}
const std::vector<TextRange> kTextRanges = {{0x1000, 0x3000}, {0x4000, 0x5000}};

TEST(KernelText, IsFoundByTheSymbolsInside) {
    for (const bool offsets_last : {false, true}) {
        // With all symbols, and with those of text only.
        const auto all = kernel_text(symbols_from("T_text", 0x1000).image(offsets_last), "");
        ASSERT_TRUE(all) << all.error();
        EXPECT_EQ(*all, kTextRanges);
        const auto text_only = kernel_text(symbols_from("tfirst", 0).image(offsets_last), "");
        ASSERT_TRUE(text_only) << text_only.error();
        EXPECT_EQ(*text_only, kTextRanges);
    }
}

TEST(KernelText, IsFoundByASystemMap) {
    const TemporaryDirectory directory;
    const Bytes image = linux_image(0, 1 << 20, 0x9000);
    const auto map = directory.write("map",
                                     "ffff800008000000 t _text\nffff800008001000 T _stext\n"
                                     "ffff800008003000 T _etext\nffff800008004000 T _sinittext\n"
                                     "ffff800008005000 T _einittext\n");
    const auto text = kernel_text(image, map);
    ASSERT_TRUE(text) << text.error();
    EXPECT_EQ(*text, kTextRanges);
    const auto other = directory.write("other",
                                       "ffff800008000000 t _text\nffff800008001000 T _stext\n"
                                       "ffff800018003000 T _etext\n");
    EXPECT_EQ(kernel_text(image, other).error(), "its symbols _stext and _etext are not those of this image");
    EXPECT_EQ(kernel_text(image, "").error(), "it has no symbols inside; give its System.map by --symbols");
}

TEST(KernelText, DamagedSymbolsGiveAnErrorOrRangesInTheImage) {
    const Bytes good = symbols_from("T_text", 0x1000).image(true);
    std::mt19937 random(1);
    for (unsigned round = 0; round < 300; ++round) {
        Bytes image = good;
        for (unsigned i = 0; i < 1 + round % 8; ++i)
            image[random() % image.size()] = static_cast<uint8_t>(random());
        if (round % 3 == 0) image.resize(64 + random() % (image.size() - 64));
        if (const auto text = kernel_text(image, ""))
            for (const TextRange& range : *text) {
                EXPECT_LT(range.begin, range.end);
                EXPECT_LE(range.end, image.size());
            }
    }
}

// ---- Section

const std::vector<Site> kSites = {{64, SiteKind::Wait, 0},
                                  {68, SiteKind::ReadRegister, 7},
                                  {68, SiteKind::Block, 1},
                                  {72, SiteKind::Device, kMaxFrequency}};

TEST(Section, IsAppendedAndTakenOffAgain) {
    for (const size_t words : {4, 5}) {
        const Bytes before = image_of(std::vector<uint32_t>(words, kNop));
        Bytes image = before;
        ASSERT_TRUE(append_section(image, kSites));
        EXPECT_TRUE(std::equal(before.begin(), before.end(), image.begin()));
        const auto sites = take_section(image);
        ASSERT_TRUE(sites && *sites);
        EXPECT_EQ(**sites, kSites);
        EXPECT_EQ(image, before);
        EXPECT_EQ(take_section(image), std::nullopt) << "an ordinary kernel";
    }
}

TEST(Section, MustFitIntoTheKernelsMemory) {
    Bytes image = image_of(std::vector<uint32_t>(4, kNop), 8 * kSites.size() + 32);
    EXPECT_TRUE(append_section(image, kSites));
    Bytes full = image_of(std::vector<uint32_t>(4, kNop), 8 * kSites.size() + 31);
    const Bytes before = full;
    EXPECT_EQ(append_section(full, kSites).error(),
              "its 4 sites take 64 bytes behind 80, and only 143 are its memory (image_size)");
    EXPECT_EQ(full, before);
}

TEST(Section, DamageIsRefusedOrLeavesAnOrdinaryKernel) {
    const Bytes before = image_of(std::vector<uint32_t>(5, kNop));
    Bytes good = before;
    ASSERT_TRUE(append_section(good, kSites));
    const auto padding = [&](size_t at) {
        return at >= before.size() && at < ((before.size() + 7) & ~size_t{7});
    };
    for (size_t at = before.size(); at < good.size(); ++at)
        for (const unsigned bit : {0, 3, 7}) {
            if (padding(at)) continue;
            Bytes image = good;
            image[at] ^= static_cast<uint8_t>(1u << bit);
            const auto sites = take_section(image);
            EXPECT_TRUE(!sites || !*sites) << at << " " << bit;
            EXPECT_EQ((sites ? "" : sites.error()).find('\n'), std::string::npos);
        }
    for (size_t bytes = before.size(); bytes < good.size(); ++bytes) {
        Bytes image(good.begin(), good.begin() + static_cast<ptrdiff_t>(bytes));
        EXPECT_EQ(take_section(image), std::nullopt) << bytes;
    }
}

/// The error for sites that append_section() writes down without a look.
std::string error_of(const std::vector<Site>& sites) {
    Bytes image = image_of(std::vector<uint32_t>(4, kNop));
    EXPECT_TRUE(append_section(image, sites));
    const auto taken = take_section(image);
    return taken ? "taken" : taken.error();
}

TEST(Section, HostileSitesAreRefused) {
    const auto damaged = [](const std::string& why) {
        return "its table of sites is damaged (" + why + "): prepare it again";
    };
    EXPECT_EQ(error_of({{64, SiteKind::Wait}}), "taken");
    EXPECT_EQ(error_of({{66, SiteKind::Wait}}), damaged("a site is not in the image"));
    EXPECT_EQ(error_of({{80, SiteKind::Wait}}), damaged("a site is not in the image"));
    EXPECT_EQ(error_of({{0xffff'fffc, SiteKind::Device}}), damaged("a site is not in the image"));
    EXPECT_EQ(error_of({{64, static_cast<SiteKind>(kSiteKinds)}}), damaged("a site is of no known kind"));
    EXPECT_EQ(error_of({{68, SiteKind::Wait}, {64, SiteKind::Wait}}), damaged("its sites are not in order"));
    EXPECT_EQ(error_of({{68, SiteKind::Wait}, {68, SiteKind::Wait}}), damaged("its sites are not in order"));
}

// ---- Profile

TEST(Profile, IsWrittenAndRead) {
    const Bytes image = image_of({kNop, kLdr, kWfi});
    const Profile profile{.devices = {{0x44, 12}}, .blocks = {{0x40, {12, 3}}}};
    const auto read = parse_profile(profile_text(profile, image), image);
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(read->devices, profile.devices);
    ASSERT_TRUE(read->blocks.contains(0x40));
    EXPECT_EQ(read->blocks.at(0x40).bytes, 12u);
    EXPECT_EQ(read->blocks.at(0x40).count, 3u);
}

TEST(Profile, OthersAreRefused) {
    const Bytes image = image_of({kNop, kLdr, kWfi});
    const std::string head = profile_text({}, image);
    EXPECT_EQ(parse_profile(profile_text({}, image_of({kNop, kNop, kWfi})), image).error(),
              "it is about another kernel");
    EXPECT_EQ(parse_profile("", image).error(), "it does not begin with 'arclight-sites 1'");
    for (const char* line : {"device 40", "device 40 1 2", "block 40 4", "block 40 4 1 1", "device x 1",
                             "x 40 1", "", "device 123456789 1"})
        EXPECT_EQ(parse_profile(head + line + "\n", image).error(), "line 2 is none of a profile's") << line;
}

TEST(Profile, AddsDevicesAndBlocksWithSites) {
    const Bytes image = image_of({kNop, kLdr, kWfi, kNop, kNop, kMrsCurrent, kLdxr});
    std::vector<Site> sites = sweep(image, std::array{whole(image)});
    add_profile(
        sites, image,
        {.devices = {{68, uint64_t{1} << 40}, {64, 1}, {88, 1}, {69, 1}, {0xffff'fffc, 1}},
         .blocks = {{64, {12, 2}}, {72, {4, 1}}, {76, {8, 2}}, {80, {0xffff'fff0, 1}}, {62, {20, 1}}}});
    EXPECT_EQ(sites, (std::vector<Site>{{64, SiteKind::Block, 2},
                                        {68, SiteKind::Device, kMaxFrequency},
                                        {72, SiteKind::Wait, 3},
                                        {84, SiteKind::ReadRegister, 0}}))
        << "neither a NOP nor an exclusive nor what is outside of the image is a device site; a block "
           "without "
           "sites is none, nor one that was not there when its page was first executed";
}

// ---- Binding

/// A third hypervisor, which notes what it is told.
struct Notes final : Module {
    std::vector<std::pair<SiteKind, bool>> instructions;
    std::vector<uint64_t> devices;
    std::vector<std::pair<uint64_t, uint32_t>> blocks;
    Binding sensitive(SiteKind kind, bool inlined) override {
        instructions.emplace_back(kind, inlined);
        return Binding::Call;
    }
    Binding device(uint64_t pa) override {
        devices.push_back(pa);
        return Binding::Device;
    }
    Binding block(uint64_t pa, uint32_t translations) override {
        blocks.emplace_back(pa, translations);
        return Binding::Ahead;
    }
};

TEST(Binding, TellsTheModuleWhatTheImageHas) {
    constexpr uint64_t kStart = 0x4020'0000;
    const uint32_t undefined =
        mrs(a64::sysreg_encoding(3, 0, 2, 1, 0));  // APIAKeyLo_EL1 without pointer authentication
    const Bytes image = image_of({kMrsCurrent, kMsrSctlr, kLdr, kNop, kDaifSet, undefined});
    const std::vector<Site> sites = {{64, SiteKind::ReadRegister, 0},  {64, SiteKind::Block, 3},
                                     {68, SiteKind::WriteRegister, 0}, {72, SiteKind::Device, 0},
                                     {76, SiteKind::Tlbi, 0},          {76, SiteKind::Device, 0},
                                     {80, SiteKind::Pstate, 0},        {84, SiteKind::ReadRegister, 0}};
    const auto frontend = a64::make_frontend(a64::kUsualFeatures);
    Notes notes;
    const BoundSites bound = bind_sites(sites, image, kStart, *frontend, notes);
    using Told = std::pair<SiteKind, bool>;
    EXPECT_EQ(notes.instructions, (std::vector<Told>{{SiteKind::ReadRegister, true},
                                                     {SiteKind::WriteRegister, false},
                                                     {SiteKind::Pstate, true}}));
    EXPECT_EQ(notes.devices, (std::vector<uint64_t>{kStart + 72}));
    EXPECT_EQ(notes.blocks, (std::vector<std::pair<uint64_t, uint32_t>>{{kStart + 64, 3}}));
    EXPECT_EQ(bound.sites, 8u);
    EXPECT_EQ(bound.wrong, 2u);
    EXPECT_EQ(bound.of(Binding::Call), 3u);
    EXPECT_EQ(bound.of(Binding::None), 1u);
}

}  // namespace
}  // namespace arclight::guestos::prepare
