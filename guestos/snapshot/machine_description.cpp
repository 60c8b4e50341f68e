#include "guestos/snapshot/machine_description.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>

#include "devices/device_factory.h"
#include "devices/layout.h"

namespace arclight::guestos {

namespace {

constexpr size_t kMaxFacts = 1000;

std::string size_text(const std::string& bytes) { return bytes + " bytes of RAM"; }

/// A device as the guest sees it; what it is made from on the host may differ.
std::string device_text(const DeviceOptions& device) {
    if (device.bus == DeviceBus::Scsi)
        return fmt::format("{} scsi {} {} {} {}", device.request.name,
                           device.scsi.host.empty() ? "-" : device.scsi.host,
                           device.scsi.target ? fmt::format("{}", *device.scsi.target) : "next",
                           device.scsi.lun, device.id.empty() ? "-" : device.id);
    std::string text = fmt::format(
        "{} {} {} {}", device.request.name, device.bus == DeviceBus::Pci ? "pci" : "mmio",
        device.address ? fmt::format("{}", *device.address) : "next", device.id.empty() ? "-" : device.id);
    if (device.bus != DeviceBus::Pci) return text;
    const PciPlace& place = device.pci;
    if (!place.port.empty()) text += fmt::format(" behind {}", place.port);
    if (place.function != 0) text += fmt::format(" function {}", place.function);
    if (place.legacy) text += *place.legacy ? " transitional" : " modern-only";
    if (!place.modern) text += " legacy-only";
    if (place.vectors != 0) text += fmt::format(" vectors {}", place.vectors);
    return text;
}

/// What the guest can do to the bank.
std::string flash_text(const RunOptions& options, size_t bank) {
    if (bank == 0 && !options.bios.empty()) return "firmware";
    if (bank >= options.flash.size() || options.flash[bank].file.empty()) return "empty";
    return options.flash[bank].readonly ? "read-only" : "writable";
}

/// Empty: it is no file whose content belongs to the guest's state.
std::string file_text(const devices::HostPath& used) {
    struct stat about {};
    if (used.directory || stat(used.path.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) return {};
    return fmt::format("{} {}.{:09}", about.st_size, about.st_mtim.tv_sec, about.st_mtim.tv_nsec);
}

}  // namespace

MachineDescription MachineDescription::of(const RunOptions& options) {
    MachineDescription d;
    const auto add = [&](std::string word, std::string value) {
        d.facts_.emplace_back(std::move(word), std::move(value));
    };
    add("memory", fmt::format("{}", options.memory));
    add("cpus", fmt::format("{}", options.cpus));
    if (const CpuChoice cpu = options.cpu.value_or(CpuChoice{}); cpu.text() != CpuChoice{}.text())
        add("cpu", cpu.text());
    add("gic", fmt::format("{}", options.gic.value_or(kDefaultGic)));
    add("virtio", options.virtio == VirtioMmio::Legacy ? "legacy" : "modern");
    if (options.serials.size() > 1) add("serial", fmt::format("{}", options.serials.size()));
    if (options.has_flash())
        for (size_t bank = 0; bank < devices::layout::kFlashBanks; ++bank)
            add("flash", flash_text(options, bank));
    add("session", options.session ? "yes" : "no");
    const auto factory = devices::DeviceFactory::standard();
    for (const DeviceOptions& device : options.devices) {
        add("device", device_text(device));
        for (const devices::HostPath& used : factory.paths(device.request))
            if (std::string text = file_text(used); !text.empty()) add("file", std::move(text));
    }
    for (const NetOptions& network : options.networks) add("network", network.id);
    return d;
}

Result<MachineDescription> MachineDescription::parse(std::string_view text) {
    MachineDescription d;
    while (!text.empty()) {
        const size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        const size_t space = line.find(' ');
        const bool printable = std::ranges::all_of(
            line, [](char c) { return c >= ' ' && static_cast<unsigned char>(c) < 0x7f; });
        if (end == std::string_view::npos || space == std::string_view::npos || space == 0 || !printable ||
            d.facts_.size() == kMaxFacts)
            return failure("its description of the machine makes no sense");
        d.facts_.emplace_back(line.substr(0, space), line.substr(space + 1));
        text.remove_prefix(end + 1);
    }
    return d;
}

std::string MachineDescription::text() const {
    std::string text;
    for (const auto& [word, value] : facts_) text += fmt::format("{} {}\n", word, value);
    return text;
}

const std::string* MachineDescription::find(std::string_view word) const {
    const auto found = std::ranges::find(facts_, word, &Facts::value_type::first);
    return found != facts_.end() ? &found->second : nullptr;
}

std::optional<uint64_t> MachineDescription::number(std::string_view word) const {
    const std::string* text = find(word);
    uint64_t value = 0;
    if (text == nullptr) return std::nullopt;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
    return value;
}

std::vector<std::string> MachineDescription::all(std::string_view word) const {
    std::vector<std::string> values;
    for (const auto& [other, value] : facts_)
        if (other == word) values.push_back(value);
    return values;
}

RunOptions MachineDescription::complete(RunOptions options) const {
    const std::string* session = find("session");
    options.session = session != nullptr && *session == "yes";
    if (options.restore_memory) options.memory = number("memory").value_or(options.memory);
    if (options.restore_cpus)
        options.cpus = static_cast<unsigned>(
            std::clamp<uint64_t>(number("cpus").value_or(options.cpus), 1, devices::layout::kMaxCpus));
    if (!options.cpu)
        if (const std::string* cpu = find("cpu"); cpu != nullptr)
            if (auto choice = CpuChoice::parse(*cpu)) options.cpu = std::move(*choice);
    if (!options.gic) options.gic = number("gic") == 2 ? 2 : 3;
    if (!options.virtio) {
        const std::string* virtio = find("virtio");
        options.virtio = virtio != nullptr && *virtio == "legacy" ? VirtioMmio::Legacy : VirtioMmio::Modern;
    }
    return options;
}

MachineDescription MachineDescription::without_files() const {
    MachineDescription d = *this;
    std::erase_if(d.facts_, [](const auto& fact) { return fact.first == "file"; });
    return d;
}

std::optional<std::string> MachineDescription::difference_from(const MachineDescription& saved) const {
    const auto differ = [&](std::string_view word) -> std::optional<std::pair<std::string, std::string>> {
        const auto here = all(word), there = saved.all(word);
        if (here == there) return std::nullopt;
        const auto list = [](const std::vector<std::string>& values) {
            return values.empty() ? std::string("none") : fmt::format("{}", fmt::join(values, ", "));
        };
        return std::pair(list(there), list(here));
    };
    if (const auto d = differ("memory"))
        return fmt::format("is of a machine with {}, this one has {}", size_text(d->first),
                           size_text(d->second));
    if (const auto d = differ("cpus"))
        return fmt::format("is of a machine with {} CPUs, this one has {}", d->first, d->second);
    if (const auto d = differ("cpu"))
        return fmt::format("is of a machine with the CPU {}, this one has {}",
                           d->first == "none" ? "max" : d->first, d->second == "none" ? "max" : d->second);
    if (const auto d = differ("gic"))
        return fmt::format("is of a machine with GICv{}, this one has GICv{}", d->first, d->second);
    if (const auto d = differ("virtio"))
        return fmt::format("is of a machine with {} virtio registers, this one has {} ones", d->first,
                           d->second);
    if (const auto d = differ("serial"))
        return fmt::format("is of a machine with another number of serial ports: {}; this one has: {}",
                           d->first, d->second);
    if (const auto d = differ("flash"))
        return fmt::format("is of a machine with other flash banks: {}; this one has: {}", d->first,
                           d->second);
    if (const auto d = differ("device"))
        return fmt::format("is of a machine with other devices: {}; this one has: {}", d->first, d->second);
    if (const auto d = differ("network"))
        return fmt::format("is of a machine with other networks: {}; this one has: {}", d->first, d->second);
    if (differ("file"))
        return "a disk's image was changed after the snapshot was made: the guest would find other content "
               "than it knows";
    if (facts_ != saved.facts_) return "is of a machine with parts that this program does not know";
    return std::nullopt;
}

}  // namespace arclight::guestos
