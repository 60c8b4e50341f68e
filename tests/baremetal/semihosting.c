// Semihosting calls whose results do not depend on who answers them. (Not appending: QEMU 7.2 writes over the start.) The directory is empty, and where relative names begin.
// The command line's last word says how to leave.
#include "bare.h"

enum {
    OPEN = 1,
    CLOSE,
    WRITEC,
    WRITE0,
    WRITE,
    READ,
    READC,
    ISERROR,
    ISTTY,
    SEEK,
    FLEN = 12,
    REMOVE = 14,
    RENAME,
    CLOCK,
    TIME
};
enum {
    ERRNO = 0x13,
    GET_CMDLINE = 0x15,
    HEAPINFO,
    EXIT = 0x18,
    EXIT_EXTENDED = 0x20,
    ELAPSED = 0x30,
    TICKFREQ
};

static u64 call(u64 operation, const void* parameter) {
    register u64 x0 __asm__("x0") = operation;
    register u64 x1 __asm__("x1") = (u64)parameter;
    __asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
    return x0;
}
static u64 call3(u64 operation, u64 a, u64 b, u64 c) {
    const u64 words[4] = {a, b, c, 0};
    return call(operation, words);
}
static u64 length(const char* s) {
    u64 n = 0;
    while (s[n]) ++n;
    return n;
}
static u64 open(const char* name, u64 mode) { return call3(OPEN, (u64)name, mode, length(name)); }
static u64 failed(u64 result) { return result == ~0ul; }

static char buffer[8192];

static void show(const char* name, u64 bytes) {
    text(name);
    text(": '");
    for (u64 i = 0; i < bytes; ++i) put(buffer[i]);
    text("'\n");
}

static void write_file(const char* name, u64 mode, const char* what) {
    const u64 file = open(name, mode);
    number("opened to write", file != 0 && !failed(file));
    number("left", call3(WRITE, file, (u64)what, length(what)));
    number("length", call3(FLEN, file, 0, 0));
    number("terminal", call3(ISTTY, file, 0, 0));
    number("closed", call3(CLOSE, file, 0, 0));
    number("closed again fails", failed(call3(CLOSE, file, 0, 0)));
}

static void read_file(const char* name, u64 mode) {
    const u64 file = open(name, mode);
    number("opened to read", !failed(file));
    if (failed(file)) return number("errno", call(ERRNO, 0));
    u64 left = call3(READ, file, (u64)buffer, 100);
    number("left", left);
    show("text", 100 - left);
    number("at the end", call3(READ, file, (u64)buffer, 5));
    number("seek", call3(SEEK, file, 2, 0));
    left = call3(READ, file, (u64)buffer, 3);
    number("left", left);
    show("from 2", 3 - left);
    call3(CLOSE, file, 0, 0);
}

static void files(void) {
    read_file("none", 0);
    write_file("one", 4, "hello world");
    read_file("one", 0);
    read_file("one", 3);
    write_file("one", 6, "short");
    read_file("one", 0);
    const char* two = "two";
    const u64 names[4] = {(u64) "one", 3, (u64)two, 3};
    number("renamed", call(RENAME, names));
    read_file("one", 0);
    read_file("two", 0);
    number("removed", call3(REMOVE, (u64)two, 3, 0));
    number("removed again", failed(call3(REMOVE, (u64)two, 3, 0)));
    number("errno", call(ERRNO, 0));
    write_file("kept", 4, "kept\n");
    // Long enough that it crosses pages.
    const u64 file = open("long", 7);
    for (u64 i = 0; i < sizeof buffer; ++i) buffer[i] = (char)('a' + i % 23);
    number("left", call3(WRITE, file, (u64)buffer, sizeof buffer));
    for (u64 i = 0; i < sizeof buffer; ++i) buffer[i] = 0;
    call3(SEEK, file, 1, 0);
    number("left", call3(READ, file, (u64)buffer, sizeof buffer));
    u64 right = 0;
    for (u64 i = 0; i + 1 < sizeof buffer; ++i) right += buffer[i] == (char)('a' + (i + 1) % 23);
    number("right", right);
    call3(CLOSE, file, 0, 0);
    number("bad handle", failed(call3(FLEN, 999, 0, 0)));
    number("bad mode", failed(open("x", 12)));
}

static void console(void) {
    const u64 out = open(":tt", 4), error = open(":tt", 8), in = open(":tt", 0);
    number("streams", !failed(out) && !failed(error) && !failed(in));
    number("left", call3(WRITE, out, (u64) "by a handle\n", 12));
    number("left", call3(WRITE, error, (u64) "to stderr\n", 10));
    call(WRITE0, "a string\n");
    for (const char* c = "letters\n"; *c; ++c) call(WRITEC, c);
    const u64 features = open(":semihosting-features", 0);
    number("features", !failed(features));
    number("length", call3(FLEN, features, 0, 0));
    number("left", call3(READ, features, (u64)buffer, 5));
    number("magic", buffer[0] == 'S' && buffer[1] == 'H' && buffer[2] == 'F' && buffer[3] == 'B');
    number("bits", (u8)buffer[4] & 3);
    number("not to write", failed(open(":semihosting-features", 4)));
}

static void times(void) {
    u64 elapsed[2] = {0, 0};
    number("time", call(TIME, 0) > 1700000000);
    number("clock", call(CLOCK, 0) < 100000);
    number("elapsed", call(ELAPSED, &elapsed[0]));
    number("elapsed", call(ELAPSED, &elapsed[1]));
    number("rises", elapsed[1] >= elapsed[0]);
    number("frequency", call(TICKFREQ, 0) >= 1000000);
}

static void memory(void) {
    u64 block[4] = {0, 0, 0, 0};
    const u64 pointer = (u64)block;
    number("heap", call(HEAPINFO, &pointer));
    number("heap in RAM", block[0] >= 0x40000000 && block[1] > block[0] && block[1] <= 0x48000000);
    number("error", call3(ISERROR, ~0ul, 0, 0) != 0);
    number("no error", call3(ISERROR, 5, 0, 0));
}

void test_main(void) {
    struct {
        char* text;
        u64 room;
    } line = {buffer, 200};
    number("command line", call(GET_CMDLINE, &line));
    number("its length", line.room);
    show("it", length(buffer));
    const char how = buffer[length(buffer) - 1];
    line.room = 3;
    number("no room", failed(call(GET_CMDLINE, &line)));
    files();
    console();
    times();
    memory();
    text("leaves\n");
    if (how == '1') call3(EXIT, 0x20026, 42, 0);
    if (how == '2') call3(EXIT_EXTENDED, 0x20026, 7, 0);
    if (how == '3') call3(EXIT, 0x20023, 0, 0);
    text("still here\n");
}
