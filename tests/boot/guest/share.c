// What a directory that is mounted by 9p does, one line a step: compared between emulators. Argument: an empty directory.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static void say(const char* what, long result) {
    if (result < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, result);
}
#define DO(call) (errno = 0, say(#call, (long)(call)))

static void show(const char* name) {
    struct stat s;
    if (lstat(name, &s) != 0) {
        printf("%s: %s\n", name, strerrorname_np(errno));
        return;
    }
    printf("%s: mode %o links %lu owner %u:%u size %ld device %x:%x\n", name, s.st_mode,
           S_ISDIR(s.st_mode) ? 0ul : (unsigned long)s.st_nlink, s.st_uid, s.st_gid,
           S_ISDIR(s.st_mode) ? 0l : (long)s.st_size,
           S_ISCHR(s.st_mode) || S_ISBLK(s.st_mode) ? major(s.st_rdev) : 0,
           S_ISCHR(s.st_mode) || S_ISBLK(s.st_mode) ? minor(s.st_rdev) : 0);
}

static void put(const char* name, const char* text) {
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        printf("put %s: %s\n", name, strerrorname_np(errno));
    close(fd);
}

static void get(const char* name) {
    char text[256];
    int fd = open(name, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0) {
        printf("get %s: %s\n", name, strerrorname_np(errno));
    } else {
        text[n] = 0;
        printf("get %s: '%s'\n", name, text);
    }
    close(fd);
}

static int by_name(const void* a, const void* b) { return strcmp(*(char* const*)a, *(char* const*)b); }

static void list(const char* name) {
    DIR* d = opendir(name);
    static char* names[4096];
    unsigned n = 0;
    if (!d) {
        printf("list %s: %s\n", name, strerrorname_np(errno));
        return;
    }
    for (struct dirent* e; n < 4096 && (e = readdir(d)) != NULL;) names[n++] = strdup(e->d_name);
    closedir(d);
    qsort(names, n, sizeof *names, by_name);
    uint32_t sum = 0;
    for (unsigned i = 0; i < n; i++)
        for (const char* c = names[i]; *c; c++) sum = sum * 31 + (unsigned char)*c;
    printf("list %s: %u names, sum %08x:", name, n, sum);
    for (unsigned i = 0; i < n && n < 30; i++) printf(" %s", names[i]);
    printf("\n");
}

static void files(void) {
    printf("-- files\n");
    DO(open("f", O_RDONLY));
    put("f", "first");
    get("f");
    DO(open("f", O_WRONLY | O_CREAT | O_EXCL, 0600));
    DO(open("f", O_RDONLY | O_DIRECTORY));
    int fd = open("f", O_WRONLY | O_APPEND);
    DO(write(fd, " second", 7));
    close(fd);
    get("f");
    DO(truncate("f", 3));
    get("f");
    DO(truncate("f", 10));
    show("f");
    DO(truncate("f", -1));
    fd = open("f", O_RDWR);
    DO(pwrite(fd, "x", 1, 100000));
    DO(ftruncate(fd, 50));
    DO(fsync(fd));
    DO(fdatasync(fd));
    close(fd);
    show("f");
    char name[300];
    memset(name, 'n', sizeof name);
    name[255] = 0;
    DO(close(open(name, O_WRONLY | O_CREAT, 0600)));
    DO(unlink(name));
    name[255] = 'n', name[256] = 0;
    DO(open(name, O_WRONLY | O_CREAT, 0600));
    DO(unlink("f"));
    show("f");
    put("name with spaces \n and a newline", "odd");
    list(".");
    DO(unlink("name with spaces \n and a newline"));
}

