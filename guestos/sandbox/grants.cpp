#include "guestos/sandbox/grants.h"

#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "guestos/gdb/address.h"
#include "jit/llvm/region_module.h"

namespace arclight::guestos::sandbox {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

void make_file(const std::string& path, mode_t mode) {
    struct stat about {};
    if (stat(path.c_str(), &about) == 0 || errno != ENOENT) return;
    if (const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode); fd >= 0) close(fd);
}

/// All texts of a JSON file that are file:PATH, without a tree of it in memory.
class FileTexts final : public nlohmann::json_sax<Json> {
  public:
    std::vector<std::string> paths;

    bool string(std::string& text) override {
        constexpr std::string_view kPrefix = "file:";
        if (text.starts_with(kPrefix)) paths.push_back(text.substr(kPrefix.size()));
        return true;
    }
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t&) override { return true; }
    bool binary(binary_t&) override { return true; }
    bool start_object(size_t) override { return true; }
    bool key(string_t&) override { return true; }
    bool end_object() override { return true; }
    bool start_array(size_t) override { return true; }
    bool end_array() override { return true; }
    bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override {
        return false;
    }
};

/// The files that a LightV policy names. One that is wrong grants what it names up to there; who reads it says so.
std::vector<std::string> files_of_policy(const std::string& path) {
    FileTexts texts;
    std::error_code error;
    if (!fs::is_regular_file(path, error)) return {};  // a pipe can be read once only
    std::ifstream in(path);
    Json::sax_parse(in, &texts, Json::input_format_t::json, false, true);
    return texts.paths;
}

std::string directory_of(const std::string& path) {
    const std::string directory = fs::path(path).parent_path();
    return directory.empty() ? "." : directory;
}

/// Tier 2's module, the libraries that it needs, and what the region cache takes as its build's name.
void add_libraries(std::vector<FileGrant>& out) {
    constexpr unsigned kLibrary = FileGrant::kRead;
    std::array<char, PATH_MAX> path;
    const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
    const std::string directory =
        directory_of(std::string(path.data(), length > 0 ? static_cast<size_t>(length) : 0));
    out.push_back({"/proc/self/exe", kLibrary});
    out.push_back({directory + "/" + jit::kRegionModule, kLibrary});
    out.push_back({directory + "/../lib/arclight/" + jit::kRegionModule, kLibrary});
    out.push_back({"/etc/ld.so.cache", kLibrary});
    std::vector<std::string> directories{"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"};
    // Where the program's own libraries come from, on systems that have them elsewhere.
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* to) {
            if (info->dlpi_name[0] == '/')
                static_cast<std::vector<std::string>*>(to)->push_back(directory_of(info->dlpi_name));
            return 0;
        },
        &directories);
    if (const char* more = std::getenv("LD_LIBRARY_PATH"); more != nullptr)
        for (std::string_view rest = more; !rest.empty();) {
            const std::string_view one = rest.substr(0, rest.find(':'));
            if (!one.empty()) directories.emplace_back(one);
            rest.remove_prefix(std::min(rest.size(), one.size() + 1));
        }
    for (const std::string& one : directories) out.push_back({one, kLibrary | FileGrant::kList});
}

}  // namespace

