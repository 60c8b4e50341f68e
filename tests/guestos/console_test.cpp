#include "guestos/console/console.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "guestos/chardev/mux.h"
#include "guestos/console/session_input.h"
#include "guestos/console/signals.h"
#include "guestos/file.h"
#include "host/crash_report.h"

namespace arclight::guestos {
namespace {

using namespace std::chrono_literals;

bool eventually(auto condition) {
    for (int i = 0; i < 2000; ++i) {
        if (condition()) return true;
        std::this_thread::sleep_for(5ms);
    }
    return false;
}

// A terminal line in canonical mode, as far as /init's settings leave it one.
class LineModel {
  public:
    void take(uint8_t byte) {
        if (literal_) {
            line_.push_back(byte);
            literal_ = false;
        } else if (byte == 0x16) {
            literal_ = true;
        } else if (byte == 0x04) {
            if (line_.empty()) ends++;
            longest = std::max(longest, line_.size());
            received.insert(received.end(), line_.begin(), line_.end());
            line_.clear();
        } else {
            EXPECT_NE(byte, '\n');
            line_.push_back(byte);
        }
    }
    Bytes received;
    size_t longest = 0;
    unsigned ends = 0;

  private:
    Bytes line_;
    bool literal_ = false;
};

TEST(InputFramer, AnyBytesArriveAndEndOnce) {
    std::mt19937 random(5);
    for (size_t size : {0, 1, 1020, 1021, 1022, 5000, 100'000}) {
        Bytes input(size);
        for (auto& byte : input)
            byte = random() % 4 == 0 ? "\x04\x16\n\x00"[random() % 4] : uint8_t(random());
        InputFramer framer;
        std::deque<uint8_t> wire;
        for (size_t at = 0; at < size;) {
            const size_t length = std::min<size_t>(1 + random() % 3000, size - at);
            framer.add(std::span(input).subspan(at, length), wire);
            at += length;
        }
        framer.end(wire);
        LineModel line;
        for (uint8_t byte : wire) line.take(byte);
        EXPECT_EQ(line.received, input);
        EXPECT_EQ(line.ends, 1u);
        EXPECT_LT(line.longest, 4095u);
    }
}

TEST(EscapeKeys, CtrlAIsTheConsoles) {
    EscapeKeys keys;
    std::deque<uint8_t> out;
    size_t used = 0;
    const auto type = [&](std::string_view text) {
        return keys.filter({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, out, used);
    };
    EXPECT_EQ(type("ab\x01\x01"
                   "c\x01q"),
              EscapeKeys::Action::None);
    EXPECT_EQ(std::string(out.begin(), out.end()),
              "ab\x01"
              "c\x01q");
    EXPECT_EQ(type("\x01"), EscapeKeys::Action::None);
    EXPECT_EQ(type("hxyz"), EscapeKeys::Action::Help);
    EXPECT_EQ(used, 1u);
    EXPECT_EQ(type("\x01X"), EscapeKeys::Action::Quit);
    EXPECT_EQ(type("\x01r"), EscapeKeys::Action::Resume);
}

struct Pipes {
    int in[2];
    int out[2];
    Pipes() {
        EXPECT_EQ(pipe2(in, O_CLOEXEC), 0);
        EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
        signal(SIGPIPE, SIG_IGN);
    }
    ~Pipes() {
        for (int fd : {in[0], in[1], out[0], out[1]})
            if (fd >= 0) close(fd);
    }
    void close_end(int& fd) {
        close(fd);
        fd = -1;
    }
    Console::Descriptors ends() const { return {.input = in[0], .output = out[1]}; }
};

ChardevOptions plain() { return {.id = "stdio", .kind = ChardevOptions::Kind::Stdio, .signals = false}; }

/// Takes input while it has room.
struct Taker : devices::CharFrontend {
    size_t receive(std::span<const uint8_t> bytes) override {
        const std::lock_guard hold(lock);
        const size_t taken = std::min(bytes.size(), room);
        room -= taken;
        refused |= taken < bytes.size();
        received.insert(received.end(), bytes.begin(), bytes.begin() + ptrdiff_t(taken));
        return taken;
    }
    void event(devices::CharEvent event) override {
        const std::lock_guard hold(lock);
        events.push_back(event);
    }
    std::string text() {
        const std::lock_guard hold(lock);
        return {received.begin(), received.end()};
    }
    std::mutex lock;
    Bytes received;
    std::vector<devices::CharEvent> events;
    size_t room = SIZE_MAX;
    bool refused = false;
};

/// The guest's end of a line in canonical mode.
struct Line : devices::CharFrontend {
    size_t receive(std::span<const uint8_t> bytes) override {
        const std::lock_guard hold(lock);
        for (const uint8_t byte : bytes) line.take(byte);
        return bytes.size();
    }
    unsigned ends() {
        const std::lock_guard hold(lock);
        return line.ends;
    }
    std::mutex lock;
    LineModel line;
};

std::string read_all(int fd, size_t size) {
    std::string text(size, 0);
    size_t used = 0;
    while (used < size) {
        const ssize_t got = read(fd, text.data() + used, size - used);
        if (got <= 0) break;
        used += size_t(got);
    }
    text.resize(used);
    return text;
}

TEST(Console, OutputArrivesWhole) {
    Pipes pipes;
    std::string expected;
    for (int i = 0; i < 50'000; ++i) expected += char(i * 7);
    std::string got;
    std::thread reader([&] { got = read_all(pipes.out[0], expected.size()); });
    {
        devices::EventLoop loop;
        Console console(loop, plain(), pipes.ends(), {});
        loop.start();
        for (const char c : expected) {
            const auto byte = uint8_t(c);
            console.write({&byte, 1});
        }
        loop.stop();
    }
    reader.join();
    EXPECT_EQ(got, expected);
}

TEST(Console, APromptDoesNotWaitForMore) {
    Pipes pipes;
    devices::EventLoop loop;
    Console console(loop, plain(), pipes.ends(), {});
    loop.start();
    const uint8_t prompt[] = {'#', ' '};
    console.write(prompt);
    pollfd readable{.fd = pipes.out[0], .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&readable, 1, 5000), 1);
    EXPECT_EQ(read_all(pipes.out[0], 2), "# ");
    loop.stop();
}

TEST(Console, ASlowReaderDoesNotStopTheLoop) {
    Pipes pipes;
    devices::EventLoop loop;
    Console console(loop, plain(), pipes.ends(), {});
    loop.start();
    std::atomic<bool> finished{false};
    std::thread guest([&] {
        const Bytes much(1 << 20, 'x');
        for (size_t at = 0; at < much.size(); at += 16) console.write(std::span(much).subspan(at, 16));
        finished = true;
    });
    std::this_thread::sleep_for(100ms);
    EXPECT_FALSE(finished);  // no reader: the guest waits
    std::atomic<bool> alive{false};
    loop.post([&] { alive = true; });
    EXPECT_TRUE(eventually([&] { return alive.load(); }));
    console.abandon_output();
    EXPECT_TRUE(eventually([&] { return finished.load(); }));
    guest.join();
    loop.stop();
}

TEST(Console, AGoneReaderEndsTheMachine) {
    Pipes pipes;
    pipes.close_end(pipes.out[0]);
    devices::EventLoop loop;
    std::atomic<int> ends{0};
    Console console(loop, plain(), pipes.ends(), {.lost = [&](ChardevActions::Lost why, int error) {
                        EXPECT_EQ(why, ChardevActions::Lost::OutputFailed);
                        EXPECT_EQ(error, EPIPE);
                        ends++;
                    }});
    loop.start();
    const uint8_t byte = 'x';
    for (int i = 0; i < 10'000; ++i) console.write({&byte, 1});
    console.flush();
    EXPECT_TRUE(eventually([&] { return ends == 1; }));
    loop.stop();
    EXPECT_EQ(ends, 1);
}

// Feeds 100 kB through a UART that takes 16 bytes and then says no for a while.
TEST(Console, FlowControlLosesNothing) {
    Pipes pipes;
    devices::EventLoop loop;
    Console console(loop, plain(), pipes.ends(), {});
    Taker taker;
    taker.room = 16;
    loop.start();
    const devices::CharConnection connection(console, taker);
    Bytes input(100'000);
    std::mt19937 random(9);
    for (auto& byte : input) byte = uint8_t(random());
    std::thread writer([&] {
        size_t at = 0;
        while (at < input.size()) at += size_t(::write(pipes.in[1], input.data() + at, input.size() - at));
    });
    EXPECT_TRUE(eventually([&] {
        for (int i = 0; i < 50; ++i) {
            bool tell = false;
            {
                const std::lock_guard hold(taker.lock);
                tell = std::exchange(taker.refused, false);
                taker.room = 16;
            }
            if (tell) console.accept_input();
            std::this_thread::sleep_for(20us);
        }
        const std::lock_guard hold(taker.lock);
        return taker.received.size() == input.size();
    }));
    writer.join();
    loop.stop();
    EXPECT_EQ(taker.received, input);
}

TEST(SessionInput, InputWaitsForTheGuestAndIsFramed) {
    Pipes pipes;
    devices::EventLoop loop;
    Console console(loop, plain(), pipes.ends(), {});
    SessionInput input(loop, console, true);
    Line line;
    loop.start();
    const devices::CharConnection connection(input, line);
    ASSERT_EQ(::write(pipes.in[1], "one\ntwo\x04", 8), 8);
    pipes.close_end(pipes.in[1]);
    std::this_thread::sleep_for(50ms);
    {
        const std::lock_guard hold(line.lock);
        EXPECT_TRUE(line.line.received.empty() && line.line.ends == 0);
    }
    EXPECT_FALSE(input.input_ended());
    input.set_input(ConsoleInput::Framed);
    EXPECT_TRUE(eventually([&] { return line.ends() == 1; }));
    EXPECT_TRUE(eventually([&] { return input.input_ended(); }));
    EXPECT_EQ(std::string(line.line.received.begin(), line.line.received.end()), "one\ntwo\x04");
    loop.stop();
}

// A machine that the guest resets: what has ended has ended for the next one too.
TEST(SessionInput, ARegularFileAsInputEndsForEachMachine) {
    char path[] = "/tmp/arclight-test-XXXXXX";
    const int file = mkstemp(path);
    unlink(path);
    Bytes content(30'000, 'f');
    ASSERT_EQ(::write(file, content.data(), content.size()), ssize_t(content.size()));
    lseek(file, 0, SEEK_SET);
    devices::EventLoop loop;
    Console console(loop, plain(), {.input = file, .output = 2}, {});
    for (const bool first : {true, false}) {
        SessionInput input(loop, console, true);
        Line line;
        loop.start();
        input.set_input(ConsoleInput::Framed);
        const devices::CharConnection connection(input, line);
        EXPECT_TRUE(eventually([&] { return line.ends() == 1; }));
        EXPECT_EQ(line.line.received, first ? content : Bytes());
        loop.stop();
    }
    close(file);
}

// The following use a pseudo-terminal as the host's terminal.
struct Pty {
    int master = -1;
    int slave = -1;
    Pty() { EXPECT_EQ(openpty(&master, &slave, nullptr, nullptr, nullptr), 0); }
    ~Pty() {
        if (master >= 0) close(master);
        close(slave);
    }
    bool canonical() const {
        termios mode{};
        tcgetattr(slave, &mode);
        return (mode.c_lflag & ICANON) != 0;
    }
};

TEST(Console, TerminalIsRawMeanwhileAndCtrlAXLeaves) {
    Pty pty;
    devices::EventLoop loop;
    std::atomic<bool> quit{false};
    {
        ChardevOptions options = plain();
        options.mux = options.escape_on_terminal_only = true;
        Mux mux(loop,
                std::make_unique<Console>(loop, options,
                                          Console::Descriptors{.input = pty.slave, .output = pty.slave},
                                          ChardevActions()),
                options, EscapeKeys::kCtrlA, {.quit = [&] { quit = true; }});
        Taker taker;
        loop.start();
        const devices::CharConnection connection(*mux.add_port(), taker);
        EXPECT_FALSE(pty.canonical());
        ASSERT_EQ(::write(pty.master, "ls\r\x03\x01\x01", 6), 6);
        EXPECT_TRUE(eventually([&] { return taker.text() == "ls\r\x03\x01"; }));
        ASSERT_EQ(::write(pty.master, "\x01x", 2), 2);
        EXPECT_TRUE(eventually([&] { return quit.load(); }));
        loop.stop();
    }
    EXPECT_TRUE(pty.canonical());
}

TEST(Console, AClosedTerminalEndsTheMachine) {
    Pty pty;
    devices::EventLoop loop;
    std::atomic<bool> hangup{false};
    Console console(
        loop, plain(), {.input = pty.slave, .output = pty.slave},
        {.lost = [&](ChardevActions::Lost why, int) { hangup = why == ChardevActions::Lost::Hangup; }});
    Taker taker;
    loop.start();
    const devices::CharConnection connection(console, taker);
    close(pty.master);
    pty.master = -1;
    EXPECT_TRUE(eventually([&] { return hangup.load(); }));
    loop.stop();
}

TEST(Console, TheTerminalsSizeIsToldWhenItChanges) {
    Pty pty;
    const winsize small{.ws_row = 24, .ws_col = 80}, large{.ws_row = 50, .ws_col = 132};
    ioctl(pty.master, TIOCSWINSZ, &small);
    devices::EventLoop loop;
    Console console(loop, plain(), {.input = pty.slave, .output = pty.slave}, {});
    EXPECT_EQ(console.window_size(), (devices::WindowSize{.columns = 80, .rows = 24}));
    Taker taker;
    loop.start();
    const devices::CharConnection connection(console, taker);
    SignalWatch watch(loop,
                      {.end = [](int) {}, .go_on = [] {}, .resized = [&] { console.terminal_resized(); }});
    ioctl(pty.master, TIOCSWINSZ, &large);
    kill(getpid(), SIGWINCH);
    EXPECT_TRUE(eventually([&] {
        const std::lock_guard hold(taker.lock);
        return taker.events == std::vector{devices::CharEvent::Resized};
    }));
    EXPECT_EQ(console.window_size(), (devices::WindowSize{.columns = 132, .rows = 50}));
    loop.stop();
}

// However the process ends, the terminal is as before. The child is a fresh process image of this test's
// making.
class TerminalRestored : public testing::TestWithParam<int> {};

TEST_P(TerminalRestored, AfterSignal) {
    Pty pty;
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        host::report_crashes("test", 0, nullptr);
        devices::EventLoop loop;
        SignalWatch watch(loop, {.end = [](int signal) { std::exit(100 + signal); }, .go_on = [] {}});
        RawTerminal raw(pty.slave);
        loop.start();
        if (::write(ready[1], "r", 1) != 1) _exit(1);
        if (GetParam() == SIGABRT) std::abort();
        if (GetParam() == 0) std::exit(100);
        for (;;) pause();
    }
    char byte;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    if (GetParam() != 0 && GetParam() != SIGABRT) {
        EXPECT_FALSE(pty.canonical());
        kill(child, GetParam());
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (GetParam() == SIGABRT) {
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    } else {
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 100 + GetParam()) << status;
    }
    EXPECT_TRUE(pty.canonical());
    close(ready[0]);
    close(ready[1]);
}

INSTANTIATE_TEST_SUITE_P(EveryWayOut, TerminalRestored,
                         testing::Values(0, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT));

TEST(Terminal, StopGivesItBackAndContinueTakesItAgain) {
    Pty pty;
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        devices::EventLoop loop;
        SignalWatch watch(loop, {.end = [](int) { std::exit(0); }, .go_on = [] {}});
        RawTerminal raw(pty.slave);
        loop.start();
        if (::write(ready[1], "r", 1) != 1) _exit(1);
        for (;;) pause();
    }
    char byte;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    EXPECT_FALSE(pty.canonical());
    kill(child, SIGTSTP);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
    EXPECT_TRUE(WIFSTOPPED(status));
    EXPECT_TRUE(pty.canonical());
    kill(child, SIGCONT);
    EXPECT_TRUE(eventually([&] { return !pty.canonical(); }));
    kill(child, SIGTERM);
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(pty.canonical());
    close(ready[0]);
    close(ready[1]);
}

// As a shell's Ctrl-Z, bg and fg do it: in the background the terminal is the shell's.
TEST(Terminal, ContinuedInTheBackgroundItLeavesTheTerminalAlone) {
    Pty pty;
    int words[2];
    ASSERT_EQ(pipe(words), 0);
    const auto tell = [&](char word) {
        if (::write(words[1], &word, 1) != 1) _exit(1);
    };
    const auto told = [&] {
        char word = '-';
        return read(words[0], &word, 1) == 1 ? word : '-';
    };
    const pid_t shell = fork();
    if (shell == 0) {
        signal(SIGTTOU, SIG_IGN);
        if (setsid() < 0 || ioctl(pty.slave, TIOCSCTTY, 0) != 0) _exit(1);
        const pid_t child = fork();
        if (child == 0) {
            setpgid(0, 0);
            tcsetpgrp(pty.slave, getpgrp());
            devices::EventLoop loop;
            SignalWatch watch(loop, {.end = [](int) { std::exit(7); }, .go_on = [&] { tell('c'); }});
            RawTerminal raw(pty.slave);
            loop.start();
            tell('r');
            for (;;) pause();
        }
        const auto child_tells = [&](char word) { return told() == word; };
        int status = 0;
        if (!child_tells('r') || pty.canonical()) _exit(2);
        kill(child, SIGTSTP);
        if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status)) _exit(3);
        if (!pty.canonical()) _exit(4);
        tcsetpgrp(pty.slave, getpgrp());
        kill(child, SIGCONT);
        if (!child_tells('c') || !pty.canonical()) _exit(5);
        tcsetpgrp(pty.slave, child);
        kill(child, SIGCONT);
        if (!child_tells('c') || pty.canonical()) _exit(6);
        kill(child, SIGTERM);
        if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 7) _exit(7);
        _exit(pty.canonical() ? 0 : 8);
    }
    int status = 0;
    ASSERT_EQ(waitpid(shell, &status, 0), shell);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << WEXITSTATUS(status);
    close(words[0]);
    close(words[1]);
}

}  // namespace
}  // namespace arclight::guestos
