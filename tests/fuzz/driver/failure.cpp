#include "tests/fuzz/driver/failure.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

// Set by AddressSanitizer's library, where it is linked.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());
// Asked by the sanitizers' libraries when they start: all of them end the process in the same way.
extern "C" const char* __ubsan_default_options() { return "abort_on_error=1:print_stacktrace=1"; }
extern "C" const char* __asan_default_options() { return "abort_on_error=1"; }

namespace arclight::fuzz {
namespace {

std::string target_name, save_directory;
unsigned limit_seconds = 0;
const uint8_t* current = nullptr;
size_t current_size = 0;

void keep() {
    if (current == nullptr) return;
    const std::span input(current, current_size);
    current = nullptr;
    mkdir(save_directory.substr(0, save_directory.rfind('/')).c_str(), 0777);
    mkdir(save_directory.c_str(), 0777);
    const std::string path = save_directory + "/" + name_of(input);
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    const bool written =
        file >= 0 && write(file, input.data(), input.size()) == static_cast<ssize_t>(input.size());
    if (file >= 0) close(file);
    std::fprintf(stderr, "fuzz: %s fails on %zu bytes%s%s: ", target_name.c_str(), input.size(),
                 written ? ", kept as " : "; they could not be written to ", path.c_str());
    for (size_t i = 0; i < input.size() && i < 1024; i++) std::fprintf(stderr, "%02x", input[i]);
    std::fputc('\n', stderr);
}

void on_signal(int signal) {
    if (signal == SIGALRM) std::fprintf(stderr, "fuzz: an input takes longer than %u s\n", limit_seconds);
    keep();
    std::signal(signal, SIG_DFL);
    if (signal == SIGALRM) _exit(1);
    raise(signal);
}

}  // namespace

std::string name_of(std::span<const uint8_t> input) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const uint8_t byte : input) hash = (hash ^ byte) * 0x100000001b3;
    return fmt::format("{:016x}", hash);
}

void catch_failures(const std::string& target, const std::string& directory, unsigned seconds) {
    target_name = target;
    save_directory = directory;
    limit_seconds = seconds;
    for (const int signal : {SIGABRT, SIGALRM}) std::signal(signal, on_signal);
    if (__sanitizer_set_death_callback != nullptr) {
        __sanitizer_set_death_callback(keep);
    } else {
        for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, on_signal);
    }
}

void watch(std::span<const uint8_t> input) {
    static const uint8_t kNothing = 0;
    current = input.empty() ? &kNothing : input.data();
    current_size = input.size();
    alarm(limit_seconds);
}

void unwatch() {
    current = nullptr;
    alarm(0);
}

}  // namespace arclight::fuzz
