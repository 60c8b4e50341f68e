// Writes manual pages and shell completions: arclight_documents VERSION TEXTS OUTPUT, where TEXTS holds the parts of the
// pages that are written by hand. Run by the build.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

#include "guestos/cli/commands.h"
#include "guestos/cli/documents/documents.h"

namespace {
using namespace arclight::guestos::cli;

void write(const std::filesystem::path& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary);
    if (!(file << text) || !file.flush()) throw std::runtime_error("cannot write " + path.string());
}

std::string read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path.string());
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}
}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::cerr << "usage: arclight_documents VERSION TEXTS OUTPUT\n";
        return kExitUsage;
    }
    try {
        const std::filesystem::path texts = argv[2], output = argv[3];
        CommandLine line("", nullptr);
        CommandEntry root = command_tree(line.app());
        for (CommandEntry& command : root.commands)
            if (command.name == "qemu")
                std::ranges::copy(qemu_options(), std::back_inserter(command.options));
        std::filesystem::create_directories(output);
        const auto page = [&](const CommandEntry& command, const std::string& name) {
            write(output / (name + ".1"), man_page(command, name, argv[1], read(texts / (name + ".man"))));
        };
        page(root, root.name);
        for (const CommandEntry& command : root.commands) page(command, root.name + "-" + command.name);
        write(output / "arclight.bash", bash_completion(root));
        write(output / "_arclight", zsh_completion(root));
    } catch (const std::exception& error) {
        return complain(error.what());
    }
    return 0;
}
