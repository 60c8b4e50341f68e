// A network adapter whose frames the host's kernel moves (vhost.py), behind virtio-mmio: 10.9.0.2 first pings the host, 10.9.0.1, and then
// answers its pings and questions for names; one that begins with r makes it reset the machine, one with q end it. It takes checksums
// that the host has not finished, and leaves some to it. Each frame is waited for by its interrupt.
#include "runtime/gic.h"

#define SLOTS 0x0a000000ul
#define SLOT_BYTES 0x200ul
#define FIRST_INTERRUPT 48
#define SYSTEM_RESET 0x84000009ul
#define DEPTH 16
#define BUFFER_BYTES 2048
#define HEADER 12  // struct virtio_net_hdr
#define NEEDS_CHECKSUM 1
#define ETHERNET 14
#define IP 20

// virtio 1.2 sections 5.1.3 and 6: F_CSUM, F_GUEST_CSUM, F_MAC, F_MRG_RXBUF; F_VERSION_1
#define FEATURES (1u << 0 | 1u << 1 | 1u << 5 | 1u << 15)
enum { DESCRIPTOR_WRITE = 2, NO_INTERRUPT = 1 };

struct ring {
    volatile u64* descriptors;
    volatile u16* available;
    volatile u16* used;
    u16 next, seen;
    u8* buffers[DEPTH];
};
static struct ring in, out;
static u64 device, interrupt;
static u8 mac[6], host_mac[6];
static const u8 address[4] = {10, 9, 0, 2}, host_address[4] = {10, 9, 0, 1};
static u64 pings, names, unfinished, bad, host_answers;

static int in_time(int (*done)(void)) {
    const u64 end = read_sysreg(cntvct_el0) + 60 * read_sysreg(cntfrq_el0);
    while (!done())
        if (read_sysreg(cntvct_el0) > end) return 0;
    return 1;
}
static int interrupted(void) { return gic_is_pending(interrupt) != 0; }
static int all_sent(void) { return out.used[1] == out.next; }

static void copy(u8* to, const u8* from, u64 bytes) {
    while (bytes-- != 0) *to++ = *from++;
}
static u32 get16(const u8* at) { return (u32)at[0] << 8 | at[1]; }
static void put16(u8* at, u32 value) {
    at[0] = (u8)(value >> 8);
    at[1] = (u8)value;
}
static u32 sum_of(const u8* at, u64 bytes, u32 sum) {
    for (u64 i = 0; i < bytes; ++i) sum += i % 2 != 0 ? at[i] : (u32)at[i] << 8;
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}
/// Of the pseudo-header of a datagram.
static u32 pseudo_sum(const u8* ip, u32 bytes) { return sum_of(ip + 12, 8, ip[9] + bytes); }

static void offer(struct ring* ring, u32 queue, u32 buffer, u64 bytes, u64 flags) {
    ring->descriptors[buffer * 2] = (u64)ring->buffers[buffer];
    ring->descriptors[buffer * 2 + 1] = bytes | flags << 32;
    ring->available[2 + ring->next % DEPTH] = (u16)buffer;
    dsb();
    ring->available[1] = ++ring->next;
    dsb();
    write32(device + 0x50, queue);
}

static void set_up(struct ring* ring, u32 queue) {
    ring->descriptors = (volatile u64*)new_page();
    ring->available = (volatile u16*)new_page();
    ring->used = (volatile u16*)new_page();
    for (u64 i = 0; i < DEPTH; i += 2) {
        ring->buffers[i] = (u8*)new_page();
        ring->buffers[i + 1] = ring->buffers[i] + BUFFER_BYTES;
    }
    write32(device + 0x30, queue);
    write32(device + 0x38, DEPTH);
    write32(device + 0x80, (u32)(u64)ring->descriptors);
    write32(device + 0x90, (u32)(u64)ring->available);
    write32(device + 0xa0, (u32)(u64)ring->used);
    write32(device + 0x44, 1);
}

// `frame` begins with the header.
static void send(const u8* frame, u64 bytes) {
    if (!in_time(all_sent)) say("a frame is not sent\n");
    const u32 buffer = out.next % DEPTH;
    copy(out.buffers[buffer], frame, bytes);
    offer(&out, 1, buffer, bytes, 0);
}

static void clear_header(u8* frame) {
    for (u64 i = 0; i < HEADER; ++i) frame[i] = 0;
}

static void ask_for_host(void) {
    static u8 frame[HEADER + ETHERNET + 28];
    clear_header(frame);
    u8* const e = frame + HEADER;
    for (u64 i = 0; i < 6; ++i) e[i] = 0xff;
    copy(e + 6, mac, 6);
    static const u8 request[10] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
    copy(e + 12, request, 10);
    copy(e + 22, mac, 6);
    copy(e + 28, address, 4);
    copy(e + 38, host_address, 4);
    send(frame, sizeof frame);
}

static void ping_host(void) {
    static u8 frame[HEADER + ETHERNET + 1000];
    clear_header(frame);
    u8 *const e = frame + HEADER, *const ip = e + ETHERNET, *const icmp = ip + IP;
    copy(e, host_mac, 6);
    copy(e + 6, mac, 6);
    put16(e + 12, 0x0800);
    static const u8 header[10] = {0x45, 0, 1000 >> 8, 1000 & 0xff, 0, 0, 0, 0, 64, 1};
    copy(ip, header, 10);
    copy(ip + 12, address, 4);
    copy(ip + 16, host_address, 4);
    put16(ip + 10, 0xffff ^ sum_of(ip, IP, 0));
    icmp[0] = 8;
    for (u64 i = 8; i < 1000 - IP; ++i) icmp[i] = (u8)(i * 7);
    put16(icmp + 2, 0xffff ^ sum_of(icmp, 1000 - IP, 0));
    send(frame, sizeof frame);
}

