// The words of 'arclight run' as they are typed.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/cli/chardev_words.h"
#include "guestos/options.h"

namespace arclight::guestos::cli {

/// What CLI11 fills in before the words are put together. `options`: those that need no more than that.
struct RunWords {
    RunOptions options;
    std::vector<std::string> append;
    std::string memory;
    std::string cpu;
    std::string code_cache;
    std::string accel = "auto";
    std::string fastmem = "auto", direct_memory = "off", lightv_stage = "auto";
    std::string mmu = "ssp", spin = "hand-over";
    std::string jit = "auto";
    std::string registers = "memory", memory_loops = "on";
    std::string jit_cache, jit_cache_blocks, jit_cache_size, jit_code;
    std::vector<std::string> place;
    std::string trace;
    std::string virtio;
    std::string semihosting = "off";
    std::vector<std::string> drives;
    std::vector<std::string> cdroms;
    std::vector<std::string> devices;
    std::vector<std::string> flash, fw_cfg;
    bool no_acpi = false;
    std::vector<std::string> networks;
    std::vector<std::string> shares;
    ChardevWords chardevs;
    bool shell = false;
    bool no_kaslr_seed = false;
    bool no_rng_seed = false;
    bool no_rng = false;
    bool balloon = false;
    std::string watchdog;
    std::string sandbox, spectre, host_suspend;
};

/// Adds all options but those that end the command (its own help). Each word by itself is good once `command` has been parsed. `words` outlives it.
void add_run_words(CLI::App& command, RunWords& words);

/// Whether a device's words ask what there is.
inline bool wants_help(std::string_view device) { return device == "help" || device.ends_with(",help"); }

}  // namespace arclight::guestos::cli
