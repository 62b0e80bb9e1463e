import Foundation

/// A folder of a test's own, removed with the value.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "palisade-checkpoints-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file and gives its path.
  @discardableResult func write(_ bytes: Data, as name: String) throws -> String {
    let file = path + "/" + name
    try bytes.write(to: URL(filePath: file))
    return file
  }
  @discardableResult func write(_ text: String, as name: String) throws -> String {
    try write(Data(text.utf8), as: name)
  }
}

/// SplitMix64: numbers from a seed, so that a failing case can be run again.
struct Seeded: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}

/// The bytes of a safetensors file: header length, header, data.
func safetensors(header: String, data: Data = Data(), headerLength: UInt64? = nil) -> Data {
  let text = Data(header.utf8)
  let length = (headerLength ?? UInt64(text.count)).littleEndian
  return withUnsafeBytes(of: length) { Data($0) } + text + data
}
