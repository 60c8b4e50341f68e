// Operations between elements of two widths, without saturation.
#include "jit/reference/groups.h"
#include "jit/reference/lanes.h"

namespace arclight::jit::reference {

namespace {
using ir::Op;

/// Calls f with the element type of esize 0..2, the narrow one of the two.
template <bool kSigned, typename F>
void by_narrow(const VectorCall& c, F f) {
    using std::conditional_t;
    switch (c.esize & 3) {
        case 0: return f(conditional_t<kSigned, int8_t, uint8_t>{});
        case 1: return f(conditional_t<kSigned, int16_t, uint16_t>{});
        default: return f(conditional_t<kSigned, int32_t, uint32_t>{});
    }
}

void vxtn(GuestState&, VectorCall& c) {
    by_narrow<false>(c, [&]<typename T>(T) {
        const auto a = lanes<Wider<T>>(c.a);
        Lanes<T> r{};
        for (unsigned i = 0; i < a.kCount; ++i) r[i] = static_cast<T>(a[i]);
        c.out = pack(r);
    });
}
template <bool kSigned>
void vxtl(GuestState&, VectorCall& c) {
    by_narrow<kSigned>(c, [&]<typename T>(T) {
        const auto a = lanes<T>(c.a);
        Lanes<Wider<T>> r;
        for (unsigned i = 0; i < r.kCount; ++i) r[i] = a[i];
        c.out = pack(r);
    });
}
template <bool kSigned>
void vmull(GuestState&, VectorCall& c) {
    by_narrow<kSigned>(c, [&]<typename T>(T) {
        using W = Wider<T>;
        const auto a = lanes<T>(c.a), b = lanes<T>(c.b);
        Lanes<W> r;
        // In 64 bits: the product of two uint16_t would overflow int.
        using Product = std::conditional_t<kSigned, int64_t, uint64_t>;
        for (unsigned i = 0; i < r.kCount; ++i) r[i] = static_cast<W>(static_cast<Product>(a[i]) * b[i]);
        c.out = pack(r);
    });
}
template <bool kSigned>
void vaddlp(GuestState&, VectorCall& c) {
    by_narrow<kSigned>(c, [&]<typename T>(T) {
        using W = Wider<T>;
        const auto a = lanes<T>(c.a);
        Lanes<W> r;
        for (unsigned i = 0; i < r.kCount; ++i)
            r[i] = static_cast<W>(static_cast<W>(a[2 * i]) + a[2 * i + 1]);
        c.out = pack(r);
    });
}
template <bool kSigned>
void vaddlv(GuestState&, VectorCall& c) {
    by_narrow<kSigned>(c, [&]<typename T>(T) {
        const auto a = lanes<T>(c.a);
        int64_t sum = 0;
        for (unsigned i = 0; i < active<T>(c); ++i) sum += a[i];
        using W = std::make_unsigned_t<Wider<T>>;
        c.out.d[0] = static_cast<W>(sum);
        c.out.d[1] = 0;
    });
}
}  // namespace

void add_vector_widen(Table& t) {
    t[Op::VXtn] = vxtn;
    t[Op::VSxtl] = vxtl<true>;
    t[Op::VUxtl] = vxtl<false>;
    t[Op::VMullS] = vmull<true>;
    t[Op::VMullU] = vmull<false>;
    t[Op::VAddlPS] = vaddlp<true>;
    t[Op::VAddlPU] = vaddlp<false>;
    t[Op::VAddlVS] = vaddlv<true>;
    t[Op::VAddlVU] = vaddlv<false>;
}

}  // namespace arclight::jit::reference
