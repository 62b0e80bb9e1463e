/// The numbers of one block of each quantised type of GGUF, as f32.
///
/// The same products and sums in the same order as gguf-py's `quants.py`, so the same bits; formulas stand
/// beside them. `d` and `m` are scales in f16, `q` an element's small integer.
enum GGUFBlocks {
  typealias Bytes = UnsafePointer<UInt8>
  typealias Floats = UnsafeMutablePointer<Float>

  /// d · (q − 8); the low halves of 16 bytes are the first 16 elements, the high ones the rest.
  @Sendable static func q40(_ block: Bytes, _ out: Floats) {
    let d = half(block)
    for i in 0..<16 {
      let byte = Int32(block[2 + i])
      out[i] = d * Float((byte & 15) - 8)
      out[i + 16] = d * Float((byte >> 4) - 8)
    }
  }

  /// d · q + m.
  @Sendable static func q41(_ block: Bytes, _ out: Floats) {
    let (d, m) = (half(block), half(block + 2))
    for i in 0..<16 {
      let byte = block[4 + i]
      out[i] = d * Float(byte & 15) + m
      out[i + 16] = d * Float(byte >> 4) + m
    }
  }

  /// d · (q − 16), the fifth bits in 32 of their own.
  @Sendable static func q50(_ block: Bytes, _ out: Floats) {
    let (d, high) = (half(block), word(block + 2))
    for i in 0..<16 {
      let byte = Int32(block[6 + i])
      out[i] = d * Float((byte & 15 | bit(high, i) << 4) - 16)
      out[i + 16] = d * Float((byte >> 4 | bit(high, i + 16) << 4) - 16)
    }
  }

  /// d · q + m, the fifth bits in 32 of their own.
  @Sendable static func q51(_ block: Bytes, _ out: Floats) {
    let (d, m, high) = (half(block), half(block + 2), word(block + 4))
    for i in 0..<16 {
      let byte = Int32(block[8 + i])
      out[i] = d * Float(byte & 15 | bit(high, i) << 4) + m
      out[i + 16] = d * Float(byte >> 4 | bit(high, i + 16) << 4) + m
    }
  }

  /// d · q.
  @Sendable static func q80(_ block: Bytes, _ out: Floats) {
    let d = half(block)
    for i in 0..<32 { out[i] = Float(Int8(bitPattern: block[2 + i])) * d }
  }

  /// (d · s) · q − (m · t) with four bits each for s and t of 16 elements.
  @Sendable static func q2K(_ block: Bytes, _ out: Floats) {
    let quants = block + 16
    let (d, m) = (half(block + 80), half(block + 82))
    for group in 0..<16 {
      let scale = d * Float(block[group] & 15)
      let least = m * Float(block[group] >> 4)
      let (bytes, shift) = (quants + group / 8 * 32 + group % 2 * 16, UInt8(group % 8 / 2 * 2))
      for i in 0..<16 { out[group * 16 + i] = scale * Float(bytes[i] >> shift & 3) - least }
    }
  }

  /// (d · (s − 32)) · (q − 4 where the element's bit of the mask is clear).
  @Sendable static func q3K(_ block: Bytes, _ out: Floats) {
    let (quants, scales) = (block + 32, block + 96)
    let d = half(block + 108)
    for group in 0..<16 {
      let low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4
      let high = scales[8 + group % 4] >> UInt8(group / 4 * 2) & 3
      let scale = d * Float(Int32(low | high << 4) - 32)
      let place = group % 2 * 16
      let (bytes, shift) = (quants + group / 8 * 32 + place, UInt8(group % 8 / 2 * 2))
      let (mask, plane) = (block + place, UInt8(group / 2))
      for i in 0..<16 {
        let offset: Int32 = mask[i] >> plane & 1 == 0 ? 4 : 0
        out[group * 16 + i] = scale * Float(Int32(bytes[i] >> shift & 3) - offset)
      }
    }
  }

  /// (d · s) · q − (m · t) with six bits each for s and t of 32 elements.
  @Sendable static func q4K(_ block: Bytes, _ out: Floats) {
    let (d, m, quants) = (half(block), half(block + 2), block + 16)
    for group in 0..<8 {
      let (s, t) = sixBits(block + 4, group)
      let (scale, least) = (d * Float(s), m * Float(t))
      let (bytes, shift) = (quants + group / 2 * 32, UInt8(group % 2 * 4))
      for i in 0..<32 { out[group * 32 + i] = scale * Float(bytes[i] >> shift & 15) - least }
    }
  }

  /// As `q4K`, with the fifth bits in planes of 32.
  @Sendable static func q5K(_ block: Bytes, _ out: Floats) {
    let (d, m, high, quants) = (half(block), half(block + 2), block + 16, block + 48)
    for group in 0..<8 {
      let (s, t) = sixBits(block + 4, group)
      let (scale, least) = (d * Float(s), m * Float(t))
      let (bytes, shift) = (quants + group / 2 * 32, UInt8(group % 2 * 4))
      for i in 0..<32 {
        let q = bytes[i] >> shift & 15 | (high[i] >> UInt8(group) & 1) << 4
        out[group * 32 + i] = scale * Float(q) - least
      }
    }
  }

  /// (d · s) · (q − 32) with a signed byte s for 16 elements; q has four bits and two more.
  @Sendable static func q6K(_ block: Bytes, _ out: Floats) {
    let (high, scales, d) = (block + 128, block + 192, half(block + 208))
    for group in 0..<16 {
      let scale = d * Float(Int8(bitPattern: scales[group]))
      let (part, place) = (group / 8, group % 8)
      let low = block + part * 64 + place % 4 * 16
      let (lowShift, highShift) = (UInt8(place / 4 * 4), UInt8(place / 2 * 2))
      let twoBits = high + part * 32 + place % 2 * 16
      for i in 0..<16 {
        let q = low[i] >> lowShift & 15 | (twoBits[i] >> highShift & 3) << 4
        out[group * 16 + i] = scale * Float(Int32(q) - 32)
      }
    }
  }

  /// The six bits of scale and of least value `index` (0…7) in twelve bytes.
  private static func sixBits(_ bytes: Bytes, _ index: Int) -> (scale: UInt8, least: UInt8) {
    if index < 4 { return (bytes[index] & 63, bytes[index + 4] & 63) }
    let low = bytes[index + 4]
    return (
      low & 15 | bytes[index - 4] >> 2 & 0x30, low >> 4 | bytes[index] >> 2 & 0x30
    )
  }

  private static func bit(_ word: UInt32, _ index: Int) -> Int32 {
    Int32(truncatingIfNeeded: word >> UInt32(index) & 1)
  }

  private static func word(_ bytes: Bytes) -> UInt32 {
    UInt32(bytes[0]) | UInt32(bytes[1]) << 8 | UInt32(bytes[2]) << 16 | UInt32(bytes[3]) << 24
  }

  /// The f16 at `bytes`, exactly. One a block: arithmetic on bits is quick enough.
  static func half(_ bytes: Bytes) -> Float {
    let bits = UInt32(bytes[0]) | UInt32(bytes[1]) << 8
    let (sign, exponent, fraction) = ((bits & 0x8000) << 16, bits >> 10 & 31, bits & 0x3FF)
    switch exponent {
    case 0:  // subnormal: fraction · 2⁻²⁴
      return Float(bitPattern: (Float(fraction) * 0x1p-24).bitPattern | sign)
    case 31: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
  }
}