std::vector<FileGrant> grants_for(const RunOptions& options) {
    constexpr unsigned kRead = FileGrant::kRead, kReadWrite = kRead | FileGrant::kWrite;
    std::vector<FileGrant> out;
    for (const std::string& file : {options.kernel, options.bios, options.restore, options.initrd,
                                    options.dtb, options.lightv, options.symbols})
        if (!file.empty()) out.push_back({file, kRead});
    for (const FwCfgOptions& entry : options.fw_cfg)
        if (!entry.file.empty()) out.push_back({entry.file, kRead});
    for (const FlashOptions& bank : options.flash)
        if (!bank.file.empty()) out.push_back({bank.file, bank.readonly ? kRead : kReadWrite});
    for (const LoadOptions& load : options.loads)
        if (!load.file.empty()) out.push_back({load.file, kRead});
    constexpr unsigned kWholeDirectory = kReadWrite | FileGrant::kList | FileGrant::kMake;
    const auto factory = devices::DeviceFactory::standard();
    for (const DeviceOptions& device : options.devices)
        for (const devices::HostPath& used : factory.paths(device.request)) {
            const unsigned inside =
                used.written ? kWholeDirectory | FileGrant::kTree : kRead | FileGrant::kList;
            const unsigned file = (used.written ? kReadWrite : kRead) | FileGrant::kDevice;
            out.push_back({used.path, used.directory ? inside : file});
        }
    for (const DeviceOptions& device : options.devices)
        if (device.request.name == "virtio-vsock")
            for (const auto& [option, path] : device.request.options)
                if (option == "path")
                    out.push_back({directory_of(path), FileGrant::kMakeSocket | FileGrant::kRemove});
    if (!options.snapshots.empty()) {
        mkdir(options.snapshots.c_str(), 0777);  // who uses it says why it is not there
        out.push_back({options.snapshots, kWholeDirectory | FileGrant::kTree});
    }
    if (options.accel != Accel::Process) out.push_back({"/dev/kvm", kReadWrite | FileGrant::kDevice});

    const auto add_output = [&](const std::string& file) {
        if (file.empty()) return;
        make_file(file, 0666);
        out.push_back({file, FileGrant::kWrite});
    };
    add_output(options.dump_dtb);
    add_output(options.stats_file);
    add_output(options.profile_host);
    add_output(options.profile_sites);
    if (options.trace.any()) add_output(options.trace.file);
    // Others may write there too, so the map must be a file that this process makes.
    if (options.perf_map) out.push_back({"/tmp", FileGrant::kWrite | FileGrant::kMake | FileGrant::kRemove});
    if (!options.jit_dump.empty()) out.push_back({options.jit_dump, FileGrant::kWrite | FileGrant::kMake});

    const bool regions = options.jit != JitTier::Tier1 && options.jit != JitTier::Superblocks &&
                         options.jit != JitTier::Interpreter;
    if (regions) add_libraries(out);
    if (!options.jit_cache.empty() && (regions || options.jit_cache_blocks)) {
        std::error_code ignored;  // what opens it says what is wrong with it
        fs::create_directories(fs::path(options.jit_cache).parent_path(), ignored);
        mkdir(options.jit_cache.c_str(), 0700);
        out.push_back({options.jit_cache, kWholeDirectory | FileGrant::kRemove});
    }

    if (std::ranges::count(options.networks, NetOptions::Kind::User, &NetOptions::kind) != 0) {
        out.push_back({"/etc/resolv.conf", kRead});
        out.push_back({"/dev/urandom", kRead});
    }
    for (const NetOptions& network : options.networks) {
        if (!network.tftp.empty()) out.push_back({network.tftp, kRead | FileGrant::kList});
        // Tap devices, sockets and first connections are there already.
        for (const NetAddress* made : {network.server ? &network.remote : nullptr, &network.local})
            if (made != nullptr && made->kind == NetAddress::Kind::Unix && !made->abstract)
                out.push_back({directory_of(made->path), FileGrant::kRemove});
    }
    if (!options.pid_file.empty()) out.push_back({directory_of(options.pid_file), FileGrant::kRemove});
    // What a run has made it removes: sockets and links to pseudo-terminals.
    for (const ChardevOptions& one : options.chardevs) {
        const bool made =
            one.kind == ChardevOptions::Kind::Pty || (one.kind == ChardevOptions::Kind::Socket && one.server);
        if (made && !one.path.empty()) out.push_back({directory_of(one.path), FileGrant::kRemove});
    }
    if (!options.control.empty())
        out.push_back({directory_of(options.control), FileGrant::kMakeSocket | FileGrant::kRemove});
    // It is there already, and removed at the end.
    if (const auto address = gdb::parse_address(options.gdb); address && address->local)
        out.push_back({directory_of(address->path), FileGrant::kRemove});
    if (!options.lightv.empty())
        for (const std::string& file : files_of_policy(options.lightv)) {
            make_file(file, 0600);
            out.push_back({file, kReadWrite});
        }
    for (const std::string& directory : options.lightv_files) out.push_back({directory, kWholeDirectory});
    if (options.semihosting != SemihostingAccess::Off)
        for (const std::string& directory : options.semihosting_files)
            out.push_back({directory, kReadWrite | FileGrant::kMake | FileGrant::kRemove | FileGrant::kMove});
    return out;
}

TcpGrant tcp_for(const RunOptions& options) {
    TcpGrant tcp;
    for (const NetOptions& network : options.networks) {
        // A restricted guest makes no connections; those that are forwarded to it are the host's.
        tcp.connect |= network.kind == NetOptions::Kind::User
                           ? !network.restrict_guest
                           : network.reconnect_ms != 0 && network.remote.kind == NetAddress::Kind::Inet;
        for (const HostForward& forward : network.forwards)
            if (!forward.udp) tcp.ports.push_back(forward.host_port);
    }
    for (const ChardevOptions& one : options.chardevs)
        tcp.connect |= one.kind == ChardevOptions::Kind::Socket && !one.is_unix() && one.reconnect != 0;
    return tcp;
}

}  // namespace arclight::guestos::sandbox
