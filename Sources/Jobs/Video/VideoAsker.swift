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
    var losses = 0
    var wait = Duration.milliseconds(20)
    while true {
      let isSuspect = losses >= JobLimits.suspectLossCount
      let waits = options.patience > .zero
      let mayAsk = waits ? await availability.enter(isSuspect: isSuspect) : true
      guard mayAsk else {
        return Task.isCancelled ? .cancelled : .failed(availability.end ?? Self.gone)
      }
      defer { if isSuspect { availability.leave() } }
      var handling = Handling(priority: options.priority, job: job)
      if let budget = options.budget {
        let left = budget - (ContinuousClock.now - arrival)
        guard left > .zero else { return .stale }
        handling.deadline = left
      }
      let failure: Failure
      do throws(Failure) {
        let answer = try await service.answer(
          AnswerRequest(
            images: images, prompt: options.prompt, sampling: options.sampling, handling: handling))
        availability.noteAnswer()
        return .answered(answer)
      } catch { failure = error }
      if Task.isCancelled { availability.noteNothing(); return .cancelled }
      if failure.code == "deadline_exceeded", options.budget != nil { return .stale }
      guard let kind = BatchAvailability.kind(failure.code), options.patience > .zero else {
        availability.noteAnswer()
        return .failed(failure)
      }
      if kind == .lost { losses += 1 }
      availability.note(failure, kind)
      guard losses < JobLimits.lossCount else { return .failed(failure) }
      if kind == .busy {
        try? await Task.sleep(for: wait)
        wait = min(wait * 2, .seconds(1))
      }
    }
  }

  private static let gone = Failure(
    code: "cluster_not_ready", message: "the cluster was away for longer than anybody waited")
}
