import Foundation
import Messaging

/// One line of a file of answers: what `palisade batch` writes, or a short form for answers of others.
///
/// The short form is `{"custom_id": "1", "text": "2"}`, with `boxes` and `masks` where there are some.
struct EvaluationAnswer: Sendable, Equatable {
  let customID: String
  /// What was said, or the code of why nothing was.
  let outcome: Result<Said, Failure>

  /// An answer as far as it is scored.
  struct Said: Sendable, Equatable {
    var text: String
    var boxes: [Box] = []
    var masks: [LabelledMask] = []
  }

  /// Reads a line.
  ///
  /// - Throws: `invalid_answer`.
  init(_ bytes: [UInt8]?) throws(Failure) {
    do {
      guard let bytes else {
        throw Self.wrong("has more than \(JobLimits.lineByteCount) bytes")
      }
      let file = try JSONDecoder().decode(AnswerFile.self, from: Data(bytes))
      guard let customID = file.customID else { throw Self.wrong("has no custom_id") }
      self.customID = customID
      outcome = try file.outcome()
    } catch let failure as Failure {
      throw failure
    } catch { throw Self.wrong("cannot be read: \(error.jsonReason)") }
  }

  fileprivate static func wrong(_ cause: String) -> Failure {
    Failure(
      code: "invalid_answer", message: "the line \(cause); give a file that `palisade batch` wrote")
  }
}

private struct AnswerFile: Decodable {
  let customID: String?
  let response: Response?
  let error: Cause?
  let text: String?
  let boxes: [BoxFile]?
  let masks: [MaskFile?]?

  struct Cause: Decodable {
    let code: String?
    let message: String?
  }
  struct Response: Decodable {
    let body: Body
  }
  struct Body: Decodable {
    let choices: [Choice]
    let boxes: [BoxFile]?
    let masks: [MaskFile?]?
  }
  struct Choice: Decodable {
    struct Message: Decodable { let content: String? }
    let message: Message
  }

  private enum CodingKeys: String, CodingKey {
    case customID = "custom_id"
    case response, error, text, boxes, masks
  }

  func outcome() throws(Failure) -> Result<EvaluationAnswer.Said, Failure> {
    if let error {
      return .failure(
        Failure(code: error.code ?? "unknown", message: error.message ?? "no message"))
    }
    guard let text = text ?? response?.body.choices.first?.message.content else {
      throw EvaluationAnswer.wrong("has neither an answer nor an error")
    }
    var said = EvaluationAnswer.Said(text: text)
    for file in boxes ?? response?.body.boxes ?? [] {
      guard let box = file.box else {
        throw EvaluationAnswer.wrong("has a box without four corners")
      }
      said.boxes.append(box)
    }
    // A mask without a label is that of the box at its place; null that of a box without one.
    for (index, file) in (masks ?? response?.body.masks ?? []).enumerated() {
      guard let file else { continue }
      let label = said.boxes.indices.contains(index) ? said.boxes[index].label : nil
      do throws(Failure) { said.masks.append(try file.mask(label: label)) } catch {
        throw EvaluationAnswer.wrong("has a broken mask: \(error.message)")
      }
    }
    return .success(said)
  }
}
