#include "guestos/firmware.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "guestos/acpi/tables.h"
#include "guestos/smbios.h"

namespace arclight::guestos {
namespace {

uint64_t number(const std::vector<uint8_t>& bytes, size_t at, unsigned size) {
    uint64_t value = 0;
    std::memcpy(&value, bytes.data() + at, size);
    return value;
}

std::string text(const std::vector<uint8_t>& bytes, size_t at, size_t length) {
    const std::string all(bytes.begin() + static_cast<ptrdiff_t>(at),
                          bytes.begin() + static_cast<ptrdiff_t>(at + length));
    return all.substr(0, all.find('\0'));
}

uint8_t sum(const std::vector<uint8_t>& bytes, size_t at, size_t length) {
    return std::accumulate(bytes.begin() + static_cast<ptrdiff_t>(at),
                           bytes.begin() + static_cast<ptrdiff_t>(at + length), uint8_t{0},
                           [](uint8_t a, uint8_t b) { return static_cast<uint8_t>(a + b); });
}

acpi::Board board(unsigned cpus, unsigned gic) {
    acpi::Board board{
        .cpus = cpus, .topology = {}, .gic = gic, .its = {}, .msi_frame = {}, .pci = {}, .exit_status = {}};
    board.pci = acpi::PciWindows{.ecam = {0x40'1000'0000, 0x1000'0000},
                                 .memory32 = {0x1000'0000, 0x2eff'0000},
                                 .ports = {0x3eff'0000, 0x1'0000},
                                 .memory64 = {0x80'0000'0000, 0x80'0000'0000},
                                 .first_spi = 3};
    if (gic == 3)
        board.its = 0x0808'0000;
    else
        board.msi_frame = acpi::MsiFrame{.base = 0x0802'0000, .first_spi = 48, .spis = 64};
    return board;
}

/// What firmware does with the loader's script: files get addresses, which are added to pointers.
struct Loaded {
    static constexpr uint64_t kBase = 0x7c43'0000;
    std::map<std::string, std::vector<uint8_t>> files;
    std::map<std::string, uint64_t> places;

    explicit Loaded(const acpi::Files& given) { run(given); }

    void run(const acpi::Files& given) {
        const std::map<std::string, std::vector<uint8_t>> known = {{"etc/acpi/tables", given.tables},
                                                                   {"etc/acpi/rsdp", given.rsdp}};
        EXPECT_EQ(given.loader.size() % 128, 0u);
        for (size_t at = 0; at + 128 <= given.loader.size(); at += 128) {
            const auto& script = given.loader;
            const std::string file = text(script, at + 4, 56);
            switch (number(script, at, 4)) {
                case 1:
                    EXPECT_TRUE(known.contains(file)) << file;
                    files[file] = known.at(file);
                    places[file] = kBase + 0x1'0000 * places.size();
                    EXPECT_EQ(places[file] % number(script, at + 60, 4), 0u);
                    break;
                case 2: {
                    const std::string target = text(script, at + 60, 56);
                    const size_t offset = number(script, at + 116, 4);
                    const auto size = static_cast<unsigned>(number(script, at + 120, 1));
                    auto& bytes = files.at(file);
                    ASSERT_LE(offset + size, bytes.size());
                    const uint64_t value = number(bytes, offset, size);
                    EXPECT_LT(value, files.at(target).size());
                    const uint64_t address = value + places.at(target);
                    std::memcpy(bytes.data() + offset, &address, size);
                    break;
                }
                case 3: {
                    auto& bytes = files.at(file);
                    const size_t result = number(script, at + 60, 4), start = number(script, at + 64, 4),
                                 length = number(script, at + 68, 4);
                    ASSERT_LE(start + length, bytes.size());
                    EXPECT_EQ(bytes[result], 0u);
                    bytes[result] = static_cast<uint8_t>(-sum(bytes, start, length));
                    break;
                }
                default: ADD_FAILURE() << "a command that is not known";
            }
        }
    }
    const std::vector<uint8_t>& tables() const { return files.at("etc/acpi/tables"); }
    size_t offset(uint64_t address) const { return address - places.at("etc/acpi/tables"); }
};

/// From the root pointer on, as an operating system goes.
TEST(Acpi, TablesAreFoundFromTheRootPointer) {
    for (const unsigned gic : {2u, 3u}) {
        const Loaded loaded(acpi::make_files(board(4, gic)));
        const auto& rsdp = loaded.files.at("etc/acpi/rsdp");
        EXPECT_EQ(text(rsdp, 0, 8), "RSD PTR ");
        EXPECT_EQ(sum(rsdp, 0, 20), 0);
        EXPECT_EQ(sum(rsdp, 0, 36), 0);
        const auto& tables = loaded.tables();
        const size_t xsdt = loaded.offset(number(rsdp, 24, 8));
        ASSERT_EQ(text(tables, xsdt, 4), "XSDT");
        std::vector<std::string> found;
        for (size_t at = xsdt + 36; at < xsdt + number(tables, xsdt + 4, 4); at += 8) {
            const size_t table = loaded.offset(number(tables, at, 8));
            const size_t length = number(tables, table + 4, 4);
            ASSERT_LE(table + length, tables.size());
            EXPECT_EQ(sum(tables, table, length), 0);
            found.push_back(text(tables, table, 4));
            if (found.back() != "FACP") continue;
            const size_t dsdt = loaded.offset(number(tables, table + 140, 8));
            EXPECT_EQ(text(tables, dsdt, 4), "DSDT");
            EXPECT_EQ(sum(tables, dsdt, number(tables, dsdt + 4, 4)), 0);
        }
        std::vector<std::string> wanted = {"FACP", "APIC", "PPTT", "GTDT", "MCFG", "SPCR", "DBG2"};
        if (gic == 3) wanted.emplace_back("IORT");
        EXPECT_EQ(found, wanted);
    }
}

/// The entries of the MADT, by type: what Linux makes the interrupt controller of.
TEST(Acpi, InterruptControllers) {
    const auto entries = [](unsigned gic, unsigned cpus = 3) {
        std::map<unsigned, std::vector<std::vector<uint8_t>>> found;
        for (const acpi::Table& table : acpi::make_tables(board(cpus, gic)))
            for (size_t at = 44; table.signature == "APIC" && at < table.bytes.size();) {
                const size_t length = table.bytes[at + 1];
                if (length == 0 || at + length > table.bytes.size()) {
                    ADD_FAILURE() << "an entry leaves the table";
                    break;
                }
                found[table.bytes[at]].emplace_back(
                    table.bytes.begin() + static_cast<ptrdiff_t>(at),
                    table.bytes.begin() + static_cast<ptrdiff_t>(at + length));
                at += length;
            }
        return found;
    };
    auto v3 = entries(3);
    ASSERT_EQ(v3[0x0b].size(), 3u);
    EXPECT_EQ(number(v3[0x0b][2], 68, 8), 2u);  // MPIDR
    EXPECT_EQ(number(v3[0x0b][2], 20, 4), 23u);
    EXPECT_EQ(number(v3[0x0c].at(0), 8, 8), 0x0800'0000u);
    EXPECT_EQ(v3[0x0c].at(0)[20], 3u);
    EXPECT_EQ(number(v3[0x0e].at(0), 4, 8), 0x080a'0000u);
    EXPECT_EQ(number(v3[0x0f].at(0), 8, 8), 0x0808'0000u);
    EXPECT_TRUE(v3[0x0d].empty());
    auto many = entries(3, 64);
    ASSERT_EQ(many[0x0b].size(), 64u);
    EXPECT_EQ(number(many[0x0b][47], 8, 4), 47u);  // UID, by which the PPTT and the DSDT name it
    EXPECT_EQ(number(many[0x0b][47], 68, 8), 0x20fu);
    auto v2 = entries(2);
    EXPECT_EQ(number(v2[0x0b].at(0), 32, 8), 0x0801'0000u);
    EXPECT_EQ(v2[0x0c].at(0)[20], 2u);
    EXPECT_EQ(number(v2[0x0d].at(0), 8, 8), 0x0802'0000u);
    EXPECT_EQ(number(v2[0x0d].at(0), 20, 2), 64u);
    EXPECT_EQ(number(v2[0x0d].at(0), 22, 2), 80u);
    EXPECT_TRUE(v2[0x0e].empty() && v2[0x0f].empty());
}

/// Flags, parent and number of each node, as QEMU 7.2's table for the same -smp has them.
TEST(Acpi, ProcessorHierarchy) {
    using Node = std::array<uint64_t, 3>;
    const auto nodes = [](unsigned cpus, std::optional<CpuTopology> topology) {
        acpi::Board machine = board(cpus, 3);
        machine.topology = topology;
        std::vector<Node> found;
        for (const acpi::Table& table : acpi::make_tables(machine))
            for (size_t at = 36; table.signature == "PPTT" && at < table.bytes.size(); at += 20) {
                EXPECT_EQ(number(table.bytes, at, 4), 20u << 8);
                found.push_back({number(table.bytes, at + 4, 4), number(table.bytes, at + 8, 4),
                                 number(table.bytes, at + 12, 4)});
            }
        return found;
    };
    EXPECT_EQ(nodes(2, {}), (std::vector<Node>{{1, 0, 0}, {0, 36, 0}, {0xa, 56, 0}, {0xa, 56, 1}}));
    // -smp 4,sockets=2,cores=1,threads=2
    EXPECT_EQ(nodes(4, CpuTopology{.sockets = 2, .threads = 2}), (std::vector<Node>{{1, 0, 0},
                                                                                    {0, 36, 0},
                                                                                    {0, 56, 0},
                                                                                    {0xe, 76, 0},
                                                                                    {0xe, 76, 1},
                                                                                    {1, 0, 1},
                                                                                    {0, 136, 0},
                                                                                    {0, 156, 0},
                                                                                    {0xe, 176, 2},
                                                                                    {0xe, 176, 3}}));
    // -smp 2,cores=2,threads=2,maxcpus=4
    EXPECT_EQ(nodes(2, CpuTopology{.cores = 2, .threads = 2}), (std::vector<Node>{{1, 0, 0},
                                                                                  {0, 36, 0},
                                                                                  {0, 56, 0},
                                                                                  {0xe, 76, 0},
                                                                                  {0xe, 76, 1},
                                                                                  {0, 56, 1},
                                                                                  {0xe, 136, 2},
                                                                                  {0xe, 136, 3}}));
    // -smp 4,clusters=2,cores=2
    EXPECT_EQ(
        nodes(4, CpuTopology{.clusters = 2, .cores = 2}),
        (std::vector<Node>{
            {1, 0, 0}, {0, 36, 0}, {0xa, 56, 0}, {0xa, 56, 1}, {0, 36, 1}, {0xa, 116, 2}, {0xa, 116, 3}}));
}

/// The encodings of ACPI 6.3 chapter 20, against what iasl makes of the same source.
TEST(Acpi, MachineLanguage) {
    using namespace acpi::aml;
    using acpi::Bytes;
    EXPECT_EQ(integer(0), (Bytes{0x00}));
    EXPECT_EQ(integer(1), (Bytes{0x01}));
    EXPECT_EQ(integer(0xff), (Bytes{0x0a, 0xff}));
    EXPECT_EQ(integer(0x1'0000'0000), (Bytes{0x0e, 0, 0, 0, 0, 1, 0, 0, 0}));
    EXPECT_EQ(name("\\_SB.PCI0"), (Bytes{0x5c, 0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0'}));
    EXPECT_EQ(name("A.B.C"), (Bytes{0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_', '_', '_'}));
    EXPECT_EQ(eisa_id("PNP0A08"), (Bytes{0x0c, 0x41, 0xd0, 0x0a, 0x08}));
    EXPECT_EQ(uuid("33db4d5b-1ff7-401c-9657-7441c03dd766"),
              (Bytes{0x11, 0x13, 0x0a, 0x10, 0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f,
                     0x1c, 0x40, 0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66}));
    EXPECT_EQ(interrupt(35, false), (Bytes{0x89, 6, 0, 1, 1, 35, 0, 0, 0}));
    // Lengths of one, two and three bytes.
    EXPECT_EQ(buffer(Bytes(10)).size(), 1u + 1 + 2 + 10);
    const Bytes middle = buffer(Bytes(0x100));
    EXPECT_EQ(middle[1], 0x40 | ((0x100 + 3 + 2) & 0xf));
    EXPECT_EQ(middle[2], (0x100 + 3 + 2) >> 4);
    const Bytes large = buffer(Bytes(0x2000));
    EXPECT_EQ(large[1], 0x80 | ((0x2000 + 3 + 3) & 0xf));
    EXPECT_EQ(number(large, 2, 2), (0x2000u + 3 + 3) >> 4);
}

/// The structures, by type: fixed part, and strings.
std::map<unsigned, std::pair<std::vector<uint8_t>, std::vector<std::string>>> structures(
    const std::vector<uint8_t>& tables) {
    std::map<unsigned, std::pair<std::vector<uint8_t>, std::vector<std::string>>> found;
    for (size_t at = 0; at + 4 < tables.size();) {
        const size_t length = tables[at + 1];
        auto& [fixed, strings] = found[tables[at]];
        fixed.assign(tables.begin() + static_cast<ptrdiff_t>(at),
                     tables.begin() + static_cast<ptrdiff_t>(at + length));
        at += length;
        if (tables[at] == 0) ++at;
        while (tables[at] != 0) {
            strings.emplace_back(reinterpret_cast<const char*>(tables.data()) + at);
            at += strings.back().size() + 1;
        }
        ++at;
    }
    return found;
}

TEST(Smbios, Structures) {
    SmbiosMachine machine{.topology = CpuTopology::flat(4), .memory = uint64_t{3} << 30, .words = {}};
    for (const char* words : {"type=1,manufacturer=A,,B,serial=S1,uuid=00112233-4455-6677-8899-aabbccddeeff",
                              "type=1,serial=S2", "type=11,value=one,value=two"}) {
        auto parsed = parse_smbios(words);
        ASSERT_TRUE(parsed) << parsed.error();
        machine.words.push_back(*parsed);
    }
    const SmbiosFiles files = make_smbios(machine);
    EXPECT_EQ(text(files.anchor, 0, 5), "_SM3_");
    EXPECT_EQ(sum(files.anchor, 0, files.anchor.size()), 0);
    EXPECT_EQ(number(files.anchor, 12, 4), files.tables.size());
    auto all = structures(files.tables);
    EXPECT_FALSE(all.contains(0) || all.contains(2));
    EXPECT_EQ(all[1].first.size(), 0x1bu);
    EXPECT_EQ(all[1].second, (std::vector<std::string>{"A,B", "Arclight Virtual Machine", "virt", "S2"}));
    EXPECT_EQ(number(all[1].first, 8, 4), 0x0011'2233u);
    EXPECT_EQ(all[1].first[23], 0xffu);
    EXPECT_EQ(all[3].first.size(), 0x16u);
    EXPECT_EQ(all[4].first.size(), 0x30u);
    EXPECT_EQ(number(all[4].first, 0x2a, 2), 4u);
    EXPECT_EQ(all[11].second, (std::vector<std::string>{"one", "two"}));
    EXPECT_EQ(number(all[16].first, 7, 4), uint64_t{3} << 20);
    EXPECT_EQ(all[17].first.size(), 0x28u);
    EXPECT_EQ(number(all[17].first, 0x0c, 2), 3072u);
    EXPECT_TRUE(all.contains(32) && all.contains(127));
}

TEST(Smbios, LargeMemoryIsInItsOwnFields) {
    auto all = structures(make_smbios({.topology = {}, .memory = uint64_t{4} << 40, .words = {}}).tables);
    EXPECT_EQ(number(all[16].first, 7, 4), 0x8000'0000u);
    EXPECT_EQ(number(all[16].first, 15, 8), uint64_t{4} << 40);
    EXPECT_EQ(number(all[17].first, 0x0c, 2), 0x7fffu);
    EXPECT_EQ(number(all[17].first, 0x1c, 4), 4u << 20);
}

TEST(Smbios, WordsThatAreWrong) {
    for (const char* words : {"", "serial=1", "type=5", "type=x", "type=1,colour=red", "type=1,uuid=12",
                              "type=1,serial", "type=17,speed=70000", "type=0,uefi=maybe"})
        EXPECT_FALSE(parse_smbios(words)) << words;
}

TEST(Firmware, KernelIsForFirmwareOnly) {
    std::vector<uint8_t> ram(1 << 16);
    const mmu::GuestMemory memory(ram.data(), 0x4000'0000, ram.size());
    const KernelFile kernel{.name = "k", .kind = KernelKind::Linux, .bytes = {1, 2, 3}};
    RunOptions options;
    options.append = "hello";
    options.fw_cfg = {{.name = "opt/x", .file = "", .text = "y"}};
    const auto read = [&](devices::FwCfg& device, uint16_t key, unsigned size) {
        device.write(8, static_cast<uint16_t>(key << 8 | key >> 8), 2);
        return device.read(0, size);
    };
    devices::FwCfg direct(memory), bios(memory);
    ASSERT_TRUE(fill_fw_cfg(direct, options, &kernel));
    EXPECT_EQ(read(direct, devices::FwCfg::kKernelSize, 4), 0u);
    EXPECT_EQ(read(direct, devices::FwCfg::kFileDirectory, 4), 0x0100'0000u);
    options.bios = "anything";
    ASSERT_TRUE(fill_fw_cfg(bios, options, &kernel));
    EXPECT_EQ(read(bios, devices::FwCfg::kKernelSize, 4), 3u);
    EXPECT_EQ(read(bios, devices::FwCfg::kKernelData, 4), 0x03'0201u);
    EXPECT_EQ(read(bios, devices::FwCfg::kCommandLineSize, 4), 6u);
    EXPECT_EQ(read(bios, devices::FwCfg::kFileDirectory, 4), 0x0600'0000u);
    options.acpi = false;
    devices::FwCfg plain(memory);
    ASSERT_TRUE(fill_fw_cfg(plain, options, nullptr));
    EXPECT_EQ(read(plain, devices::FwCfg::kKernelSize, 4), 0u);
    EXPECT_EQ(read(plain, devices::FwCfg::kFileDirectory, 4), 0x0300'0000u);
}

}  // namespace
}  // namespace arclight::guestos
