/// Philox4x32-10, a counter-based random generator (Salmon et al., "Parallel random numbers: as
/// easy as 1, 2, 3", 2011): the draw is a pure function of key and counter, so sampling does not
/// depend on scheduling.
enum Philox {
  /// The 128 bits for `counter` under `key`.
  static func block(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var (counter, key) = (counter, key)
    for _ in 0..<10 {
      let first = UInt64(counter.x) * 0xD251_1F53
      let second = UInt64(counter.z) * 0xCD9E_8D57
      counter = SIMD4(
        UInt32(second >> 32) ^ counter.y ^ key.x, UInt32(truncatingIfNeeded: second),
        UInt32(first >> 32) ^ counter.w ^ key.y, UInt32(truncatingIfNeeded: first))
      key = SIMD2(key.x &+ 0x9E37_79B9, key.y &+ 0xBB67_AE85)
    }
    return counter
  }

  /// A uniform number in [0, 1) with 53 bits, for draw `index` under `seed`.
  static func uniform(seed: UInt64, index: UInt64) -> Double {
    let bits = block(
      counter: SIMD4(UInt32(truncatingIfNeeded: index), UInt32(index >> 32), 0, 0),
      key: SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(seed >> 32)))
    let wide = UInt64(bits.x) << 32 | UInt64(bits.y)
    return Double(wide >> 11) * 0x1p-53
  }
}
