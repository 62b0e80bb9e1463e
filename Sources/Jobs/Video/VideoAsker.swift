import Messaging
import VideoFrames

/// Puts one question about frames to a service, as often as it takes.
struct VideoAsker: Sendable {
  let service: any AnswerService
  let options: VideoSessionOptions
  let availability: BatchAvailability
  /// The session's name among the jobs of a scheduler, which take turns.
  let job: String

  /// What became of a question.
  enum Outcome: Sendable {
    case answered(Answer)
    case stale
    case failed(Failure)
    /// The session is ending.
    case cancelled
  }

  /// Asks about `images`, the newest of which came at `arrival`.
  func ask(_ images: [EncodedImage], arrival: ContinuousClock.Instant) async -> Outcome {
    do throws(Failure) {
      guard options.patience > .zero else {
        return .answered(try await service.answer(try question(images, arrival)))
      }
      var attempts = 0
      let asker = PatientAsker(service: service, availability: availability)
      let answer = try await asker.answer(&attempts) { () throws(Failure) in
        try question(images, arrival)
      }
      if let answer { return .answered(answer) }
      return Task.isCancelled ? .cancelled : .failed(availability.end ?? Self.gone)
    } catch {
      if error == Self.late { return .stale }
      if Task.isCancelled { return .cancelled }
      return error.code == "deadline_exceeded" && options.budget != nil ? .stale : .failed(error)
    }
  }

  /// - Throws: `late` when the time for an answer is over.
  private func question(
    _ images: [EncodedImage], _ arrival: ContinuousClock.Instant
  ) throws(Failure) -> AnswerRequest {
    var handling = Handling(priority: options.priority, job: job)
    if let budget = options.budget {
      let left = budget - (ContinuousClock.now - arrival)
      guard left > .zero else { throw Self.late }
      handling.deadline = left
    }
    return AnswerRequest(
      images: images, prompt: options.prompt, sampling: options.sampling, handling: handling)
  }

  private static let late = Failure(
    code: "stale", message: "the frame is older than an answer about it may be")
  private static let gone = Failure(
    code: "cluster_not_ready", message: "the cluster was away for longer than anybody waited")
}
