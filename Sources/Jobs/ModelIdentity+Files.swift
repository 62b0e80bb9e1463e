import Foundation
import Messaging

extension ModelIdentity {
  /// Names the model in a folder of the Hugging Face layout.
  ///
  /// Small files count whole. Of a file of weights the size, the first megabyte (it holds the names and
  /// shapes) and 64 pieces of 4 KiB spread over the rest do: training changes every tensor, so another
  /// checkpoint differs there, and 6 GB are named in milliseconds instead of being read.
  ///
  /// - Parameters:
  ///   - directory: the model's folder.
  ///   - precision: of the arithmetic, such as `f32`.
  ///   - maskDecoder: the file with the weights that make masks; nil for none.
  /// - Throws: `unreadable_model`.
  public init(
    directory: String, precision: String, maskDecoder: String? = nil
  ) throws(Failure) {
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
    } catch { throw Self.unreadable(directory, error) }
    var masks = ""
    if let maskDecoder {
      do {
        masks = String(
          try FileDigest.chained(
            0, URL(filePath: maskDecoder), headByteCount: Self.headByteCount), radix: 16)
      } catch { throw Self.unreadable(maskDecoder, error) }
    }
    self.init(
      fingerprint: String(digest, radix: 16), precision: precision, maskDecoder: masks)
  }

  /// Refuses a request that wants another model than this one.
  ///
  /// - Throws: `model_changed`.
  func check(_ wanted: ModelIdentity?) throws(Failure) {
    guard let wanted, wanted != self else { return }
    throw Failure(
      code: "model_changed",
      message: "the request is for model \(wanted.fingerprint) in \(wanted.precision), and "
        + "\(fingerprint) in \(precision) answers now; its answers would not belong together")
  }

  private static let headByteCount = 1 << 20

  private static func unreadable(_ path: String, _ error: any Error) -> Failure {
    Failure(
      code: "unreadable_model",
      message: "cannot read \(path): \(error.localizedDescription); check the path")
  }
}