static void directories(void) {
    printf("-- directories\n");
    DO(mkdir("d", 0750));
    show("d");
    DO(mkdir("d", 0750));
    put("d/x", "x");
    DO(rmdir("d"));
    DO(unlink("d"));
    DO(rmdir("d/x"));
    DO(open("d", O_WRONLY));
    DO(mkdir("d/e", 0700));
    DO(rename("d", "d/e/inside"));
    DO(rename("d/x", "d/e"));
    DO(rename("d/e", "d/x"));
    put("d/e/y", "y");
    DO(mkdir("g", 0700));
    DO(rename("g", "d/e"));
    DO(rename("d/e", "g"));
    list("g");
    list("d");
    DO(mkdir("many", 0700));
    char name[64];
    for (int i = 0; i < 250; i++) {
        snprintf(name, sizeof name, "many/a name of some length that fills buffers %d", i);
        close(open(name, O_WRONLY | O_CREAT, 0600));
    }
    list("many");
    for (int i = 0; i < 250; i++) {
        snprintf(name, sizeof name, "many/a name of some length that fills buffers %d", i);
        unlink(name);
    }
    DO(rmdir("many"));
    for (int i = 0; i < 8; i++) {
        mkdir("deep", 0700);
        if (chdir("deep") != 0) printf("deep: %s\n", strerrorname_np(errno));
    }
    put("bottom", "down here");
    get("bottom");
    get("../deep/../deep/bottom");
    DO(unlink("bottom"));
    for (int i = 0; i < 8; i++) {
        if (chdir("..") != 0 || rmdir("deep") != 0) printf("up: %s\n", strerrorname_np(errno));
    }
    list(".");
    DO(unlink("d/x"));
    DO(rmdir("d"));
    DO(unlink("g/y"));
    DO(rmdir("g"));
}

static void links(void) {
    char target[100];
    printf("-- links\n");
    put("a", "a");
    DO(symlink("a", "s"));
    DO(symlink("a", "s"));
    show("s");
    get("s");
    memset(target, 0, sizeof target);
    DO(readlink("s", target, sizeof target));
    printf("to %s\n", target);
    DO(symlink("/nowhere/at/all", "dangling"));
    get("dangling");
    DO(symlink("loop", "loop"));
    get("loop");
    DO(link("a", "b"));
    show("a");
    DO(link("a", "b"));
    DO(unlink("a"));
    show("b");
    get("b");
    DO(rename("b", "s"));
    show("s");
    get("s");
    DO(unlink("s"));
    DO(unlink("dangling"));
    DO(unlink("loop"));
}

static void nodes(void) {
    printf("-- nodes\n");
    DO(mkfifo("p", 0644));
    show("p");
    DO(mknod("sock", S_IFSOCK | 0600, 0));
    show("sock");
    DO(unlink("p"));
    DO(unlink("sock"));
}

static void devices(void) {
    printf("-- devices\n");
    DO(mknod("zero", S_IFCHR | 0666, makedev(1, 5)));
    show("zero");
    char byte = 1;
    int fd = open("zero", O_RDONLY);
    DO(read(fd, &byte, 1));
    printf("byte %d\n", byte);
    close(fd);
    DO(mknod("block", S_IFBLK | 0600, makedev(259, 70000)));
    show("block");
    DO(rename("block", "moved"));
    show("moved");
    DO(unlink("moved"));
    DO(unlink("zero"));
}

static void attributes(int owners) {
    printf("-- attributes\n");
    put("f", "text");
    DO(chmod("f", 0741));
    show("f");
    DO(chmod("f", 0));
    get("f");
    if (owners) {
        DO(chown("f", 1234, 5678));
        show("f");
        DO(chmod("f", 06755));
        show("f");
        DO(chown("f", 1, -1));
        show("f");
        DO(mkdir("d", 0700));
        DO(chown("d", 33, 44));
        DO(chmod("d", 01777));
        show("d");
        DO(rmdir("d"));
    }
    struct timespec times[2] = {{1000000000, 123456789}, {1500000000, 987654321}};
    DO(utimensat(AT_FDCWD, "f", times, 0));
    struct stat s;
    stat("f", &s);
    printf("times %ld.%ld %ld.%ld\n", (long)s.st_atim.tv_sec, s.st_atim.tv_nsec, (long)s.st_mtim.tv_sec,
           s.st_mtim.tv_nsec);
    times[0].tv_nsec = UTIME_OMIT, times[1].tv_nsec = UTIME_NOW;
    DO(utimensat(AT_FDCWD, "f", times, 0));
    stat("f", &s);
    printf("access time kept %d, change time new %d\n", s.st_atim.tv_sec == 1000000000,
           s.st_mtim.tv_sec > 1500000000);
    DO(unlink("f"));
    struct statfs fs;
    DO(statfs(".", &fs));
    printf("name %ld\n", (long)fs.f_namelen);
}

