import CSentencePiece
import Foundation

/// The number of a token in the model's vocabulary, as it travels on the wire.
public typealias TokenID = Int32

/// A loaded `tokenizer.model`.
///
/// `@unchecked Sendable`: the handle is made in `init`, freed in `deinit`, and in between only read,
/// through const functions of a C++ object that nothing changes after loading.
final class SentencePieceModel: @unchecked Sendable {
  private let handle: OpaquePointer

  let pieceCount: Int

  init(contentsOf url: URL) throws(TokenizerError) {
    var handle: OpaquePointer?
    var message = [CChar](repeating: 0, count: Int(CSP_MESSAGE_BYTES))
    let status = csp_load_file(url.path(percentEncoded: false), &handle, &message, message.count)
    guard status == CSP_OK, let handle else {
      throw Self.error(status, Self.text(message), url.path(percentEncoded: false))
    }
    self.handle = handle
    pieceCount = Int(csp_piece_count(handle))
  }

  init(bytes: [UInt8]) throws(TokenizerError) {
    var handle: OpaquePointer?
    var message = [CChar](repeating: 0, count: Int(CSP_MESSAGE_BYTES))
    let status = bytes.withUnsafeBytes {
      csp_load_bytes($0.baseAddress, $0.count, &handle, &message, message.count)
    }
    guard status == CSP_OK, let handle else {
      throw Self.error(status, Self.text(message), "the tokenizer model")
    }
    self.handle = handle
    pieceCount = Int(csp_piece_count(handle))
  }

  deinit { csp_free(handle) }

  /// The UTF-8 of the piece, or nil when no piece has this id.
  func piece(_ id: TokenID) -> [UInt8]? {
    var byteCount = 0
    guard let bytes = csp_piece(handle, id, &byteCount) else { return nil }
    return Array(UnsafeRawBufferPointer(start: bytes, count: byteCount))
  }

  func type(of id: TokenID) -> csp_piece_type { csp_type(handle, id) }

  /// The id of exactly these bytes, or nil; not of a `String`, for which é equals e + ´.
  func id(ofPiece piece: [UInt8]) -> TokenID? {
    let id = piece.withUnsafeBufferPointer { buffer in
      buffer.withMemoryRebound(to: CChar.self) { csp_id(handle, $0.baseAddress, $0.count) }
    }
    return id < 0 ? nil : id
  }

  /// Encodes UTF-8 with the model alone; appends to `ids`.
  func encode(_ text: ArraySlice<UInt8>, into ids: inout [TokenID]) throws(TokenizerError) {
    if text.isEmpty { return }
    var result: UnsafeMutablePointer<Int32>?
    var count = 0
    var message = [CChar](repeating: 0, count: Int(CSP_MESSAGE_BYTES))
    let status = text.withUnsafeBufferPointer { buffer in
      buffer.withMemoryRebound(to: CChar.self) {
        csp_encode(handle, $0.baseAddress, $0.count, &result, &count, &message, message.count)
      }
    }
    defer { csp_release(result) }
    guard status == CSP_OK else { throw Self.error(status, Self.text(message), "a text") }
    ids.append(contentsOf: UnsafeBufferPointer(start: result, count: count))
  }

  /// Decodes as libsentencepiece does, for comparison with `PieceDecoder`.
  func decode(_ ids: [TokenID]) throws(TokenizerError) -> [UInt8] {
    var result: UnsafeMutablePointer<CChar>?
    var count = 0
    var message = [CChar](repeating: 0, count: Int(CSP_MESSAGE_BYTES))
    let status = csp_decode(handle, ids, ids.count, &result, &count, &message, message.count)
    defer { csp_release(result) }
    guard status == CSP_OK else { throw Self.error(status, Self.text(message), "a list of ids") }
    return Array(UnsafeRawBufferPointer(start: result, count: count))
  }

  private static func text(_ message: [CChar]) -> String {
    String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  private static func error(_ status: csp_status, _ why: String, _ what: String) -> TokenizerError {
    switch status {
    case CSP_UNREADABLE:
      TokenizerError(
        .unreadableFile,
        "\(what): \(why)",
        remedy: "Put the checkpoint's tokenizer.model there and make it readable"
      )
    case CSP_UNSUPPORTED:
      TokenizerError(
        .unsupported,
        "\(what): \(why)",
        remedy: "Use the tokenizer.model that came with the PaliGemma checkpoint"
      )
    case CSP_INVALID_MODEL, CSP_TOO_LARGE:
      TokenizerError(
        .invalidFile,
        "\(what): \(why)",
        remedy: "Download tokenizer.model again and compare its checksum"
      )
    default:
      TokenizerError(
        .failed,
        "\(what): \(why)",
        remedy: "Shorten the text, or free memory; report it if it persists"
      )
    }
  }
}
