#include "guestos/gdb/registers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/exceptions.h"
#include "frontend/a64/system/fp_control.h"
#include "frontend/a64/system/quiet_environment.h"

namespace arclight::guestos::gdb {

namespace a64 = frontend::a64;

namespace {

constexpr const char* kHead = "<?xml version=\"1.0\"?>\n<!DOCTYPE feature SYSTEM \"gdb-target.dtd\">\n";

std::string target_document(std::string_view vectors) {
    return fmt::format(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
        "<target>\n<architecture>aarch64</architecture>\n"
        "<xi:include href=\"aarch64-core.xml\"/>\n<xi:include href=\"{}\"/>\n"
        "<xi:include href=\"system-registers.xml\"/>\n</target>\n",
        vectors);
}

struct Bits {
    const char* name;
    unsigned first, last;
};
constexpr Bits kPstate[] = {{"SP", 0, 0},  {"EL", 2, 3},  {"nRW", 4, 4},  {"F", 6, 6},    {"I", 7, 7},
                            {"A", 8, 8},   {"D", 9, 9},   {"IL", 20, 20}, {"SS", 21, 21}, {"PAN", 22, 22},
                            {"V", 28, 28}, {"C", 29, 29}, {"Z", 30, 30},  {"N", 31, 31}};
constexpr Bits kFpsrBits[] = {{"IOC", 0, 0}, {"DZC", 1, 1}, {"OFC", 2, 2}, {"UFC", 3, 3},
                              {"IXC", 4, 4}, {"IDC", 7, 7}, {"QC", 27, 27}};
constexpr Bits kFpcrBits[] = {
    {"FZ16", 19, 19}, {"RMode", 22, 23}, {"FZ", 24, 24}, {"DN", 25, 25}, {"AHP", 26, 26}};

std::string flags(const char* id, std::span<const Bits> bits) {
    std::string text = fmt::format("<flags id=\"{}\" size=\"4\">\n", id);
    for (const Bits& b : bits)
        text += fmt::format("<field name=\"{}\" start=\"{}\" end=\"{}\"{}/>\n", b.name, b.first, b.last,
                            b.first == b.last ? "" : " type=\"uint32\"");
    return text + "</flags>\n";
}

std::string core_document() {
    std::string text = std::string(kHead) + "<feature name=\"org.gnu.gdb.aarch64.core\">\n";
    for (unsigned i = 0; i < 31; ++i) text += fmt::format("<reg name=\"x{}\" bitsize=\"64\"/>\n", i);
    text += "<reg name=\"sp\" bitsize=\"64\" type=\"data_ptr\"/>\n";
    text += "<reg name=\"pc\" bitsize=\"64\" type=\"code_ptr\"/>\n";
    return text + flags("cpsr_flags", kPstate) +
           "<reg name=\"cpsr\" bitsize=\"32\" type=\"cpsr_flags\"/>\n</feature>\n";
}

std::string fpu_document() {
    std::string text = std::string(kHead) + "<feature name=\"org.gnu.gdb.aarch64.fpu\">\n";
    struct Lanes {
        const char *name, *type;
        unsigned count;
    };
    constexpr Lanes kVectors[] = {{"v2d", "ieee_double", 2}, {"v2u", "uint64", 2},  {"v2i", "int64", 2},
                                  {"v4f", "ieee_single", 4}, {"v4u", "uint32", 4},  {"v4i", "int32", 4},
                                  {"v8u", "uint16", 8},      {"v8i", "int16", 8},   {"v16u", "uint8", 16},
                                  {"v16i", "int8", 16},      {"v1u", "uint128", 1}, {"v1i", "int128", 1}};
    for (const Lanes& v : kVectors)
        text += fmt::format("<vector id=\"{}\" type=\"{}\" count=\"{}\"/>\n", v.name, v.type, v.count);
    struct Union {
        const char* name;
        std::initializer_list<std::pair<const char*, const char*>> fields;
    };
    const Union unions[] = {
        {"vnd", {{"f", "v2d"}, {"u", "v2u"}, {"s", "v2i"}}},
        {"vns", {{"f", "v4f"}, {"u", "v4u"}, {"s", "v4i"}}},
        {"vnh", {{"u", "v8u"}, {"s", "v8i"}}},
        {"vnb", {{"u", "v16u"}, {"s", "v16i"}}},
        {"vnq", {{"u", "v1u"}, {"s", "v1i"}}},
        {"aarch64v", {{"d", "vnd"}, {"s", "vns"}, {"h", "vnh"}, {"b", "vnb"}, {"q", "vnq"}}}};
    for (const Union& u : unions) {
        text += fmt::format("<union id=\"{}\">\n", u.name);
        for (const auto& [name, type] : u.fields)
            text += fmt::format("<field name=\"{}\" type=\"{}\"/>\n", name, type);
        text += "</union>\n";
    }
    text += flags("fpsr_flags", kFpsrBits) + flags("fpcr_flags", kFpcrBits);
    for (unsigned i = 0; i < 32; ++i)
        text += fmt::format("<reg name=\"v{}\" bitsize=\"128\" type=\"aarch64v\"{}/>\n", i,
                            i == 0 ? fmt::format(" regnum=\"{}\"", Registers::kGeneral) : "");
    text += "<reg name=\"fpsr\" bitsize=\"32\" type=\"fpsr_flags\"/>\n";
    return text + "<reg name=\"fpcr\" bitsize=\"32\" type=\"fpcr_flags\"/>\n</feature>\n";
}

/// With scalable vectors, instead of fpu_document(); gdb makes V registers of the Z registers' lower ends.
std::string sve_document(unsigned bytes) {
    std::string text = std::string(kHead) + "<feature name=\"org.gnu.gdb.aarch64.sve\">\n";
    struct Lanes {
        const char *name, *type;
        unsigned bytes;
    };
    constexpr Lanes kVectors[] = {
        {"svevdf", "ieee_double", 8}, {"svevdu", "uint64", 8}, {"svevds", "int64", 8},
        {"svevsf", "ieee_single", 4}, {"svevsu", "uint32", 4}, {"svevss", "int32", 4},
        {"svevhf", "ieee_half", 2},   {"svevhu", "uint16", 2}, {"svevhs", "int16", 2},
        {"svevbu", "uint8", 1},       {"svevbs", "int8", 1},   {"svevqu", "uint128", 16},
        {"svevqs", "int128", 16}};
    for (const Lanes& v : kVectors)
        text +=
            fmt::format("<vector id=\"{}\" type=\"{}\" count=\"{}\"/>\n", v.name, v.type, bytes / v.bytes);
    for (const char element : std::string_view("dshbq")) {
        text += fmt::format("<union id=\"svevn{}\">\n", element);
        for (const char kind : std::string_view("fus"))
            if (kind != 'f' || std::string_view("dsh").contains(element))
                text += fmt::format("<field name=\"{}\" type=\"svev{}{}\"/>\n", kind, element, kind);
        text += "</union>\n";
    }
    text += "<union id=\"svev\">\n";
    for (const char element : std::string_view("qdshb"))
        text += fmt::format("<field name=\"{}\" type=\"svevn{}\"/>\n", element, element);
    text += "</union>\n";
    text += fmt::format("<vector id=\"svep\" type=\"uint8\" count=\"{}\"/>\n", bytes / 8);
    text += flags("fpsr_flags", kFpsrBits) + flags("fpcr_flags", kFpcrBits);
    for (unsigned i = 0; i < 32; ++i)
        text += fmt::format("<reg name=\"z{}\" bitsize=\"{}\" type=\"svev\"{}/>\n", i, 8 * bytes,
                            i == 0 ? fmt::format(" regnum=\"{}\"", Registers::kGeneral) : "");
    text += "<reg name=\"fpsr\" bitsize=\"32\" type=\"fpsr_flags\"/>\n";
    text += "<reg name=\"fpcr\" bitsize=\"32\" type=\"fpcr_flags\"/>\n";
    for (unsigned i = 0; i < 16; ++i)
        text += fmt::format("<reg name=\"p{}\" bitsize=\"{}\" type=\"svep\"/>\n", i, bytes);
    text += fmt::format("<reg name=\"ffr\" bitsize=\"{}\" type=\"svep\" group=\"vector\"/>\n", bytes);
    return text + "<reg name=\"vg\" bitsize=\"64\" type=\"uint64\"/>\n</feature>\n";
}

/// The registers of the ID space whose rows have no name of their own (ARM ARM D19.2).
struct IdName {
    unsigned crm, op2;
    const char* name;
};
constexpr IdName kIdNames[] = {
    {4, 0, "ID_AA64PFR0_EL1"},  {4, 1, "ID_AA64PFR1_EL1"},  {4, 4, "ID_AA64ZFR0_EL1"},
    {5, 0, "ID_AA64DFR0_EL1"},  {5, 1, "ID_AA64DFR1_EL1"},  {6, 0, "ID_AA64ISAR0_EL1"},
    {6, 1, "ID_AA64ISAR1_EL1"}, {6, 2, "ID_AA64ISAR2_EL1"}, {7, 0, "ID_AA64MMFR0_EL1"},
    {7, 1, "ID_AA64MMFR1_EL1"}, {7, 2, "ID_AA64MMFR2_EL1"}};

/// Empty: of the unnamed ones.
std::string name_of(const a64::SysregRow& row) {
    if ((row.encoding & ~0x3f) != a64::sysreg_encoding(3, 0, 0, 0, 0) || (row.encoding >> 3 & 15) == 0)
        return row.name;
    for (const IdName& id : kIdNames)
        if (row.encoding == a64::sysreg_encoding(3, 0, 0, id.crm, id.op2)) return id.name;
    return {};
}

/// Parts of PSTATE, and FPCR and FPSR: they are among the other registers.
bool is_elsewhere(const a64::SysregRow& row) {
    constexpr uint32_t kMask = ~uint32_t{7};
    return (row.encoding & kMask) == a64::sysreg_encoding(3, 0, 4, 2, 0) ||
           (row.encoding & kMask) == a64::sysreg_encoding(3, 3, 4, 2, 0) ||
           (row.encoding & kMask) == a64::sysreg_encoding(3, 3, 4, 4, 0);
}

constexpr uint32_t kSpEl0 = a64::sysreg_encoding(3, 0, 4, 1, 0);

void append(std::vector<uint8_t>& out, const void* bytes, size_t n) {
    const auto* from = static_cast<const uint8_t*>(bytes);
    out.insert(out.end(), from, from + n);
}

/// Registers z0 to z31, as long as the longest vectors are; bits 128 and up are in words of their own.
void append_vector(std::vector<uint8_t>& out, const CpuState& s, unsigned number, unsigned bytes) {
    append(out, s.v[number].data(), sizeof s.v[0]);
    append(out, s.z_upper[number].data(), bytes - sizeof s.v[0]);
}
size_t take_vector(std::span<const uint8_t> in, CpuState& s, unsigned number, unsigned bytes) {
    if (in.size() < bytes) return 0;
    std::memcpy(s.v[number].data(), in.data(), sizeof s.v[0]);
    std::memcpy(s.z_upper[number].data(), in.data() + sizeof s.v[0], bytes - sizeof s.v[0]);
    return bytes;
}

template <typename T>
size_t take(std::span<const uint8_t> in, T& value) {
    if (in.size() < sizeof value) return 0;
    std::memcpy(&value, in.data(), sizeof value);
    return sizeof value;
}

/// A CPU of its own in that state, whose system registers can be read and written like any other's.
class Copy {
  public:
    Copy(const CpuState& state, const a64::Cpu& of)
        : guest_(std::make_unique<jit::GuestState>()), cpu_(*guest_, environment_, of.memory, of.config) {
        state.apply(cpu_);
        a64::sync_stack_pointers(cpu_);
    }
    a64::Cpu& cpu() { return cpu_; }

