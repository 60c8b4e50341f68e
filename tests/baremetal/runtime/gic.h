// Just enough of both interrupt controllers: the CPU interface of GICv2 is memory, that of GICv3 system
// registers.
#pragma once

#include "runtime/bm.h"

extern int gic_version;  // set by gic_init()
u64 cpu_number(void);
u64 affinity_of(u64 cpu);
void gic_init(void);      // the distributor, once
void gic_cpu_init(void);  // each CPU: own interrupts enabled at priority 0xa0, PMR open
void gic_enable(u64 intid, int on);
void gic_priority(u64 intid, u64 priority);
u64 gic_get_priority(u64 intid);
void gic_pending(u64 intid, int set);
u64 gic_is_pending(u64 intid);
u64 gic_is_active(u64 intid);
void gic_target(u64 spi, u64 cpu);
void gic_level(u64 intid, int edge);
void gic_sgi(u64 intid, u64 cpu);
u64 gic_acknowledge(void);
void gic_end(u64 iar);
void gic_deactivate(u64 iar);
void gic_mask(u64 priority);
u64 gic_running_priority(void);
u64 gic_highest_pending(void);
void gic_eoi_mode(int split);
