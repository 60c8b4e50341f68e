// QEMU TCG plugin: counts every guest instruction executed. At each mark (SVC #0x1000+N, see loops/main.c)
// and at the end it writes "N count"; the end is N = -1.   gcc -O2 -shared -fPIC -o count.so count.c; qemu
// ... -plugin ./count.so,out=FILE The declarations are QEMU's plugin interface, version 1, whose header
// Debian does not package.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
extern struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
extern const void* qemu_plugin_insn_data(const struct qemu_plugin_insn*);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb*));
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn*, void (*)(unsigned, void*), int,
                                                   void*);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn*, int, void*, uint64_t);
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void*), void*);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

static uint64_t count;
static FILE* out;

static void report(long mark) {
    fprintf(out, "%ld %llu\n", mark, (unsigned long long)count);
    fflush(out);
}

static void on_mark(unsigned cpu, void* mark) {
    (void)cpu;
    report((long)mark);
}

static void on_exit_(plugin_id id, void* data) {
    (void)id, (void)data;
    report(-1);
}

static void on_translation(plugin_id id, struct qemu_plugin_tb* tb) {
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn* instruction = qemu_plugin_tb_get_insn(tb, i);
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_data(instruction), 4);
        qemu_plugin_register_vcpu_insn_exec_inline(instruction, 0, &count, 1);
        if ((word & 0xffe0001f) == 0xd4000001 && (word >> 5 & 0xffff) >= 0x1000 &&
            (word >> 5 & 0xffff) < 0x1080)
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_mark, 0,
                                                   (void*)(long)((word >> 5 & 0xffff) - 0x1000));
    }
}

EXPORT int qemu_plugin_install(plugin_id id, const void* info, int argc, char** argv) {
    (void)info;
    const char* path = "count.txt";
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], "out=", 4) == 0) path = argv[i] + 4;
    out = fopen(path, "w");
    if (!out) return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_, NULL);
    return 0;
}
