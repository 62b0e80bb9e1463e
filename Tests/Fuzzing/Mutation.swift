/// Bytes that are nearly right, from a seed: what libFuzzer does, without its feedback.
public struct Mutation: RandomNumberGenerator {
  private var state: UInt64

  /// The same mutations for the same seed.
  public init(seed: UInt64) { state = seed }

  /// SplitMix64.
  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// Numbers at the borders of what fits.
  private static let borders: [UInt8] = [0, 1, 0x7f, 0x80, 0xff, 0x22, 0x2c, 0x5b, 0x7b]

  /// `bytes` with one to four changes.
  public mutating func of(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &self) {
      guard !bytes.isEmpty else { return [UInt8.random(in: 0...255, using: &self)] }
      // Half of the changes hit the beginning, where sizes and counts stand.
      let end = Bool.random(using: &self) ? min(bytes.count, 64) : bytes.count
      let place = Int.random(in: 0..<end, using: &self)
      switch Int.random(in: 0...7, using: &self) {
      case 0: bytes.removeSubrange(place...)
      case 1: bytes.remove(at: place)
      case 2: bytes.insert(UInt8.random(in: 0...255, using: &self), at: place)
      case 3: bytes.append(contentsOf: bytes[place...].prefix(256))
      case 4: bytes[place] = Self.borders.randomElement(using: &self) ?? 0
      case 5: bytes[place] = UInt8.random(in: 0...255, using: &self)
      case 6:
        let stop = min(bytes.count, place + 8)
        for index in place..<stop { bytes[index] = 0xff }
      default: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &self)
      }
    }
    return bytes
  }
}
