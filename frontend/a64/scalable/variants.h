// What rows of the SVE tables bind as Operation::variant, where that is no operation of the IR.
#pragma once

namespace arclight::frontend::a64::scalable {

/// Operations on two elements, or one.
enum Element : unsigned {
    kMultiply,
    kMulHighS,
    kMulHighU,
    kDivS,
    kDivU,
    kShiftRightS,
    kShiftRightU,
    kShiftLeft,
    kShiftRightDiv,
    kExtendS8,
    kExtendU8,
    kExtendS16,
    kExtendU16,
    kExtendS32,
    kExtendU32,
    kLeadingSigns,
    kLeadingZeros,
    kOnes,
    kIsZero,
    kNot,
    kReverseBits,
    kReverse8,
    kReverse16,
    kReverse32,
    kMove,
};
enum Reduction : unsigned {
    kSumS,
    kSumU,
    kMaxS,
    kMaxU,
    kMinS,
    kMinU,
    kOr,
    kXor,
    kAnd,
    kFpSum,
    kFpMax,
    kFpMin,
    kFpMaxNum,
    kFpMinNum,
};
/// Bits of variants of counts and their saturating forms.
enum CountBits : unsigned { kDown = 1, kUnsigned = 2, kWide = 4 };
/// Operations on bits of predicates.
enum PredicateLogic : unsigned { kPAnd, kPBic, kPEor, kPSel, kPOrr, kPOrn, kPNor, kPNand };
enum Permutation : unsigned { kZip1, kZip2, kUzp1, kUzp2, kTrn1, kTrn2 };
/// While loops: by variant bits.
enum WhileBits : unsigned { kWhileUnsigned = 1, kWhileEqual = 2, kWhileDown = 4 };
/// Rotations of complex numbers and pairs: see the functions.
enum Access : unsigned { kNormal = 0, kFirstFault = 1, kNonFault = 2 };

}  // namespace arclight::frontend::a64::scalable
