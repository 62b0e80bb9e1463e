import Foundation
import Messaging

/// What comes of a client's bytes before anything is asked: the line of a batch file, or the body of a
/// completion. Pictures within the bytes are decoded from base64; files aren't opened, and addresses not
/// fetched. The door for fuzzing, and the only use of it.
package struct RequestReading {
  /// All prompts, in order.
  package let prompts: [String]
  /// How the answers are wanted.
  package let sampling: Sampling
  /// Answers end before the first of these.
  package let stopTexts: [String]
  /// Answers to all prompts together.
  package let choiceCount: Int
  /// The pictures that the bytes hold, or why one can't be had.
  package let heldPictures: Result<[EncodedImage], Failure>
  /// Pictures that are files of this machine.
  package let localFileCount: Int

  /// Reads a line of a batch file.
  ///
  /// - Parameters:
  ///   - line: without its newline.
  ///   - readsLocalFiles: whether pictures may be files of this machine.
  /// - Returns: the line's name, where it has one, and what it asks or what is wrong.
  package static func batchLine(
    _ line: [UInt8], readsLocalFiles: Bool
  ) -> (customID: String?, request: Result<RequestReading, Failure>) {
    let line = BatchLine.parse(line, maximumTokens: 256, readsLocalFiles: readsLocalFiles)
    return (line.customID, line.request.map(RequestReading.init))
  }

  /// Reads the body of `/v1/chat/completions`.
  package static func chatBody(_ body: [UInt8]) throws -> RequestReading {
    RequestReading(
      try JSONDecoder().decode(ChatCompletionBody.self, from: Data(body)).request)
  }

  /// Reads the body of `/v1/completions`.
  package static func textBody(_ body: [UInt8]) throws -> RequestReading {
    RequestReading(
      try JSONDecoder().decode(TextCompletionBody.self, from: Data(body)).request)
  }

  private init(_ request: BatchRequest) {
    prompts = request.prompts.map(\.text)
    sampling = request.sampling
    stopTexts = request.stopTexts
    choiceCount = prompts.count
    heldPictures = request.images.heldPictures
    localFileCount = request.images.localFileCount
  }

  private init(_ request: CompletionRequest) {
    prompts = request.prompts
    var sampling = request.sampling
    sampling.maximumTokens = request.maximumTokens ?? sampling.maximumTokens
    self.sampling = sampling
    stopTexts = request.stopTexts
    choiceCount = request.choiceCount
    heldPictures = request.images.heldPictures
    localFileCount = request.images.localFileCount
  }
}

extension [ImageSource] {
  fileprivate var localFileCount: Int {
    count { if case .file = $0 { true } else { false } }
  }

  /// As `loadImages` reads them, which also opens and fetches.
  fileprivate var heldPictures: Result<[EncodedImage], Failure> {
    do throws(Failure) {
      try BatchRequest.checkCount(self)
      var left = JobLimits.requestImageByteCount
      var pictures: [EncodedImage] = []
      for case .base64(let text) in self {
        let picture = try EncodedImage(
          base64: text, name: "picture \(pictures.count + 1)", byteCountMaximum: left)
        left -= picture.content.byteCount
        pictures.append(picture)
      }
      return .success(pictures)
    } catch { return .failure(error) }
  }
}
