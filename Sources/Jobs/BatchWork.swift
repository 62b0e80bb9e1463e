import Foundation
import Messaging
import Synchronization

/// What a run does with one request: load its pictures, ask, draw.
struct BatchWork: Sendable {
  /// What became of it.
  enum Outcome: Sendable {
    /// Its one result, and how often it was asked again.
    case result(BatchResult, FinishedRequest)
    /// Nothing: the run is ending, and it stays pending.
    case unfinished
  }

  let service: any AnswerService
  let availability: BatchAvailability
  let folder: URL
  let remote: (any RemoteImageSource)?
  let handling: Handling
  let annotations: AnnotationFolder?
  let annotationFailure = FirstFailure()
  /// Bytes of the pictures of the largest request so far.
  let largest = LargestCount()

  func outcome(of item: BatchItem) async -> Outcome {
    var result = BatchResult(
      line: item.line, customID: item.customID, outcome: .failure(Failure(code: "", message: "")))
    var attempts = 0
    do throws(Failure) {
      let request = try item.request.get()
      (result.prompts, result.model) = (request.prompts.map(\.text), request.model)
      let images = try await request.loadImages(folder: folder, remote: remote)
      result.imageNames = images.map(\.name)
      largest.note(images.reduce(0) { $0 + $1.content.byteCount })
      let asker = PatientAsker(service: service, availability: availability)
      var answers: [Answer] = []
      // One after the other: the first brings the pictures through the vision tower, and the others
      // find them there. Other requests keep the pipeline full meanwhile.
      for (number, prompt) in request.prompts.enumerated() {
        var sampling = request.sampling
        sampling.grammar = prompt.grammar
        let ask = AnswerRequest(
          images: images, prompt: prompt.text, sampling: sampling, handling: handling,
          stopTexts: request.stopTexts)
        do throws(Failure) {
          guard let answer = try await asker.answer(&attempts, { ask }) else { return .unfinished }
          answers.append(answer)
        } catch {
          if request.furtherPrompts.isEmpty { throw error }
          throw Failure(code: error.code, message: "prompt \(number + 1): \(error.message)")
        }
      }
      result.outcome = .success(answers[0])
      result.furtherAnswers = Array(answers.dropFirst())
      if let image = images.first { annotate(result, on: image) }
    } catch {
      if Task.isCancelled { return .unfinished }
      result.outcome = .failure(error)
    }
    var code: String?
    if case .failure(let failure) = result.outcome { code = failure.code }
    return .result(
      result,
      FinishedRequest(
        sequence: item.sequence, code: code, place: 0, length: 0, furtherAttempts: attempts))
  }

  private func annotate(_ result: BatchResult, on image: EncodedImage) {
    guard let annotations, let id = result.customID else { return }
    // Two names may become one file name; the line's number keeps them apart.
    let isPlain = AnnotationFolder.fileName(id) == id
    let name = isPlain ? id : "\(id)-line\(result.line)"
    for (index, (answer, prompt)) in zip(result.answers, result.prompts).enumerated() {
      do throws(Failure) {
        try annotations.write(
          answer, on: image, prompt: prompt, name: index == 0 ? name : "\(name)-\(index + 1)")
      } catch { annotationFailure.note(error) }
    }
  }
}

/// Keeps the largest of many numbers.
final class LargestCount: Sendable {
  private let largest = Mutex(0)
  var value: Int { largest.withLock { $0 } }
  func note(_ count: Int) { largest.withLock { $0 = max($0, count) } }
}

/// Keeps the first of many failures.
final class FirstFailure: Sendable {
  private let first = Mutex<Failure?>(nil)
  var value: Failure? { first.withLock { $0 } }
  func note(_ failure: Failure) { first.withLock { $0 = $0 ?? failure } }
}
