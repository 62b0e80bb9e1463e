import Foundation
import Messaging

/// What the results of a batch depend on: a journal belongs to one of these and to no other.
///
/// The input is known by its size and the time of its last change, which cost nothing to compare. If
/// only the time differs (a copy, a restored backup), its content decides: a checksum of the first 256 MiB
/// (two million short lines; a fraction of a second) and of samples from the rest, taken when the batch
/// began; and the checksum of all lines before the journal's place, which reading them made along the
/// way. So ten million lines are read once more in that case only, and no result depends on a line that
/// was not compared. The path is free: a folder may be moved.
struct BatchIdentity: Codable, Sendable, Equatable {
  /// Bytes of the input; -1 for a pipe, which can't be read again.
  var inputByteCount: Int
  /// Nanoseconds of the input's last change.
  var modified: Int
  /// Checksum of the input's beginning, and of samples from the rest; 0 for a pipe.
  var content: UInt64
  /// The model; empty when nobody could tell.
  var model: String
  /// Precision of the arithmetic; empty when nobody could tell.
  var precision: String
  /// What makes masks, which are part of the results; empty for nothing, nil when nobody could tell.
  var maskDecoder: String?
  /// Everything else that changes answers, by the name of its option.
  var options: [String: String]

  private static let headByteCount = 256 << 20

  init(_ reader: BatchReader, model: ModelIdentity?, options: [String: String]) {
    inputByteCount = reader.isFile ? reader.fileByteCount : -1
    modified = reader.modified
    let file = URL(filePath: reader.path)
    let headByteCount = Self.headByteCount
    // A pipe must not be read twice.
    content =
      reader.isFile
      ? (try? FileDigest.chained(0, file, headByteCount: headByteCount)) ?? 0 : 0
    self.model = model?.fingerprint ?? ""
    precision = model?.precision ?? ""
    maskDecoder = model?.maskDecoder
    self.options = options
  }

  /// Finds what has changed.
  ///
  /// - Parameters:
  ///   - earlier: what the journal belongs to.
  ///   - isSameContent: reads what the journal has read; called when only the time differs.
  /// - Returns: the change in words; nil when the journal goes on with this.
  /// - Throws: what `isSameContent` throws.
  func difference(
    from earlier: BatchIdentity, isSameContent: () throws(BatchError) -> Bool
  ) throws(BatchError) -> String? {
    guard inputByteCount >= 0, earlier.inputByteCount >= 0 else {
      return "the input is a pipe, which can't be read again from where it was left (write it to a "
        + "file first); requests have come"
    }
    if inputByteCount != earlier.inputByteCount {
      return "the input file has changed (\(earlier.inputByteCount) bytes then, "
        + "\(inputByteCount) now)"
    }
    if !model.isEmpty, !earlier.model.isEmpty, model != earlier.model {
      return "the model has changed"
    }
    if !precision.isEmpty, !earlier.precision.isEmpty, precision != earlier.precision {
      return "the precision has changed from \(earlier.precision) to \(precision)"
    }
    if let maskDecoder, let before = earlier.maskDecoder, maskDecoder != before {
      return "the mask decoder has changed"
    }
    for name in Set(options.keys).union(earlier.options.keys).sorted()
    where options[name] != earlier.options[name] {
      return "\(name) has changed from \(earlier.options[name] ?? "none") to "
        + (options[name] ?? "none")
    }
    if modified == earlier.modified { return nil }
    let isSame = content == earlier.content ? try isSameContent() : false
    return isSame ? nil : "the input file has changed"
  }
}

/// This start of this machine's system: what was written since is still there, on disk or not.
enum Boot {
  /// The system's id for it; a new one each time where there is none, so that nothing is trusted.
  static let id: String = {
    let text = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
    return text.map { $0.trimmingCharacters(in: .whitespacesAndNewlines) } ?? UUID().uuidString
  }()
}
