/// Raw frames with exact timestamps, as a Matroska stream for ffmpeg's standard input.
///
/// Bare raw video has no timestamps, and ffmpeg would count frames. In Matroska a tick may be a nanosecond, and a cluster for
/// each frame bears its full time. Sizes are all known, but the segment's, which ends with the stream.
enum MatroskaStream {
  /// What comes before the first frame.
  static func header(width: Int, height: Int) -> [UInt8] {
    let file =
      number(0x4286, 1) + number(0x42F7, 1) + number(0x42F2, 4) + number(0x42F3, 8)
      + element(0x4282, Array("matroska".utf8)) + number(0x4287, 4) + number(0x4285, 2)
    let program = Array("palisade".utf8)
    // A tick is one nanosecond.
    let info = number(0x2AD7B1, 1) + element(0x4D80, program) + element(0x5741, program)
    // `RGB` and 24 bits, in the manner of AVI.
    let colours: [UInt8] = Array("RGB".utf8) + [24]
    let video =
      number(0xB0, UInt64(width)) + number(0xBA, UInt64(height)) + element(0x2EB524, colours)
    let track =
      number(0xD7, 1) + number(0x73C5, 1) + number(0x83, 1) + number(0x9C, 0)
      + element(0x86, Array("V_UNCOMPRESSED".utf8)) + element(0xE0, video)
    let unknownSize: [UInt8] = [0x01] + [UInt8](repeating: 0xFF, count: 7)
    return element(0x1A45_DFA3, file) + identifier(0x1853_8067) + unknownSize
      + element(0x1549_A966, info) + element(0x1654_AE6B, element(0xAE, track))
  }

  /// What comes before the bytes of one frame.
  ///
  /// - Parameters:
  ///   - time: not below zero.
  ///   - byteCount: the frame's.
  /// - Returns: the cluster up to them.
  static func frameHeader(time: MediaTime, byteCount: Int) -> [UInt8] {
    let timestamp = number(0xE7, UInt64(max(0, time.nanoseconds)))
    // Track 1, no distance from the cluster's time, a key frame.
    let block: [UInt8] = [0x81, 0, 0, 0x80]
    let start = identifier(0xA3) + size(block.count + byteCount) + block
    return identifier(0x1F43_B675) + size(timestamp.count + start.count + byteCount) + timestamp
      + start
  }

  private static func element(_ name: UInt32, _ content: [UInt8]) -> [UInt8] {
    identifier(name) + size(content.count) + content
  }

  private static func number(_ name: UInt32, _ value: UInt64) -> [UInt8] {
    element(name, (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * $0)) })
  }

  /// Names bear the mark of their length already.
  private static func identifier(_ name: UInt32) -> [UInt8] {
    let bytes = (0..<4).map { UInt8(truncatingIfNeeded: name >> (24 - 8 * $0)) }
    return Array(bytes.drop { $0 == 0 })
  }

  /// Always in eight bytes.
  private static func size(_ count: Int) -> [UInt8] {
    [0x01] + (1..<8).map { UInt8(truncatingIfNeeded: count >> (56 - 8 * $0)) }
  }
}
