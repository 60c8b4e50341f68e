#include "guestos/smbios.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <numeric>
#include <optional>
#include <span>
#include <utility>

namespace arclight::guestos {

namespace {

using Bytes = std::vector<uint8_t>;

constexpr std::string_view kManufacturer = "Arclight", kProduct = "Arclight Virtual Machine",
                           kVersion = "virt";

struct TypeWords {
    unsigned type;
    std::span<const std::string_view> words;
};
constexpr std::string_view kBios[] = {"vendor", "version", "date", "release", "uefi"};
constexpr std::string_view kSystem[] = {"manufacturer", "product", "version", "serial",
                                        "uuid",         "sku",     "family"};
constexpr std::string_view kBoard[] = {"manufacturer", "product", "version", "serial", "asset", "location"};
constexpr std::string_view kChassis[] = {"manufacturer", "version", "serial", "asset", "sku"};
constexpr std::string_view kProcessor[] = {"sock_pfx", "manufacturer", "version",   "serial",
                                           "asset",    "part",         "max-speed", "current-speed"};
constexpr std::string_view kOemStrings[] = {"value"};
constexpr std::string_view kMemory[] = {"loc_pfx", "bank", "manufacturer", "serial",
                                        "asset",   "part", "speed"};
constexpr TypeWords kTypes[] = {{0, kBios},      {1, kSystem},      {2, kBoard},  {3, kChassis},
                                {4, kProcessor}, {11, kOemStrings}, {17, kMemory}};

std::optional<std::array<uint8_t, 16>> parse_uuid(std::string_view text) {
    std::string digits;
    for (const char c : text)
        if (c != '-') digits.push_back(c);
    if (digits.size() != 32 || text.size() != 36) return {};
    std::array<uint8_t, 16> bytes{};
    for (size_t i = 0; i < bytes.size(); ++i) {
        const char* first = digits.data() + 2 * i;
        if (std::from_chars(first, first + 2, bytes[i], 16).ptr != first + 2) return {};
    }
    return bytes;
}

std::optional<uint16_t> parse_number(std::string_view text) {
    uint16_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return {};
    return value;
}

Result<void> check_value(std::string_view word, const std::string& value) {
    const bool number = word == "max-speed" || word == "current-speed" || word == "speed";
    if (number && !parse_number(value)) return failure("{} is a number below 65536, not '{}'", word, value);
    if (word == "uuid" && !parse_uuid(value)) return failure("'{}' is no UUID", value);
    if (word == "uefi" && value != "on" && value != "off")
        return failure("uefi is on or off, not '{}'", value);
    if (std::ranges::any_of(value, [](char c) { return c == '\0'; }))
        return failure("{} contains a zero", word);
    return {};
}

/// A structure: its fixed part, and the strings behind it to which it refers by number.
class Structure {
  public:
    Structure(uint8_t type, uint16_t handle) : bytes_{type, 0} { put(handle, 2); }

    void put(uint64_t value, unsigned size) {
        for (unsigned i = 0; i < size; ++i) bytes_.push_back(static_cast<uint8_t>(value >> (8 * i)));
    }
    void put(std::span<const uint8_t> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
    /// 6.1.3: its number, or 0 for one that is empty.
    void put_string(std::string_view text) {
        if (!text.empty()) strings_.emplace_back(text);
        put(text.empty() ? 0 : strings_.size(), 1);
    }
    void add_string(std::string_view text) { strings_.emplace_back(text); }

    void append_to(Bytes& out) && {
        bytes_[1] = static_cast<uint8_t>(bytes_.size());
        out.insert(out.end(), bytes_.begin(), bytes_.end());
        for (const std::string& text : strings_) {
            out.insert(out.end(), text.begin(), text.end());
            out.push_back(0);
        }
        if (strings_.empty()) out.push_back(0);
        out.push_back(0);
    }

  private:
    Bytes bytes_;
    std::vector<std::string> strings_;
};

/// What the user has said of a type; later words go over earlier ones.
class Wanted {
  public:
    Wanted(const SmbiosMachine& machine, unsigned type) {
        for (const SmbiosWords& words : machine.words) {
            if (words.type != type) continue;
            given_ = true;
            for (const auto& [word, value] : words.values) values_[word] = value;
            strings_.insert(strings_.end(), words.strings.begin(), words.strings.end());
        }
    }
    bool given() const { return given_; }
    std::string text(std::string_view word, std::string_view preset = {}) const {
        const auto found = values_.find(word);
        return found != values_.end() ? found->second : std::string(preset);
    }
    uint16_t number(std::string_view word, uint16_t preset) const {
        return parse_number(text(word)).value_or(preset);
    }
    const std::vector<std::string>& strings() const { return strings_; }