  private:
    a64::QuietEnvironment environment_;
    std::unique_ptr<jit::GuestState> guest_;
    a64::Cpu cpu_;
};

// SPSR_EL1
constexpr uint32_t kMode = 0xf, kAArch32 = 1u << 4, kDaif = 0xf << 6, kIl = 1u << 20, kSs = 1u << 21,
                   kPan = 1u << 22, kUao = 1u << 23, kDit = 1u << 24, kTco = 1u << 25, kSsbs = 1u << 12,
                   kNzcv = 0xf000'0000;
constexpr unsigned kBtypeShift = 10;
constexpr uint32_t kEl0t = 0, kEl1t = 4, kEl1h = 5;

uint64_t& stack_bank(CpuState& s) { return s.el == 1 && s.sp_elx ? s.sp[2] : s.sp[1]; }

}  // namespace

uint32_t pstate_of(const CpuState& s) {
    uint32_t v = s.nzcv | static_cast<uint32_t>(s.daif);
    if (s.el == 1) v |= s.sp_elx ? kEl1h : kEl1t;
    v |= static_cast<uint32_t>(s.dit | s.ssbs | s.tco) | uint32_t{s.btype} << kBtypeShift;
    return v | (s.ss ? kSs : 0) | (s.pan ? kPan : 0) | (s.uao ? kUao : 0) | (s.il ? kIl : 0);
}

bool set_pstate(CpuState& s, uint32_t v) {
    const uint32_t mode = v & kMode;
    if ((v & kAArch32) != 0 || (mode != kEl0t && mode != kEl1t && mode != kEl1h)) return false;
    s.nzcv = v & kNzcv;
    s.daif = v & kDaif;
    s.il = (v & kIl) != 0;
    s.ss = (v & kSs) != 0;
    s.pan = (v & kPan) != 0;
    s.uao = (v & kUao) != 0;
    s.dit = v & kDit;
    s.tco = v & kTco;
    s.ssbs = v & kSsbs;
    s.btype = static_cast<uint8_t>(v >> kBtypeShift & 3);
    stack_bank(s) = s.sp[0];
    s.el = static_cast<uint8_t>(mode >> 2);
    s.sp_elx = mode == kEl1h;
    s.sp[0] = stack_bank(s);
    return true;
}

Registers::Registers(a64::FeatureSet features)
    : vector_bytes_(features.has(a64::Feature::Sve512)   ? 64
                    : features.has(a64::Feature::Sve256) ? 32
                                                         : 16),
      scalable_(features.has(a64::Feature::Sve)),
      system_first_(scalable_ ? kVg + 1 : kFpcr + 1) {
    for (const a64::SysregRow& row : a64::sysreg_rows()) {
        const bool readable = (row.access & (a64::sysreg_access::kRead0 | a64::sysreg_access::kRead1)) != 0;
        if (!readable || row.gic || row.read == nullptr || is_elsewhere(row) || !features.has(row.feature))
            continue;
        std::string name = name_of(row);
        if (name.empty()) continue;
        const bool outside = (row.io & a64::sysreg_io::kOutside) != 0 && !name.starts_with("PM");
        system_.push_back({std::move(name), &row, outside});
    }
    std::string system = std::string(kHead) + "<feature name=\"org.qemu.gdb.arm.sys.regs\">\n";
    for (size_t i = 0; i < system_.size(); ++i)
        system += fmt::format("<reg name=\"{}\" bitsize=\"64\" group=\"cp_regs\"{}/>\n", system_[i].name,
                              i == 0 ? fmt::format(" regnum=\"{}\"", system_first_) : "");
    const char* const vectors = scalable_ ? "aarch64-sve.xml" : "aarch64-fpu.xml";
    documents_ = {{"target.xml", target_document(vectors)},
                  {"aarch64-core.xml", core_document()},
                  {vectors, scalable_ ? sve_document(vector_bytes_) : fpu_document()},
                  {"system-registers.xml", system + "</feature>\n"}};
}

std::string_view Registers::description(std::string_view annex) const {
    const auto found = documents_.find(annex);
    return found != documents_.end() ? std::string_view(found->second) : std::string_view();
}

bool Registers::read(const CpuState& s, a64::Cpu& cpu, unsigned number, std::vector<uint8_t>& out) const {
    const auto value64 = [&](uint64_t value) {
        append(out, &value, sizeof value);
        return true;
    };
    const auto value32 = [&](uint32_t value) {
        append(out, &value, sizeof value);
        return true;
    };
    if (number < kSp) return value64(s.x[number]);
    if (number == kSp) return value64(s.sp[0]);
    if (number == kPc) return value64(s.pc);
    if (number == kCpsr) return value32(pstate_of(s));
    if (number < kFpsr) {
        append_vector(out, s, number - kV, vector_bytes_);
        return true;
    }
    if (number == kFpsr) return value32(s.fpsr);
    if (number == kFpcr) return value32(s.fpcr);
    if (scalable_ && number < kVg) {
        append(out, &s.p[number - kP], vector_bytes_ / 8);
        return true;
    }
    if (scalable_ && number == kVg) return value64(Copy(s, cpu).cpu().state.vector_bytes / 8);
    if (number - system_first_ >= system_.size()) return false;
    const System& system = system_[number - system_first_];
    if (system.outside) return value64(system.row->read(cpu, *system.row));
    Copy copy(s, cpu);
    return value64(system.row->read(copy.cpu(), *system.row));
}

size_t Registers::write(CpuState& s, const a64::Cpu& cpu, unsigned number,
                        std::span<const uint8_t> in) const {
    if (number < kSp) return take(in, s.x[number]);
    if (number == kSp) return take(in, s.sp[0]);
    if (number == kPc) return take(in, s.pc);
    if (number == kCpsr) {
        uint32_t value = 0;
        const size_t taken = take(in, value);
        return taken != 0 && set_pstate(s, value) ? taken : 0;
    }
    if (number < kFpsr) return take_vector(in, s, number - kV, vector_bytes_);
    if (number == kFpsr || number == kFpcr) {
        uint32_t value = 0;
        const size_t taken = take(in, value);
        if (taken == 0) return 0;
        if (number == kFpsr)
            s.fpsr = value & static_cast<uint32_t>(a64::kFpsrMask);
        else
            s.fpcr = value & static_cast<uint32_t>(a64::kFpcrMask);
        return taken;
    }
    if (scalable_ && number < kVg) {
        const size_t bytes = vector_bytes_ / 8;
        if (in.size() < bytes) return 0;
        std::memcpy(&s.p[number - kP], in.data(), bytes);
        return bytes;
    }
    // The length is what ZCR_EL1 says.
    if (scalable_ && number == kVg) return 0;
    uint64_t value = 0;
    if (number - system_first_ >= system_.size() || take(in, value) == 0) return 0;
    const System& system = system_[number - system_first_];
    if (system.outside || system.row->write == nullptr) return 0;
    Copy copy(s, cpu);
    system.row->write(copy.cpu(), *system.row, value);
    // Its bank is stale where the stack pointer is in use.
    const bool in_use = system.row->encoding == kSpEl0 && !(s.el == 1 && s.sp_elx);
    s = CpuState::capture(copy.cpu());
    if (in_use) s.sp[0] = s.sp[1];
    return sizeof value;
}

}  // namespace arclight::guestos::gdb
