import Checkpoints
import Foundation
import PaliGemma
import Tensors

extension FuzzTarget {
  /// Elements of one tensor that are expanded: a few hundred blocks of each kind that a small file has.
  private static let elementCountMaximum = 1 << 16

  /// Reads all metadata, touches or expands every tensor, and makes of it what an import would.
  static func gguf(_ bytes: [UInt8]) throws -> Outcome? {
    try Scratch.with([("a.gguf", bytes)]) { folder in
      let file = try GGUFFile(path: folder + "/a.gguf")
      for (key, value) in file.metadata {
        guard let list = value.list else { continue }
        let counts = [list.integers?.count, list.floats?.count, list.texts?.count]
        if counts.contains(where: { $0 != nil && $0 != list.count }) {
          return .broken("'\(key)' has another count than it says")
        }
      }
      for (name, entry) in file.entries {
        guard entry.byteCount <= bytes.count else { return .broken("'\(name)' is beyond the file") }
        if let tensor = file.tensor(name) {
          // Every byte that a tensor claims can be touched.
          let sum = tensor.withBytes { $0.reduce(0) { $0 &+ Int($1) } }
          if sum < 0 { return .broken("a sum of bytes is negative") }
        }
        let most = Self.elementCountMaximum / entry.type.blockCount * entry.type.blockCount
        let count = min(entry.count, most)
        guard entry.type.isReadable else { continue }
        guard try file.floats(of: name, entry.count - count..<entry.count).count == count else {
          return .broken("'\(name)' has another count than its shape")
        }
      }
      // Most files lack something for these; that is an error like others.
      if let made = try? GGUFTokenizer(file).files, made.contains(where: { $0.content.isEmpty }) {
        return .broken("an empty file is made of the tokenizer")
      }
      _ = try? GGUFImport(text: file, projector: file)
      return nil
    }
  }
}