  private:
    bool given_ = false;
    std::map<std::string, std::string, std::less<>> values_;
    std::vector<std::string> strings_;
};

constexpr uint16_t kChassisHandle = 0x300, kMemoryArray = 0x1000, kNoHandle = 0xfffe;

/// 7.1: only on demand, since firmware has its own.
void add_bios(Bytes& out, const Wanted& wanted) {
    constexpr uint64_t kNoCharacteristics = 8;
    constexpr uint8_t kTargeted = 4, kUefi = 8, kVirtual = 16;
    if (!wanted.given()) return;
    Structure s(0, 0);
    s.put_string(wanted.text("vendor"));
    s.put_string(wanted.text("version"));
    s.put(0xe800, 2);
    s.put_string(wanted.text("date"));
    s.put(0, 1);
    s.put(kNoCharacteristics, 8);
    s.put(0, 1);
    s.put(wanted.text("uefi") == "on" ? kTargeted | kUefi | kVirtual : kTargeted | kVirtual, 1);
    const std::string release = wanted.text("release");
    const size_t dot = release.find('.');
    s.put(parse_number(release.substr(0, dot)).value_or(0), 1);
    s.put(dot == std::string::npos ? 0 : parse_number(release.substr(dot + 1)).value_or(0), 1);
    s.put(0xffff, 2);
    std::move(s).append_to(out);
}

void add_system(Bytes& out, const Wanted& wanted) {
    constexpr uint8_t kPowerSwitch = 6;
    // 7.2.1: the first three fields are little-endian.
    static constexpr std::array<uint8_t, 16> kOrder = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    const auto uuid = parse_uuid(wanted.text("uuid")).value_or(std::array<uint8_t, 16>{});
    Structure s(1, 0x100);
    s.put_string(wanted.text("manufacturer", kManufacturer));
    s.put_string(wanted.text("product", kProduct));
    s.put_string(wanted.text("version", kVersion));
    s.put_string(wanted.text("serial"));
    for (const uint8_t at : kOrder) s.put(uuid[at], 1);
    s.put(kPowerSwitch, 1);
    s.put_string(wanted.text("sku"));
    s.put_string(wanted.text("family"));
    std::move(s).append_to(out);
}

void add_board(Bytes& out, const Wanted& wanted) {
    constexpr uint8_t kHosting = 1, kMotherboard = 10;
    if (!wanted.given()) return;
    Structure s(2, 0x200);
    s.put_string(wanted.text("manufacturer", kManufacturer));
    s.put_string(wanted.text("product", kProduct));
    s.put_string(wanted.text("version", kVersion));
    s.put_string(wanted.text("serial"));
    s.put_string(wanted.text("asset"));
    s.put(kHosting, 1);
    s.put_string(wanted.text("location"));
    s.put(kChassisHandle, 2);
    s.put(kMotherboard, 1);
    s.put(0, 1);
    std::move(s).append_to(out);
}

void add_chassis(Bytes& out, const Wanted& wanted) {
    constexpr uint8_t kOther = 1, kSafe = 3, kSecurityUnknown = 2;
    Structure s(3, kChassisHandle);
    s.put_string(wanted.text("manufacturer", kManufacturer));
    s.put(kOther, 1);
    s.put_string(wanted.text("version", kVersion));
    s.put_string(wanted.text("serial"));
    s.put_string(wanted.text("asset"));
    for (unsigned state = 0; state < 3; ++state) s.put(kSafe, 1);
    s.put(kSecurityUnknown, 1);
    s.put(0, 4);
    s.put(0, 4);  // height, power cords, parts, their size
    s.put_string(wanted.text("sku"));
    std::move(s).append_to(out);
}

/// 7.5, of one socket.
void add_processor(Bytes& out, const Wanted& wanted, const CpuTopology& topology, unsigned socket) {
    constexpr uint8_t kCentral = 3, kOtherFamily = 1, kEnabled = 0x41, kOtherUpgrade = 1,
                      kUnknownFeatures = 2;
    constexpr uint16_t kNoCache = 0xffff, kMhz = 2000;
    const unsigned cores = topology.clusters * topology.cores, threads = cores * topology.threads;
    Structure s(4, static_cast<uint16_t>(0x400 + socket));
    s.put_string(fmt::format("{} {}", wanted.text("sock_pfx", "CPU"), socket));
    s.put(kCentral, 1);
    s.put(kOtherFamily, 1);
    s.put_string(wanted.text("manufacturer", kManufacturer));
    s.put(0, 8);
    s.put_string(wanted.text("version", kVersion));
    s.put(0, 1 + 2);
    s.put(wanted.number("max-speed", kMhz), 2);
    s.put(wanted.number("current-speed", kMhz), 2);
    s.put(kEnabled, 1);
    s.put(kOtherUpgrade, 1);
    for (unsigned level = 0; level < 3; ++level) s.put(kNoCache, 2);
    s.put_string(wanted.text("serial"));
    s.put_string(wanted.text("asset"));
    s.put_string(wanted.text("part"));
    // Cores, enabled ones, threads; 255: see the wider fields.
    for (const unsigned count : {cores, cores, threads}) s.put(std::min(count, 255u), 1);
    s.put(kUnknownFeatures, 2);
    s.put(kOtherFamily, 2);
    for (const unsigned count : {cores, cores, threads}) s.put(count, 2);
    std::move(s).append_to(out);
}

void add_oem_strings(Bytes& out, const Wanted& wanted) {
    if (wanted.strings().empty()) return;
    Structure s(11, 0xe00);
    s.put(std::min<size_t>(wanted.strings().size(), 255), 1);
    for (const std::string& text : wanted.strings()) s.add_string(text);
    std::move(s).append_to(out);
}

void add_memory(Bytes& out, const Wanted& wanted, uint64_t memory) {
    constexpr uint8_t kOther = 1, kSystemMemory = 3, kMultiBitEcc = 6, kDimm = 9, kRam = 7;
    constexpr uint16_t kOtherDetail = 2;
    constexpr uint32_t kSeeExtended = 0x8000'0000;
    constexpr uint16_t kSizeIsExtended = 0x7fff;
    Structure array(16, kMemoryArray);
    array.put(kOther, 1);
    array.put(kSystemMemory, 1);
    array.put(kMultiBitEcc, 1);
    const uint64_t kib = memory >> 10;
    array.put(kib < kSeeExtended ? kib : kSeeExtended, 4);
    array.put(kNoHandle, 2);
    array.put(1, 2);
    array.put(kib < kSeeExtended ? 0 : memory, 8);
    std::move(array).append_to(out);

    const uint64_t mib = memory >> 20;
    Structure s(17, 0x1100);
    s.put(kMemoryArray, 2);
    s.put(kNoHandle, 2);
    s.put(0xffff, 2);  // widths
    s.put(0xffff, 2);
    s.put(mib < kSizeIsExtended ? mib : kSizeIsExtended, 2);
    s.put(kDimm, 1);
    s.put(0, 1);
    s.put_string(wanted.text("loc_pfx", "DIMM") + " 0");
    s.put_string(wanted.text("bank"));
    s.put(kRam, 1);
    s.put(kOtherDetail, 2);
    s.put(wanted.number("speed", 0), 2);
    s.put_string(wanted.text("manufacturer", kManufacturer));
    s.put_string(wanted.text("serial"));
    s.put_string(wanted.text("asset"));
    s.put_string(wanted.text("part"));
    s.put(0, 1);
    s.put(mib < kSizeIsExtended ? 0 : mib, 4);
    s.put(wanted.number("speed", 0), 2);
    s.put(0, 6);  // voltages
    std::move(s).append_to(out);
}

}  // namespace

Result<SmbiosWords> parse_smbios(std::string_view text) {
    std::vector<std::string> parts(1);
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != ',')
            parts.back() += text[i];
        else if (i + 1 < text.size() && text[i + 1] == ',')
            parts.back() += text[i++];
        else
            parts.emplace_back();
    }
    SmbiosWords words;
    const TypeWords* type = nullptr;
    for (const std::string& part : parts) {
        const size_t equals = part.find('=');
        if (equals == std::string::npos) return failure("'{}' is not of the form key=value", part);
        const std::string word = part.substr(0, equals), value = part.substr(equals + 1);
        if (word == "type") {
            const auto number = parse_number(value);
            type = number ? std::ranges::find(kTypes, *number, &TypeWords::type) : std::end(kTypes);
            if (type == std::end(kTypes)) return failure("type is 0 to 4, 11 or 17, not '{}'", value);
            words.type = type->type;
            continue;
        }
        if (type == nullptr) return failure("type=N comes first");
        if (std::ranges::find(type->words, word) == type->words.end())
            return failure("unknown key '{}' of type {}", word, type->type);
        if (auto checked = check_value(word, value); !checked) return std::unexpected(checked.error());
        if (type->type == 11)
            words.strings.push_back(value);
        else
            words.values[word] = value;
    }
    if (type == nullptr) return failure("type=N is missing");
    return words;
}

