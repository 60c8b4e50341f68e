// The 9P server, by messages whose fields are right often enough that they do something. Whatever the guest asks for, nothing
// outside the shared directory changes or is read, and a read-only one stays as it is.
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "devices/virtio/9p_server.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices::virtio::p9;
namespace fs = std::filesystem;

constexpr std::string_view kSecret = "arclight-fuzz-secret";

/// On the host's file system of temporary files, one for the whole program: making it anew is most of the time.
struct Tree {
    Tree() {
        char name[] = "/tmp/arclight-fuzz-9p-XXXXXX";
        require(mkdtemp(name) != nullptr, "a directory can be made");
        outside = name;
        share = outside + "/share";
    }
    ~Tree() {
        std::error_code ignored;
        fs::remove_all(outside, ignored);
    }
    void fill() const {
        fs::remove_all(share);
        fs::create_directories(share + "/d/e");
        std::ofstream(outside + "/secret") << kSecret;
        std::ofstream(share + "/f") << "content";
        std::ofstream(share + "/d/g") << "more";
        fs::create_symlink("../secret", share + "/l");
        fs::create_symlink(outside, share + "/d/up");
    }
    std::string state() const {
        std::string all;
        for (const auto& entry : fs::recursive_directory_iterator(outside)) {
            if (entry.path() == share) continue;
            all += entry.path().string();
            if (entry.is_regular_file()) {
                std::ifstream in(entry.path());
                all.append(std::istreambuf_iterator<char>(in), {});
            }
        }
        return all;
    }
    /// What is outside.
    bool intact() const {
        std::ifstream in(outside + "/secret");
        const std::string text(std::istreambuf_iterator<char>(in), {});
        size_t count = 0;
        for ([[maybe_unused]] const auto& entry : fs::directory_iterator(outside)) count++;
        return text == kSecret && count == 2;
    }
    std::string outside, share;
};

constexpr std::string_view kNames[] = {"f", "d", "e", "g", "l", "up", "..", ".", "secret", "new", "a/b", ""};

class Messages {
  public:
    explicit Messages(Input& in) : in_(in) {}

    std::vector<uint8_t> next() {
        bytes_.clear();
        const uint8_t what = in_.u8();
        integer<uint32_t>(0);
        constexpr uint8_t kTypes[] = {8,  12, 14, 16, 18,  20,  22,  24,  26,  30,  32,  40,  50,  52,  54,
                                      70, 72, 74, 76, 100, 102, 104, 108, 110, 110, 110, 116, 118, 120, 122};
        const uint8_t type = what < 0xf0 ? kTypes[what % std::size(kTypes)] : in_.u8();
        integer<uint8_t>(type);
        integer<uint16_t>(1);
        fields(type);
        // Cut or longer now and then.
        if (in_.u8() == 0) bytes_.resize(std::max<size_t>(7, bytes_.size() - in_.below(8)));
        return bytes_;
    }

  private:
    void fid() { integer<uint32_t>(in_.u8() % 8); }
    void text() {
        const uint8_t which = in_.u8();
        const auto other = in_.bytes(which < 0xe0 ? 0 : which & 15);
        const std::string name = which < 0xe0 ? std::string(kNames[which % std::size(kNames)])
                                              : std::string(other.begin(), other.end());
        integer<uint16_t>(static_cast<uint16_t>(name.size()));
        bytes_.insert(bytes_.end(), name.begin(), name.end());
    }
    void number() { integer<uint32_t>(in_.flag() ? in_.u8() : in_.u32()); }
    void large() { integer<uint64_t>(in_.flag() ? in_.u8() : in_.u64()); }
    void fields(uint8_t type) {
        switch (type) {
            case 14: fid(), text(), number(), number(), number(); break;
            case 16: fid(), text(), text(), number(); break;
            case 18: fid(), text(), number(), number(), number(), number(); break;
            case 20: fid(), fid(), text(); break;
            case 24: fid(), large(); break;
            case 26:
                fid(), number(), number(), number(), number(), large(), large(), large(), large(), large();
                break;
            case 30: fid(), fid(), text(); break;
            case 32: fid(), text(), large(), number(); break;
            case 40:
            case 116:
            case 118: fid(), large(), number(); break;
            case 70: fid(), fid(), text(); break;
            case 72: fid(), text(), number(), number(); break;
            case 74: fid(), text(), fid(), text(); break;
            case 76: fid(), text(), number(); break;
            case 100:
                integer<uint32_t>(in_.u8() * 4096u);
                integer<uint16_t>(8);
                for (const char c : std::string_view("9P2000.L")) integer<uint8_t>(static_cast<uint8_t>(c));
                break;
            case 104: fid(), number(), text(), text(), number(); break;
            case 110: {
                fid(), fid();
                const unsigned names = in_.below(4);
                integer<uint16_t>(static_cast<uint16_t>(names));
                for (unsigned i = 0; i < names; i++) text();
                break;
            }
            default: fid(), number(); break;
        }
    }
    template <typename T>
    void integer(T value) {
        const auto* from = reinterpret_cast<const uint8_t*>(&value);
        bytes_.insert(bytes_.end(), from, from + sizeof value);
    }

    Input& in_;
    std::vector<uint8_t> bytes_;
};

void run(std::span<const uint8_t> bytes) {
    static const Tree tree;
    tree.fill();
    Input in(bytes);
    const uint8_t kind = in.u8();
    Server::Options options;
    options.security = static_cast<SecurityModel>(kind & 3);
    options.readonly = (kind & 4) != 0;
    options.multidevs = static_cast<Multidevs>((kind >> 3) % 3);
    options.limits = {.fids = 64, .open = 16, .name_bytes = 1 << 20, .xattr_bytes = 1 << 20};
    auto folder = Folder::open(tree.share);
    require(folder.has_value(), "the directory can be opened");
    const std::string before = options.readonly ? tree.state() : std::string();
    {
        Server server(std::move(*folder), options);
        std::vector<uint8_t> reply, data(256, 'w'), room(4096);
        const std::span<uint8_t> data_buffer(data), room_buffer(room);
        // A session, so that most messages mean something.
        std::vector<uint8_t> version = {0, 0, 0,   0,   100, 1,   0,   0,   0,   1,  0,
                                        8, 0, '9', 'P', '2', '0', '0', '0', '.', 'L'};
        server.serve(version, {}, {}, 8192, reply);
        std::vector<uint8_t> attach(7 + 4 + 4 + 2 + 2 + 4);
        attach[4] = 104;
        server.serve(attach, {}, {}, 8192, reply);
        Messages messages(in);
        while (!in.empty()) {
            const uint64_t limit = in.flag() ? 4096 : 11u + in.u8();
            const auto message = messages.next();
            std::ranges::fill(room, uint8_t{0});
            const uint32_t direct = server.serve(message, {&data_buffer, 1}, {&room_buffer, 1}, limit, reply);
            require(reply.size() + direct <= limit, "a reply fits its buffers");
            require(direct <= room.size(), "data stay in their room");
            const std::string_view got(reinterpret_cast<const char*>(room.data()), direct);
            require(got.find(kSecret) == got.npos, "nothing outside is read");
        }
    }
    require(tree.intact(), "nothing outside changes");
    if (options.readonly) require(tree.state() == before, "a read-only directory stays as it is");
}

const Registered registered({.name = "virtio_9p", .run = run, .max_size = 1024, .words = {"secret", ".."}});

}  // namespace
}  // namespace arclight::fuzz
