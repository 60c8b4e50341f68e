// Bitwise operations, and moves between registers, lanes and integers.
#include <bit>

#include "jit/reference/groups.h"
#include "jit/reference/lanes.h"

namespace arclight::jit::reference {

namespace {
using ir::Op;

template <typename F>
void words(VectorCall& c, F f) {
    for (unsigned i = 0; i < 2; ++i) c.out.d[i] = f(c.a.d[i], c.b.d[i], c.c.d[i]);
}
void vand(GuestState&, VectorCall& c) {
    words(c, [](uint64_t a, uint64_t b, uint64_t) { return a & b; });
}
void vor(GuestState&, VectorCall& c) {
    words(c, [](uint64_t a, uint64_t b, uint64_t) { return a | b; });
}
void vxor(GuestState&, VectorCall& c) {
    words(c, [](uint64_t a, uint64_t b, uint64_t) { return a ^ b; });
}
void vandnot(GuestState&, VectorCall& c) {
    words(c, [](uint64_t a, uint64_t b, uint64_t) { return a & ~b; });
}
void vornot(GuestState&, VectorCall& c) {
    words(c, [](uint64_t a, uint64_t b, uint64_t) { return a | ~b; });
}
void vnot(GuestState&, VectorCall& c) {
    words(c, [](uint64_t a, uint64_t, uint64_t) { return ~a; });
}
void vbitselect(GuestState&, VectorCall& c) {
    words(c, [](uint64_t a, uint64_t b, uint64_t d) { return (a & b) | (~a & d); });
}

void vconst(GuestState&, VectorCall& c) {
    c.out.d[0] = c.imm;
    c.out.d[1] = c.q ? c.imm : 0;
}
template <typename T>
void vzext(GuestState&, VectorCall& c) {
    c.out.d[0] = static_cast<T>(c.a.d[0]);
    c.out.d[1] = 0;
}
void vhightolow(GuestState&, VectorCall& c) {
    c.out.d[0] = c.a.d[1];
    c.out.d[1] = 0;
}
void vcombine(GuestState&, VectorCall& c) {
    c.out.d[0] = c.a.d[0];
    c.out.d[1] = c.b.d[0];
}

template <typename T>
void fill(VectorCall& c, T value) {
    Lanes<T> r;
    for (T& lane : r.lane) lane = value;
    c.out = pack(r);
}
void vdup(GuestState&, VectorCall& c) {
    by_unsigned(c, [&]<typename T>(T) { fill(c, static_cast<T>(c.a.d[0])); });
    if (!c.q) c.out.d[1] = 0;
}
void vduplane(GuestState&, VectorCall& c) {
    by_unsigned(c, [&]<typename T>(T) { fill(c, lanes<T>(c.a)[c.imm % Lanes<T>::kCount]); });
}
void vextract_u(GuestState&, VectorCall& c) {
    by_unsigned(c, [&]<typename T>(T) { c.out.d[0] = lanes<T>(c.a)[c.imm % Lanes<T>::kCount]; });
    c.out.d[1] = 0;
}
void vextract_s(GuestState&, VectorCall& c) {
    by_signed(c, [&]<typename T>(T) {
        const int64_t value = lanes<T>(c.a)[c.imm % Lanes<T>::kCount];
        c.out.d[0] = c.q ? static_cast<uint64_t>(value) : static_cast<uint32_t>(value);
    });
    c.out.d[1] = 0;
}
void vinsert(GuestState&, VectorCall& c) {
    by_unsigned(c, [&]<typename T>(T) {
        auto r = lanes<T>(c.a);
        r[c.imm % r.kCount] = static_cast<T>(c.b.d[0]);
        c.out = pack(r);
    });
}
void vinsertlane(GuestState&, VectorCall& c) {
    by_unsigned(c, [&]<typename T>(T) {
        auto r = lanes<T>(c.a);
        r[(c.imm & 15) % r.kCount] = lanes<T>(c.b)[(c.imm >> 4) % r.kCount];
        c.out = pack(r);
    });
}

void vclz(GuestState&, VectorCall& c) {
    by_unsigned(c, [&]<typename T>(T) { map1<T>(c, [](T a) { return std::countl_zero(a); }); });
}
void vcls(GuestState&, VectorCall& c) {
    by_signed(c, [&]<typename T>(T) {
        using U = std::make_unsigned_t<T>;
        map1<T>(c, [](T a) { return std::countl_zero(static_cast<U>(a < 0 ? ~a : a)) - 1; });
    });
}
void vcnt(GuestState&, VectorCall& c) {
    map1<uint8_t>(c, [](uint8_t a) { return std::popcount(a); });
}
void vrbit(GuestState&, VectorCall& c) {
    words(c, [](uint64_t a, uint64_t, uint64_t) {
        a = (a >> 1 & 0x5555555555555555) | (a & 0x5555555555555555) << 1;
        a = (a >> 2 & 0x3333333333333333) | (a & 0x3333333333333333) << 2;
        return (a >> 4 & 0x0f0f0f0f0f0f0f0f) | (a & 0x0f0f0f0f0f0f0f0f) << 4;
    });
}
}  // namespace

void add_vector_logic(Table& t) {
    t[Op::VConst] = vconst;
    t[Op::VAnd] = vand;
    t[Op::VOr] = vor;
    t[Op::VXor] = vxor;
    t[Op::VAndNot] = vandnot;
    t[Op::VOrNot] = vornot;
    t[Op::VNot] = vnot;
    t[Op::VBitSelect] = vbitselect;
    t[Op::VZext64] = vzext<uint64_t>;
    t[Op::VZext32] = vzext<uint32_t>;
    t[Op::VZext16] = vzext<uint16_t>;
    t[Op::VZext8] = vzext<uint8_t>;
    t[Op::VHighToLow] = vhightolow;
    t[Op::VCombine] = vcombine;
    t[Op::VDup] = vdup;
    t[Op::VDupLane] = vduplane;
    t[Op::VExtractU] = vextract_u;
    t[Op::VExtractS] = vextract_s;
    t[Op::VInsert] = vinsert;
    t[Op::VInsertLane] = vinsertlane;
    t[Op::VClz] = vclz;
    t[Op::VCls] = vcls;
    t[Op::VCnt] = vcnt;
    t[Op::VRbit] = vrbit;
}

}  // namespace arclight::jit::reference
