// Permutations of elements and bytes.
#include <algorithm>

#include "jit/reference/groups.h"
#include "jit/reference/lanes.h"

namespace arclight::jit::reference {

namespace {
using ir::Op;

/// Lane i of the result is lane from(i, count) of the concatenation a:b, count lanes of each.
template <typename F>
void permute(VectorCall& c, F from) {
    by_unsigned(c, [&]<typename T>(T) {
        const auto a = lanes<T>(c.a), b = lanes<T>(c.b);
        Lanes<T> r{};
        const unsigned count = active<T>(c);
        for (unsigned i = 0; i < count; ++i) {
            const unsigned j = from(i, count);
            r[i] = j < count ? a[j] : b[j - count];
        }
        c.out = pack(r);
    });
}
template <unsigned kPart>
void vzip(GuestState&, VectorCall& c) {
    permute(c, [](unsigned i, unsigned count) { return (i & 1) * count + (i + kPart * count) / 2; });
}
template <unsigned kPart>
void vuzp(GuestState&, VectorCall& c) {
    permute(c, [](unsigned i, unsigned) { return 2 * i + kPart; });
}
template <unsigned kPart>
void vtrn(GuestState&, VectorCall& c) {
    permute(c, [](unsigned i, unsigned count) { return (i & 1) * count + (i & ~1u) + kPart; });
}

void vext(GuestState&, VectorCall& c) {
    uint8_t bytes[32];
    const unsigned size = c.q ? 16 : 8;
    std::memcpy(bytes, &c.a, size);
    std::memcpy(bytes + size, &c.b, size);
    c.out.d[1] = 0;
    std::memcpy(&c.out, bytes + c.imm % size, size);
}

void vrev(GuestState&, VectorCall& c) {
    const auto container = static_cast<unsigned>(c.imm);
    by_unsigned(c, [&]<typename T>(T) {
        const auto a = lanes<T>(c.a);
        Lanes<T> r;
        // Containers and elements are powers of two: mirroring is an exclusive or of the index.
        const unsigned mirror = container / kBits<T> - 1;
        for (unsigned i = 0; i < r.kCount; ++i) r[i] = a[(i ^ mirror) % r.kCount];
        c.out = pack(r);
    });
}

void vtbl(GuestState&, VectorCall& c) {
    for (unsigned i = 0; i < 16; ++i) c.out.b[i] = c.b.b[i] < 16 ? c.a.b[c.b.b[i]] : 0;
}
void vtbx(GuestState&, VectorCall& c) {
    for (unsigned i = 0; i < 16; ++i) c.out.b[i] = c.c.b[i] < 16 ? c.b.b[c.c.b[i]] : c.a.b[i];
}
}  // namespace

void add_vector_permute(Table& t) {
    t[Op::VZip1] = vzip<0>;
    t[Op::VZip2] = vzip<1>;
    t[Op::VUzp1] = vuzp<0>;
    t[Op::VUzp2] = vuzp<1>;
    t[Op::VTrn1] = vtrn<0>;
    t[Op::VTrn2] = vtrn<1>;
    t[Op::VExt] = vext;
    t[Op::VRev] = vrev;
    t[Op::VTbl] = vtbl;
    t[Op::VTbx] = vtbx;
}

}  // namespace arclight::jit::reference