static void turn_round(u8* e, u8* ip) {
    copy(e, e + 6, 6);
    copy(e + 6, mac, 6);
    copy(ip + 16, ip + 12, 4);
    copy(ip + 12, address, 4);
}

static void take_arp(u8* frame, u64 bytes) {
    u8 *const e = frame + HEADER, *const arp = e + ETHERNET;
    if (get16(arp + 6) == 2) {
        copy(host_mac, arp + 8, 6);
        ping_host();
        return;
    }
    if (arp[24] != address[0] || arp[27] != address[3]) return;
    put16(arp + 6, 2);
    copy(arp + 18, arp + 8, 10);
    copy(arp + 8, mac, 6);
    copy(arp + 14, address, 4);
    copy(e, e + 6, 6);
    copy(e + 6, mac, 6);
    clear_header(frame);
    send(frame, bytes);
}

static void take_ping(u8* frame, u64 bytes) {
    u8 *const ip = frame + HEADER + ETHERNET, *const icmp = ip + IP;
    const u64 size = get16(ip + 2) - IP;
    bad += sum_of(icmp, size, 0) != 0xffff;
    if (icmp[0] == 0) {
        int good = 1;
        for (u64 i = 8; i < size; ++i) good &= icmp[i] == (u8)(i * 7);
        if (good && size == 1000 - IP && host_answers++ == 0) say("the host answers\n");
    }
    if (icmp[0] != 8) return;
    ++pings;
    icmp[0] = 0;
    put16(icmp + 2, 0);
    put16(icmp + 2, 0xffff ^ sum_of(icmp, size, 0));
    turn_round(frame + HEADER, ip);
    clear_header(frame);
    send(frame, bytes);
}

// RFC 1035 section 4.1. There is no such name, says the answer.
static void take_question(u8* frame, u64 bytes) {
    u8 *const ip = frame + HEADER + ETHERNET, *const udp = ip + IP, *const dns = udp + 8;
    const u32 size = get16(udp + 4);
    if (get16(udp + 2) != 53) return;
    if (frame[0] & NEEDS_CHECKSUM)
        ++unfinished;
    else
        bad += sum_of(udp, size, pseudo_sum(ip, size)) != 0xffff;
    ++names;
    const u8 first = dns[13];
    dns[2] |= 0x80;
    dns[3] = 0x83;
    put16(udp + 2, get16(udp));
    put16(udp, 53);
    turn_round(frame + HEADER, ip);
    put16(udp + 6, pseudo_sum(ip, size));
    clear_header(frame);
    frame[0] = NEEDS_CHECKSUM;
    frame[6] = ETHERNET + IP;
    frame[8] = 6;
    send(frame, bytes);
    if (first != 'r' && first != 'q') return;
    if (!in_time(all_sent)) say("the answer is not sent\n");
    say("pings %s, names %s, unfinished checksums %s, bad ones %d\n", pings != 0 ? "came" : "did not come",
        names != 0 ? "came" : "did not come", unfinished == names ? "came" : "did not come", bad);
    if (first == 'r') hvc(SYSTEM_RESET, 0, 0, 0);
    say("done\n");
    bm_off();
}

static void take(u8* frame, u64 bytes) {
    const u8* const e = frame + HEADER;
    if (get16(e + 12) == 0x0806) take_arp(frame, bytes);
    if (get16(e + 12) != 0x0800 || e[ETHERNET] != 0x45 || e[ETHERNET + 19] != address[3]) return;
    if (e[ETHERNET + 9] == 1) take_ping(frame, bytes);
    if (e[ETHERNET + 9] == 17) take_question(frame, bytes);
}

void test_main(void) {
    gic_init();
    gic_cpu_init();
    for (u64 slot = 0; slot < 32; ++slot)
        if (read32(SLOTS + slot * SLOT_BYTES + 8) == 1) {
            device = SLOTS + slot * SLOT_BYTES;
            interrupt = FIRST_INTERRUPT + slot;
        }
    if (device == 0) {
        say("no adapter\n");
        return;
    }
    write32(device + 0x70, 3);
    write32(device + 0x14, 0);
    say("features %x\n", read32(device + 0x10) & FEATURES);
    write32(device + 0x24, 0);
    write32(device + 0x20, FEATURES & read32(device + 0x10));
    write32(device + 0x24, 1);
    write32(device + 0x20, 1);
    write32(device + 0x70, 11);
    if ((read32(device + 0x70) & 8) == 0) say("the features are refused\n");
    for (u64 i = 0; i < 6; ++i) mac[i] = *(volatile u8*)(device + 0x100 + i);
    set_up(&in, 0);
    set_up(&out, 1);
    out.available[0] = NO_INTERRUPT;
    write32(device + 0x70, 15);
    for (u32 i = 0; i < DEPTH; ++i) offer(&in, 0, i, BUFFER_BYTES, DESCRIPTOR_WRITE);
    ask_for_host();
    while (in_time(interrupted)) {
        write32(device + 0x64, read32(device + 0x60));
        dsb();
        for (; in.seen != in.used[1]; ++in.seen) {
            const volatile u32* const entry = (volatile u32*)(in.used + 2) + in.seen % DEPTH * 2;
            const u32 buffer = entry[0], bytes = entry[1];
            take(in.buffers[buffer], bytes);
            offer(&in, 0, buffer, BUFFER_BYTES, DESCRIPTOR_WRITE);
        }
    }
    say("nothing comes\n");
}
