import Foundation
import Jobs
import Messaging

extension FuzzTarget {
  /// A batch line: a request within the limits, or a failure that says what is wrong.
  static func jsonl(_ bytes: [UInt8]) throws -> Outcome? {
    guard let first = bytes.first else { return .refused }
    let isLocal = first & 1 == 1
    let line = RequestReading.batchLine(Array(bytes.dropFirst()), readsLocalFiles: isLocal)
    if let id = line.customID, !(1...JobLimits.customIDByteCount).contains(id.utf8.count) {
      return .broken("a custom_id of \(id.utf8.count) bytes")
    }
    switch line.request {
    case .failure(let failure): return refused(failure)
    case .success(let request):
      // A result must find its line.
      guard line.customID != nil else { return .broken("a request without custom_id") }
      if request.localFileCount > 0, !isLocal { return .broken("a file of this machine") }
      return judged(request)
    }
  }

  /// A completion's body: the same.
  static func completion(_ bytes: [UInt8]) throws -> Outcome? {
    guard let first = bytes.first else { return .refused }
    let body = Array(bytes.dropFirst())
    do {
      return judged(
        try first & 1 == 0 ? RequestReading.chatBody(body) : RequestReading.textBody(body))
    } catch let failure as Failure { return refused(failure) } catch let error as DecodingError {
      return error.jsonReason.isEmpty ? .broken("\(error) has no words") : .refused
    }
  }

  private static func refused(_ failure: Failure) -> Outcome {
    failure.code.isEmpty || failure.message.isEmpty
      ? .broken("a failure without code or message") : .refused
  }

  private static func judged(_ request: RequestReading) -> Outcome? {
    let sampling = request.sampling
    guard (1...MessageLimits.tokenCount).contains(sampling.maximumTokens),
      sampling.temperature.isFinite, sampling.temperature >= 0, sampling.topP > 0,
      sampling.topP <= 1, sampling.topK >= 0,
      (0...MessageLimits.alternativeCount).contains(sampling.logprobCount)
    else { return .broken("\(sampling)") }
    guard !request.prompts.isEmpty, request.prompts.allSatisfy({ !$0.isEmpty }),
      request.choiceCount >= request.prompts.count
    else { return .broken("\(request.choiceCount) answers to \(request.prompts.count) prompts") }
    // OpenAI's four, and what SamplingFields lets through of each.
    guard request.stopTexts.count <= 4,
      request.stopTexts.allSatisfy({ (1...256).contains($0.utf8.count) })
    else { return .broken("stop texts \(request.stopTexts.map(\.utf8.count))") }
    switch request.heldPictures {
    case .failure(let failure): return refused(failure)
    case .success(let pictures):
      guard pictures.count <= MessageLimits.imageCount,
        pictures.allSatisfy({ $0.content.byteCount > 0 }),
        pictures.reduce(0, { $0 + $1.content.byteCount }) <= JobLimits.requestImageByteCount
      else { return .broken("\(pictures.count) pictures beyond the limits") }
      return nil
    }
  }
}
