import Foundation
import Messaging
import Testing

/// Writes the wire's seeds for `scripts/fuzz` anew, after the protocol has changed.
@Suite struct SeedWriting {
  private static let isWanted = ProcessInfo.processInfo.environment["PALISADE_WRITE_SEEDS"] != nil

  @Test(.enabled(if: isWanted, "set PALISADE_WRITE_SEEDS=1 to write Tests/FuzzingTests/Seeds"))
  func wire() throws {
    var seeded = Seeded(seed: 99)
    try write("stage") { try seeded.stageMessage().encode() }
    try write("control") { try seeded.controlMessage().encode() }
    try write("client") { try seeded.clientMessage().encode() }
    try write("server") { try seeded.serverMessage().encode() }
    try write("model") { try seeded.modelMessage().encode() }
  }

  /// Eight small ones of one header and at most one frame more.
  private func write(_ name: String, _ make: () throws -> [Frame]) throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "FuzzingTests/Seeds/\(name)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    var written = 0
    for _ in 0..<10_000 where written < 8 {
      let frames = try make().map(\.bytes)
      guard frames.count <= 2, frames.reduce(0, { $0 + $1.count }) <= 3000 else { continue }
      let length = frames[0].count
      let bytes = [UInt8(length & 0xff), UInt8(length >> 8)] + frames.flatMap { $0 }
      try Data(bytes).write(to: folder.appending(path: "\(written)"))
      written += 1
    }
    #expect(written == 8)
  }
}