SmbiosFiles make_smbios(const SmbiosMachine& machine) {
    SmbiosFiles files;
    Bytes& out = files.tables;
    add_bios(out, {machine, 0});
    add_system(out, {machine, 1});
    add_board(out, {machine, 2});
    add_chassis(out, {machine, 3});
    for (unsigned socket = 0; socket < machine.topology.sockets; ++socket)
        add_processor(out, {machine, 4}, machine.topology, socket);
    add_oem_strings(out, {machine, 11});
    add_memory(out, {machine, 17}, machine.memory);
    Structure boot(32, 0x2000);
    boot.put(0, 6 + 1);  // no error detected
    std::move(boot).append_to(out);
    Structure(127, 0x7f00).append_to(out);

    // 5.2.2; firmware puts in the address.
    Bytes& anchor = files.anchor;
    for (const char c : std::string_view("_SM3_")) anchor.push_back(static_cast<uint8_t>(c));
    constexpr uint8_t kSize = 24, kMajor = 3, kMinor = 0, kRevision = 1;
    anchor.insert(anchor.end(), {0, kSize, kMajor, kMinor, 0, kRevision, 0});
    for (unsigned i = 0; i < 4; ++i) anchor.push_back(static_cast<uint8_t>(out.size() >> (8 * i)));
    anchor.resize(kSize);
    anchor[5] = static_cast<uint8_t>(-std::accumulate(anchor.begin(), anchor.end(), 0));
    return files;
}

}  // namespace arclight::guestos
