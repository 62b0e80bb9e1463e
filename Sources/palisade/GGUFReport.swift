import Checkpoints
import Foundation

/// What a GGUF file says of itself: the form of `checkpoint inspect FILE.gguf`.
struct GGUFReport: Encodable {
  struct TensorRow: Encodable {
    let name: String
    let type: String
    let shape: [Int]
    let bytes: Int
    /// Whether `checkpoint import` can read its numbers.
    let readable: Bool
  }

  /// Characters of a text that are shown; chat templates and licences are long.
  private static let textCharacterCount = 60

  let path: String
  let version: Int
  let metadata: [String: String]
  let tensors: [TensorRow]

  init(_ file: GGUFFile) {
    path = file.path
    version = Int(file.version)
    metadata = file.metadata.mapValues(Self.words)
    tensors = file.entries.sorted { $0.value.byteOffset < $1.value.byteOffset }.map { name, entry in
      TensorRow(
        name: name, type: entry.type.name, shape: entry.shape, bytes: entry.byteCount,
        readable: entry.type.isReadable)
    }
  }

  private static func words(_ value: GGUFValue) -> String {
    switch value {
    case .integer(let value): "\(value)"
    case .large(let value): "\(value)"
    // Most are f32, whose digits these are.
    case .real(let value): Double(Float(value)) == value ? "\(Float(value))" : "\(value)"
    case .boolean(let value): "\(value)"
    case .text(let text):
      String(text.prefix(textCharacterCount)) + (text.count > textCharacterCount ? "…" : "")
    case .list(let list): "\(list.count) values"
    }
  }

  private static func plain(_ text: String) -> String { StatusText.plain(text, mark: "·") }

  /// The report for a terminal.
  var text: String {
    var values = TextTable(["metadata", "value"])
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
      values.add([Self.plain(key), Self.plain(value)])
    }
    var table = TextTable(["tensor", "type", "shape", "bytes"], rightAligned: [3])
    for tensor in tensors {
      table.add([
        Self.plain(tensor.name), tensor.type, "\(tensor.shape)", Readable.bytes(tensor.bytes),
      ])
    }
    let total = tensors.reduce(0) { $0 + $1.bytes }
    let unread = Set(tensors.filter { !$0.readable }.map(\.type)).sorted()
    let lines = [
      "\(path): GGUF version \(version), \(tensors.count) tensors, \(Readable.bytes(total))", "",
      values.text, "", table.text,
    ]
    let note = "not read here: tensors of \(unread.joined(separator: ", "))"
    return (lines + (unread.isEmpty ? [] : ["", note])).joined(separator: "\n")
  }

  /// The report as one JSON object.
  var json: String {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
  }
}