static void extended(void) {
    static char big[65536 + 1], value[65536];
    printf("-- extended attributes\n");
    put("f", "text");
    DO(setxattr("f", "user.one", "1", 1, 0));
    DO(setxattr("f", "user.one", "2", 1, XATTR_CREATE));
    DO(setxattr("f", "user.two", "2", 1, XATTR_REPLACE));
    DO(setxattr("f", "user.one", "three", 5, XATTR_REPLACE));
    memset(value, 0, sizeof value);
    DO(getxattr("f", "user.one", value, sizeof value));
    printf("value %s\n", value);
    DO(getxattr("f", "user.one", value, 2));
    DO(getxattr("f", "user.none", value, sizeof value));
    DO(setxattr("f", "user.virtfs.uid", "abcd", 4, 0));
    DO(getxattr("f", "user.virtfs.uid", value, sizeof value));
    DO(removexattr("f", "user.virtfs.uid"));
    ssize_t n = listxattr("f", value, sizeof value);
    printf("names:");
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(value + at) + 1) printf(" %s", value + at);
    printf("\n");
    memset(big, 'b', sizeof big);
    DO(setxattr("f", "user.big", big, 3000, 0));
    DO(getxattr("f", "user.big", value, sizeof value));
    DO(setxattr("f", "user.big", big, sizeof big, 0));
    DO(removexattr("f", "user.one"));
    DO(removexattr("f", "user.one"));
    DO(unlink("f"));
}

static void open_files(void) {
    char text[64] = "";
    printf("-- open files\n");
    put("f", "content");
    int fd = open("f", O_RDWR);
    DO(rename("f", "g"));
    DO(read(fd, text, sizeof text));
    DO(write(fd, "more", 4));
    DO(unlink("g"));
    DO(lseek(fd, 0, SEEK_SET));
    memset(text, 0, sizeof text);
    DO(read(fd, text, sizeof text));
    printf("text '%s'\n", text);
    DO(pwrite(fd, "still", 5, 0));
    DO(pread(fd, text, 5, 0));
    DO(fsync(fd));
    put("g", "another");
    DO(pread(fd, text, 5, 0));
    printf("text '%.5s'\n", text);
    close(fd);
    get("g");
    DO(mkdir("d", 0700));
    put("d/x", "beneath");
    fd = open("d/x", O_RDWR);
    DO(rename("d", "e"));
    DO(pwrite(fd, "BENEATH", 7, 0));
    close(fd);
    get("e/x");
    get("d/x");
    DO(mkdir("d", 0700));
    DO(rename("e/x", "d/x"));
    get("d/x");
    DO(unlink("d/x"));
    DO(rmdir("d"));
    DO(rmdir("e"));
    DO(unlink("g"));
}

static void locks(void) {
    printf("-- locks\n");
    put("f", "0123456789");
    int one = open("f", O_RDWR), two = open("f", O_RDWR);
    DO(flock(one, LOCK_EX | LOCK_NB));
    DO(flock(two, LOCK_EX | LOCK_NB));
    DO(flock(one, LOCK_UN));
    DO(flock(two, LOCK_SH | LOCK_NB));
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 3};
    DO(fcntl(one, F_SETLK, &lock));
    DO(fcntl(one, F_GETLK, &lock));
    printf("type %d\n", lock.l_type == F_UNLCK);
    close(one), close(two);
    DO(unlink("f"));
}

static void mapping(void) {
    printf("-- mapping\n");
    put("f", "0123456789");
    int fd = open("f", O_RDWR);
    char* map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        printf("mmap: %s\n", strerrorname_np(errno));
    } else {
        map[3] = 'X';
        DO(msync(map, 4096, MS_SYNC));
        munmap(map, 4096);
    }
    close(fd);
    get("f");
    DO(unlink("f"));
}

int main(int argc, char** argv) {
    if (argc != 3 || chdir(argv[1]) != 0) return 2;
    const int mapped = strcmp(argv[2], "mapped") == 0;
    umask(022);
    files();
    directories();
    links();
    if (mapped) nodes(), devices();
    attributes(mapped);
    extended();
    open_files();
    locks();
    mapping();
    list(".");
    return 0;
}
