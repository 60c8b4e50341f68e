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
enum Access : unsigned { kNormal = 0, kFirstFault = 1, kNonFault = 2 };

/// Wide results of narrow operands: an operation, and what else there is of it.
enum LongBits : unsigned {
    kLongAdd = 0,
    kLongSub = 1,
    kLongAbsDiff = 2,
    kLongProduct = 3,
    kLongDoubled = 4,
    kLongOperation = 7,  ///< mask of these
    kLongUnsigned = 0x10,
    kLongTopN = 0x20,  ///< the upper halves of elements
    kLongTopM = 0x40,
    kLongTop = kLongTopN | kLongTopM,
    kLongWideN = 0x80,        ///< the first operand is wide
    kLongAccumulate = 0x100,  ///< to the destination
    kLongSubtract = 0x200,    ///< from the destination
};
enum NarrowBits : unsigned { kNarrowSub = 1, kNarrowRound = 2, kNarrowTop = 4 };
enum ShiftBits : unsigned {
    kShiftUnsigned = 1,
    kShiftRound = 2,
    kShiftSaturate = 4,
    kShiftToUnsigned = 8,  ///< of a signed operand
    kShiftTop = 16,        ///< the upper halves of elements
};
/// Products of elements of one size.
enum Product : unsigned {
    kProduct,
    kProductAdd,
    kProductSub,
    kDoubledHigh,
    kDoubledHighRound,
    kDoubledHighAdd,
    kDoubledHighSub,
};
enum Ternaries : unsigned {
    kXorAll,
    kXorClear,
    kBitSelect,
    kBitSelectNotFirst,
    kBitSelectNotSecond,
    kNotBitSelect,
};

}  // namespace arclight::frontend::a64::scalable
