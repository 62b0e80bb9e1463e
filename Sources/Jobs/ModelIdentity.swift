import Foundation
import Messaging

/// Which model answers, as far as a journal has to know: another one would mix its answers with those
/// that are written.
public struct ModelIdentity: Sendable, Equatable {
  /// Names the weights, the numbers and the tokenizer.
  public var fingerprint: String
  /// Precision of the arithmetic, such as `f32`.
  public var precision: String

  /// Takes what somebody else found out, a coordinator for instance.
  public init(fingerprint: String, precision: String) {
    self.fingerprint = fingerprint
    self.precision = precision
  }

  /// Names the model in a folder of the Hugging Face layout.
  ///
  /// Small files count whole. Of a file of weights the size, the first megabyte (it holds the names and
  /// shapes) and 64 pieces of 4 KiB spread over the rest do: training changes every tensor, so another
  /// checkpoint differs there, and 6 GB are named in milliseconds instead of being read.
  ///
  /// - Throws: `unreadable_model`.
  public init(directory: String, precision: String) throws(Failure) {
    let folder = URL(filePath: directory, directoryHint: .isDirectory)
    var digest: UInt64 = 0
    do {
      let names = try FileManager.default.contentsOfDirectory(atPath: directory)
        .filter { name in
          name.hasSuffix(".safetensors") || name.hasPrefix("tokenizer")
            || ["config.json", "generation_config.json", "added_tokens.json"].contains(name)
        }.sorted()
      for name in names {
        digest = Array(name.utf8).withUnsafeBytes { Checksum.chained(digest, $0) }
        digest = try FileDigest.chained(
          digest, folder.appending(path: name), headByteCount: Self.headByteCount)
      }
    } catch {
      throw Failure(
        code: "unreadable_model",
        message: "cannot read \(directory): \(error.localizedDescription); check the path")
    }
    self.init(fingerprint: String(digest, radix: 16), precision: precision)
  }

  private static let headByteCount = 1 << 20
}
