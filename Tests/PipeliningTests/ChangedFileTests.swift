import Foundation
import Messaging
import Testing

@testable import Pipelining

/// A served model whose file changes while it is being given away.
extension ModelFetchTests {
  /// The model's file cut off, or written over, under a coordinator that gives it away: an error that
  /// says so, and no SIGBUS, which would end this process.
  @Test func aFileThatChangesUnderneathIsRefused() throws {
    for isCutOff in [true, false] {
      let served = try serve()
      defer { try? FileManager.default.removeItem(atPath: served.folder) }
      let order = assign(served.config, served.blocks, endpoint: served.door.endpoint)
      fetchUntil(1 << 20, order, served)
      let second = Log()
      let path = served.folder + "/model/model.safetensors"
      if isCutOff {
        try #require(truncate(path, 4096) == 0)
      } else {
        let file = try FileHandle(forUpdating: URL(filePath: path))
        let size = try file.seekToEnd()
        try file.seek(toOffset: size - 1)
        try file.write(contentsOf: Data([7]))
        try file.close()
      }
      let error = #expect(throws: Failure.self) {
        try fetch(order, configuration(served.cache), second)
      }
      #expect(error?.code == ModelSource.modelChanged, "\(String(describing: error))")
      #expect(error?.message.contains("has changed since it was opened") ?? false)
    }
  }

  /// A new file that takes the place of the old one by renaming changes nothing for those who fetch.
  @Test func aFileThatIsReplacedByRenamingGoesOnAsItWas() throws {
    let served = try serve()
    defer { try? FileManager.default.removeItem(atPath: served.folder) }
    let order = assign(served.config, served.blocks, endpoint: served.door.endpoint)
    fetchUntil(1 << 20, order, served)
    let second = Log()
    let path = served.folder + "/model/model.safetensors"
    try Data("nothing".utf8).write(to: URL(filePath: path + ".new"))
    try #require(rename(path + ".new", path) == 0)
    _ = try fetch(order, configuration(served.cache), second)
    #expect(second.received > 0)
  }
}
