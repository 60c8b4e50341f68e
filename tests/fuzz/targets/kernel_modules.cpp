// What the initramfs is made from: a kernel module's .modinfo, and busybox's table of applets.
#include "guestos/kernel_modules.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "guestos/initramfs.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace guestos;

// A directory of this process with one module.
class Tree {
  public:
    Tree() : root_(std::filesystem::temp_directory_path() / ("fuzz-modules-" + std::to_string(getpid()))) {
        std::filesystem::create_directories(root_ / "kernel");
    }
    ~Tree() { std::filesystem::remove_all(root_); }
    std::filesystem::path root() const { return root_; }
    void fill(std::span<const uint8_t> bytes) const {
        std::ofstream(root_ / "kernel/one.ko", std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }

  private:
    std::filesystem::path root_;
};

void run(std::span<const uint8_t> bytes) {
    static const Tree tree;
    tree.fill(bytes);
    const auto modules = KernelModules::scan(tree.root());
    if (modules) {
        const std::vector<std::string> names = modules->closure(std::vector<std::string>{"one"});
        modules->dep_text(names);
        modules->alias_text(names);
    } else {
        require_one_line(modules.error());
    }
    busybox_applets(Bytes(bytes.begin(), bytes.end()));
}

const Registered registered({.name = "kernel_modules",
                             .run = run,
                             .max_size = 2048,
                             .words = {"\x7f"
                                       "ELF",
                                       ".modinfo", "depends=", "alias=", "name=one", "busybox"}});

}  // namespace
}  // namespace arclight::fuzz
